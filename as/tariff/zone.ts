// Legal time: what a zone adds to UTC, by a rule for all years (POSIX TZ) or by a list of transitions.
// What always holds: UTC where no program is in use; a stretch has one offset; the effective local time never goes back.
//
// Times are Unix seconds (UTC without leap seconds, as POSIX counts). Of a rule's two offsets the larger one is summer
// time, whichever of them POSIX calls so (Ireland: IST-1GMT0).

import { ProgramFormat, ZoneDayField, ZoneDayKind, ZoneKind, ZoneListField, ZoneRuleField } from '../abi/codes';
import { civilFromDays, civilYear, daysFromCivil, monthDays } from '../clock/civil';

export const DAY_SECONDS: i64 = 86_400;

/** Before all transitions. */
const NEVER: i64 = -0x1000_0000_0000_0000;
/** The last second of 9999. */
const LAST_SECOND: i64 = 253_402_300_799;
/** Offsets are up to a day, so what was local time two days ago is past. */
const OFFSET_MAX: i32 = 86_400;
const TIME_MAX: i32 = 604_799;

let zoneAt: usize = 0;
let kind: u32 = 0;
let transitions: u32 = 0;

// The stretch that was looked at last, from `from` to before `until`; empty where none was.
let from: i64 = 0;
let until: i64 = 0;
let offset: i32 = 0;
let summer: bool = false;
/** The latest local second that was reached before it, which matters where local time was set back. */
let peak: i64 = 0;

/** Bytes of a zone. */
export function zoneBytes(zoneKind: u32, count: u32): u32 {
  return zoneKind == ZoneKind.Rule
    ? ZoneRuleField.Bytes
    : ZoneListField.Transitions + ZoneListField.TransitionBytes * count;
}

/** Whether `zoneBytes` bytes are a zone. */
export function zoneIsValid(at: usize, zoneKind: u32, count: u32): bool {
  if (zoneKind == ZoneKind.Rule) return ruleIsValid(at);
  if (zoneKind != ZoneKind.List || count > <u32>ProgramFormat.TransitionsMax) return false;
  let last: u32 = 0;
  for (let i: u32 = 0; i <= count; i++) {
    // As in a transition: the fields before the first lack its time.
    const entry = at + ZoneListField.TransitionBytes * i - ZoneListField.TransitionOffsetMinutes;
    const minutes: i32 = load<i16>(entry, ZoneListField.TransitionOffsetMinutes);
    if (abs(minutes) * 60 > OFFSET_MAX || load<u8>(entry, ZoneListField.TransitionSummer) > 1) return false;
    if (i == 0) continue;
    if (load<u32>(entry) <= last) return false;
    last = load<u32>(entry);
  }
  return true;
}

function ruleIsValid(at: usize): bool {
  const standard = load<i32>(at, ZoneRuleField.StandardSeconds);
  const other = load<i32>(at, ZoneRuleField.SummerSeconds);
  if (standard < -OFFSET_MAX || standard > OFFSET_MAX || other < -OFFSET_MAX || other > OFFSET_MAX) return false;
  return standard == other || (ruleDayIsValid(at + ZoneRuleField.Begin) && ruleDayIsValid(at + ZoneRuleField.End));
}

function ruleDayIsValid(at: usize): bool {
  const time = load<i32>(at, ZoneDayField.TimeSeconds);
  if (time < -TIME_MAX || time > TIME_MAX) return false;
  const dayOfYear: u32 = load<u16>(at, ZoneDayField.DayOfYear);
  switch (<u32>load<u8>(at)) {
    case ZoneDayKind.MonthWeekDay: {
      const month = <u32>load<u8>(at, ZoneDayField.Month) - 1;
      return month < 12 && <u32>load<u8>(at, ZoneDayField.Week) - 1 < 5 && load<u8>(at, ZoneDayField.Weekday) < 7;
    }
    case ZoneDayKind.Julian:
      return dayOfYear - 1 < 365;
    case ZoneDayKind.ZeroBased:
      return dayOfYear < 366;
  }
  return false;
}

/** From now on the valid zone at `at` is in use; 0 for UTC. */
export function zoneUse(at: usize, zoneKind: u32, count: u32): void {
  zoneAt = at;
  kind = zoneKind;
  transitions = count;
  summerYear = 0;
  forget();
}

function forget(): void {
  until = from;
}

// The instant at which a rule's summer time begins, or ends, in a year.
function ruleInstant(year: u32, ends: bool): i64 {
  const at = zoneAt + (ends ? ZoneRuleField.End : ZoneRuleField.Begin);
  let month: u32 = 1;
  let day: u32 = load<u16>(at, ZoneDayField.DayOfYear);
  if (load<u8>(at) == <u8>ZoneDayKind.MonthWeekDay) {
    month = load<u8>(at, ZoneDayField.Month);
    // 1970-01-01 was a Thursday, and Sunday is 0.
    const firstWeekday = <u32>((daysFromCivil(year, month, 1) + 4) % 7);
    const weekday: u32 = load<u8>(at, ZoneDayField.Weekday);
    const week: u32 = load<u8>(at, ZoneDayField.Week);
    day = ((7 + weekday - firstWeekday) % 7) + 7 * (week - 1);
    if (day >= monthDays(year, month)) day -= 7;
  } else if (load<u8>(at) == <u8>ZoneDayKind.Julian && (day < 60 || monthDays(year, 2) == 28)) {
    day -= 1;
  }
  const before = load<i32>(zoneAt + (ends ? ZoneRuleField.SummerSeconds : ZoneRuleField.StandardSeconds));
  return (daysFromCivil(year, month, 1) + day) * DAY_SECONDS + load<i32>(at, ZoneDayField.TimeSeconds) - before;
}

