// Servers of the lab: nothing of them is left, whenever their process ends.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';

test("a server's folder goes with the process, also before the server was started", async () => {
  const program = join(root, 'build', 'test-children', 'lab-child');
  await bundle('test/setup/lab-child.ts', program);
  const folder = mkdtempSync(join(tmpdir(), 'metertime-lab-'));
  try {
    const env = { ...process.env, TMPDIR: folder };
    const { status, stdout } = spawnSync(process.execPath, [join(program, 'metertime.mjs')], { env, encoding: 'utf8' });
    expect(status).toBe(3);
    expect(stdout.trim().startsWith(folder)).toBe(true);
    expect(readdirSync(folder)).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
