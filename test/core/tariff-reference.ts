// A slow tariff calendar, to compare the core's with: written down from the rules of DLMS/COSEM (classes 8, 11 and 20), on
// Temporal and the IANA data. It goes over the local days from the first to the last, and turns each local time into the
// first instant at which a clock in the zone had come so far.
//
// What always holds: nothing of the core is used, nor its way: dates are listed in advance, zones are not rules.
import { Temporal } from 'temporal-polyfill';
import { any, type BlockDate, type BlockDynamic, type BlockProgram, summerBegin, summerEnd } from './tariff-blocks.ts';
import type { Switch } from './tariff-core.ts';
import { epochDays, type ZoneData, zoneData, zoneYears } from './tariff-zones.ts';

interface CalendarDate {
  readonly date: Temporal.PlainDate;
  /** Days since 1970. */
  readonly days: number;
  readonly year: number;
  readonly month: number;
  readonly day: number;
  /** 1 is Monday. */
  readonly weekday: number;
}

/** All dates of `zoneYears`, in order. */
const dates: CalendarDate[] = [];
/** Of a year and month, `2026-1`, in order. */
const months = new Map<string, CalendarDate[]>();

function listDates(): void {
  let date = new Temporal.PlainDate(zoneYears.first, 1, 1);
  for (; date.year <= zoneYears.last; date = date.add({ days: 1 })) {
    const { year, month, day, dayOfWeek } = date;
    const each = { date, days: epochDays(date), year, month, day, weekday: dayOfWeek };
    dates.push(each);
    const key = `${year}-${month}`;
    const list = months.get(key);
    if (list === undefined) months.set(key, [each]);
    else list.push(each);
  }
}

const dateAt = (days: number): CalendarDate | undefined => dates[days - dates[0]!.days];

/** All dates that a pattern means, in order; a day of the week may lead out of month and year. */
function datesOf(pattern: BlockDate, zone: ZoneData): number[] {
  const { year, month = any, day = any, weekday = any } = pattern;
  const found: number[] = [];
  for (let y: number = zoneYears.first; y <= zoneYears.last; y++) {
    if (year !== undefined && year !== y) continue;
    if (month === summerBegin || month === summerEnd) {
      found.push(...summerDate(zone, y, month === summerBegin));
      continue;
    }
    for (let m = 1; m <= 12; m++) {
      if (month === any || month === m) found.push(...datesOfMonth(months.get(`${y}-${m}`)!, day, weekday));
    }
  }
  return found;
}

function datesOfMonth(month: readonly CalendarDate[], day: number, weekday: number): number[] {
  const fits = (date: CalendarDate) => weekday === any || date.weekday === weekday;
  const daysOf = (found: readonly CalendarDate[]) => found.map(({ days }) => days);
  if (day === any) return daysOf(month.filter(fits));
  // FE is the last of those that fit, FD the one before it.
  if (day > 31) return daysOf(month.filter(fits).slice(-(0xff - day))).slice(0, 1);
  const first = month.find((date) => date.day === day);
  if (first === undefined) return [];
  for (let at: CalendarDate | undefined = first; at !== undefined; at = dateAt(at.days + 1)) {
    if (fits(at)) return [at.days];
  }
  return [];
}

/** The local date on which summer time begins, or ends, first in a year. */
function summerDate({ transitions }: ZoneData, year: number, begins: boolean): number[] {
  const date = transitions.find(
    ({ offset, offsetBefore, localDate }) => offset > offsetBefore === begins && dateAt(localDate)?.year === year,
  );
  return date === undefined ? [] : [date.localDate];
}

// ---------------------------------------------------------------- local time and instants

/** When the days of a zone begin, Unix seconds; undefined where a transition is near, so each second has to be looked at. */
const begins = new Map<string, (number | undefined)[]>();

function daysOfZone(zone: ZoneData): (number | undefined)[] {
  let found = begins.get(zone.name);
  if (found === undefined) {
    const near = new Set(zone.transitions.flatMap(({ localDate }) => [-1, 0, 1].map((day) => localDate + day)));
    found = dates.map(({ date, days }) =>
      near.has(days) ? undefined : date.toZonedDateTime(zone.name).epochMilliseconds / 1000,
    );
    begins.set(zone.name, found);
  }
  return found;
}

/** The first instant at which local time had come to a second of a date. */
function instantOf(zone: ZoneData, days: number, second: number): number {
  const begin = daysOfZone(zone)[days - dates[0]!.days];
  if (begin !== undefined) return begin + second;
  const time = Temporal.PlainTime.from('00:00').add({ seconds: second });
  const local = dateAt(days)!.date.toPlainDateTime(time);
  // Where it comes twice, it is the first; where it is left out, this is before the transition.
  const zoned = local.toZonedDateTime(zone.name, { disambiguation: 'earlier' });
  const at = zoned.toPlainDateTime().equals(local) ? zoned : zoned.getTimeZoneTransition('next')!;
  return at.epochMilliseconds / 1000;
}

// ---------------------------------------------------------------- calendar

/** A local time: seconds since 1970 as they are counted there. */
interface LocalSwitch {
  readonly local: number;
  readonly tariff: number;
}

interface SeasonStart {
  readonly local: number;
  readonly week: number;
}

function secondsOf(time: string): number {
  return Temporal.PlainTime.from(time).since(Temporal.PlainTime.from('00:00')).total('seconds');
}

