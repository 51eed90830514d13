// Rules for a meter's clock, by the names of rules that are seen in the field, and as the numbers that the core is told
// (ProfileField in as/abi/codes.ts). What a source says is in `sources`; every other number is metertime's own choice.
import { ProfileField, TransactionRule } from '../../as/abi/codes.ts';

/** What may be done with corrections of the clock; 0 switches all but the first two off. */
export interface TimeRules {
  /** A correction up to this is slewed, above it the clock is set. */
  readonly slewMaxMs: number;
  /** A correction up to this is slewed without an event. */
  readonly silentMaxMs: number;
  /** A correction above this makes registration periods invalid. */
  readonly invalidMs: number;
  /** A correction above this is refused. */
  readonly refuseMs: number;
  /** Corrections that add up to more than this in a day make registration periods invalid. */
  readonly dayLimitMs: number;
  /** When the clock is set more often in a day than this, registration periods are invalid. */
  readonly dayLimitCount: number;
  /** Without an authenticated sample for longer, the time is not to be billed by. */
  readonly holdoverHours: number;
  /** What happens to corrections while a transaction runs. */
  readonly duringTransaction: DuringTransaction;
}

export type DuringTransaction = 'wait' | 'slew';

export const timeRuleLimits = {
  slewMaxMs: { least: 0, most: 20_000 },
  silentMaxMs: { least: 0, most: 20_000 },
  invalidMs: { least: 0, most: 1_000_000 },
  refuseMs: { least: 0, most: 1_000_000 },
  dayLimitMs: { least: 0, most: 1_000_000 },
  dayLimitCount: { least: 0, most: 255 },
  holdoverHours: { least: 0, most: 65_535 },
} as const;

type RuleNumber = keyof typeof timeRuleLimits;

export interface TimeProfile {
  readonly rules: TimeRules;
  readonly about: string;
  /** Where a number comes from; the others are metertime's own. */
  readonly sources: Partial<Record<keyof TimeRules, string>>;
  /** Whenever the clock is set, periods are invalid, also with numbers said beside the profile. */
  readonly setInvalidates?: true;
}

const own: TimeRules = {
  slewMaxMs: 50,
  silentMaxMs: 10,
  invalidMs: 9000,
  refuseMs: 0,
  dayLimitMs: 9000,
  dayLimitCount: 0,
  holdoverHours: 0,
  duringTransaction: 'wait',
};

const ptb508 = 'PTB-A 50.8 as PTB describes it: registration times 1 % of the period apart at most, of 900 s 9 s';
const pac = 'Siemens PAC2200CLP manual (PTB-A 50.7)';
const uk = 'Honeywell AS302P manual';
const lem = 'LEM DCBM manual';

/** The core's own choice is `default`. */
export const timeProfiles = {
  default: { about: 'where no rule is named', rules: own, sources: {} },
  'ptb-50.7': {
    about: 'a meter under PTB-A 50.7, as one in the field does it',
    rules: { ...own, slewMaxMs: 9000, silentMaxMs: 9000, holdoverHours: 72 },
    sources: {
      silentMaxMs: `${pac}: set by less than 9 s without an entry in the logbook`,
      invalidMs: `${pac}: by more than 9 s, the 15-minute values are invalid`,
      holdoverHours: `${pac}: a reserve of 72 h, which each synchronisation restarts`,
    },
  },
  'ptb-50.8': {
    about: 'a gateway under PTB-A 50.8, periods of 15 minutes',
    rules: own,
    sources: { invalidMs: ptb508 },
  },
  'load-profile-90d': {
    about: 'a meter with a load profile',
    rules: { ...own, invalidMs: own.slewMaxMs, holdoverHours: 2160 },
    sources: { holdoverHours: 'NZR EcoCount SL manual: legal time at least every 90 days' },
    setInvalidates: true,
  },
  'charger-48h': {
    about: 'a DC charger whose synchronisation is good for two days',
    rules: { ...own, holdoverHours: 48 },
    sources: {
      holdoverHours: `${lem}: a synchronisation is good for 48 h`,
      duringTransaction: `${lem}: never synchronised during a transaction`,
    },
  },
  'charger-24h': {
    about: 'a DC charger that is synchronised daily',
    rules: { ...own, holdoverHours: 24 },
    sources: { holdoverHours: 'Carlo Gavazzi DCM1 manual: synchronised at least every 24 h' },
  },
  uk: {
    about: 'a meter in the United Kingdom',
    rules: { ...own, slewMaxMs: 10_000, silentMaxMs: 10_000, invalidMs: 0, refuseMs: 10_000, dayLimitMs: 10_000 },
    sources: {
      silentMaxMs: `${uk}: adjusted silently up to 10 s`,
      refuseMs: `${uk}: more than 10 s is not adjusted; a security event and an alert`,
    },
  },
  gas: {
    about: 'a gas meter or volume converter: synchronising is not setting',
    rules: { ...own, slewMaxMs: 20_000, silentMaxMs: 20_000, invalidMs: 20_000, dayLimitMs: 40_000 },
    sources: { silentMaxMs: 'Honeywell enCore manual: a window of, for example, 20 s' },
  },
} as const satisfies Record<string, TimeProfile>;

export type TimeProfileName = keyof typeof timeProfiles;
export const timeProfileNames = Object.keys(timeProfiles) as [TimeProfileName, ...TimeProfileName[]];

