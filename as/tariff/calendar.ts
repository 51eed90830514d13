// The calendar of the program in use: which action of which day applies at an effective local time.
// What always holds: between the ends that it gives, nothing changes; so it is looked at anew a few times a day only.
//
// Local times are Unix seconds as a clock in the zone would count them, dates are days of them.

import { DayField, ProgramField, ScriptField, SeasonField, SpecialDayField } from '../abi/codes';
import { civilDay, civilFromDays, civilMonth, civilYear, daysFromCivil, monthDays } from '../clock/civil';
import {
  ANY,
  ANY_YEAR,
  LAST_DAY,
  programCount,
  programDay,
  programScript,
  programSeason,
  programSpecialDay,
  programTariff,
  programWeek,
  SUMMER_END,
  timeOfDay,
} from './items';
import { DAY_SECONDS, zoneSummerDay } from './zone';

/** No week or day. */
const NONE: u32 = 0xff;

// The season that was looked at last: it is the same from `seasonFrom` to before `seasonUntil`.
let seasonFrom: i64 = 0;
let seasonUntil: i64 = 0;
let week: u32 = NONE;
// The date that was looked for among the special days last, and what was found.
let date: i64 = -1;
let special: u32 = NONE;

/** The program is another one. */
export function calendarForget(): void {
  seasonUntil = seasonFrom;
  date = -1;
}

// Monday is 1; 1970-01-01 was a Thursday.
function weekdayOf(days: i64): u32 {
  return <u32>((days + 3) % 7) + 1;
}

/** The date on which a season begins in a year; -1 for none. */
function seasonDate(at: usize, year: u32): i64 {
  const month: u32 = load<u8>(at, SeasonField.Month);
  if (month >= SUMMER_END) return zoneSummerDay(year, month == SUMMER_END);
  const day: u32 = load<u8>(at, SeasonField.Day);
  const weekday: u32 = load<u8>(at, SeasonField.Weekday);
  const first = daysFromCivil(year, month, 1);
  if (day <= 31) {
    const begin = first + day - 1;
    return weekday == ANY ? begin : begin + ((7 + weekday - weekdayOf(begin)) % 7);
  }
  const last = first + monthDays(year, month) - 1;
  const before = LAST_DAY - day;
  return weekday == ANY ? last - before : last - ((7 + weekdayOf(last) - weekday) % 7) - 7 * before;
}

// Begins are within a year of their own, or each year; a day of the week may lead a week out of it. Of two that begin at
// once, the one that stands first counts.
function seekSeason(local: i64): void {
  if (seasonFrom <= local && local < seasonUntil) return;
  civilFromDays(local / DAY_SECONDS);
  const thisYear = civilYear;
  let found: usize = 0;
  seasonFrom = -1;
  seasonUntil = i64.MAX_VALUE;
  for (let n: u32 = 0; n < 4; n++) {
    const year = thisYear + n - 2;
    for (let i = programCount(ProgramField.Seasons); i > 0; i--) {
      const at = programSeason(i - 1);
      const own: u32 = load<u16>(at, SeasonField.Year);
      if (own != ANY_YEAR && year != thisYear) continue;
      const day = seasonDate(at, own == ANY_YEAR ? year : own);
      if (day < 0) continue;
      const begin = day * DAY_SECONDS + timeOfDay(at + SeasonField.Hour);
      if (begin > local) {
        seasonUntil = min<i64>(seasonUntil, begin);
      } else if (begin > seasonFrom || (begin == seasonFrom && at < found)) {
        seasonFrom = begin;
        found = at;
      }
    }
  }
  week = NONE;
  if (found == 0) seasonFrom = local;
  else week = load<u8>(found, SeasonField.Week);
}

// Whether the day of a month, counted on beyond its end where that is asked, is what a special day says.
function fitsMonth(at: usize, year: u32, month: u32, dayOfMonth: u32): bool {
  const own: u32 = load<u16>(at, SpecialDayField.Year);
  const ownMonth: u32 = load<u8>(at, SpecialDayField.Month);
  if ((own != ANY_YEAR && own != year) || (ownMonth != ANY && ownMonth != month)) return false;
  const day: u32 = load<u8>(at, SpecialDayField.Day);
  if (day == ANY) return true;
  // The day of the week is as it should be: so it is the first one within a week, or the last.
  const days: u32 = load<u8>(at, SpecialDayField.Weekday) == <u8>ANY ? 1 : 7;
  return day <= 31 ? dayOfMonth - day < days : (monthDays(year, month) - dayOfMonth) / days == LAST_DAY - day;
}