/** In order of time; of those at once, the one that is listed first. */
function seasonStarts(program: BlockProgram, zone: ZoneData): SeasonStart[] {
  const all = program.seasons.flatMap(({ time = '00:00', week, ...pattern }) =>
    datesOf(pattern, zone).map((days) => ({ local: 86_400 * days + secondsOf(time), week })),
  );
  all.sort((a, b) => a.local - b.local);
  return all.filter(({ local }, i) => local !== all[i - 1]?.local);
}

/** All switches of a program in local time, from the first day on. */
function localSwitches(program: BlockProgram, zone: ZoneData): LocalSwitch[] {
  const days = program.days.map((actions) =>
    actions.map(([time, script]) => ({ second: secondsOf(time), tariff: program.scripts[script]! })),
  );
  const special = new Map<number, number>();
  for (const { to, ...pattern } of program.specialDays) {
    for (const date of datesOf(pattern, zone)) if (!special.has(date)) special.set(date, to);
  }
  const starts = seasonStarts(program, zone);
  const found: LocalSwitch[] = [];
  let week: number | undefined;
  let yesterday: number | undefined;
  let next = 0;
  for (const { days: date, weekday } of dates) {
    const midnight = 86_400 * date;
    // The parts of the day between the begins of seasons.
    let from = midnight;
    let plan: number | undefined;
    do {
      while (next < starts.length && starts[next]!.local <= from) week = starts[next++]!.week;
      const until = Math.min(starts[next]?.local ?? Number.POSITIVE_INFINITY, midnight + 86_400);
      plan = special.get(date) ?? (week === undefined ? undefined : program.weeks[week]![weekday - 1]);
      const actions = plan === undefined ? [] : days[plan]!;
      const before = actions.findLast(({ second }) => midnight + second <= from);
      const eve = yesterday === undefined ? undefined : days[yesterday]!.at(-1);
      const tariff = before?.tariff ?? (plan === undefined ? undefined : eve?.tariff);
      found.push({ local: from, tariff: tariff ?? program.defaultTariff });
      for (const action of actions) {
        const local = midnight + action.second;
        if (local > from && local < until) found.push({ local, tariff: action.tariff });
      }
      from = until;
    } while (from < midnight + 86_400);
    yesterday = plan;
  }
  return found;
}

/** One behind the other; where several come at once the last counts, and those that change nothing are left out. */
function settled(switches: readonly Switch[]): Switch[] {
  const found: Switch[] = [];
  for (const each of switches) {
    if (found.at(-1)?.unixSeconds === each.unixSeconds) found.pop();
    if (found.at(-1)?.tariff !== each.tariff) found.push(each);
  }
  return found;
}

const week = 7 * 86_400;

/** What the tariffs are that switches lead to: that of the last one at or before an instant. */
export function tariffOf(switches: readonly Switch[], unixSeconds: number): number {
  let low = 0;
  let high = switches.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (switches[middle]!.unixSeconds <= unixSeconds) low = middle;
    else high = middle;
  }
  return switches[low]!.tariff;
}

/**
 * All switches of a program and of dynamic tariffs, from the first of `zoneYears` on; the first one says what applied then.
 *
 * @param zoneName IANA name, instead of the program's own zone
 */
export function referenceSwitches(program: BlockProgram, zoneName: string, dynamic?: BlockDynamic): Switch[] {
  if (dates.length === 0) listDates();
  const zone = zoneData(zoneName);
  const calendar = settled(
    localSwitches(program, zone).map(({ local, tariff }) => {
      const days = Math.floor(local / 86_400);
      return { unixSeconds: instantOf(zone, days, local - 86_400 * days), tariff };
    }),
  );
  return dynamic === undefined ? calendar : settled(overlaid(calendar, program, dynamic));
}

function overlaid(calendar: readonly Switch[], program: BlockProgram, { entries, endUnixSeconds }: BlockDynamic) {
  const first = entries[0]!.unixSeconds;
  // For a week, what is to follow; then the calendar, which may be that already.
  const own = [undefined, entries.at(-1)!.tariff, program.fallbackTariff ?? 0][program.fallback ?? 0];
  const over = endUnixSeconds + (own === undefined ? 0 : week);
  return [
    ...calendar.filter(({ unixSeconds }) => unixSeconds < first),
    ...entries,
    ...(own === undefined ? [] : [{ unixSeconds: endUnixSeconds, tariff: own }]),
    { unixSeconds: over, tariff: tariffOf(calendar, over) },
    ...calendar.filter(({ unixSeconds }) => unixSeconds > over),
  ];
}

/** Boundaries of registration periods after `from` and at most at `until`, Unix seconds, minute by minute. */
export function referencePeriods(zoneName: string, from: number, until: number, minutes: number): number[] {
  const { firstOffset, transitions } = zoneData(zoneName);
  const found: number[] = [];
  let n = 0;
  for (let at = 60 * Math.floor(from / 60) + 60; at <= until; at += 60) {
    while (n < transitions.length && transitions[n]!.unixSeconds <= at) n++;
    const last = transitions[n - 1];
    const local = at + (last?.offset ?? firstOffset);
    const steps = last?.unixSeconds === at && (last.offset - last.offsetBefore) % (60 * minutes) !== 0;
    if (steps || ((((local / 60) % 1440) + 1440) % 1440) % minutes === 0) found.push(at);
  }
  return found;
}
