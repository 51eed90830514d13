// The program behind `npm run fuzz`: targets in node, then those of the compiled C (test/native-fuzz). One thread runs
// the targets in node, this one prints how far it is.
// Exit code 0: nothing found; 1: found, its input is in a file; 2: asked wrongly.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { root } from '../../scripts/lib/project.mjs';
import { nativeTargetOf, nativeTargets } from '../native-fuzz/campaign.ts';
import { fuzzNatively, replayNatively } from '../native-fuzz/command.ts';
import { targets } from './all-targets.ts';
import { type Found, type Progress, runTarget } from './campaign.ts';

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

const million = 1_000_000;
const nodeNames = targets.map(({ name }) => name);
const nativeNames = nativeTargets.map(({ name }) => name);

const usage = `npm run fuzz -- [--node | --native] [--inputs N] [--seed S] [--target NAME]... [--round R] [--case FILE]
  --node         targets in node alone
  --native       targets of the compiled C alone
  --inputs N     inputs for each target; unless told 1,000,000 in node, and ${nativeTargets.reduce((sum, { inputs }) => sum + inputs, 0) / million} million natively in all
  --seed S       0 to 4294967295; a random one unless told
  --target NAME  node: ${nodeNames.join(', ')}; native: ${nativeNames.join(', ')}; all unless told
  --round R      one round of targets in node, as a finding or a failed test names it
  --case FILE    one input that was found natively
  --help         this`;

interface Asked {
  readonly help: boolean;
  readonly node: Task | undefined;
  readonly native: { readonly seed: number; readonly inputs: number | undefined; readonly names: readonly string[] };
  readonly case: string | undefined;
}

function readArguments(): Asked {
  const { values } = parseArgs({
    options: {
      node: { type: 'boolean', default: false },
      native: { type: 'boolean', default: false },
      inputs: { type: 'string' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      round: { type: 'string' },
      target: { type: 'string', multiple: true },
      case: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const number = (name: string, text: string, least: number, most: number) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= least && value <= most) return value;
    throw new Error(`--${name}: a whole number from ${least} to ${most} expected, got "${text}"`);
  };
  if (values.node && values.native) throw new Error('--node and --native: one of them');
  // A round is one of node's.
  const both = !values.node && !values.native;
  const inNode = values.node || both;
  const natively = values.native || (both && values.round === undefined);
  const known: string[] = [...(inNode ? nodeNames : []), ...(natively ? nativeNames : [])];
  const unknown = values.target?.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`--target: there is none called "${unknown}"`);
  const wanted = (names: readonly string[]) => names.filter((name) => values.target?.includes(name) ?? true);
  if (values.case !== undefined && (nativeTargetOf(values.case) === undefined || !existsSync(values.case))) {
    throw new Error(`--case: a file whose name begins with a native target's expected, got "${values.case}"`);
  }
  const inputs = values.inputs === undefined ? undefined : number('inputs', values.inputs, 1, Number.MAX_SAFE_INTEGER);
  const seed = number('seed', values.seed, 0, 2 ** 32 - 1);
  const round = values.round === undefined ? undefined : number('round', values.round, 0, 2 ** 32 - 1);
  const names = inNode ? wanted(nodeNames) : [];
  return {
    help: values.help,
    node: names.length === 0 ? undefined : { seed, inputs: inputs ?? million, names, round },
    native: { seed, inputs, names: natively ? wanted(nativeNames) : [] },
    case: values.case,
  };
}

function save(found: Found): string {
  const folder = join(root, 'build', 'fuzz');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `${found.target}-${found.roundSeed}.json`);
  writeFileSync(path, `${JSON.stringify(found)}\n`);
  return path;
}

async function main(): Promise<number> {
  let asked: Asked;
  try {
    asked = readArguments();
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (asked.help) {
    console.log(usage);
    return 0;
  }
  if (asked.case !== undefined) return (await replayNatively(asked.case)) ? 0 : 1;
  const { node, native } = asked;
  const each = native.inputs === undefined ? '' : `, ${native.inputs} inputs for each target`;
  console.log(
    `fuzz: seed ${native.seed}${each}; node: ${node?.names.join(', ') ?? 'none'}; native: ${native.names.join(', ') || 'none'}`,
  );
  const clean = [
    node === undefined || (await fuzzInNode(node)),
    native.names.length === 0 ||
      (await fuzzNatively(
        nativeTargets.filter(({ name }) => native.names.includes(name)),
        native,
      )),
  ].every(Boolean);
  console.log(clean ? 'fuzz: nothing found' : 'fuzz: found something; the file holds what led to it');
  return clean ? 0 : 1;
}

/** @returns whether nothing was found */
async function fuzzInNode(task: Task): Promise<boolean> {
  const worker = new Worker(new URL(import.meta.url), { workerData: task });
  let progress: Progress | undefined;
  let clean = true;
  const rate = (inputs: number, seconds: number) =>
    `${inputs} inputs, ${Math.round(inputs / Math.max(seconds, 0.001))}/s`;
  const timer = setInterval(() => {
    if (progress === undefined) return;
    const { target, inputs, seconds } = progress;
    console.log(`  ${target}: ${rate(inputs, seconds)}`);
  }, 5000);
  worker.on('message', (told: Told) => {
    if ('progress' in told) progress = told.progress;
    else if ('ended' in told) {
      const { target, inputs, rounds, seconds } = told.ended;
      console.log(`${target}: ${rate(inputs, seconds)}, ${rounds} rounds, ${seconds.toFixed(1)} s`);
    } else {
      clean = false;
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
    clean = false;
  } finally {
    clearInterval(timer);
  }
  return clean;
}

if (isMainThread) {
  // With it go the fuzzers that were started.
  process.on('SIGTERM', () => process.exit(1));
  process.exitCode = await main();
} else await work(workerData as Task);
