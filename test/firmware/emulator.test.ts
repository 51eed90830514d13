// The emulator as a process: nothing of it is left behind, and what goes wrong is said.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuildReport } from '../../host/build/index.ts';
import { startEmulator } from '../../host/build/index.ts';
import { root } from '../../scripts/lib/project.mjs';
import { boardName, buildEchoFirmware, startEchoMeter, temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
let report: BuildReport;

beforeAll(async () => {
  report = await buildEchoFirmware();
});
afterAll(() => temporary.remove());

const at = (name: string) => join(temporary.path, name);

/** Resolves once a process is gone, or a zombie that its parent has not waited for. */
async function gone(pid: number): Promise<void> {
  await expect
    .poll(() => existsSync(`/proc/${pid}/stat`) && !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1')), {
      timeout: 5000,
    })
    .toBe(false);
}

describe('an emulator', () => {
  it('ends when it is asked to, or killed', async () => {
    const first = await startEchoMeter(temporary.path);
    await first.emulator.stop();
    await gone(first.emulator.pid);
    const second = await startEchoMeter(temporary.path);
    expect(await second.emulator.kill()).toEqual({ code: null, signal: 'SIGKILL' });
    await gone(second.emulator.pid);
  });

  it.each(['SIGTERM', 'SIGINT', 'SIGKILL'] as const)('does not outlive its parent ended by %s', async (signal) => {
    const options = {
      board: boardName,
      image: report.elfPath,
      link: at(`link-${signal}`),
      storageFile: at('storage-child'),
    };
    // A program of its own: only so can its death be seen.
    const entry = at('parent.ts');
    writeFileSync(
      entry,
      `import { startEmulator } from ${JSON.stringify(join(root, 'host/build/index.ts'))};
      const emulator = await startEmulator(${JSON.stringify(options)});
      console.log(String(emulator.pid));
      setInterval(() => {}, 1000);`,
    );
    const outfile = join(root, 'build', 'test', `parent-${signal}.mjs`);
    await build({
      entryPoints: [entry],
      outfile,
      bundle: true,
      platform: 'node',
      format: 'esm',
      packages: 'external',
      define: { METERTIME_BUNDLE: 'true' },
    });
    const parent = spawn(process.execPath, [outfile], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
      const pid = await new Promise<number>((resolve, reject) => {
        createInterface({ input: parent.stdout }).once('line', (line) => resolve(Number(line)));
        parent.once('exit', () => reject(new Error('the parent ended early')));
      });
      expect(existsSync(`/proc/${pid}`)).toBe(true);
      parent.kill(signal);
      await gone(pid);
    } finally {
      parent.kill('SIGKILL');
    }
  });

  it('can be halted and let go on', async () => {
    const { emulator, line } = await startEchoMeter(temporary.path);
    try {
      await emulator.pause();
      line.send('Epaused');
      await expect(line.receive(300)).rejects.toThrow(/no frame/);
      await emulator.resume();
      expect((await line.receive()).text).toMatch(/paused$/);
    } finally {
      line.close();
      await emulator.kill();
    }
  });

  it('says what is wrong when it cannot start', async () => {
    const good = { board: boardName, image: report.elfPath, link: at('link'), storageFile: at('storage') };
    await expect(startEmulator({ ...good, image: at('none.elf') })).rejects.toThrow(/none\.elf/);
    await expect(startEmulator({ ...good, link: at('x'.repeat(120)) })).rejects.toThrow(/at most 107 bytes/);
    await expect(startEmulator({ ...good, rtcBase: 'noon' })).rejects.toThrow(/noon|datetime/);
  });
});
