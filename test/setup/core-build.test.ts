// The core's build: only what a microcontroller can hold, and the same bytes every time.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';

test('two builds of the same sources have the same SHA-256', { timeout: 180_000 }, async () => {
  const first = await buildCore();
  const folder = mkdtempSync(join(tmpdir(), 'metertime-core-'));
  try {
    const again = await buildCore({ outFile: join(folder, 'core.wasm') });
    expect(again.rebuilt).toBe(true);
    expect(again.sha256).toBe(first.sha256);
    expect(readFileSync(again.path).equals(readFileSync(first.path))).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a build without changes is skipped', { timeout: 180_000 }, async () => {
  const first = await buildCore();
  const second = await buildCore();
  expect(second).toEqual({ ...first, rebuilt: false });
});
