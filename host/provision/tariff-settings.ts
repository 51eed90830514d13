// What a meter is told about tariffs and records: periods, what time is good enough for them, the calibration of its clock,
// and the registers that records carry. Layouts: TariffRulesField, CalibrationField, SettingsTag.Register in as/abi/codes.ts.
// What a source says is in `tariffProfiles`; every other number is metertime's own choice.
import { CalibrationField, DoubtRule, LogFullRule, TariffRulesField } from '../../as/abi/codes.ts';
import { unitNames } from '../text/record-names.ts';
import { quoted } from './host-port.ts';
import type { TimeProfileName } from './time-rules.ts';

export interface TariffRules {
  /** Length of registration periods; 0: there are none. */
  readonly registrationMinutes: number;
  /** What happens while the time is not good enough to bill by; records are marked in any case. */
  readonly whenTimeDoubtful: WhenTimeDoubtful;
  /** What a full logbook makes of registration periods. */
  readonly whenLogbookFull: WhenLogbookFull;
  /** Uncertainty (k = 2) above which the time is not good enough; 0: no limit. */
  readonly uncertaintyMaxMs: number;
  /** The same of the hard bound. */
  readonly boundMaxMs: number;
}

export const doubtRules = { switch: DoubtRule.Switch, keep: DoubtRule.Keep, suspend: DoubtRule.Suspend } as const;
export const logFullRules = { invalid: LogFullRule.Invalid, mark: LogFullRule.Mark } as const;
export type WhenTimeDoubtful = keyof typeof doubtRules;
export type WhenLogbookFull = keyof typeof logFullRules;

/** What the core takes where the block says nothing. */
export const tariffRulesDefaults: TariffRules = {
  registrationMinutes: 15,
  whenTimeDoubtful: 'switch',
  whenLogbookFull: 'invalid',
  uncertaintyMaxMs: 1000,
  boundMaxMs: 9000,
};

export const registrationMinutes = [0, 1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60] as const;

export const tariffSettingsLimits = {
  uncertaintyMaxMs: { least: 0, most: 1_000_000 },
  boundMaxMs: { least: 0, most: 1_000_000 },
  uncertaintyPpb: { least: 1, most: 1_000_000_000 },
  calibrationIdBytes: 32,
  registers: 4,
  scale: { least: -128, most: 127 },
} as const;

export interface TariffProfile {
  readonly rules: Partial<TariffRules>;
  /** Where each comes from. */
  readonly sources: Partial<Record<keyof TariffRules, string>>;
}

const defa = 'DEFA manual: timestamps from a clock that is not certified may not be used for tariffs';

/** What the profiles for the clock (host/provision/time-rules.ts) say of tariffs and records; the others say nothing. */
export const tariffProfiles: Partial<Record<TimeProfileName, TariffProfile>> = {
  'ptb-50.7': {
    rules: { whenLogbookFull: 'invalid' },
    sources: { whenLogbookFull: 'Siemens PAC2200CLP manual (PTB-A 50.7): a full logbook invalidates' },
  },
  'ptb-50.8': {
    rules: { boundMaxMs: 9000 },
    sources: {
      boundMaxMs: 'PTB-A 50.8 as PTB describes it: registration times 1 % of the period apart at most, of 900 s 9 s',
    },
  },
  'charger-48h': { rules: { whenTimeDoubtful: 'keep' }, sources: { whenTimeDoubtful: defa } },
  'charger-24h': { rules: { whenTimeDoubtful: 'keep' }, sources: { whenTimeDoubtful: defa } },
  uk: {
    rules: { whenTimeDoubtful: 'suspend' },
    sources: {
      whenTimeDoubtful:
        'Secure Liberty 100 manual: with an invalid time the last rate is kept, load survey is suspended',
    },
  },
};

/** Calibration of the meter's clock. Without it no record ever has status S. */
export interface Calibration {
  /** Of the calibration or its certificate, 1 to 32 bytes. */
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly atUtc: string;
  readonly untilUtc: string;
  /** Expanded uncertainty of the frequency, k = 2. */
  readonly uncertaintyPpb: number;
}

/** A register that records carry. */
export interface Register {
  /** `A-B:C.D.E*F`. */
  readonly obis: string;
  /** Power of ten of a reading's unit. */
  readonly scale: number;
  /** Number in DLMS/COSEM (Blue Book, enumeration `unit`). */
  readonly unit: number;
}

/** A setting that cannot be, and a sentence. */
export interface TariffSettingsProblem {
  readonly setting: readonly (string | number)[];
  readonly message: string;
}

function outside(
  value: number,
  { least, most }: { readonly least: number; readonly most: number },
): string | undefined {
  if (Number.isInteger(value) && value >= least && value <= most) return undefined;
  return `expected a whole number from ${least} to ${most}, came ${value}`;
}

