// Many random changes of what meters wrote, in worker threads: each has to be found.
// Run by scripts/check-records.mjs. What always holds: world N of a seed has the same changes, whoever makes them.
import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, workerData } from 'node:worker_threads';
import { step } from '../../scripts/lib/progress.mjs';
import { answerTasks, refuseArguments, runTasks, wholeNumber } from '../check-crew.ts';
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
    refuseArguments(`${(error as Error).message}\n\n${checkRecordsUsage}`);
  }
}

function workHere(): void {
  const seed = workerData as number;
  answerTasks(
    ({ number }: Task) => `world ${number} of seed ${seed}`,
    ({ number, changes }): Result => ({ number, changes, ...changeWorld(randomOfWorld(seed, number), changes) }),
  );
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
  const changes = wholeNumber('changes', values.changes, 1, 1_000_000_000);
  const seed = wholeNumber('seed', values.seed, 0, 2 ** 32 - 1);
  const jobs = wholeNumber('jobs', values.jobs, 1, 256);
  const only = values.only === undefined ? undefined : wholeNumber('only', values.only, 1, 2_000_000);
  console.error(`seed ${seed}`);
  const found = emptyTally();
  let sum = 0;
  const problems: string[] = [];
  const asked = only === undefined ? changes : changesInWorld;
  await step('changes of records, logbooks and heads', (note) =>
    runTasks(new URL(import.meta.url), seed, tasksOf(changes, only), jobs, (result: Result) => {
      for (const kind of changeKinds) {
        found[kind] += result.found[kind];
        sum += result.found[kind];
      }
      if (result.wrong !== undefined) problems.push(`world ${result.number} of seed ${seed}: ${result.wrong}`);
      note(`${sum} of ${asked}`);
      return result.wrong === undefined;
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
