// The tariff program in use: zone, scripts, seasons, weeks, days and special days.
// What always holds: bytes from outside are checked as a whole before anything of them is used, so every index leads to what
// is there and every date and time of day can be.

import { isText } from '../abi/bytes';
import {
  DayField,
  DynamicFallback,
  ProgramError,
  ProgramField,
  ProgramFormat,
  SeasonField,
  SpecialDayField,
  StorageMap,
  WeekField,
} from '../abi/codes';
import { monthDays } from '../clock/civil';
import { crc32 } from '../link/crc32';
import { calendarForget } from './calendar';
import {
  ANY,
  ANY_YEAR,
  dayBytes,
  PROGRAM,
  programCount,
  programSeason,
  programWeek,
  SECOND_LAST_DAY,
  SUMMER_END,
  timeOfDay,
} from './items';
import { zoneIsValid, zoneUse } from './zone';

const CRC_BYTES: u32 = 4;
const NAME_BYTES: u32 = 23;
/** As far as the seconds of dynamic tariffs and of transitions reach. */
const ACTIVATION_MAX: u64 = 0xffff_ffff;

let inUse: bool = false;

/** Where a program is put, `StorageMap.ProgramSlotBytes`, and then stays. Nothing is written there while one is in use. */
export function programBuffer(): usize {
  return PROGRAM;
}

/** Whether there is a program. */
export function programInUse(): bool {
  return inUse;
}

/** From now on there is no program, and local time is UTC. */
export function programDrop(): void {
  inUse = false;
  zoneUse(0, 0, 0);
  calendarForget();
}

/**
 * Checks the `length` bytes in the buffer, which may be more than the program has, and uses it from now on if it is valid.
 * Otherwise there is none.
 *
 * @returns `ProgramError`
 */
export function programUse(length: u32): u32 {
  programDrop();
  const error = check(length);
  if (error == ProgramError.None) {
    inUse = true;
    zoneUse(PROGRAM + ProgramField.Items, load<u8>(PROGRAM, ProgramField.Zone), programCount(ProgramField.Transitions));
  }
  return error;
}

function timeIsValid(at: usize): bool {
  return load<u8>(at) < 24 && load<u8>(at, 1) < 60 && load<u8>(at, 2) < 60;
}

function check(length: u32): u32 {
  if (length < <u32>ProgramField.Items + CRC_BYTES || length > <u32>StorageMap.ProgramSlotBytes) {
    return ProgramError.Damaged;
  }
  if (load<u32>(PROGRAM) != <u32>ProgramFormat.Magic) return ProgramError.Absent;
  if (load<u16>(PROGRAM, ProgramField.Version) != <u16>ProgramFormat.Version) return ProgramError.Absent;
  const whole: u32 = load<u16>(PROGRAM, ProgramField.Length);
  if (whole < <u32>ProgramField.Items + CRC_BYTES || whole > length) return ProgramError.Damaged;
  const end = PROGRAM + whole - CRC_BYTES;
  if (crc32(PROGRAM, whole - CRC_BYTES) != load<u32>(end)) return ProgramError.Damaged;
  if (
    programCount(ProgramField.Seasons) > <u32>ProgramFormat.SeasonsMax ||
    programCount(ProgramField.Weeks) > <u32>ProgramFormat.WeeksMax ||
    programCount(ProgramField.Days) > <u32>ProgramFormat.DaysMax ||
    programCount(ProgramField.SpecialDays) > <u32>ProgramFormat.SpecialDaysMax ||
    programCount(ProgramField.Scripts) > <u32>ProgramFormat.ScriptsMax ||
    programCount(ProgramField.Transitions) > <u32>ProgramFormat.TransitionsMax ||
    programCount(ProgramField.Name) > NAME_BYTES
  ) {
    return ProgramError.TooMany;
  }
  return isText(PROGRAM + ProgramField.Name) ? checkItems(end) : ProgramError.Damaged;
}

