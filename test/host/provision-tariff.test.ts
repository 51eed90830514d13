// Tariffs, calibration and registers in a meter's settings and storage: what a file says, what the core is told, and what
// keeps its place when a meter is provisioned anew.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { MeterEvent, ProgramField, StorageMap } from '../../as/abi/codes.ts';
import { tariffProfilesTable } from '../../host/config/reference.ts';
import { checkKeysFiles, writeKeysFiles } from '../../host/provision/keys-files.ts';
import { meterKeys } from '../../host/provision/meter-keys.ts';
import { decodeSettings, encodeSettings, type MeterSettings } from '../../host/provision/settings-block.ts';
import { parseSettings } from '../../host/provision/settings-file.ts';
import { provisionStorage, readStorageKeys } from '../../host/provision/storage-file.ts';
import {
  decodeCalibration,
  decodeRegister,
  decodeTariffRules,
  encodeCalibration,
  encodeRegister,
  encodeTariffRules,
  obisBytes,
  registrationMinutes,
  tariffProfiles,
  tariffRulesDefaults,
} from '../../host/provision/tariff-settings.ts';
import { timeProfileNames } from '../../host/provision/time-rules.ts';
import { decodeDynamic, encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { decodeProgram, encodeProgram } from '../../host/tariff/program-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from '../core/random.ts';
import { SimulatedMeter, testSettings } from '../core/simulated-meter.ts';
import { sampleProgram } from './tariff-samples.ts';

beforeAll(async () => {
  await buildCore();
});

const plain: MeterSettings = {
  ...{ id: 'meter-1', servers: [{ host: 'time.example', port: 4460 }], firstDatesUnchecked: true },
  ...{ poll: { minSeconds: 64, maxSeconds: 1024 }, reportSeconds: 10 },
};
const calibration = {
  id: 'DKD-1',
  atUtc: '2026-01-15T09:00:00Z',
  untilUtc: '2034-01-15T09:00:00Z',
  uncertaintyPpb: 500,
};
const registers = [
  { obis: '1-0:1.8.0*255', scale: -3, unit: 30 },
  { obis: '1-0:2.8.0*255', scale: 2, unit: 255 },
];
const settings: MeterSettings = {
  ...plain,
  tariff: { ...tariffRulesDefaults, registrationMinutes: 5, whenTimeDoubtful: 'suspend', whenLogbookFull: 'mark' },
  ...{ calibration, registers },
};
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('settings of tariffs and records', () => {
  it('have the layout that the core reads', () => {
    const rules = { ...settings.tariff!, uncertaintyMaxMs: 0x010203, boundMaxMs: 4 };
    expect(hex(encodeTariffRules(rules))).toBe('050201000302010004000000');
    const at = (utc: string) => hex(new Uint8Array(BigInt64Array.of(BigInt(Date.parse(utc) / 1000)).buffer));
    const expected = `${at(calibration.atUtc)}${at(calibration.untilUtc)}f4010000${'05'}${Buffer.from('DKD-1').toString('hex')}`;
    expect(hex(encodeCalibration(calibration))).toBe(expected);
    expect(registers.map(encodeRegister).map(hex)).toEqual(['0100010800fffd1e', '0100020800ff02ff']);
  });

  it('are read from a block as they were written', () => {
    const rootKey = randomBytes(16);
    expect(decodeSettings(encodeSettings(settings, rootKey)).settings).toEqual(settings);
    expect(decodeSettings(encodeSettings(plain, rootKey)).settings).toEqual(plain);
  });

  it('are taken by the core', () => {
    const { servers } = testSettings;
    for (const told of [settings, plain].map((each) => ({ ...each, servers }))) {
      const sim = new SimulatedMeter();
      sim.storage.write(StorageMap.Settings, encodeSettings(told, randomBytes(16)));
      sim.meter.start();
      sim.run(1);
      expect(sim.events.filter(({ code }) => code === MeterEvent.SettingsInvalid)).toEqual([]);
      expect(sim.info?.meterId).toBe('meter-1');
    }
  });

  it.each<[string, Partial<MeterSettings>, RegExp]>([
    [
      'a period of 7 minutes',
      { tariff: { ...tariffRulesDefaults, registrationMinutes: 7 } },
      /^tariff.registrationMinutes: expected one of 0, 1, .*60, came 7$/,
    ],
    [
      'half a millisecond',
      { tariff: { ...tariffRulesDefaults, boundMaxMs: 0.5 } },
      /^tariff.boundMaxMs: expected a whole number/,
    ],
    [
      'a calibration without an id',
      { calibration: { ...calibration, id: '' } },
      /^calibration.id: expected a text of 1 to 32 bytes/,
    ],
    ['an id of 33 bytes', { calibration: { ...calibration, id: 'x'.repeat(33) } }, /^calibration.id/],
    [
      'a calibration that ended before',
      { calibration: { ...calibration, untilUtc: calibration.atUtc } },
      /^calibration.untilUtc: expected a time after atUtc/,
    ],
    ['no time', { calibration: { ...calibration, atUtc: 'now' } }, /^calibration.atUtc: expected a time in UTC/],
    ['no uncertainty', { calibration: { ...calibration, uncertaintyPpb: 0 } }, /^calibration.uncertaintyPpb/],
    [
      'five registers',
      { registers: [1, 2, 3, 4, 5].map((c) => ({ obis: `1-0:${c}.8.0*255`, scale: 0, unit: 30 })) },
      /^registers: expected at most 4 registers, came 5$/,
    ],
    [
      'a register twice',
      { registers: [registers[0]!, { ...registers[0]!, obis: '1.0.1.8.0.255' }] },
      /^registers\[2\].obis: expected each register once/,
    ],
    [
      'no OBIS code',
      { registers: [{ obis: '1-0:1.8.256', scale: 0, unit: 30 }] },
      /^registers\[1\].obis: expected an OBIS code/,
    ],
    ['a scale of 128', { registers: [{ obis: '1-0:1.8.0', scale: 128, unit: 30 }] }, /^registers\[1\].scale/],
  ])('with %s are refused', (_, change, message) => {
    expect(() => encodeSettings({ ...settings, ...change }, randomBytes(16))).toThrow(message);
  });

  it('are no settings when their bytes are no such value', () => {
    const rules = encodeTariffRules(tariffRulesDefaults);
    expect(decodeTariffRules(rules)).toEqual(tariffRulesDefaults);
    for (const [at, value] of [
      [0, 7],
      [1, 3],
      [2, 2],
      [3, 1],
    ] as const) {
      const wrong = rules.slice();
      wrong[at] = value;
      expect(decodeTariffRules(wrong)).toBeUndefined();
    }
    const bytes = encodeCalibration(calibration);
    expect([decodeCalibration(bytes.subarray(1)), decodeCalibration(bytes.subarray(0, -1))]).toEqual([
      undefined,
      undefined,
    ]);
    bytes[7] = 0x80;
    expect(decodeCalibration(bytes)).toBeUndefined();
    expect(decodeRegister(new Uint8Array(7))).toBeUndefined();
  });

  it('of any kind are read as they were written', () => {
    const { below } = seededRandom('tariff-settings');
    for (let round = 0; round < 500; round++) {
      const rules = {
        registrationMinutes: registrationMinutes[below(registrationMinutes.length)]!,
        whenTimeDoubtful: (['switch', 'keep', 'suspend'] as const)[below(3)]!,
        whenLogbookFull: (['invalid', 'mark'] as const)[below(2)]!,
        ...{ uncertaintyMaxMs: below(1_000_001), boundMaxMs: below(1_000_001) },
      };
      expect(decodeTariffRules(encodeTariffRules(rules))).toEqual(rules);
      const obis = `${below(256)}-${below(256)}:${below(256)}.${below(256)}.${below(256)}*${below(256)}`;
      const register = { obis, scale: below(256) - 128, unit: below(256) };
      expect(decodeRegister(encodeRegister(register))).toEqual(register);
      const at = below(2 ** 31);
      const utc = (seconds: number) => new Date(seconds * 1000).toISOString().replace('.000', '');
      const each = {
        id: 'é'.repeat(1 + below(16)),
        atUtc: utc(at),
        untilUtc: utc(at + 1 + below(2 ** 31)),
        uncertaintyPpb: 1 + below(1e9),
      };
      expect(decodeCalibration(encodeCalibration(each))).toEqual(each);
    }
  });

  it('know OBIS codes with a dash and without, and no others', () => {
    for (const text of ['1-0:1.8.0*255', '1-0:1.8.0', '1.0.1.8.0.255'])
      expect(obisBytes(text)).toEqual([1, 0, 1, 8, 0, 255]);
    for (const text of ['1.8.0', '1-0:1.8', '1-0:1.8.0*256', '1-0:1.8.0*', 'x'])
      expect(obisBytes(text)).toBeUndefined();
  });
});

describe('a settings file', () => {
  const read = (text: string) => parseSettings(text, 'm.yaml').given;

  it('says rules, calibration and registers', () => {
    const given = read(`tariff: { registrationMinutes: 5, whenTimeDoubtful: suspend, whenLogbookFull: mark }
calibration: { id: DKD-1, atUtc: 2026-01-15T09:00Z, untilUtc: 2034-01-15T09:00:00Z, uncertaintyPpb: 500 }
registers:
  - { obis: 1.0.1.8.0.255, scale: -3, unit: Wh }
  - { obis: 1-0:2.8.0, scale: 2, unit: 255 }
`);
    expect(given).toMatchObject({ tariff: settings.tariff, calibration, registers });
    expect(given.profileTariff).toBeUndefined();
  });

  it('leaves to the profile what it does not say', () => {
    expect(read('id: a\n').profileTariff).toBeUndefined();
    expect(read('timeRules: { profile: gas }\n').profileTariff).toBeUndefined();
    const suspended = { ...tariffRulesDefaults, whenTimeDoubtful: 'suspend' };
    expect(read('timeRules: { profile: uk }\n')).toMatchObject({ tariff: undefined, profileTariff: suspended });
    expect(read('timeRules: { profile: uk }\ntariff: {}\n').tariff).toEqual(suspended);
    expect(read('timeRules: { profile: uk }\ntariff: { whenTimeDoubtful: switch }\n').tariff).toEqual(
      tariffRulesDefaults,
    );
    expect(read('tariff: { boundMaxMs: 1 }\n').tariff).toEqual({ ...tariffRulesDefaults, boundMaxMs: 1 });
  });

  it.each([
    ['tariff: { registrationMinutes: 7 }', /^m.yaml:1:32: .*expected one of 0, 1, 2/],
    ['tariff: { whenTimeDoubtful: stop }', /^m.yaml:1:29: .*expected switch, keep or suspend/],
    ['tariff: { doubt: keep }', /^m.yaml:1:11: unknown setting "tariff.doubt"/],
    ['calibration: { id: a }', /^m.yaml:1:\d+: calibration.atUtc is missing/],
    [
      'calibration: { id: a, atUtc: 2026-02-30T00:00:00Z, untilUtc: 2030-01-01T00:00:00Z, uncertaintyPpb: 1 }',
      /^m.yaml:1:30: .*expected a time in UTC/,
    ],
    ['registers: [{ obis: 1.8.0, unit: Wh }]', /^m.yaml:1:21: registers\[1\].obis: expected an OBIS code/],
    [
      'registers: [{ obis: 1-0:1.8.0, unit: kWh }]',
      /^m.yaml:1:\d+: registers\[1\].unit: expected a unit, one of .*Wh, .*came "kWh"/,
    ],
    [
      'registers: [{ obis: 1-0:1.8.0, unit: 256 }]',
      /^m.yaml:1:\d+: registers\[1\].unit is 256; expected a whole number from 0 to 255/,
    ],
  ])('with %s is refused', (line, message) => {
    expect(() => read(`${line}\n`)).toThrow(message);
  });

  it('has profiles whose words all have a source, as docs/time-rules.md says them', () => {
    for (const name of timeProfileNames) {
      const { rules = {}, sources = {} } = tariffProfiles[name] ?? {};
      expect(Object.keys(sources)).toEqual(Object.keys(rules));
    }
    const docs = readFileSync(new URL('../../docs/time-rules.md', import.meta.url), 'utf8');
    expect(docs).toContain(tariffProfilesTable());
  });
});

describe('a storage with tariffs', () => {
  const folder = mkdtempSync(join(tmpdir(), 'metertime-tariffs-'));
  let count = 0;
  let path = '';
  beforeEach(() => {
    path = join(folder, `${count++}.bin`);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const program = encodeProgram(sampleProgram);
  const dynamic = encodeDynamic({
    entries: [{ utc: '2026-11-22T23:00:00Z', tariff: 3 }],
    endUtc: '2026-11-23T23:00:00Z',
  });
  const slot = (bytes: Uint8Array, at: number): Uint8Array => bytes.subarray(at, at + StorageMap.ProgramSlotBytes);

  it('holds program and dynamic tariffs in their first slots, and is as large as they need', () => {
    const result = provisionStorage(path, settings, { program, dynamic });
    expect(result).toMatchObject({ bytes: 524_288, program: 'given', dynamic: 'given' });
    const bytes = readFileSync(path);
    const stored = decodeProgram(slot(bytes, StorageMap.ProgramA));
    expect(stored).toMatchObject({ count: 1, program: decodeProgram(program).program });
    expect(decodeDynamic(bytes.subarray(StorageMap.DynamicA))).toMatchObject({
      count: 1,
      dynamic: decodeDynamic(dynamic).dynamic,
    });
    expect(slot(bytes, StorageMap.ProgramB).every((byte) => byte === 0)).toBe(true);
  });

  it('keeps what is not given, and loses both slots to what is', () => {
    provisionStorage(path, settings, { program, dynamic });
    const bytes = readFileSync(path);
    bytes.set(slot(bytes, StorageMap.ProgramA), StorageMap.ProgramB);
    bytes.fill(0, StorageMap.ProgramA, StorageMap.ProgramA + 4);
    bytes.fill(0x55, StorageMap.Logbook);
    writeFileSync(path, bytes);
    expect(provisionStorage(path, settings)).toMatchObject({ program: 'kept', dynamic: 'kept' });
    expect(readFileSync(path).subarray(StorageMap.StateA).equals(bytes.subarray(StorageMap.StateA))).toBe(true);
    const other = encodeProgram({ ...sampleProgram, name: 'other' });
    expect(provisionStorage(path, settings, { program: other })).toMatchObject({ program: 'given', dynamic: 'kept' });
    const after = readFileSync(path);
    expect(decodeProgram(slot(after, StorageMap.ProgramA)).program.name).toBe('other');
    expect(slot(after, StorageMap.ProgramB).every((byte) => byte === 0)).toBe(true);
    expect(after.subarray(StorageMap.Logbook).equals(bytes.subarray(StorageMap.Logbook))).toBe(true);
    expect(after.readUInt32LE(StorageMap.ProgramA + ProgramField.Count)).toBe(1);
  });

  it('loses all that was sealed or signed with another root key, and keeps its tariffs', () => {
    provisionStorage(path, settings, { program, dynamic });
    const bytes = readFileSync(path);
    bytes.fill(0xaa, StorageMap.HeadA, StorageMap.MarkB + StorageMap.MarkBytes);
    bytes.fill(0xaa, StorageMap.Logbook);
    writeFileSync(path, bytes);
    expect(provisionStorage(path, settings, { rootKey: randomBytes(16) })).toMatchObject({
      program: 'kept',
      dynamic: 'kept',
    });
    const after = readFileSync(path);
    expect(after.subarray(StorageMap.HeadA, StorageMap.MarkB + StorageMap.MarkBytes).every((byte) => byte === 0)).toBe(
      true,
    );
    expect(after.subarray(StorageMap.Logbook).every((byte) => byte === 0)).toBe(true);
    expect(decodeProgram(slot(after, StorageMap.ProgramA)).program.name).toBe(sampleProgram.name);
  });

  it('has to be large enough, which is said with the number', () => {
    expect(() => provisionStorage(path, plain, { program, bytes: 65_535 })).toThrow(
      /would have 65535 bytes; a storage with room for a tariff program has at least 65536 bytes, and 524288 for records of 35 days: choose a board with more, or give --bytes/,
    );
    provisionStorage(path, plain);
    expect(() => provisionStorage(path, settings, { dynamic })).toThrow(
      /has 8192 bytes; a storage with room for dynamic tariffs, tariff, calibration, registers has at least 65536 .*remove it first/,
    );
    expect(provisionStorage(`${path}.least`, settings, { program, bytes: 65_536 })).toMatchObject({ program: 'given' });
    expect(provisionStorage(path, plain)).toMatchObject({ program: 'none', dynamic: 'none' });
  });

  it('gives the keys of its meter to files, which are not overwritten but by force', () => {
    const rootKey = randomBytes(16);
    provisionStorage(path, settings, { rootKey });
    const keys = readStorageKeys(path);
    expect(keys.recordKey).toEqual(meterKeys(rootKey, 'meter-1').recordKey);
    const files = { keys: `${path}.json`, publicKey: `${path}.pem` };
    writeKeysFiles(files, keys, false);
    writeKeysFiles(files, keys, false);
    const before = readFileSync(files.publicKey, 'utf8');
    const other = meterKeys(rootKey, 'meter-2');
    for (const whose of [other, undefined]) {
      expect(() => checkKeysFiles({ publicKey: files.publicKey }, whose, false)).toThrow(
        /exists and holds other than the keys of this meter; .*--force/,
      );
    }
    expect(() => writeKeysFiles(files, other, false)).toThrow(/--force/);
    expect(readFileSync(files.publicKey, 'utf8')).toBe(before);
    writeKeysFiles(files, other, true);
    expect(readFileSync(files.publicKey, 'utf8')).not.toBe(before);
    for (const file of [files.keys, files.publicKey])
      expect(readFileSync(file, 'utf8')).not.toContain(rootKey.toString('hex'));
  });
});
