// metertime run --board software where its core traps, with its gateway elsewhere and here; and what waits for such ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { Event } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { ended } from '../../host/cli/wait.ts';
import { Core, CoreError } from '../../host/core/core.ts';
import { until } from '../../host/setup/until.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { runMetertime } from './cli-run.ts';

beforeAll(async () => {
  await buildCore();
});
let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-trap-'));
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** The core traps in the first `times` of these events. */
function trapIn(where: Event, times: number): void {
  const { handle } = Core.prototype;
  let left = times;
  vi.spyOn(Core.prototype, 'handle').mockImplementation(function (this: Core, event, tick, payload) {
    if (event !== where || left-- <= 0) return handle.call(this, event, tick, payload);
    throw new CoreError('core-trap', 'a trap', { cause: new WebAssembly.RuntimeError('unreachable') });
  });
}

const run = (signal: AbortSignal, link: readonly string[], watch: (text: string) => void = () => {}) => {
  const storage = ['--storage', join(folder, 'meter.bin')];
  const args = ['run', '--board', 'software', '--server', '127.0.0.1:1', ...storage, ...link];
  return runMetertime(args, { signal, watch });
};

test.each([['elsewhere'], ['here']])('a core that traps as it starts ends the command (gateway %s)', async (where) => {
  trapIn(Event.Start, 1);
  const link = where === 'here' ? [] : ['--link', `unix:${join(folder, 'none')}`];
  const { exitCode, stderr } = await run(AbortSignal.timeout(20_000), link);
  expect(exitCode, stderr).toBe(ExitCode.Failed);
  expect(stderr).toMatch(/^metertime: the core trapped as it started, .* the meter is off\nRun it with --record FILE/m);
});

test.each([['elsewhere'], ['here']])('one that traps later is told, and goes on (gateway %s)', async (where) => {
  trapIn(Event.StorageData, 1);
  const link = where === 'here' ? [] : ['--link', `unix:${join(folder, 'none')}`];
  const end = new AbortController();
  let seen = '';
  const running = run(end.signal, link, (text) => {
    seen += text;
  });
  await until('told', () => seen.includes('The core trapped in event StorageData'));
  end.abort();
  const { exitCode, stderr } = await running;
  expect(exitCode).toBe(ExitCode.Ok);
  expect(stderr).toContain('the meter was started anew');
});

test('nothing is left to keep the process alive, whatever ended it', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const { signal } = new AbortController();
  expect(await ended(signal, Promise.resolve('exit'))).toBe('exit');
  await expect(ended(signal, Promise.reject(new Error('off')))).rejects.toThrow('off');
  expect(await ended(AbortSignal.abort())).toBeUndefined();
  expect(vi.getTimerCount()).toBe(0);
});
