// Zones as a program names them, made into what the meter computes with: a rule for all years where the years ahead follow
// one, else a list of transitions.
//
// What always holds: an IANA name becomes a rule only when that rule gives each transition of the years ahead to the
// second, as this node's time zone data (ICU) have them; of two offsets the one that is further east is summer time,
// whatever the data call it; a list covers whole years.
import { ProgramFormat } from '../../as/abi/codes.ts';
import { suggest } from '../config/suggest.ts';
import { TariffError } from './errors.ts';
import { type TariffProgram, utcSeconds, utcText, type ZoneList, type ZoneTransition } from './model.ts';
import {
  offsetName,
  type PosixTz,
  PosixTzError,
  parsePosixTz,
  printPosixTz,
  summerTimeOf,
  type ZoneDay,
} from './posix-tz.ts';

/** What a zone became. */
export type ResolvedZone =
  | { readonly kind: 'rule'; readonly rule: PosixTz /** The rule as a TZ string. */; readonly text: string }
  | {
      readonly kind: 'list';
      readonly list: ZoneList;
      /** From when on nothing is known, where an IANA name became a list; the last offset stays. */
      readonly untilUtc?: string;
    };

/** The years that are looked at: a meter's life. */
const firstYear = 2026;
const lastYear = 2046;

/** @throws {TariffError} tariff-zone */
export function resolveZone(zone: TariffProgram['zone']): ResolvedZone {
  if (typeof zone !== 'string') return { kind: 'list', list: zone };
  if (isIanaName(zone)) return resolveName(zone);
  try {
    const rule = parsePosixTz(zone);
    return { kind: 'rule', rule, text: printPosixTz(rule) };
  } catch (cause) {
    if (!(cause instanceof PosixTzError)) throw cause;
    if (/^[A-Za-z_]+(\/[A-Za-z0-9_+-]+)*$/.test(zone)) throw unknownName(zone, cause);
    throw new TariffError('tariff-zone', `zone: ${cause.message}`, ['zone'], { cause });
  }
}