// Day and time may lead a week and two days out of the year, so the next transitions, and the last, are at most two years off.
// Where summer time ends and begins at the same instant, it goes on.
function seekRule(t: i64): void {
  const standard = load<i32>(zoneAt, ZoneRuleField.StandardSeconds);
  const other = load<i32>(zoneAt, ZoneRuleField.SummerSeconds);
  offset = standard;
  summer = false;
  if (standard == other) return;
  let isOther = false;
  civilFromDays(min<i64>(max<i64>(t, 0), LAST_SECOND) / DAY_SECONDS);
  const last = civilYear + 2;
  for (let year = last - 4; year <= last; year++) {
    for (let ends = 1; ends >= 0; ends--) {
      const at = ruleInstant(year, ends != 0);
      if (at > t) {
        until = min<i64>(until, at);
      } else if (at >= from) {
        from = at;
        isOther = ends == 0;
      }
    }
  }
  if (isOther) offset = other;
  summer = isOther != other < standard;
}

function seekList(t: i64): void {
  let entry = zoneAt - ZoneListField.TransitionOffsetMinutes;
  for (let i: u32 = 0; i < transitions; i++) {
    const next: i64 = load<u32>(entry, ZoneListField.TransitionBytes);
    if (next > t) {
      until = next;
      break;
    }
    from = next;
    entry += ZoneListField.TransitionBytes;
  }
  offset = 60 * <i32>load<i16>(entry, ZoneListField.TransitionOffsetMinutes);
  summer = load<u8>(entry, ZoneListField.TransitionSummer) != 0;
}

// The stretch that `t` is in, without its peak.
function seekOffset(t: i64): void {
  from = NEVER;
  until = i64.MAX_VALUE;
  offset = 0;
  summer = false;
  if (zoneAt == 0) return;
  if (kind == ZoneKind.Rule) seekRule(t);
  else seekList(t);
}

function seek(t: i64): void {
  if (from <= t && t < until) return;
  seekOffset(t);
  const begin = from;
  peak = NEVER;
  while (from != NEVER && from > begin - 2 * OFFSET_MAX) {
    const last = from - 1;
    seekOffset(last);
    peak = max<i64>(peak, last + offset);
  }
  seekOffset(t);
}

/** Local time minus UTC, s. */
export function zoneOffsetSeconds(utc: i64): i32 {
  seek(utc);
  return offset;
}

/** Whether it is summer time. */
export function zoneSummer(utc: i64): bool {
  seek(utc);
  return summer;
}

/** Local time as Unix seconds would count it, not below 0. */
export function zoneLocal(utc: i64): i64 {
  seek(utc);
  return max<i64>(utc + offset, 0);
}

/** The latest local second that was reached by then, in the same way. */
export function zoneEffective(utc: i64): i64 {
  seek(utc);
  return max<i64>(max<i64>(utc + offset, peak), 0);
}

/** The stretch of an instant begins here (below 0: it has no beginning), with no transition since. */
export function zoneStretchBegin(utc: i64): i64 {
  seek(utc);
  return from;
}

/** The first instant after `utc` at which local time may be set; i64.MAX_VALUE for none. Cheap. */
export function zoneStretchEnd(utc: i64): i64 {
  seek(utc);
  return until;
}

/** The first instant after `utc` at which offset or summer time change; i64.MAX_VALUE for none. */
export function zoneNextTransition(utc: i64): i64 {
  seekOffset(utc);
  let next: i64 = i64.MAX_VALUE;
  // A rule may end and begin summer time at once, a list may repeat itself.
  for (let turns = kind == ZoneKind.Rule ? 4 : transitions; turns > 0 && until != i64.MAX_VALUE; turns--) {
    const offsetBefore = offset;
    const summerBefore = summer;
    seekOffset(until);
    if (offset == offsetBefore && summer == summerBefore) continue;
    next = from;
    break;
  }
  forget();
  return next;
}

// What `zoneSummerDay` found last.
let summerYear: u32 = 0;
let beginDay: i32 = 0;
let endDay: i32 = 0;

/** The local date, days since 1970, on which summer time first begins, or ends, in a year; -1 for none. */
export function zoneSummerDay(year: u32, ends: bool): i64 {
  if (year != summerYear) seekSummer(year);
  return ends ? endDay : beginDay;
}

function seekSummer(year: u32): void {
  const first = <i32>daysFromCivil(year, 1, 1);
  const next = <i32>daysFromCivil(year + 1, 1, 1);
  summerYear = year;
  beginDay = -1;
  endDay = -1;
  // Whatever the offset, the year lies between.
  seekOffset(<i64>(first - 1) * DAY_SECONDS);
  while (until < <i64>(next + 1) * DAY_SECONDS) {
    const before = summer;
    seekOffset(until);
    const day = <i32>((from + offset) / DAY_SECONDS);
    if (summer == before || day < first || day >= next) continue;
    if (summer && beginDay < 0) beginDay = day;
    if (!summer && endDay < 0) endDay = day;
  }
  forget();
}