// All counts are small by now, so what an item says of its length leads to no place outside of the buffer by much: each
// place is compared with the end before anything is read there.
function checkItems(end: usize): u32 {
  let day = programWeek(programCount(ProgramField.Weeks));
  if (day > end) return ProgramError.Damaged;
  if (
    !zoneIsValid(
      PROGRAM + ProgramField.Items,
      load<u8>(PROGRAM, ProgramField.Zone),
      programCount(ProgramField.Transitions),
    )
  ) {
    return ProgramError.Zone;
  }
  const days = day;
  for (let left = programCount(ProgramField.Days); left > 0; left--) {
    if (day + DayField.List > end) return ProgramError.Damaged;
    const actions: u32 = load<u8>(day, DayField.Actions);
    if (actions == 0) return ProgramError.Actions;
    if (actions > <u32>ProgramFormat.ActionsMax) return ProgramError.TooMany;
    day += dayBytes(day);
  }
  if (day + SpecialDayField.Bytes * programCount(ProgramField.SpecialDays) != end) return ProgramError.Damaged;
  if (load<u64>(PROGRAM, ProgramField.Activation) > ACTIVATION_MAX) return ProgramError.Date;
  if (load<u8>(PROGRAM, ProgramField.Fallback) > <u8>DynamicFallback.Tariff) return ProgramError.Index;
  let error = checkSeasons();
  if (error == ProgramError.None) error = checkWeeks();
  if (error == ProgramError.None) error = checkDays(days);
  if (error == ProgramError.None) error = checkSpecialDays(day, end);
  return error;
}

function checkSeasons(): u32 {
  const weeks = programSeason(programCount(ProgramField.Seasons));
  for (let at = programSeason(0); at < weeks; at += SeasonField.Bytes) {
    const year: u32 = load<u16>(at, SeasonField.Year);
    const month: u32 = load<u8>(at, SeasonField.Month);
    // The begin of a season is one day, which every year has that it is for.
    if (month == ANY || (month < SUMMER_END && load<u8>(at, SeasonField.Day) == <u8>ANY)) return ProgramError.Date;
    if (!dateIsValid(at, year == ANY_YEAR ? 2001 : year)) return ProgramError.Date;
    if (!timeIsValid(at + SeasonField.Hour)) return ProgramError.Date;
    if (<u32>load<u8>(at, SeasonField.Week) >= programCount(ProgramField.Weeks)) return ProgramError.Index;
  }
  return ProgramError.None;
}

function checkWeeks(): u32 {
  const days = programWeek(programCount(ProgramField.Weeks));
  for (let at = programWeek(0); at < days; at += WeekField.Bytes) {
    for (let day: u32 = 0; day < 7; day++) {
      if (<u32>load<u8>(at + day) >= programCount(ProgramField.Days)) return ProgramError.Index;
    }
  }
  return ProgramError.None;
}

function checkDays(at: usize): u32 {
  for (let left = programCount(ProgramField.Days); left > 0; left--) {
    const next = at + dayBytes(at);
    let last: i32 = -1;
    for (let action = at + DayField.List; action < next; action += DayField.ActionBytes) {
      if (!timeIsValid(action)) return ProgramError.Date;
      const time = <i32>timeOfDay(action);
      if (time <= last) return ProgramError.Actions;
      if (<u32>load<u8>(action, 3) >= programCount(ProgramField.Scripts)) return ProgramError.Index;
      last = time;
    }
    at = next;
  }
  return ProgramError.None;
}

function checkSpecialDays(at: usize, end: usize): u32 {
  for (; at < end; at += SpecialDayField.Bytes) {
    const year: u32 = load<u16>(at, SpecialDayField.Year);
    if (!dateIsValid(at, year == ANY_YEAR ? 2000 : year)) return ProgramError.Date;
    if (<u32>load<u8>(at, SpecialDayField.DayIndex) >= programCount(ProgramField.Days)) return ProgramError.Index;
  }
  return ProgramError.None;
}

// Month, day and day of the week, which seasons and special days have in the same places.
function dateIsValid(at: usize, year: u32): bool {
  const month: u32 = load<u8>(at, SeasonField.Month);
  const day: u32 = load<u8>(at, SeasonField.Day);
  const weekday: u32 = load<u8>(at, SeasonField.Weekday);
  if (year < 1970 || year > 9999) return false;
  if (weekday != ANY && weekday - 1 >= 7) return false;
  // The day on which summer time begins or ends: its date is the zone's.
  if (month >= SUMMER_END && month != ANY) return true;
  if (month != ANY && month - 1 >= 12) return false;
  if (day >= SECOND_LAST_DAY) return true;
  return day - 1 < (month == ANY ? 31 : monthDays(year, month));
}
