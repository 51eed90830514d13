// Runs a board that is a process of this machine, where others have an emulator.
//
// What always holds: as emulator.ts says; its counter goes on while it is paused, as the machine's does.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { awaitSocket, diesWithParent, keepFromOutliving } from './children.ts';
import type { Emulator, EmulatorExit, EmulatorOptions } from './emulator.ts';
import { BuildError } from './errors.ts';
import { sanitizerEnvironment } from './native.ts';

const stopTimeoutMs = 2_000;

/** Starts the program and waits until its link can be connected to. Throws `BuildError` emulator-failed, tool-missing. */
export async function startProcess(args: readonly string[], { image, link }: EmulatorOptions): Promise<Emulator> {
  const [command, ...before] = [...diesWithParent(), image];
  const child = spawn(command!, [...before, ...args], {
    env: { ...process.env, ...sanitizerEnvironment() },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  keepFromOutliving(child);
  let log = '';
  child.stderr.on('data', (chunk) => {
    log = (log + String(chunk)).slice(-8192);
  });
  const exit = new Promise<EmulatorExit>((resolve) => {
    child.on('error', (error) => {
      log += `${error.message}\n`;
      resolve({ code: null, signal: null });
    });
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  const pid = child.pid ?? 0;
  const kill = () => {
    child.kill('SIGKILL');
    return exit;
  };
  const lacks = (what: string) => new BuildError('emulator-failed', `a process has no ${what}`);
  const failed = () => new BuildError('emulator-failed', `the meter's process ended at once\n${log}`.trimEnd());
  try {
    await Promise.race([awaitSocket(link), exit.then(() => Promise.reject(failed()))]);
  } catch (error) {
    await kill();
    throw error;
  }
  return {
    pid,
    link,
    exit,
    kill,
    async stop() {
      child.kill('SIGTERM');
      const how = await Promise.race([exit, delay(stopTimeoutMs, undefined, { ref: false })]);
      return how ?? kill();
    },
    async pause() {
      child.kill('SIGSTOP');
    },
    async resume() {
      child.kill('SIGCONT');
    },
    async setTemperature() {
      throw lacks('thermometer');
    },
    async readMemory() {
      throw lacks('memory that is read from outside');
    },
    // The kernel makes the stack larger as it is used, and never smaller.
    async readStack() {
      const number = (path: string, pattern: RegExp) => Number(pattern.exec(readFileSync(path, 'latin1'))?.[1]);
      return {
        usedBytes: 1024 * number(`/proc/${pid}/status`, /^VmStk:\s+(\d+) kB$/m),
        totalBytes: number(`/proc/${pid}/limits`, /^Max stack size\s+(\d+)/m) || Number.MAX_SAFE_INTEGER,
      };
    },
    logTail: () => log,
  };
}
