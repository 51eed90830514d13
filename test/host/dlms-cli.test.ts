// metertime dlms and metertime ocpp.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { exportProgram } from '../../host/dlms/from-program.ts';
import { timePayload } from '../../host/mqtt/payloads.ts';
import { tariffPayload } from '../../host/mqtt/record-payloads.ts';
import { parseProgram, readProgramFile } from '../../host/tariff/program-file.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { buildDist } from '../../scripts/build-dist.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { runMetertime } from './cli-run.ts';
import { household } from './dlms-samples.ts';
import { tariff, time } from './mqtt-samples.ts';

beforeAll(async () => {
  await buildCore();
});

let folder = '';
const at = (name: string) => join(folder, name);
const next = { ...household, name: 'next', activationUtc: '2027-01-01T00:00:00Z' };
const utcNs = BigInt(Date.UTC(2026, 6, 1, 10, 34, 56)) * 1_000_000n;
const reports = [
  JSON.stringify(timePayload('m1', { ...time, utcNs })),
  JSON.stringify(tariffPayload('m1', { ...tariff, dlmsStatus: 0x82, offsetMinutes: 120 })),
].join('\n');

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-'));
  writeFileSync(at('household.yaml'), stringify(household));
  writeFileSync(at('next.yaml'), stringify(next));
  writeFileSync(at('reports.jsonl'), reports);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('metertime dlms', () => {
  it('exports programs, and imports them as they were', async () => {
    const files = [at('household.yaml'), '--passive', at('next.yaml'), '-o', at('objects.json')];
    expect(await runMetertime(['dlms', 'export', ...files])).toEqual({
      ...{ exitCode: ExitCode.Ok, stdout: `${at('objects.json')} is written.\n`, stderr: '' },
    });
    const back = ['dlms', 'import', at('objects.json'), '-o', at('back.yaml'), '--passive', at('back-next.yaml')];
    expect(await runMetertime(back)).toMatchObject({ exitCode: ExitCode.Ok, stdout: '' });
    expect(readProgramFile(at('back.yaml')).program).toEqual(household);
    expect(readProgramFile(at('back-next.yaml')).program).toEqual(next);
    const again = await runMetertime(back);
    expect(again).toMatchObject({ exitCode: ExitCode.Failed });
    expect(again.stderr).toBe(`metertime: ${at('back.yaml')} exists and is not replaced\nName another file.\n`);
  });

  it('prints what it would write', async () => {
    const { stdout } = await runMetertime([
      'dlms',
      'export',
      at('household.yaml'),
      '--deviation',
      'inverted',
      '--json',
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ format: 'metertime-dlms-1', deviation: 'inverted' },
      objects: [{ classId: 8, attributes: { 3: '10003c' } }, { classId: 20 }, { classId: 11 }],
    });
    writeFileSync(at('inverted.json'), stdout);
    const yaml = await runMetertime(['dlms', 'import', at('inverted.json')]);
    writeFileSync(at('inverted.yaml'), yaml.stdout);
    expect(readProgramFile(at('inverted.yaml')).program).toEqual(household);
    const json = await runMetertime(['dlms', 'import', at('inverted.json'), '--json']);
    expect(JSON.parse(json.stdout)).toEqual({ program: household, passive: null, warnings: [] });
    const people = await runMetertime(['dlms', 'export', at('household.yaml')]);
    expect(people.stdout).toMatch(/^Class 8, 0\.0\.1\.0\.0\.255\n/);
    expect(people.stdout).toContain('summerTimeBegin: "*-03-last sunday 02:00:00.00 +01:00 (ok)"');
  });

  it("takes the clock's time and status from a meter's reports", async () => {
    const args = ['dlms', 'export', at('household.yaml'), '--state', at('reports.jsonl'), '--json'];
    const { stdout } = await runMetertime(args);
    expect(JSON.parse(stdout).objects[0].attributes).toMatchObject({ 2: '090c07ea0701030c223800ff8882', 4: '1182' });
  });

  it.each([
    [['export', 'absent.yaml'], /absent\.yaml cannot be read: it does not exist/],
    [['sideways', 'x'], /Allowed choices are export, import/],
    [['import', 'x', '--deviation', 'dlms'], /--deviation goes with export, not with import/],
    [['export', 'x', '--default-tariff', '1'], /--default-tariff goes with import, not with export/],
    [['export', 'household.yaml', '--meter', 'm1'], /--meter goes with --state/],
    [['import', 'household.yaml'], /household\.yaml: expected JSON \(/],
    [['import', 'single.json', '--passive', 'new.yaml'], /expected a passive calendar for --passive, came none/],
  ])('%j is a wrong use', async ([direction, file, ...options], message) => {
    writeFileSync(at('single.json'), (await runMetertime(['dlms', 'export', at('household.yaml'), '--json'])).stdout);
    const { exitCode, stdout, stderr } = await runMetertime(['dlms', direction!, at(file!), ...options]);
    expect(stderr).toMatch(message);
    expect({ exitCode, stdout }).toEqual({ exitCode: ExitCode.Usage, stdout: '' });
    expect(existsSync('new.yaml')).toBe(false);
  });

  it('names the file in what cannot be said', async () => {
    const start = { year: 2026, month: 3, day: 2, weekday: 'sunday' };
    writeFileSync(at('spring.yaml'), stringify({ ...household, seasons: [{ name: 'spring', start, week: 'all' }] }));
    const { exitCode, stderr } = await runMetertime(['dlms', 'export', at('spring.yaml')]);
    expect(exitCode).toBe(ExitCode.Failed);
    expect(stderr).toBe(
      `metertime: ${at('spring.yaml')}: season 1 (spring): weekday: expected 1 on 2026-3-2, came 7\n`,
    );
  });
});

