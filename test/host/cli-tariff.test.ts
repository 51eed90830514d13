// metertime tariff, metertime keys, and the tariffs and keys of metertime provision.
import { createPublicKey } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { publicKeyOf, readKeysFile } from '../../host/provision/meter-keys.ts';
import { readStorageSettings } from '../../host/provision/storage-file.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { runMetertime } from './cli-run.ts';

let folder = '';
const file = (name: string) => join(folder, name);

const programText = `name: household
activationUtc: 2026-01-01T00:00:00Z
zone: Europe/Berlin
defaultTariff: 1
tariffs: { 1: day, 2: night }
seasons: [{ name: all, start: { month: 1, day: 1 }, week: all }]
weeks: [{ name: all, days: [1, 1, 1, 1, 1, 1, 1] }]
days: [{ id: 1, actions: [{ time: "02:30", tariff: 1 }, { time: "22:00", tariff: 2 }] }]
`;

beforeAll(async () => {
  await buildCore();
  folder = mkdtempSync(join(tmpdir(), 'metertime-cli-tariff-'));
  writeFileSync(file('p.yaml'), programText);
  writeFileSync(file('d.yaml'), 'entries: [{ utc: 2026-10-25T12:00:00Z, tariff: 9 }]\nendUtc: 2026-10-25T13:00:00Z\n');
  writeFileSync(file('m.yaml'), 'id: meter-1\nservers: [time.example]\ntimeRules: { profile: uk }\n');
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the tutorial', () => {
  const text = readFileSync(new URL('../../docs/tutorial-tariffs.md', import.meta.url), 'utf8');
  const [program, meter, , dynamic] = [...text.matchAll(/^```yaml\n(.*?)^```/gms)].map(([, yaml]) => yaml!);

  it('shows what metertime tariff says of its program', async () => {
    writeFileSync(file('household.yaml'), program!);
    const [, args, output] = /^\$ npx metertime tariff household\.yaml (.*)\n([^`]*)```/m.exec(text)!;
    const { stdout } = await runMetertime(['tariff', file('household.yaml'), ...args!.split(' ')]);
    expect(stdout).toBe(output);
  });

  it('has settings and dynamic tariffs that a meter is provisioned with', async () => {
    writeFileSync(file('household.yaml'), program!);
    writeFileSync(file('tomorrow.yaml'), dynamic!);
    writeFileSync(file('m1.yaml'), meter!.replace('PORT', '4460'));
    const files = [
      '--settings',
      file('m1.yaml'),
      '--tariff',
      file('household.yaml'),
      '--dynamic',
      file('tomorrow.yaml'),
    ];
    const { exitCode, stderr } = await runMetertime(['provision', file('m1.bin'), ...files]);
    expect(stderr).toBe('');
    expect(exitCode).toBe(ExitCode.Ok);
  });
});

describe('metertime tariff', () => {
  it('shows zone, tariff and switches, over the end of summer time', async () => {
    const args = ['tariff', file('p.yaml'), '--at', '2026-10-24T23:00:00Z', '--switches', '2'];
    const { stdout, exitCode } = await runMetertime(args);
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toMatch(/^Program +: household, \d+ bytes, CRC-32 [0-9a-f]{8}$/m);
    expect(stdout).toMatch(/^Takes effect +: 2026-01-01T00:00:00Z$/m);
    expect(stdout).toMatch(/^Zone +: Europe\/Berlin: <\+01>-1<\+02>,M3.5.0,M10.5.0\/3, a rule for all years$/m);
    expect(stdout).toMatch(/^At +: 2026-10-24T23:00:00Z, 2026-10-25T01:00:00\+02:00, summer time$/m);
    expect(stdout).toMatch(/^Tariff +: 2 \(night\), the calendar$/m);
    expect(stdout.trimEnd().split('\n').slice(-2)).toEqual([
      expect.stringMatching(/^2026-10-25T02:30:00\+02:00 +2026-10-25T00:30:00Z +1 \(day\) +the calendar$/),
      expect.stringMatching(/^2026-10-25T22:00:00\+01:00 +2026-10-25T21:00:00Z +2 \(night\) +the calendar$/),
    ]);
  });

  it('gives the same as JSON, with dynamic tariffs', async () => {
    const args = ['tariff', file('p.yaml'), '--dynamic', file('d.yaml'), '--at', '2026-10-25T12:30:00Z', '--json'];
    const { stdout } = await runMetertime([...args, '--switches', '1']);
    expect(JSON.parse(stdout)).toEqual({
      ...{ name: 'household', activationUtc: '2026-01-01T00:00:00Z', bytes: expect.any(Number) },
      crc32: expect.stringMatching(/^[0-9a-f]{8}$/),
      zone: { rule: '<+01>-1<+02>,M3.5.0,M10.5.0/3' },
      dynamic: { entries: 1, endUtc: '2026-10-25T13:00:00Z' },
      at: {
        ...{ utc: '2026-10-25T12:30:00Z', local: '2026-10-25T13:30:00+01:00', summer: false },
        ...{ tariff: 9, name: null, origin: 'dynamic' },
      },
      switches: [
        {
          ...{ utc: '2026-10-25T13:00:00Z', local: '2026-10-25T14:00:00+01:00', summer: false },
          ...{ tariff: 1, name: 'day', origin: 'dynamic-ended' },
        },
      ],
    });
  });

  it('says that a program without a calendar never switches, and how far a list goes', async () => {
    writeFileSync(file('casablanca.yaml'), 'name: c\nzone: Africa/Casablanca\ndefaultTariff: 4\n');
    const { stdout } = await runMetertime(['tariff', file('casablanca.yaml')]);
    expect(stdout).toMatch(/^Zone +: Africa\/Casablanca: \d+ transitions up to 2046-/m);
    expect(stdout).toMatch(/^Tariff +: 4, the calendar$/m);
    expect(stdout).toContain('It does not switch within five years.');
  });

  it('refuses what is wrong, with its place', async () => {
    writeFileSync(file('wrong.yaml'), programText.replace('week: all', 'week: none'));
    const wrong = await runMetertime(['tariff', file('wrong.yaml')]);
    expect(wrong).toMatchObject({ exitCode: ExitCode.Usage, stdout: '' });
    expect(wrong.stderr).toMatch(/wrong.yaml:6:\d+: season 1 \(all\): expected one of all, came "none"/);
    const at = await runMetertime(['tariff', file('p.yaml'), '--at', 'noon']);
    expect(at).toMatchObject({ exitCode: ExitCode.Usage });
    expect(at.stderr).toMatch(/--at is "noon"\nExpected a time in UTC/);
  });
});

describe('metertime provision', () => {
  it('writes tariffs, and keys for those who verify', async () => {
    const storage = file('m.bin');
    const keys = ['--keys', file('k.json'), '--public-key', file('k.pem')];
    const args = ['provision', storage, '-s', file('m.yaml'), '-b', 'software', '--tariff', file('p.yaml'), ...keys];
    const { stdout, stderr, exitCode } = await runMetertime(args);
    expect(stderr).toBe('');
    expect(exitCode).toBe(ExitCode.Ok);
    expect(stdout).toMatch(/^Storage +: .*524288 bytes, new$/m);
    expect(stdout).toMatch(
      /^Records +: periods of 15 min; .*the last tariff is kept, and no records of periods are made/m,
    );
    expect(stdout).toMatch(/^Tariff program +: as given$/m);
    expect(readStorageSettings(storage).tariff).toMatchObject({ whenTimeDoubtful: 'suspend' });
    expect([file('k.json'), file('k.pem')].map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o644]);
    const { meter, publicKey } = readKeysFile(file('k.json'));
    expect(meter).toBe('meter-1');
    expect(createPublicKey(readFileSync(file('k.pem'))).equals(publicKey)).toBe(true);
    const shown = await runMetertime(['keys', '--storage', storage]);
    expect(shown.stdout).toBe(
      `Meter      : meter-1\nPublic key : ${Buffer.from(publicKeyOf(publicKey)).toString('hex')} (Ed25519)\n`,
    );
    expect((await runMetertime(['keys', '--storage', storage, '--pem'])).stdout).toBe(
      readFileSync(file('k.pem'), 'utf8'),
    );
    const json = JSON.parse((await runMetertime(['keys', '--storage', storage, '--json'])).stdout);
    expect(json).toEqual({ meter, publicKey: expect.any(String), publicKeyPem: readFileSync(file('k.pem'), 'utf8') });
  });

  it('touches nothing where a file of keys is in the way', async () => {
    writeFileSync(file('letter.txt'), 'a letter to a friend');
    const args = ['provision', file('n.bin'), '-s', file('m.yaml'), '--keys', file('letter.txt')];
    const { exitCode, stderr } = await runMetertime(args);
    expect([exitCode, existsSync(file('n.bin'))]).toEqual([ExitCode.Failed, false]);
    expect(stderr).toMatch(/letter.txt exists and holds other than the keys of this meter/);
    expect((await runMetertime([...args, '--force'])).exitCode).toBe(ExitCode.Ok);
    expect(readKeysFile(file('letter.txt')).meter).toBe('meter-1');
  });

  it('says nothing of tariffs to a meter that has none', async () => {
    await runMetertime(['provision', file('small.bin'), '-s', file('m.yaml')]);
    expect(readStorageSettings(file('small.bin')).tariff).toBeUndefined();
    writeFileSync(file('t.yaml'), 'id: meter-1\nservers: [time.example]\ntariff: { whenTimeDoubtful: keep }\n');
    const board = await runMetertime(['provision', file('none.bin'), '-s', file('t.yaml'), '-b', 'mps2-an385']);
    expect(board).toMatchObject({ exitCode: ExitCode.Usage });
    expect(board.stderr).toMatch(/t.yaml:3:9: tariff: expected none, as the software of mps2-an385 has no tariffs/);
    const few = await runMetertime(['provision', file('none.bin'), '-s', file('t.yaml'), '--bytes', '8192']);
    expect(few.exitCode).toBe(ExitCode.Failed);
    expect(few.stderr).toMatch(/would have 8192 bytes; .* at least 65536 bytes/);
    expect(existsSync(file('none.bin'))).toBe(false);
  });

  it('takes a program to pieces before it writes', async () => {
    const args = ['provision', file('o.bin'), '-s', file('m.yaml'), '--tariff', file('d.yaml')];
    const { exitCode, stderr } = await runMetertime(args);
    expect([exitCode, existsSync(file('o.bin'))]).toEqual([ExitCode.Usage, false]);
    expect(stderr).toMatch(/d.yaml:1:1: /);
  });
});
