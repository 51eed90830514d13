// The conformance program of an export: a port that keeps what metertime_platform.h asks passes, and each way in which one
// does not is found and named.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SettingsFormat, StorageMap } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { exportC } from '../../host/export/c-export.ts';
import { type Checked, checkPort } from '../../host/export/conformance.ts';
import { openLink } from '../../host/link/transports.ts';
import { until } from '../../host/setup/until.ts';
import { runMetertime } from '../host/cli-run.ts';
import { temporaryFolder } from './echo-meter.ts';
import { makeExported, nativeCompiler } from './exported.ts';
import { faults, partFlags, parts } from './faulty-port.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const exported = join(temporary.path, 'exported');
const faulty = join(temporary.path, 'faulty');
const erased = Buffer.alloc(8192, 0xff);

beforeAll(async () => {
  await exportC({ servers: 1, example: 'super-loop', outDir: exported, measure: false });
  await makeExported(exported, ['build/conformance']);
  // The core is the same, and not compiled again.
  cpSync(exported, faulty, { recursive: true, preserveTimestamps: true });
  for (const [file, what, by] of [...parts, ...faults.flatMap(({ changes }) => changes)]) {
    const text = readFileSync(join(faulty, file), 'utf8');
    expect(text.split(what), `${file}: ${what}`).toHaveLength(2);
    writeFileSync(
      join(faulty, file),
      text.replace(what, () => by),
    );
  }
  for (const name of readdirSync(join(faulty, 'build'))) {
    if (name !== 'core.o') rmSync(join(faulty, 'build', name));
  }
  await makeExported(faulty, ['build/conformance'], { ...nativeCompiler(), CPU: partFlags });
}, 300_000);

let runs = 0;
function newFolder(storage: Buffer): string {
  const folder = join(temporary.path, `run-${runs++}`);
  mkdirSync(folder);
  writeFileSync(join(folder, 'storage'), storage);
  return folder;
}

function startPort(program: string, folder: string, fault = 0) {
  const child = spawn(join(program, 'build', 'conformance'), [join(folder, 's'), join(folder, 'storage')], {
    stdio: 'ignore',
    env: { ...process.env, TZ: 'UTC', FAULT: String(fault) },
  });
  return {
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, 'close');
      child.kill('SIGKILL');
      await closed;
    },
  };
}

async function checksOf(program: string, { fault = 0, storage = erased } = {}): Promise<Checked[]> {
  const folder = newFolder(storage);
  const socket = join(folder, 's');
  const checks = checkPort({ link: openLink(`unix-listen:${socket}`), seconds: 1, startMs: 20_000, answerMs: 10_000 });
  await until('it listens', () => existsSync(socket));
  const port = startPort(program, folder, fault);
  try {
    return await checks;
  } finally {
    await port.kill();
  }
}

const failures = (checks: readonly Checked[]) =>
  checks.filter(({ result }) => result === 'failed').map(({ name, detail }) => `${name}: ${detail}`);

describe.concurrent('a port', { timeout: 90_000 }, () => {
  it('that keeps all of it passes, parts that it has not aside', async ({ expect }) => {
    const checks = await checksOf(exported);
    expect(failures(checks)).toEqual([]);
    const without = checks.filter(({ result }) => result === 'none').map(({ name }) => name);
    expect(without).toEqual(['clock', 'thermometer', 'registers']);
    expect(checks.at(-1)).toMatchObject({ name: 'restart', result: 'ok' });
  });

  it("whose storage holds a meter's settings keeps them", async ({ expect }) => {
    const storage = Buffer.from(erased);
    storage.writeUInt32LE(SettingsFormat.Magic, StorageMap.Settings);
    const checks = await checksOf(exported, { storage });
    expect(failures(checks)).toEqual([]);
    expect(checks.find(({ name }) => name === 'storage')).toMatchObject({ result: 'none' });
  });

  it('with a clock, a thermometer and registers passes', async ({ expect }) => {
    const checks = await checksOf(faulty);
    expect(failures(checks)).toEqual([]);
    expect(checks.find(({ name }) => name === 'clock')).toMatchObject({ result: 'ok' });
    expect(checks.find(({ name }) => name === 'thermometer')?.detail).toBe('-12.5 °C');
    expect(checks.find(({ name }) => name === 'registers')?.detail).toBe('12, -3');
  });

  for (const [index, { what, found }] of faults.entries()) {
    it(`${what} is found out`, async ({ expect }) => {
      const seen = failures(await checksOf(faulty, { fault: index + 1 }));
      expect(seen).toContainEqual(expect.stringMatching(found));
    });
  }
});

it('metertime conformance prints the checks, and ends with 4 where one failed', { timeout: 90_000 }, async () => {
  const fault = 1 + faults.findIndex(({ what }) => what === 'that forgets why it restarted');
  const folder = newFolder(erased);
  const running = runMetertime(['conformance', `unix-listen:${join(folder, 's')}`, '--seconds', '1']);
  await until('it listens', () => existsSync(join(folder, 's')));
  const port = startPort(faulty, folder, fault);
  try {
    const { exitCode, stdout } = await running;
    expect(exitCode).toBe(ExitCode.Mismatch);
    expect(stdout).toMatch(/^✓ line +all bytes/m);
    expect(stdout).toMatch(/^✗ restart +metertime_restart was given/m);
  } finally {
    await port.kill();
  }
});
