// The command: in a checkout bin/metertime.mjs brings dist/ up to date and runs it; dist/ alone, copied into an empty
// folder, needs nothing but node.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { buildDist } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';

const run = promisify(execFile);
const slow = { timeout: 180_000 };

test.each([
  ['node bin/metertime.mjs', process.execPath, ['bin/metertime.mjs', '--version']],
  ['npx metertime', 'npx', ['--no-install', 'metertime', '--version']],
  ['npm run -s metertime --', 'npm', ['run', '-s', 'metertime', '--', '--version']],
])('%s runs in the checkout', slow, async (_, command, args) => {
  const { stdout } = await run(command, args, { cwd: root });
  expect(stdout).toMatch(/^metertime 0\.1\.0\n/);
});

describe('dist in an empty folder', () => {
  let folder = '';
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'metertime-dist-'));
    await buildDist({ outDir: folder });
  }, slow.timeout);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const metertime = (...args: string[]) =>
    run(process.execPath, [join(folder, 'metertime.mjs'), ...args], { cwd: folder, env: {} });

  test("prints its version and the core's SHA-256", async () => {
    const core = await buildCore();
    const { stdout } = await metertime('--version');
    expect(stdout).toContain(core.sha256);
  });

  test('passes its known-answer tests', async () => {
    await expect(metertime('selftest')).resolves.toBeDefined();
  });
});