describe('metertime ocpp', () => {
  it('prints messages of OCPP from reports', async () => {
    const args = ['ocpp', '--state', at('reports.jsonl'), '--program', at('household.yaml'), '--request-id', '5'];
    const { exitCode, stdout } = await runMetertime(args);
    expect(exitCode).toBe(ExitCode.Ok);
    const { notifyReport, getVariables, securityEvents } = JSON.parse(stdout);
    expect(notifyReport).toMatchObject({
      requestId: 5,
      reportData: [{ component: { name: 'ClockCtrlr' } }, {}, {}, {}, {}],
    });
    expect(getVariables.getVariableResult[0].attributeValue).toBe('2026-07-01T10:34:56.000Z');
    expect(securityEvents).toEqual([]);
  });

  it('reads standard input', async () => {
    const { outDir } = await buildDist({ outDir: at('dist') });
    const event = { meter: 'm1', boot: '0', code: 7, utcNs: `${utcNs}`, a: '2000000000' };
    const input = `${reports}\n${JSON.stringify(event)}\n`;
    const { status, stdout } = spawnSync(
      process.execPath,
      [join(outDir, 'metertime.mjs'), 'ocpp', '--threshold', '1'],
      {
        ...{ input, encoding: 'utf8' },
      },
    );
    expect(status).toBe(0);
    expect(JSON.parse(stdout).securityEvents).toMatchObject([{ type: 'SettingSystemTime' }]);
  }, 60_000);

  it.each([
    [['--zone', 'UTC0', '--program', 'p'], /--zone and --program both say the zone/],
    [['--threshold', 'x'], /Expected a whole number/],
    [['--zone', 'Europe/Berln', '--state', 'reports.jsonl'], /did you mean Europe\/Berlin/],
    [
      ['--meter', 'm9', '--state', 'reports.jsonl'],
      /expected the time report of the meter m9, came none of it, but reports of m1/,
    ],
  ])('%j is refused', async (args, message) => {
    const { exitCode, stdout, stderr } = await runMetertime([
      'ocpp',
      ...args.map((arg) => (arg.includes('jsonl') ? at(arg) : arg)),
    ]);
    expect(stderr).toMatch(message);
    expect(stdout).toBe('');
    expect(exitCode).not.toBe(ExitCode.Ok);
  });
});

it('docs/dlms.md says of its example what comes of it', () => {
  const docs = readFileSync(join(root, 'docs/dlms.md'), 'utf8');
  const { program } = parseProgram(/```yaml\n([^`]*)```/.exec(docs)![1]!, 'docs/dlms.md');
  const { objects } = exportProgram(program, { deviation: 'dlms' }).file;
  const rows = [...docs.matchAll(/^\| (\d+) \| (\d+) \| `([0-9a-f]+)` \|/gm)];
  expect(rows).toHaveLength(6);
  for (const [, classId, attribute, hex] of rows) {
    expect(objects.find((object) => `${object.classId}` === classId)?.attributes[attribute!]).toBe(hex);
  }
});
