// The command `npm run bench:clock`: threads change nothing, targets decide its exit code, mistakes are told.
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { bundle } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';

const program = join(root, 'build', 'bench-clock-test');
let folder = '';

beforeAll(async () => {
  await buildCore();
  await bundle('bench/clock.ts', program);
  folder = mkdtempSync(join(tmpdir(), 'metertime-bench-clock-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function benchClock(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(program, 'metertime.mjs'), ...args], (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1, stdout, stderr });
    });
  });
}

function writeCase(name: string, text: string): string {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, `title: ${name}\nseconds: 5000\nleaveOutSeconds: 600\n${text}`);
  return path;
}

describe('npm run bench:clock', () => {
  it('comes to the same with one thread as with three, and with the seeds in its list alone', async () => {
    const path = writeCase('threads', 'targets: { insideBoundPercent: { atLeast: 100 } }');
    const run = (jobs: string) => benchClock('--cases', path, '--seeds', '1-4,9', '--json', '--jobs', jobs);
    const [one, three] = [await run('1'), await run('3')];
    expect(one.code).toBe(0);
    expect(three.stdout).toBe(one.stdout);
    const result = JSON.parse(one.stdout);
    expect(result.seeds).toEqual([1, 2, 3, 4, 9]);
    expect(result.within).toBe(true);
    expect(result.cases[0]).toMatchObject({ name: 'threads', figures: { insideBoundPercent: 100 } });
  });

  it('says which target was missed, and fails where it is asked to check', async () => {
    const path = writeCase('missed', 'targets: { rmsMs: { atMost: 0 }, timelessPercent: { atMost: 0 } }');
    const lenient = await benchClock('--cases', path, '--seeds', '5');
    expect(lenient.code).toBe(0);
    expect(lenient.stdout).toMatch(/MISSED {2}missed: RMS error, ms: [\d.]+, at most 0/);
    expect(lenient.stdout).toContain('Targets kept: 1 of 2');
    expect((await benchClock('--cases', path, '--seeds', '5', '--check')).code).toBe(1);
  });

  it('draws pictures', async () => {
    const path = writeCase('drawn', '');
    const plots = join(folder, 'plots');
    const { code } = await benchClock('--cases', path, '--seeds', '1', '--plot', plots);
    expect(code).toBe(0);
    expect(readdirSync(plots)).toEqual(['drawn.svg']);
  });

  it.each([
    [['--seeds', '4-1'], '--seeds: expected numbers and ranges such as 1-100 or 3,7,20-29, came 4-1'],
    [['--only', 'nothing'], '--only: expected some of asymmetric, '],
    [['--jobs', '0'], '--jobs: expected a whole number from 1 to 256, came 0'],
    [['--cases', 'no-such-folder'], 'expected a file or folder with cases, found none'],
    [['--wrong'], "Unknown option '--wrong'"],
  ])('%j is a mistake', async (args, message) => {
    const { code, stderr } = await benchClock(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it('tells its options', async () => {
    const { code, stdout } = await benchClock('--help');
    expect(code).toBe(0);
    for (const option of ['--cases', '--only', '--seeds', '--every', '--jobs', '--json', '--check', '--plot']) {
      expect(stdout).toContain(option);
    }
  });
});
