// Runs cases with many seeds, in worker threads.
// What always holds: results come in the order of cases and seeds, whoever ran them when.
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { Case } from './cases.ts';
import { runCase } from './run.ts';
import type { Tally } from './tally.ts';

interface Task {
  readonly of: number;
  readonly seed: number;
}
type Message = { readonly tally: Tally } | { readonly error: string };

/** A run failed: the core trapped, or the simulation is wrong. */
export class RunError extends Error {
  override readonly name = 'RunError';
}

/**
 * Runs each case with each seed, or with the first of them where so many are not needed.
 * @param file of this program, which calls `workHere` in a worker
 * @param done is told after each run, how many of how many
 * @returns tallies of each case, in the order of the seeds
 */
export async function runAll(
  cases: readonly Case[],
  seeds: readonly number[],
  jobs: number,
  file: URL,
  done: (runs: number, all: number) => void,
): Promise<Tally[][]> {
  const tasks: Task[] = cases.flatMap(({ seedsMost }, of) => seeds.slice(0, seedsMost).map((seed) => ({ of, seed })));
  const tallies: Tally[][] = cases.map(() => []);
  let next = 0;
  let runs = 0;
  const work = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(file, { workerData: { cases } });
      let task: Task | undefined;
      const give = () => {
        task = tasks[next++];
        if (task === undefined) void worker.terminate().then(() => resolve());
        else worker.postMessage(task);
      };
      worker.on('error', reject);
      worker.on('message', (message: Message) => {
        const { of, seed } = task!;
        if ('error' in message) {
          next = tasks.length;
          void worker.terminate();
          reject(new RunError(`${cases[of]!.name}, seed ${seed}: ${message.error}`));
          return;
        }
        tallies[of]![seeds.indexOf(seed)] = message.tally;
        done(++runs, tasks.length);
        give();
      });
      give();
    });
  await Promise.all(Array.from({ length: Math.min(jobs, tasks.length) }, work));
  return tallies;
}

/** What a worker does until it is ended. */
export function workHere(): void {
  const { cases } = workerData as { cases: Case[] };
  parentPort!.on('message', ({ of, seed }: Task) => {
    parentPort!.postMessage(attempt(() => runCase(cases[of]!, seed)));
  });
}

function attempt(run: () => Tally): Message {
  try {
    return { tally: run() };
  } catch (error) {
    return { error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
}