function fits(at: usize, days: i64, year: u32, month: u32, day: u32): bool {
  const weekday: u32 = load<u8>(at, SpecialDayField.Weekday);
  const ownMonth: u32 = load<u8>(at, SpecialDayField.Month);
  const own: u32 = load<u16>(at, SpecialDayField.Year);
  if (ownMonth >= SUMMER_END && ownMonth != ANY) {
    return (own == ANY_YEAR || own == year) && days == zoneSummerDay(year, ownMonth == SUMMER_END);
  }
  if (weekday != ANY && weekday != weekdayOf(days)) return false;
  if (fitsMonth(at, year, month, day)) return true;
  // A day of the week at or after a day may be in the month that follows.
  if (weekday == ANY) return false;
  if (--month == 0) {
    month = 12;
    year -= 1;
  }
  const length = monthDays(year, month);
  return <u32>load<u8>(at, SpecialDayField.Day) <= length && fitsMonth(at, year, month, day + length);
}

function seekSpecial(days: i64): void {
  if (date == days) return;
  date = days;
  special = NONE;
  civilFromDays(days);
  const year = civilYear;
  const month = civilMonth;
  const day = civilDay;
  const count = programCount(ProgramField.SpecialDays);
  let at = programSpecialDay(0);
  for (let i: u32 = 0; i < count; i++) {
    if (fits(at, days, year, month, day)) {
      special = load<u8>(at, SpecialDayField.DayIndex);
      return;
    }
    at += SpecialDayField.Bytes;
  }
}

// The day that a date is, at a local time of it: `DayField`; 0 where nothing says it.
function dayAt(days: i64, local: i64): usize {
  seekSpecial(days);
  if (special != NONE) return programDay(special);
  seekSeason(local);
  if (week == NONE) return 0;
  return programDay(load<u8>(programWeek(week) + weekdayOf(days) - 1));
}

// The last action of a day at or before a second of it; 0 where there is none yet.
function actionAt(day: usize, second: u32): usize {
  let found: usize = 0;
  let at = day + DayField.List;
  for (let left: u32 = load<u8>(day, DayField.Actions); left > 0; left--) {
    if (timeOfDay(at) > second) break;
    found = at;
    at += DayField.ActionBytes;
  }
  return found;
}

/** The tariff at an effective local time, while a program is in use. */
export function calendarTariff(local: i64): u32 {
  let days = local / DAY_SECONDS;
  let second = <u32>(local - days * DAY_SECONDS);
  let action: usize = 0;
  // Before its first action it is as at the end of the day before.
  for (let turn = 0; turn < 2 && action == 0; turn++) {
    const day = dayAt(days, days * DAY_SECONDS + second);
    if (day == 0) break;
    action = actionAt(day, second);
    days -= 1;
    second = <u32>DAY_SECONDS - 1;
  }
  if (action == 0) return programTariff(ProgramField.DefaultTariff);
  return load<u16>(programScript(load<u8>(action, 3)), ScriptField.Tariff);
}

/** The first local time after an effective one at which the tariff may change: on that date, or the next one's begin. */
export function calendarNext(local: i64): i64 {
  const days = local / DAY_SECONDS;
  const second = <u32>(local - days * DAY_SECONDS);
  let next = (days + 1) * DAY_SECONDS;
  const day = dayAt(days, local);
  if (day != 0) {
    let at = day + DayField.List;
    for (let left: u32 = load<u8>(day, DayField.Actions); left > 0; left--) {
      if (timeOfDay(at) > second) {
        next = days * DAY_SECONDS + timeOfDay(at);
        break;
      }
      at += DayField.ActionBytes;
    }
  }
  seekSeason(local);
  return min<i64>(next, seasonUntil);
}
