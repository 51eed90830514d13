// What is where in the tariff program (`ProgramField`), and what its dates mean.
// What always holds: only of a program that was checked, every index leads to what is there.

import { DayField, ProgramField, ScriptField, SeasonField, SpecialDayField, StorageMap, WeekField } from '../abi/codes';
import { zoneBytes } from './zone';

/** In dates: any year; any month, day or day of the week. */
export const ANY_YEAR: u32 = 0xffff;
export const ANY: u32 = 0xff;
/** Months: from this on, summer time's end and begin. */
export const SUMMER_END: u32 = 0xfd;
/** Days: the last one, and the one before it. */
export const LAST_DAY: u32 = 0xfe;
export const SECOND_LAST_DAY: u32 = 0xfd;

export const PROGRAM: usize = TARIFF == 0 ? 0 : memory.data(StorageMap.ProgramSlotBytes, 8);

/** How many there are: `field` of the header. */
export function programCount(field: u32): u32 {
  return load<u8>(PROGRAM + field);
}

/** u16 of the header. */
export function programTariff(field: u32): u32 {
  return load<u16>(PROGRAM + field);
}

function scripts(): usize {
  return (
    PROGRAM +
    ProgramField.Items +
    zoneBytes(load<u8>(PROGRAM, ProgramField.Zone), programCount(ProgramField.Transitions))
  );
}

/** `ScriptField`. */
export function programScript(index: u32): usize {
  return scripts() + ScriptField.Bytes * index;
}

/** `SeasonField`. */
export function programSeason(index: u32): usize {
  return programScript(programCount(ProgramField.Scripts)) + SeasonField.Bytes * index;
}

/** `WeekField`. */
export function programWeek(index: u32): usize {
  return programSeason(programCount(ProgramField.Seasons)) + WeekField.Bytes * index;
}

/** `DayField`. */
export function programDay(index: u32): usize {
  let at = programWeek(programCount(ProgramField.Weeks));
  for (; index > 0; index--) at += dayBytes(at);
  return at;
}

/** Bytes of the `DayField` at `at`. */
export function dayBytes(at: usize): u32 {
  return DayField.List + DayField.ActionBytes * <u32>load<u8>(at, DayField.Actions);
}

/** `SpecialDayField`. */
export function programSpecialDay(index: u32): usize {
  return programDay(programCount(ProgramField.Days)) + SpecialDayField.Bytes * index;
}

/** The time of day at `at`, hour, minute and second, in seconds. */
export function timeOfDay(at: usize): u32 {
  return 3600 * <u32>load<u8>(at) + 60 * <u32>load<u8>(at, 1) + load<u8>(at, 2);
}
