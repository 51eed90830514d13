// Benches and soak as they are started: `--help` on a checkout as it was cloned, and what each needs beside node.
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blackoutUsage } from '../../bench/usage.mjs';
import { coreDefaults } from '../../host/provision/settings-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { root } from '../../scripts/lib/project.mjs';

const folder = mkdtempSync(join(tmpdir(), 'metertime-programs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const copy = (name: string) => cpSync(join(root, name), join(folder, name), { recursive: true });

/** Runs a script of the copy on a machine without any other program: nothing can be fetched there. */
function runScript(name: string, ...args: string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  const nothing = join(folder, 'nothing');
  mkdirSync(nothing, { recursive: true });
  const options = { cwd: folder, env: { PATH: nothing } };
  return new Promise((resolve) => {
    execFile(process.execPath, [join('scripts', name), ...args], options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr });
    });
  });
}

describe('on a checkout without packages, core and cache', () => {
  beforeAll(() => {
    for (const name of ['package.json', 'package-lock.json', 'scripts', join('bench', 'usage.mjs')]) copy(name);
  });

  it.each([
    ['bench-blackout.mjs', 'npm run bench:blackout -- [options]', '--fleets'],
    ['bench-clock.mjs', 'npm run bench:clock -- [options]', '--seeds'],
    ['bench-gateway.mjs', 'npm run bench:gateway -- [options]', '--meters'],
    ['bench-mcu.mjs', 'npm run bench:mcu -- [options]', '--polls'],
    ['bench-start.mjs', 'npm run bench:start -- [options]', '--runs'],
    ['soak.mjs', 'npm run soak -- [options]', '--years'],
  ])('%s --help tells the options, and sets nothing up', async (name, title, option) => {
    const { code, stdout, stderr } = await runScript(name, '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.startsWith(title)).toBe(true);
    expect(stdout).toContain(option);
    for (const made of ['node_modules', 'build', '.cache']) expect(existsSync(join(folder, made))).toBe(false);
  });

  it('the spread is the default of the setting', () => {
    expect(blackoutUsage).toContain(`spreadSeconds (${coreDefaults.spreadSeconds})`);
  });
});

describe('on a machine without Debian programs', () => {
  beforeAll(async () => {
    await buildCore();
    for (const name of ['as', 'asconfig.json', 'bench', 'host', 'package.json', 'package-lock.json', 'scripts', 'test'])
      copy(name);
    for (const file of readdirSync(join(root, 'build')).filter((name) => name.startsWith('core'))) {
      copy(join('build', file));
    }
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  });

  it('bench:clock needs none', async () => {
    const { code, stderr } = await runScript('bench-clock.mjs', '--only', 'first-minute', '--seeds', '1');
    expect({ code, stderr }).toMatchObject({ code: 0 });
  });

  it('bench:blackout needs none', async () => {
    const { code, stderr } = await runScript('bench-blackout.mjs', '--meters', '100', '--fleets', 'first');
    expect({ code, stderr }).toMatchObject({ code: 0 });
  });

  it.each([
    ['bench-gateway.mjs', 1],
    ['bench-mcu.mjs', 2],
    ['bench-start.mjs', 3],
    ['soak.mjs', 3],
  ])('%s says that it lacks %d groups of them, and ends', async (name, groups) => {
    const { code, stderr } = await runScript(name);
    expect(code).toBe(1);
    expect(stderr.match(/^ {2}! /gm)).toHaveLength(groups);
  });
});
