// What processes cost, from Linux's /proc, and from within node by a module that is loaded before the program.
// What always holds: all threads of a process count, and the children that it has waited for.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** Of /proc/PID/stat: Linux tells user space 100 a second, whatever its kernel counts in. */
const ticksPerSecond = 100;
const kibibyte = 1024;

/** Processor time that a process has taken so far, ms. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  // The name in parentheses may hold anything; fields from the third on stand behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [utime = 0, stime = 0, cutime = 0, cstime = 0] = fields.slice(11, 15).map(Number);
  return ((utime + stime + cutime + cstime) * 1000) / ticksPerSecond;
}

/** Memory of a process that is in RAM, and the most that it ever was, bytes. */
export function residentBytes(pid: number): { readonly now: number; readonly most: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) * kibibyte;
  return { now: field('VmRSS'), most: field('VmHWM') };
}

/** What node says of itself. */
export interface Insight {
  /** After a collection where it was asked for. */
  readonly heapUsedBytes: number;
  readonly externalBytes: number;
  /** How late the event loop was, ms, since it was asked last. */
  readonly loopDelayP99Ms: number;
  readonly loopDelayMostMs: number;
  /** Time in garbage collections since it was asked last, ms. */
  readonly collectionMs: number;
}

/** A module that answers `{ collect }` with an `Insight`, as text: it is loaded by `--import` into a program as it is. */
const probe = `
import { monitorEventLoopDelay, PerformanceObserver } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
const delay = monitorEventLoopDelay({ resolution: 10 });
delay.enable();
let collectionMs = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) collectionMs += duration;
}).observe({ entryTypes: ['gc'] });
process.on('message', ({ collect }) => {
  const answer = {
    loopDelayP99Ms: Math.max(0, delay.percentile(99) / 1e6 - 10),
    loopDelayMostMs: Math.max(0, delay.max / 1e6 - 10),
    collectionMs,
  };
  if (collect) {
    setFlagsFromString('--expose-gc');
    runInNewContext('gc')();
  }
  const { heapUsed, external } = process.memoryUsage();
  delay.reset();
  collectionMs = 0;
  process.send({ ...answer, heapUsedBytes: heapUsed, externalBytes: external });
});
// Whoever measures is gone.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
process.channel.unref();
`;

/** Arguments for a node whose child process has an IPC channel. */
export const probeArguments: readonly string[] = ['--import', `data:text/javascript,${encodeURIComponent(probe)}`];

/** Asks a process that was started with the probe; with a garbage collection before, so that only what is in use counts. */
export async function insight(child: ChildProcess, collect: boolean): Promise<Insight> {
  const answer = once(child, 'message', { signal: AbortSignal.timeout(30_000) });
  child.send({ collect });
  const [said] = (await answer) as [Insight];
  return said;
}
