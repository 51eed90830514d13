// When summer time begins and ends: a day of each year as a POSIX rule has it, as a date with wildcards, and back.
//
//   Mm.w.d, w 1 to 4   month m, day 1 + 7 (w - 1), weekday d: the first such weekday on or after that day
//   Mm.5.d             month m, day FE, weekday d
//   Jn                 month and day
//   a time of more than a day, or of less than none, moves day and weekday
//
// What always holds: year by year, both say the same second. What one of them cannot say is refused by name: the other's
// date would be wrong in some year.
import type { ZoneDay } from '../tariff/posix-tz.ts';
import { anyDateTime, type DlmsDateTime, daysOfMonth } from './date-time.ts';
import { DlmsError } from './error.ts';

const daySeconds = 86_400;
const commonYear = 2001;
const february = 2;

/** The instant's place in the calendar, a weekday where it is one of several days. */
interface Anchor {
  readonly month: number;
  readonly day: number | 'last';
  /** 0 Sunday to 6, as in POSIX. */
  readonly weekday?: number;
}

/** @throws {DlmsError} dlms-value; `what` names the date */
export function dateOfZoneDay(day: ZoneDay, offsetMinutes: number, clockStatus: number, what: string): DlmsDateTime {
  const days = Math.floor(day.timeSeconds / daySeconds);
  const seconds = day.timeSeconds - days * daySeconds;
  const anchor = anchorOf(day, days, what);
  return {
    ...anyDateTime,
    ...{ month: anchor.month, day: anchor.day },
    weekday: anchor.weekday === undefined ? null : anchor.weekday || 7,
    ...{ hour: Math.floor(seconds / 3600), minute: Math.floor(seconds / 60) % 60, second: seconds % 60, hundredths: 0 },
    ...{ offsetMinutes, clockStatus },
  };
}

function anchorOf(day: ZoneDay, shiftDays: number, what: string): Anchor {
  if (day.kind === 'month-week-day') {
    const { month, week } = day;
    const weekday = (((day.weekday + shiftDays) % 7) + 7) % 7;
    if (week < 5) return { ...shifted(month, 1 + 7 * (week - 1), shiftDays, what), weekday };
    if (shiftDays === 0) return { month, day: 'last', weekday };
    return { ...shifted(month, fixedLength(month, what) - 6, shiftDays, what), weekday };
  }
  if (day.kind === 'julian') {
    const date = new Date(Date.UTC(commonYear, 0, day.day));
    return shifted(date.getUTCMonth() + 1, date.getUTCDate(), shiftDays, what);
  }
  const days = day.day + shiftDays;
  // Up to 28 February.
  if (days > 58) throw cannot(what, `day ${days} of the year from 0 on, another date in leap years`);
  return shifted(1, 1, days, what);
}

/** A date so many days later, the same in each year. */
function shifted(month: number, day: number, days: number, what: string): { month: number; day: number } {
  const date = new Date(Date.UTC(commonYear, month - 1, day + days));
  const moved = { month: date.getUTCMonth() + 1, day: date.getUTCDate() };
  if (month <= february !== moved.month <= february && Math.min(month, moved.month) === february) {
    throw cannot(what, 'a time that leads over the end of February, another date in leap years');
  }
  return moved;
}

function fixedLength(month: number, what: string): number {
  if (month === february) throw cannot(what, 'days counted from the end of February, other dates in leap years');
  return daysOfMonth(month, commonYear);
}

function cannot(what: string, came: string): DlmsError {
  return new DlmsError(
    'dlms-value',
    `${what}: expected a day that is the same date or weekday each year, came ${came}`,
  );
}

/**
 * The rule's day that a date with wildcards says.
 * @param offsetMinutes local time minus UTC before that instant, by which rules say the time of day
 * @throws {DlmsError} dlms-value
 */
export function zoneDayOfDate(value: DlmsDateTime, offsetMinutes: number, what: string): ZoneDay {
  const { year, month, day, hour, minute, weekday } = value;
  const need = (expected: string, came: unknown): never => {
    throw new DlmsError('dlms-value', `${what}: expected ${expected}, came ${came ?? 'none'}`);
  };
  if (year !== null) need('a date of each year (year FFFF)', `the year ${year}`);
  if (typeof month !== 'number') return need('a month from 1 to 12', month);
  if (day === null) return need('a day of the month', day);
  if (hour === null || minute === null) return need('a time of day', null);
  if ((value.hundredths ?? 0) !== 0) need('a whole second', `${value.hundredths} hundredths`);
  const moved = (offsetMinutes - (value.offsetMinutes ?? offsetMinutes)) * 60;
  const timeSeconds = hour * 3600 + minute * 60 + (value.second ?? 0) + moved;
  if (weekday === null) return { kind: 'julian', day: dayOfYear(month, day, what), timeSeconds };
  return weekdayOfMonth(month, day, weekday % 7, timeSeconds, what);
}

function dayOfYear(month: number, day: number | 'last' | 'second-last', what: string): number {
  const dayOfMonth = typeof day === 'number' ? day : fixedLength(month, what) - (day === 'last' ? 0 : 1);
  if (month === february && dayOfMonth > 28) throw cannot(what, '29 February');
  return (Date.UTC(commonYear, month - 1, dayOfMonth) - Date.UTC(commonYear, 0, 0)) / (daySeconds * 1000);
}

function weekdayOfMonth(
  month: number,
  day: number | 'last' | 'second-last',
  weekday: number,
  timeSeconds: number,
  what: string,
): ZoneDay {
  if (day === 'last') return { kind: 'month-week-day', month, week: 5, weekday, timeSeconds };
  const first = day === 'second-last' ? fixedLength(month, what) - 13 : day;
  if (month === february && first > 28) throw cannot(what, 'a weekday on or after 29 February');
  const lastWeek = month === february ? Number.POSITIVE_INFINITY : fixedLength(month, what) - 6;
  const week = first >= lastWeek ? 5 : Math.ceil(first / 7);
  const shiftDays = first - (week === 5 ? lastWeek : 1 + 7 * (week - 1));
  return {
    ...{ kind: 'month-week-day', month, week },
    weekday: (((weekday - shiftDays) % 7) + 7) % 7,
    timeSeconds: timeSeconds + shiftDays * daySeconds,
  };
}