/** A setting that cannot be, and a sentence. */
export interface TimeRulesProblem {
  readonly setting: keyof TimeRules;
  readonly message: string;
}

/** What keeps the core from taking rules; undefined where nothing does. */
export function timeRulesProblem(rules: TimeRules): TimeRulesProblem | undefined {
  for (const [name, { least, most }] of Object.entries(timeRuleLimits)) {
    const setting = name as RuleNumber;
    const value = rules[setting];
    if (Number.isInteger(value) && value >= least && value <= most) continue;
    return { setting, message: `expected a whole number from ${least} to ${most}, came ${value}` };
  }
  const { slewMaxMs, silentMaxMs, refuseMs } = rules;
  if (silentMaxMs > slewMaxMs) {
    const message = `expected no more than slewMaxMs (${slewMaxMs}), as what is set is always told, came ${silentMaxMs}`;
    return { setting: 'silentMaxMs', message };
  }
  if (refuseMs !== 0 && refuseMs < slewMaxMs) {
    return { setting: 'refuseMs', message: `expected 0, or at least slewMaxMs (${slewMaxMs}), came ${refuseMs}` };
  }
  return undefined;
}

/** What keeps rules with changed numbers from being of a profile still; undefined where nothing does. */
export function timeProfileProblem(name: TimeProfileName, rules: TimeRules): TimeRulesProblem | undefined {
  const { setInvalidates }: TimeProfile = timeProfiles[name];
  const { slewMaxMs, invalidMs } = rules;
  if (setInvalidates === undefined || (invalidMs > 0 && invalidMs <= slewMaxMs)) return undefined;
  const why = `as with ${name} periods are invalid whenever the clock is set`;
  if (slewMaxMs === 0) return { setting: 'slewMaxMs', message: `expected at least 1, ${why}, came 0` };
  const message = `expected from 1 to slewMaxMs (${slewMaxMs}), ${why}, came ${invalidMs}`;
  return { setting: 'invalidMs', message };
}

/** Value of SettingsTag.Profile. */
export function encodeTimeRules(rules: TimeRules): Uint8Array {
  const bytes = Buffer.alloc(ProfileField.Bytes);
  bytes.writeUInt32LE(rules.slewMaxMs, ProfileField.SlewMaxMs);
  bytes.writeUInt32LE(rules.silentMaxMs, ProfileField.SilentMaxMs);
  bytes.writeUInt32LE(rules.invalidMs, ProfileField.InvalidMs);
  bytes.writeUInt32LE(rules.refuseMs, ProfileField.RefuseMs);
  bytes.writeUInt32LE(rules.dayLimitMs, ProfileField.DayLimitMs);
  bytes.writeUInt16LE(rules.holdoverHours, ProfileField.HoldoverHours);
  bytes[ProfileField.DayLimitCount] = rules.dayLimitCount;
  bytes[ProfileField.Transaction] = rules.duringTransaction === 'wait' ? TransactionRule.Hold : TransactionRule.Slew;
  return new Uint8Array(bytes);
}

/** The same back; undefined for what is no such value. */
export function decodeTimeRules(value: Uint8Array): TimeRules | undefined {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes.length !== ProfileField.Bytes || bytes[ProfileField.Transaction]! > TransactionRule.Slew) return undefined;
  const rules: TimeRules = {
    slewMaxMs: bytes.readUInt32LE(ProfileField.SlewMaxMs),
    silentMaxMs: bytes.readUInt32LE(ProfileField.SilentMaxMs),
    invalidMs: bytes.readUInt32LE(ProfileField.InvalidMs),
    refuseMs: bytes.readUInt32LE(ProfileField.RefuseMs),
    dayLimitMs: bytes.readUInt32LE(ProfileField.DayLimitMs),
    dayLimitCount: bytes[ProfileField.DayLimitCount]!,
    holdoverHours: bytes.readUInt16LE(ProfileField.HoldoverHours),
    duringTransaction: bytes[ProfileField.Transaction] === TransactionRule.Hold ? 'wait' : 'slew',
  };
  return timeRulesProblem(rules) === undefined ? rules : undefined;
}

/** For people: `slewed up to 50 ms, …`. */
export function timeRulesText(rules: TimeRules): string {
  const { slewMaxMs, silentMaxMs, invalidMs, refuseMs, dayLimitMs, dayLimitCount, holdoverHours } = rules;
  const parts = [`slewed up to ${slewMaxMs} ms`, `without an event up to ${silentMaxMs} ms`];
  if (invalidMs !== 0) parts.push(`periods invalid above ${invalidMs} ms`);
  if (refuseMs !== 0) parts.push(`refused above ${refuseMs} ms`);
  if (dayLimitMs !== 0) parts.push(`${dayLimitMs} ms a day`);
  if (dayLimitCount !== 0) parts.push(`set ${dayLimitCount} times a day`);
  if (holdoverHours !== 0) parts.push(`holdover up to ${holdoverHours} h`);
  parts.push(rules.duringTransaction === 'wait' ? 'never in a transaction' : 'in a transaction only slewed');
  return parts.join(', ');
}

/** The names of these very rules: of none, one or more profiles, as those of two may be the same. */
export function timeProfilesOf(rules: TimeRules): TimeProfileName[] {
  const names = Object.keys(rules) as (keyof TimeRules)[];
  return timeProfileNames.filter((name) => names.every((key) => timeProfiles[name].rules[key] === rules[key]));
}
