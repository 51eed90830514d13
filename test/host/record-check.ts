// Many random changes of what meters wrote, in worker threads: each has to be found.
// Run by scripts/check-records.mjs. What always holds: world N of a seed has the same changes, whoever makes them.
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { step } from '../../scripts/lib/progress.mjs';
import { changeWorld, emptyTally, randomOfWorld, type Tally } from './record-campaign.ts';
import { changeKinds } from './record-changes.ts';
import { checkRecordsUsage } from './record-usage.mjs';

const changesInWorld = 500;

/** A world, and how many changes are made in it. */
interface Task {
  readonly number: number;
  readonly changes: number;
}
type Result = Tally & Task;
type Message = { readonly result: Result } | { readonly error: string };

function wrong(message: string): never {
  console.error(message);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        changes: { type: 'string', default: '1000000' },
        seed: { type: 'string', default: String(randomInt(2 ** 31)) },
        only: { type: 'string' },
        jobs: { type: 'string', default: String(availableParallelism()) },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    }).values;
  } catch (error) {
    wrong(`${(error as Error).message}\n\n${checkRecordsUsage}`);
  }
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  wrong(`--${option}: expected a whole number from ${least} to ${most}, came ${text}`);
}

/** Gives each worker the next world until all are done, or something is wrong. */
async function runAll(
  seed: number,
  tasks: Iterator<Task>,
  jobs: number,
  done: (result: Result) => void,
): Promise<void> {
  let ended = false;
  const run = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL(import.meta.url), { workerData: seed });
      const give = () => {
        const { value, done: none } = tasks.next();
        if (ended || none === true) void worker.terminate().then(() => resolve());
        else worker.postMessage(value);
      };
      worker.on('error', reject);
      worker.on('message', (message: Message) => {
        if ('error' in message) {
          ended = true;
          void worker.terminate().then(() => reject(new Error(message.error)));
          return;
        }
        ended ||= message.result.wrong !== undefined;
        done(message.result);
        give();
      });
      give();
    });
  await Promise.all(Array.from({ length: jobs }, run));
}

function workHere(): void {
  const seed = workerData as number;
  parentPort!.on('message', ({ number, changes }: Task) => {
    try {
      const result = { number, changes, ...changeWorld(randomOfWorld(seed, number), changes) };
      parentPort!.postMessage({ result } satisfies Message);
    } catch (error) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      parentPort!.postMessage({ error: `world ${number} of seed ${seed}: ${said}` } satisfies Message);
    }
  });
}

function* tasksOf(changes: number, only: number | undefined): Generator<Task> {
  if (only !== undefined) yield { number: only, changes: changesInWorld };
  else {
    for (let number = 1, left = changes; left > 0; number++, left -= changesInWorld) {
      yield { number, changes: Math.min(left, changesInWorld) };
    }
  }
}

async function main(): Promise<void> {
  const values = readArguments();
  if (values.help) return console.log(checkRecordsUsage);
  const changes = whole('changes', values.changes, 1, 1_000_000_000);
  const seed = whole('seed', values.seed, 0, 2 ** 32 - 1);
  const jobs = whole('jobs', values.jobs, 1, 256);
  const only = values.only === undefined ? undefined : whole('only', values.only, 1, 2_000_000);
  console.error(`seed ${seed}`);
  const found = emptyTally();
  let sum = 0;
  const problems: string[] = [];
  const asked = only === undefined ? changes : changesInWorld;
  await step('changes of records, logbooks and heads', (note) =>
    runAll(seed, tasksOf(changes, only), jobs, (result) => {
      for (const kind of changeKinds) {
        found[kind] += result.found[kind];
        sum += result.found[kind];
      }
      if (result.wrong !== undefined) problems.push(`world ${result.number} of seed ${seed}: ${result.wrong}`);
      note(`${sum} of ${asked}`);
    }),
  );
  if (values.json) console.log(JSON.stringify({ seed, changes: asked, found: sum, kinds: found, problems }));
  else {
    for (const kind of changeKinds) console.log(`${String(found[kind]).padStart(9)}  ${kind}`);
    for (const problem of problems) console.log(`NOT AS IT MUST BE: ${problem}`);
    console.log(`${sum} of ${asked} changes: ${problems.length === 0 ? 'each was found' : 'ended'} (seed ${seed})`);
  }
  if (problems.length > 0) process.exitCode = 1;
}

if (isMainThread) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
} else {
  workHere();
}
