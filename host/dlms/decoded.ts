// What objects of DLMS/COSEM say, as JSON for people: texts in the place of bytes.

import { offsetText } from '../text/utc.ts';
import type { ActivityCalendar, DlmsCalendar, SpecialDaysTable } from './calendar.ts';
import type { DlmsClock } from './clock.ts';
import { ClockStatusBit, type DlmsDate, type DlmsDateTime, type DlmsTime } from './date-time.ts';
import { nameText } from './names.ts';

const weekdayNames = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'];

/** `2026-07-01`, `*-03-last sunday`; `*` for what is not specified. */
export function dateText({ year, month, day, weekday }: DlmsDate): string {
  const years = year === null ? '*' : String(year).padStart(4, '0');
  const name = weekday === null ? '' : ` ${weekdayNames[weekday - 1]}`;
  return `${years}-${partText(month)}-${partText(day)}${name}`;
}

/** `12:34:56.00`; `*` where nothing is specified. */
export function timeText({ hour, minute, second, hundredths }: DlmsTime): string {
  const parts = [hour, minute, second, hundredths];
  if (parts.every((part) => part === null)) return '*';
  return `${parts.slice(0, 3).map(partText).join(':')}.${partText(hundredths)}`;
}

/** Date, time, offset from UTC, clock status, as far as they are specified. */
export function dateTimeText(value: DlmsDateTime): string {
  const { offsetMinutes, clockStatus } = value;
  const offset = offsetMinutes === null ? '' : ` ${offsetText(offsetMinutes)}`;
  const status = clockStatus === null ? '' : ` (${statusNames(clockStatus).join(', ') || 'ok'})`;
  return `${dateText(value)} ${timeText(value)}${offset}${status}`;
}

function partText(part: number | string | null): string {
  return part === null ? '*' : String(part).padStart(2, '0');
}

const statusBits: readonly (readonly [ClockStatusBit, string])[] = [
  [ClockStatusBit.Invalid, 'invalid'],
  [ClockStatusBit.Doubtful, 'doubtful'],
  [ClockStatusBit.DifferentBase, 'different clock base'],
  [ClockStatusBit.InvalidStatus, 'invalid status'],
  [ClockStatusBit.SummerTime, 'summer time'],
];

function statusNames(status: number): string[] {
  return statusBits.filter(([bit]) => (status & bit) !== 0).map(([, name]) => name);
}

export function decodedClock(clock: DlmsClock): object {
  return {
    time: dateTimeText(clock.time),
    timeZone: offsetText(clock.normalOffsetMinutes),
    status: clock.status === null ? null : statusNames(clock.status),
    summerTimeBegin: dateTimeText(clock.summerBegin),
    summerTimeEnd: dateTimeText(clock.summerEnd),
    summerTimeShiftMinutes: clock.summerShiftMinutes,
    summerTimeEnabled: clock.summerEnabled,
    clockBase: clock.clockBase,
  };
}

export function decodedActivityCalendar({ active, passive, activation }: ActivityCalendar): object {
  return {
    active: decodedCalendar(active),
    passive: decodedCalendar(passive),
    passiveActivation: dateTimeText(activation),
  };
}

function decodedCalendar({ name, seasons, weeks, days }: DlmsCalendar): object {
  return {
    name: nameText(name),
    seasons: seasons.map((season) => ({
      name: nameText(season.name),
      start: dateTimeText(season.start),
      week: nameText(season.week),
    })),
    weeks: weeks.map((week) => ({ name: nameText(week.name), days: week.days })),
    days: days.map(({ id, actions }) => ({
      id,
      actions: actions.map((action) => ({ ...action, time: timeText(action.time) })),
    })),
  };
}

export function decodedSpecialDays({ entries }: SpecialDaysTable): object {
  return { entries: entries.map(({ index, date, dayId }) => ({ index, date: dateText(date), day: dayId })) };
}
