// What programs that check very many drawn cases share: arguments, and workers that take one case after another.
// What always holds: a case that is not as it must be, or fails, is the last that is given out; those under way are ended with.
import { parentPort, Worker } from 'node:worker_threads';

type Message<Result> = { readonly result: Result } | { readonly error: string };

/** Ends the program: its arguments are wrong. */
export function refuseArguments(message: string): never {
  console.error(message);
  process.exit(2);
}

/** The whole number that an option says. */
export function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  refuseArguments(`--${option}: expected a whole number from ${least} to ${most}, came ${text}`);
}

/**
 * Gives each worker the next task until there is none, or `done` says that one is not as it must be.
 * @param file that the workers run, which answers with `answerTasks`
 * @param done takes a result; false where no more tasks are to be given out
 * @throws {Error} what a worker failed with
 */
export async function runTasks<Task, Result>(
  file: URL,
  workerData: unknown,
  tasks: Iterator<Task>,
  jobs: number,
  done: (result: Result) => boolean,
): Promise<void> {
  let ended = false;
  const run = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(file, { workerData });
      const give = () => {
        const next = ended ? undefined : tasks.next();
        if (next === undefined || next.done === true) void worker.terminate().then(() => resolve());
        else worker.postMessage(next.value);
      };
      worker.on('error', reject);
      worker.on('message', (message: Message<Result>) => {
        if ('error' in message) {
          ended = true;
          void worker.terminate().then(() => reject(new Error(message.error)));
          return;
        }
        if (!done(message.result)) ended = true;
        give();
      });
      give();
    });
  await Promise.all(Array.from({ length: jobs }, run));
}

/** In a worker: does each task that comes; one that throws is named by `name`. */
export function answerTasks<Task, Result>(name: (task: Task) => string, work: (task: Task) => Result): void {
  parentPort!.on('message', (task: Task) => {
    try {
      parentPort!.postMessage({ result: work(task) } satisfies Message<Result>);
    } catch (error) {
      const said = error instanceof Error ? (error.stack ?? error.message) : String(error);
      parentPort!.postMessage({ error: `${name(task)}: ${said}` } satisfies Message<Result>);
    }
  });
}