/** What keeps the core from taking rules. */
export function tariffRulesProblem(rules: TariffRules): TariffSettingsProblem | undefined {
  if (!registrationMinutes.some((minutes) => minutes === rules.registrationMinutes)) {
    const message = `expected one of ${registrationMinutes.join(', ')}, came ${rules.registrationMinutes}`;
    return { setting: ['registrationMinutes'], message };
  }
  for (const name of ['uncertaintyMaxMs', 'boundMaxMs'] as const) {
    const message = outside(rules[name], tariffSettingsLimits[name]);
    if (message !== undefined) return { setting: [name], message };
  }
  return undefined;
}

/** What keeps the core from taking a calibration. */
export function calibrationProblem({
  id,
  atUtc,
  untilUtc,
  uncertaintyPpb,
}: Calibration): TariffSettingsProblem | undefined {
  const most = tariffSettingsLimits.calibrationIdBytes;
  const bytes = Buffer.byteLength(id);
  if (bytes < 1 || bytes > most || /\p{Cc}/u.test(id)) {
    return { setting: ['id'], message: `expected a text of 1 to ${most} bytes, came ${quoted(id)}` };
  }
  const [at, until] = [Date.parse(atUtc), Date.parse(untilUtc)];
  for (const [setting, time, text] of [['atUtc', at, atUtc] as const, ['untilUtc', until, untilUtc] as const]) {
    if (time >= 0 && time % 1000 === 0) continue;
    return { setting: [setting], message: `expected a time in UTC from 1970 on, to the second, came ${quoted(text)}` };
  }
  if (until <= at)
    return { setting: ['untilUtc'], message: `expected a time after atUtc (${atUtc}), came ${untilUtc}` };
  const message = outside(uncertaintyPpb, tariffSettingsLimits.uncertaintyPpb);
  return message === undefined ? undefined : { setting: ['uncertaintyPpb'], message };
}

/** What keeps the core from taking registers; index and setting of the first. */
export function registersProblem(registers: readonly Register[]): TariffSettingsProblem | undefined {
  if (registers.length > tariffSettingsLimits.registers) {
    const message = `expected at most ${tariffSettingsLimits.registers} registers, came ${registers.length}`;
    return { setting: [], message };
  }
  for (const [index, { obis, scale, unit }] of registers.entries()) {
    const code = obisBytes(obis);
    if (code === undefined) return { setting: [index, 'obis'], message: `${expectedObis}, came ${quoted(obis)}` };
    if (registers.findIndex((other) => obisBytes(other.obis)?.join() === code.join()) < index) {
      return { setting: [index, 'obis'], message: `expected each register once, ${obis} came twice` };
    }
    const wrongScale = outside(scale, tariffSettingsLimits.scale);
    if (wrongScale !== undefined) return { setting: [index, 'scale'], message: wrongScale };
    const wrongUnit = outside(unit, { least: 0, most: 255 });
    if (wrongUnit !== undefined) return { setting: [index, 'unit'], message: wrongUnit };
  }
  return undefined;
}

export const expectedObis = 'expected an OBIS code such as 1-0:1.8.0*255 or 1.0.1.8.0.255';

/** The six numbers of an OBIS code, with or without the last; undefined for any other text. */
export function obisBytes(text: string): number[] | undefined {
  const match =
    /^(\d{1,3})-(\d{1,3}):(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?:\*(\d{1,3}))?$/.exec(text) ??
    /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const numbers = match?.slice(1).map((part) => (part === undefined ? 255 : Number(part)));
  return numbers?.every((number) => number <= 255) ? numbers : undefined;
}

/** `A-B:C.D.E*F` of six numbers. */
export function obisText([a, b, c, d, e, f]: readonly number[]): string {
  return `${a}-${b}:${c}.${d}.${e}*${f}`;
}

/** Symbols of units, each once. */
const unitSymbols: readonly string[] = [...new Set(Object.values(unitNames))];
export const expectedUnit = `expected a unit, one of ${unitSymbols.join(', ')}, or its number in DLMS/COSEM, from 0 to 255`;

/** Number of a unit by its symbol, in this very spelling; undefined for any other text. */
export function unitNumber(text: string): number | undefined {
  const found = Object.entries(unitNames).find(([, symbol]) => symbol === text);
  return found === undefined ? undefined : Number(found[0]);
}

/** Value of SettingsTag.TariffRules. */
export function encodeTariffRules(rules: TariffRules): Uint8Array {
  const bytes = Buffer.alloc(TariffRulesField.Bytes);
  bytes[TariffRulesField.PeriodMinutes] = rules.registrationMinutes;
  bytes[TariffRulesField.Doubt] = doubtRules[rules.whenTimeDoubtful];
  bytes[TariffRulesField.LogFull] = logFullRules[rules.whenLogbookFull];
  bytes.writeUInt32LE(rules.uncertaintyMaxMs, TariffRulesField.UncertaintyMaxMs);
  bytes.writeUInt32LE(rules.boundMaxMs, TariffRulesField.BoundMaxMs);
  return new Uint8Array(bytes);
}

