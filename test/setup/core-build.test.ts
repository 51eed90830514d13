// The core's build: only what a microcontroller can hold, and the same bytes every time.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { root } from '../../scripts/lib/project.mjs';

test('two builds of the same sources have the same SHA-256', async () => {
  const first = await buildCore();
  const again = await buildCore({ outFile: join(root, 'build', 'core.again.wasm') });
  expect(again.rebuilt).toBe(true);
  expect(again.sha256).toBe(first.sha256);
  expect(existsSync(first.path)).toBe(true);
});

test('a build without changes is skipped', async () => {
  const first = await buildCore();
  const second = await buildCore();
  expect(second).toEqual({ ...first, rebuilt: false });
});
