// Processes that keep a processor busy, as a loaded machine is. They end with this process.
import { type ChildProcess, spawn } from 'node:child_process';

export class Load {
  readonly #processes: ChildProcess[];

  constructor(count: number) {
    this.#processes = Array.from({ length: count }, () =>
      // The pipe closes when this process ends, however it does; the loop looks between two slices of work.
      spawn(process.execPath, ['-e', busy], { stdio: ['pipe', 'ignore', 'ignore'] }),
    );
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#processes.splice(0).map(
        (child) =>
          new Promise<void>((resolve) => {
            if (child.exitCode !== null || child.signalCode !== null) return resolve();
            child.once('close', () => resolve());
            child.kill('SIGKILL');
          }),
      ),
    );
  }
}

const busy = `
process.stdin.on('end', () => process.exit()).resume();
const work = () => {
  const until = performance.now() + 200;
  while (performance.now() < until) Math.sqrt(Math.random());
  setImmediate(work);
};
work();
`;