function nameOf<Name extends string>(
  codes: Readonly<Record<Name, number>>,
  code: number | undefined,
): Name | undefined {
  return (Object.keys(codes) as Name[]).find((name) => codes[name] === code);
}

/** The same back; undefined for what is no such value. */
export function decodeTariffRules(value: Uint8Array): TariffRules | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes.length !== TariffRulesField.Bytes || bytes[TariffRulesField.Reserved] !== 0) return undefined;
  const whenTimeDoubtful = nameOf(doubtRules, bytes[TariffRulesField.Doubt]);
  const whenLogbookFull = nameOf(logFullRules, bytes[TariffRulesField.LogFull]);
  if (whenTimeDoubtful === undefined || whenLogbookFull === undefined) return undefined;
  const rules: TariffRules = {
    registrationMinutes: bytes[TariffRulesField.PeriodMinutes]!,
    ...{ whenTimeDoubtful, whenLogbookFull },
    uncertaintyMaxMs: bytes.readUInt32LE(TariffRulesField.UncertaintyMaxMs),
    boundMaxMs: bytes.readUInt32LE(TariffRulesField.BoundMaxMs),
  };
  return tariffRulesProblem(rules) === undefined ? rules : undefined;
}

/** Value of SettingsTag.Calibration. */
export function encodeCalibration({ id, atUtc, untilUtc, uncertaintyPpb }: Calibration): Uint8Array {
  const text = Buffer.from(id);
  const bytes = Buffer.alloc(CalibrationField.Id + 1 + text.length);
  bytes.writeBigInt64LE(BigInt(Date.parse(atUtc) / 1000), CalibrationField.At);
  bytes.writeBigInt64LE(BigInt(Date.parse(untilUtc) / 1000), CalibrationField.Until);
  bytes.writeUInt32LE(uncertaintyPpb, CalibrationField.UncertaintyPpb);
  bytes[CalibrationField.Id] = text.length;
  bytes.set(text, CalibrationField.Id + 1);
  return new Uint8Array(bytes);
}

/** The last second of 9999, which ISO 8601 still has four digits for. */
const latestSeconds = 253_402_300_799n;

/** The same back; undefined for what is no such value. */
export function decodeCalibration(value: Uint8Array): Calibration | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes.length <= CalibrationField.Id || bytes.length !== CalibrationField.Id + 1 + bytes[CalibrationField.Id]!) {
    return undefined;
  }
  const times = [CalibrationField.At, CalibrationField.Until].map((at) => bytes.readBigInt64LE(at));
  if (times.some((time) => time < 0n || time > latestSeconds)) return undefined;
  const [atUtc, untilUtc] = times.map((time) => new Date(Number(time) * 1000).toISOString().replace('.000Z', 'Z'));
  const calibration: Calibration = {
    id: bytes.toString('utf8', CalibrationField.Id + 1),
    ...{ atUtc: atUtc!, untilUtc: untilUtc! },
    uncertaintyPpb: bytes.readUInt32LE(CalibrationField.UncertaintyPpb),
  };
  return calibrationProblem(calibration) === undefined ? calibration : undefined;
}

const registerBytes = 8;

/** Value of SettingsTag.Register; the register is one that has no problem. */
export function encodeRegister({ obis, scale, unit }: Register): Uint8Array {
  return Uint8Array.of(...(obisBytes(obis) ?? []), scale & 0xff, unit);
}

/** The same back; undefined for what is no such value. */
export function decodeRegister(value: Uint8Array): Register | undefined {
  if (value.length !== registerBytes) return undefined;
  return { obis: obisText([...value.subarray(0, 6)]), scale: (value[6]! << 24) >> 24, unit: value[7]! };
}

const doubtTexts: Readonly<Record<WhenTimeDoubtful, string>> = {
  switch: 'tariffs switch on',
  keep: 'the last tariff is kept',
  suspend: 'the last tariff is kept, and no records of periods are made',
};

/** For people: `periods of 15 min, …`. */
export function tariffRulesText(rules: TariffRules): string {
  const { uncertaintyMaxMs, boundMaxMs } = rules;
  const limits = [
    ...(uncertaintyMaxMs === 0 ? [] : [`an uncertainty of ${uncertaintyMaxMs} ms`]),
    ...(boundMaxMs === 0 ? [] : [`a bound of ${boundMaxMs} ms`]),
  ];
  return [
    rules.registrationMinutes === 0 ? 'no periods' : `periods of ${rules.registrationMinutes} min`,
    `above ${limits.length === 0 ? 'no limit' : limits.join(' or ')} ${doubtTexts[rules.whenTimeDoubtful]}`,
    `a full logbook ${rules.whenLogbookFull === 'invalid' ? 'makes periods invalid' : 'is marked'}`,
  ].join('; ');
}
