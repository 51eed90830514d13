// Dates of the Gregorian calendar as days since 1970-01-01, and back.
// What always holds: valid for years 1970 to 9999; a civil date outside its ranges is refused, never rolled over.

const DAYS_FROM_0000_03_01: u32 = 719_468;
const DAYS_PER_ERA: u32 = 146_097;

/** Days in a month. */
export function monthDays(year: u32, month: u32): u32 {
  if (month == 2) return (year & 3) == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
  return 30 + ((month + (month >> 3)) & 1);
}

/** Days since 1970-01-01 of a valid date; years begin in March, so that the leap day comes last. */
export function daysFromCivil(year: u32, month: u32, day: u32): i64 {
  if (month <= 2) year -= 1;
  const era = year / 400;
  const yearOfEra = year - era * 400;
  const dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  const days = era * DAYS_PER_ERA + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear;
  return <i64>days - DAYS_FROM_0000_03_01;
}

/** Results of `civilFromDays`. */
export let civilYear: u32 = 0;
export let civilMonth: u32 = 0;
export let civilDay: u32 = 0;

/** Splits days since 1970-01-01, also before, into `civilYear`, `civilMonth`, `civilDay`. */
export function civilFromDays(days: i64): void {
  const shifted: u32 = <u32>days + DAYS_FROM_0000_03_01;
  const era = shifted / DAYS_PER_ERA;
  const dayOfEra = shifted - era * DAYS_PER_ERA;
  const yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365;
  const dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100);
  const month = (5 * dayOfYear + 2) / 153;
  civilDay = dayOfYear - (153 * month + 2) / 5 + 1;
  civilMonth = month < 10 ? month + 3 : month - 9;
  civilYear = yearOfEra + era * 400 + (civilMonth <= 2 ? 1 : 0);
}
