// Programs that this process starts and that must not outlive it.
import type { ChildProcess } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { BuildError } from './errors.ts';

const startTimeoutMs = 20_000;

const running = new Set<ChildProcess>();
let exitHandled = false;

// util-linux's setpriv lets the kernel kill the emulator with its parent, even when that is killed itself.
/** What to start a program with, so that it ends with this process. */
export function diesWithParent(): string[] {
  for (const path of ['/usr/bin/setpriv', '/bin/setpriv']) {
    try {
      accessSync(path, constants.X_OK);
      return [path, '--pdeathsig', 'KILL', '--'];
    } catch {}
  }
  return [];
}

/** Ends a program when this process ends in good order. */
export function keepFromOutliving(child: ChildProcess): void {
  running.add(child);
  child.on('close', () => running.delete(child));
  if (exitHandled) return;
  exitHandled = true;
  process.on('exit', () => {
    for (const left of running) left.kill('SIGKILL');
  });
}

/** Waits until there is a socket of this name. Throws `BuildError` emulator-failed. */
export async function awaitSocket(path: string): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  while (!existsSync(path)) {
    if (performance.now() > deadline) {
      throw new BuildError('emulator-failed', `the emulator did not open ${path} within ${startTimeoutMs / 1000} s`);
    }
    await delay(5);
  }
}
