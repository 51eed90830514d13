// dist/ runs in an empty folder with nothing but node: no node_modules above it, no checkout, an empty environment.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildDist } from '../../scripts/build-dist.mjs';

const run = promisify(execFile);

describe('a bundle with native packages', () => {
  let folder = '';
  let files: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'metertime-dist-'));
    ({ files } = await buildDist({ entry: 'test/setup/fixtures/native-packages.ts', outDir: folder }));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test('opens a database and a serial port from its own native files', async () => {
    const { stdout } = await run(process.execPath, [join(folder, 'metertime.mjs')], { cwd: folder, env: {} });
    const { value, portError, core } = JSON.parse(stdout);
    expect(value).toBe('value');
    expect(portError).toMatch(/No such file or directory/);
    expect(core).toBe(true);
  });

  test('holds native files for Linux on x64, arm64 and arm, and for no other system', () => {
    const native = files.filter((file) => file.endsWith('.node'));
    for (const name of ['classic-level', '@serialport/bindings-cpp']) {
      for (const architecture of ['linux-x64', 'linux-arm64', 'linux-arm']) {
        const prefix = join('native', name, 'prebuilds', architecture);
        expect(native.some((file) => file.startsWith(prefix) && existsSync(join(folder, file)))).toBe(true);
      }
    }
    expect(native.filter((file) => !file.includes('/linux-'))).toEqual([]);
  });
});
