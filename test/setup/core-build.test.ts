// The core's build: only what a microcontroller can hold, the same bytes every time, one core for each number of servers.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, test } from 'vitest';
import { until } from '../../host/setup/until.ts';
import { buildCore, serversMax } from '../../scripts/build-core.mjs';
import { descendants } from '../../scripts/lib/processes.mjs';
import { root } from '../../scripts/lib/project.mjs';

test.each([serversMax, 1])('two builds for %i servers have the same SHA-256', { timeout: 180_000 }, async (servers) => {
  const first = await buildCore({ servers });
  const folder = mkdtempSync(join(tmpdir(), 'metertime-core-'));
  try {
    const again = await buildCore({ servers, outFile: join(folder, 'core.wasm') });
    expect(again.rebuilt).toBe(true);
    expect(again.sha256).toBe(first.sha256);
    expect(readFileSync(again.path).equals(readFileSync(first.path))).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a build without changes is skipped, also after one for another number of servers', {
  timeout: 180_000,
}, async () => {
  const first = await buildCore();
  const small = await buildCore({ servers: 1 });
  expect(await buildCore()).toEqual({ ...first, rebuilt: false });
  expect(await buildCore({ servers: 1 })).toEqual({ ...small, rebuilt: false });
  expect([basename(first.path), basename(small.path)]).toEqual(['core.wasm', 'core-1.wasm']);
});

test('a core for fewer servers needs less memory', { timeout: 180_000 }, async () => {
  const memoryBytes = async (servers: number) => {
    const { path } = await buildCore({ servers });
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(path)));
    return (exports as { memoryEnd: () => number }).memoryEnd();
  };
  // Keys, cookies and state of each: RFC 8915 5.7 wants eight cookies, which have some 100 bytes each.
  expect((await memoryBytes(serversMax)) - (await memoryBytes(1))).toBeGreaterThan((serversMax - 1) * 8 * 100);
});

test.each([0, 5, 1.5])('there is no core for %d servers', async (servers) => {
  await expect(buildCore({ servers })).rejects.toThrow(/expected 1 to 4/);
});

test('a build that is broken off leaves neither files nor a compiler', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-core-'));
  try {
    const before = new Set(descendants(process.pid));
    const abort = new AbortController();
    const build = buildCore({ outFile: join(folder, 'core.wasm'), signal: abort.signal });
    const refused = expect(build).rejects.toThrow(/^enough$/);
    await until('a compiler', () => descendants(process.pid).some((pid) => !before.has(pid)));
    abort.abort(new Error('enough'));
    await refused;
    expect(descendants(process.pid).filter((pid) => !before.has(pid))).toEqual([]);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('nor does one whose process exits', { timeout: 60_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-core-'));
  const module = (path: string) => JSON.stringify(join(root, path));
  try {
    const program = `
      import { readdirSync } from 'node:fs';
      import { buildCore } from ${module('scripts/build-core.mjs')};
      void buildCore({ outFile: ${JSON.stringify(join(folder, 'core.wasm'))} });
      if (readdirSync(${JSON.stringify(folder)}).length === 0) throw new Error('it has not begun');
      process.exit(3);`;
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
    });
    expect({ status, stderr }).toEqual({ status: 3, stderr: '' });
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