function unknownName(zone: string, cause: Error): TariffError {
  const meant = suggest(zone, Intl.supportedValuesOf('timeZone'));
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`;
  const expected =
    'expected an IANA name such as Europe/Berlin, or a POSIX TZ string such as CET-1CEST,M3.5.0,M10.5.0/3';
  return new TariffError('tariff-zone', `zone: ${expected}, came ${JSON.stringify(zone)}${hint}`, ['zone'], { cause });
}

function isIanaName(text: string): boolean {
  // Newer versions of node take offsets such as +01:00 as well.
  if (!/^[A-Za-z]/.test(text)) return false;
  try {
    new Intl.DateTimeFormat('en', { timeZone: text });
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

interface Change {
  readonly utc: number;
  readonly offsetSeconds: number;
}

interface Changes {
  readonly first: number;
  readonly list: readonly Change[];
}

const resolved = new Map<string, ResolvedZone>();

function resolveName(name: string): ResolvedZone {
  const known = resolved.get(name);
  if (known !== undefined) return known;
  const changes = changesOf(name);
  const rule = ruleOf(changes);
  const result: ResolvedZone =
    rule === undefined ? listOf(name, changes) : { kind: 'rule', rule, text: printPosixTz(rule) };
  resolved.set(name, result);
  return result;
}

const daySeconds = 86_400;

/** Each change of the offset in the years ahead. */
function changesOf(name: string): Changes {
  const offsetAt = offsetsOf(name);
  const end = Date.UTC(lastYear + 1, 0, 1) / 1000;
  let before = Date.UTC(firstYear, 0, 1) / 1000;
  const first = offsetAt(before);
  const list: Change[] = [];
  let offsetSeconds = first;
  // No zone has had two changes within a day since there are time zones.
  for (let after = before + daySeconds; before < end; before = after, after += daySeconds) {
    if (offsetAt(after) === offsetSeconds) continue;
    let [low, high] = [before, after];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (offsetAt(middle) === offsetSeconds) low = middle;
      else high = middle;
    }
    offsetSeconds = offsetAt(high);
    if (high < end) list.push({ utc: high, offsetSeconds });
  }
  return { first, list };
}

function offsetsOf(name: string): (utc: number) => number {
  const format = new Intl.DateTimeFormat('en-u-ca-iso8601-nu-latn', {
    ...{ timeZone: name, hourCycle: 'h23', year: 'numeric', month: 'numeric', day: 'numeric' },
    ...{ hour: 'numeric', minute: 'numeric', second: 'numeric' },
  });
  return (utc) => {
    const part: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of format.formatToParts(utc * 1000)) part[type] = Number(value);
    const { year = 0, month = 1, day = 1, hour = 0, minute = 0, second = 0 } = part;
    return Date.UTC(year, month - 1, day, hour, minute, second) / 1000 - utc;
  };
}

function ruleOf({ first, list }: Changes): PosixTz | undefined {
  if (list.length === 0) return { standard: { name: offsetName(first), offsetSeconds: first } };
  const offsets = [...new Set([first, ...list.map(({ offsetSeconds }) => offsetSeconds)])].sort((a, b) => a - b);
  const [low, high] = offsets;
  if (offsets.length !== 2 || low === undefined || high === undefined) return undefined;
  const begins = list.filter(({ offsetSeconds }) => offsetSeconds === high);
  const ends = list.filter(({ offsetSeconds }) => offsetSeconds === low);
  const begin = dayOfAll(begins.map(({ utc }) => utc + low));
  const end = dayOfAll(ends.map(({ utc }) => utc + high));
  if (begin === undefined || end === undefined) return undefined;
  const rule: PosixTz = {
    standard: { name: offsetName(low), offsetSeconds: low },
    summer: { name: offsetName(high), offsetSeconds: high, begin, end },
  };
  return sameChanges(rule, list) ? rule : undefined;
}

function sameChanges(rule: PosixTz, list: readonly Change[]): boolean {
  const expected: number[] = [];
  for (let year = firstYear; year <= lastYear; year++) {
    const { begin, end } = summerTimeOf(rule, year)!;
    expected.push(begin, end);
  }
  expected.sort((a, b) => a - b);
  return expected.length === list.length && expected.every((utc, index) => utc === list[index]!.utc);
}

/** The day Mm.w.d, and time, that all these local times are, one of each year. */
function dayOfAll(locals: readonly number[]): ZoneDay | undefined {
  // Saturday at 24:00 is Sunday at 0:00; the Friday before the last Sunday is no Friday of the rule's.
  for (const days of [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6]) {
    const dates = locals.map((local) => new Date((local - days * daySeconds) * 1000));
    const times = new Set(locals.map((local) => mod(local, daySeconds) + days * daySeconds));
    const months = new Set(dates.map((date) => date.getUTCMonth() + 1));
    const weekdays = new Set(dates.map((date) => date.getUTCDay()));
    if (times.size !== 1 || months.size !== 1 || weekdays.size !== 1) continue;
    const week = [5, 1, 2, 3, 4].find((number) => dates.every((date) => isWeek(date, number)));
    if (week === undefined) continue;
    const [month, weekday, timeSeconds] = [[...months][0]!, [...weekdays][0]!, [...times][0]!];
    return { kind: 'month-week-day', month, week, weekday, timeSeconds };
  }
  return undefined;
}

function isWeek(date: Date, week: number): boolean {
  const day = date.getUTCDate();
  const days = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  return week === 5 ? day + 7 > days : Math.ceil(day / 7) === week;
}

function mod(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

function listOf(name: string, { first, list }: Changes): ResolvedZone {
  const offsets = [first, ...list.map(({ offsetSeconds }) => offsetSeconds)];
  const minutes = (offsetSeconds: number): number => {
    if (offsetSeconds % 60 === 0) return offsetSeconds / 60;
    throw new TariffError('tariff-zone', `zone: the offset of ${name}, ${offsetSeconds} s, is not in whole minutes`, [
      'zone',
    ]);
  };
  // Summer time is followed by less of it; at the very end only what was before says so.
  const summer = (index: number): boolean => {
    const next = offsets[index + 1];
    return next === undefined ? offsets[index]! > offsets[index - 1]! : offsets[index]! > next;
  };
  const all: ZoneTransition[] = list.map(({ utc, offsetSeconds }, index) => ({
    utc: utcText(utc),
    offsetMinutes: minutes(offsetSeconds),
    summer: summer(index + 1),
  }));
  const transitions = all.slice(0, wholeYears(all));
  return {
    kind: 'list',
    list: { initial: { offsetMinutes: minutes(first), summer: summer(0) }, transitions },
    untilUtc: all[transitions.length]?.utc ?? `${lastYear + 1}-01-01T00:00:00Z`,
  };
}

/** How many transitions fit, without those of a year of which not all do. */
function wholeYears(all: readonly ZoneTransition[]): number {
  if (all.length <= ProgramFormat.TransitionsMax) return all.length;
  const year = all[ProgramFormat.TransitionsMax]!.utc.slice(0, 4);
  return all.findIndex(({ utc }) => utc.startsWith(year));
}

/** For people: `CET-1CEST,… for all years`. */
export function describeZone(zone: ResolvedZone): string {
  if (zone.kind === 'rule') return `${zone.text}, a rule for all years`;
  const count = zone.list.transitions.length;
  const last = zone.list.transitions.at(-1);
  const end = last === undefined ? '' : ` up to ${utcText(utcSeconds(last.utc))}`;
  return `${count} transition${count === 1 ? '' : 's'}${end}`;
}
