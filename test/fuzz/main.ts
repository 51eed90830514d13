// The program behind `npm run fuzz`: one thread runs the targets, this one prints how far it is and notices when an
// event never ends. Exit code 0: nothing found; 1: found, its input is in a file; 2: asked wrongly.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { root } from '../../scripts/lib/project.mjs';
import { targets } from './all-targets.ts';
import { type Found, type Progress, runTarget } from './campaign.ts';

/** A round takes well below a second; one that takes this long hangs. */
const roundLimitMs = 60_000;

interface Task {
  readonly seed: number;
  readonly inputs: number;
  readonly names: readonly string[];
  readonly round: number | undefined;
}

type Told =
  | { progress: Progress }
  | { ended: { target: string; inputs: number; rounds: number; seconds: number } }
  | { found: Found };

async function work({ seed, inputs, names, round }: Task): Promise<void> {
  for (const target of targets.filter(({ name }) => names.includes(name))) {
    const { found, ...ended } = await runTarget(target, {
      seed,
      inputs,
      ...(round === undefined ? {} : { round }),
      onRound: (progress) => parentPort?.postMessage({ progress } satisfies Told),
    });
    parentPort?.postMessage({ ended: { target: target.name, ...ended } } satisfies Told);
    if (found !== undefined) {
      parentPort?.postMessage({ found } satisfies Told);
      return;
    }
  }
}

const usage = `npm run fuzz -- [--inputs N] [--seed S] [--round R] [--target NAME]...
  --inputs N     inputs for each target, 1,000,000 unless told
  --seed S       0 to 4294967295; a random one unless told
  --round R      one round alone, as a finding or a failed test names it
  --target NAME  one of: ${targets.map(({ name }) => name).join(', ')}; all unless told`;

function readTask(): Task {
  const { values } = parseArgs({
    options: {
      inputs: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      round: { type: 'string' },
      target: { type: 'string', multiple: true, default: targets.map(({ name }) => name) },
    },
  });
  const number = (name: string, text: string, least: number, most: number) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new Error(`--${name}: a whole number from ${least} to ${most} expected, got "${text}"`);
  };
  const inputs = number('inputs', values.inputs, 1, Number.MAX_SAFE_INTEGER);
  const seed = number('seed', values.seed, 0, 2 ** 32 - 1);
  const round = values.round === undefined ? undefined : number('round', values.round, 0, 2 ** 32 - 1);
  const unknown = values.target.find((name) => !targets.some((target) => target.name === name));
  if (unknown !== undefined) throw new Error(`--target: there is none called "${unknown}"`);
  return { seed, inputs, names: values.target, round };
}

function save(found: Found): string {
  const folder = join(root, 'build', 'fuzz');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${found.target}-${found.roundSeed}.json`);
  writeFileSync(path, `${JSON.stringify(found)}\n`);
  return path;
}

async function main(): Promise<number> {
  let task: Task;
  try {
    task = readTask();
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  console.log(`fuzz: seed ${task.seed}, ${task.inputs} inputs for each of ${task.names.join(', ')}`);
  const worker = new Worker(new URL(import.meta.url), { workerData: task });
  let progress: Progress | undefined;
  let heardMs = performance.now();
  let exitCode = 0;
  const rate = (inputs: number, seconds: number) =>
    `${inputs} inputs, ${Math.round(inputs / Math.max(seconds, 0.001))}/s`;
  const timer = setInterval(() => {
    if (progress === undefined) return;
    const { target, inputs, seconds, roundSeed } = progress;
    if (performance.now() - heardMs < roundLimitMs) {
      console.log(`  ${target}: ${rate(inputs, seconds)}`);
      return;
    }
    const message = `a round does not end within ${roundLimitMs / 1000} s`;
    console.error(`FOUND ${target}: ${message}\n  ${save({ target, roundSeed, message, large: true, events: [] })}`);
    exitCode = 1;
    void worker.terminate();
  }, 5000);
  worker.on('message', (told: Told) => {
    heardMs = performance.now();
    if ('progress' in told) progress = told.progress;
    else if ('ended' in told) {
      const { target, inputs, rounds, seconds } = told.ended;
      console.log(`${target}: ${rate(inputs, seconds)}, ${rounds} rounds, ${seconds.toFixed(1)} s`);
    } else {
      exitCode = 1;
      const { found } = told;
      console.error(`FOUND ${found.target}, round ${found.roundSeed}: ${found.message}\n  ${save(found)}`);
    }
  });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', () => resolve());
    });
  } catch (error) {
    console.error(error);
    exitCode = 1;
  } finally {
    clearInterval(timer);
  }
  console.log(
    exitCode === 0 ? 'fuzz: nothing found' : 'fuzz: found something; the file holds the events that led to it',
  );
  return exitCode;
}

if (isMainThread) process.exitCode = await main();
else await work(workerData as Task);
