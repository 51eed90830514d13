// Zones of the check: their POSIX rules, and the transitions that Temporal finds in the IANA data of node's ICU.
import { Temporal } from 'temporal-polyfill';
import { parsePosixTz, summerTimeOf } from '../../host/tariff/posix-tz.ts';
import type { BlockList } from './tariff-blocks.ts';

export interface CheckedZone {
  readonly name: string;
  /** Holds from 2026 to 2046 at least; a zone without one is given as a list of transitions. */
  readonly rule?: string;
}

export const checkedZones: readonly CheckedZone[] = [
  { name: 'Europe/Berlin', rule: 'CET-1CEST,M3.5.0,M10.5.0/3' },
  { name: 'Europe/London', rule: 'GMT0BST,M3.5.0/1,M10.5.0' },
  { name: 'Europe/Lisbon', rule: 'WET0WEST,M3.5.0/1,M10.5.0' },
  { name: 'America/New_York', rule: 'EST5EDT,M3.2.0,M11.1.0' },
  { name: 'Australia/Sydney', rule: 'AEST-10AEDT,M10.1.0,M4.1.0/3' },
  { name: 'America/Santiago', rule: '<-04>4<-03>,M9.1.6/24,M4.1.6/24' },
  { name: 'Australia/Lord_Howe', rule: '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0' },
  { name: 'Asia/Kolkata', rule: 'IST-5:30' },
  { name: 'Asia/Kathmandu', rule: '<+0545>-5:45' },
  { name: 'America/Sao_Paulo', rule: '<-03>3' },
  { name: 'Africa/Casablanca' },
  { name: 'UTC', rule: 'UTC0' },
];

/** Years of which a program may need to know something: those that are checked, and those around them. */
export const zoneYears = { first: 2024, last: 2047 } as const;

/** Seconds; dates as days since 1970. */
export interface Transition {
  readonly unixSeconds: number;
  readonly offsetBefore: number;
  readonly offset: number;
  /** That of the instant, which is the later one where midnight comes twice. */
  readonly localDate: number;
}

/** A zone as Temporal knows it. */
export interface ZoneData {
  readonly name: string;
  readonly firstOffset: number;
  readonly transitions: readonly Transition[];
}

const known = new Map<string, ZoneData>();

/** The transitions of `zoneYears`, found once. */
export function zoneData(name: string): ZoneData {
  let data = known.get(name);
  if (data === undefined) {
    data = findTransitions(name);
    known.set(name, data);
  }
  return data;
}

function findTransitions(timeZone: string): ZoneData {
  let before = Temporal.ZonedDateTime.from({ timeZone, year: zoneYears.first, month: 1, day: 1 });
  const firstOffset = before.offsetNanoseconds / 1e9;
  const transitions: Transition[] = [];
  for (;;) {
    const at = before.getTimeZoneTransition('next');
    if (at === null || at.year > zoneYears.last) return { name: timeZone, firstOffset, transitions };
    transitions.push({
      unixSeconds: at.epochMilliseconds / 1000,
      offsetBefore: before.offsetNanoseconds / 1e9,
      offset: at.offsetNanoseconds / 1e9,
      localDate: epochDays(at.toPlainDate()),
    });
    before = at;
  }
}

/** Days since 1970-01-01. */
export function epochDays(date: Temporal.PlainDate): number {
  return new Temporal.PlainDate(1970, 1, 1).until(date, { largestUnit: 'day' }).days;
}

/** A zone as a list; summer time is the larger offset of a zone that has two. */
export function zoneList({ firstOffset, transitions }: ZoneData): BlockList {
  const least = Math.min(firstOffset, ...transitions.map(({ offset }) => offset));
  const most = Math.max(firstOffset, ...transitions.map(({ offset }) => offset));
  const offset = (seconds: number) => ({ minutes: seconds / 60, summer: most > least && seconds === most });
  return {
    initial: offset(firstOffset),
    transitions: transitions.map((each) => ({ unixSeconds: each.unixSeconds, ...offset(each.offset) })),
  };
}

/**
 * Zones whose rule is not what ICU's data say of the years that are checked, with what differs first, in words. The core is
 * not asked: where it understands a rule in another way, its calendars differ.
 */
export function zoneDifferences(zones: readonly CheckedZone[] = checkedZones): Map<string, string> {
  const differences = new Map<string, string>();
  const said = ([at, offset]: readonly [number, number]) => `${new Date(at * 1000).toISOString()} to ${offset} s`;
  const checked = ([at]: readonly [number, number]) =>
    at >= Date.UTC(zoneYears.first + 1) / 1000 && at < Date.UTC(zoneYears.last + 1) / 1000;
  for (const { name, rule } of zones) {
    if (rule === undefined) continue;
    const { transitions, firstOffset } = zoneData(name);
    const iana = transitions.map(({ unixSeconds, offset }) => [unixSeconds, offset] as const).filter(checked);
    const ours = transitionsOf(rule).filter(checked);
    const expected = iana.length === 0 ? [`${transitions.at(-1)?.offset ?? firstOffset} s`] : iana.map(said);
    const found = ours.length === 0 ? [`${parsePosixTz(rule).standard.offsetSeconds} s`] : ours.map(said);
    const most = Math.max(expected.length, found.length);
    const n = Array.from({ length: most }).findIndex((_, i) => expected[i] !== found[i]);
    if (n >= 0) differences.set(name, `${rule}: ${found[n] ?? 'none'}; IANA: ${expected[n] ?? 'none'}`);
  }
  return differences;
}

/** When a rule's offset changes, Unix seconds, and to what, s. */
function transitionsOf(rule: string): (readonly [number, number])[] {
  const tz = parsePosixTz(rule);
  const found: (readonly [number, number])[] = [];
  for (let year: number = zoneYears.first; year <= zoneYears.last; year++) {
    const summerTime = summerTimeOf(tz, year);
    if (summerTime === undefined) return [];
    found.push([summerTime.begin, tz.summer!.offsetSeconds], [summerTime.end, tz.standard.offsetSeconds]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}
