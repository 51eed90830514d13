// From a tariff program to objects of DLMS/COSEM: clock (class 8), activity calendar (20), special days table (11).
//
// What always holds: a file that was made here gives the same program back (to-program.ts). What a program says and the
// objects do not stands beside them; what they would say otherwise is refused, or told as a warning.

import { legalOffsetAt } from '../tariff/legal-time.ts';
import { type DatePattern, type TariffProgram, weekdays } from '../tariff/model.ts';
import { type PlannedDay, type ProgramPlan, planProgram } from '../tariff/program-plan.ts';
import type { ResolvedZone } from '../tariff/zone.ts';
import { nsPerSecond } from '../text/utc.ts';
import {
  type ActivityCalendar,
  activityCalendarClass,
  activityCalendarName,
  type DlmsCalendar,
  type DlmsSeason,
  emptyCalendar,
  encodeActivityCalendar,
  encodeSpecialDays,
  type SpecialDaysTable,
  specialDaysClass,
  specialDaysName,
} from './calendar.ts';
import { type ClockReading, clockClass, clockName, clockOf, type DlmsClock, encodeClock } from './clock.ts';
import {
  anyDateTime,
  ClockStatusBit,
  type DeviationSign,
  type DlmsDate,
  type DlmsDateTime,
  type DlmsTime,
  dateTimeAt,
  encodeDate,
} from './date-time.ts';
import { decodedActivityCalendar, decodedClock, decodedSpecialDays } from './decoded.ts';
import { DlmsError } from './error.ts';
import { nameBytes } from './names.ts';
import { type DlmsObject, type ObjectFile, objectFileFormat, objectOf, type ProgramPart } from './object-file.ts';
import { at } from './shape.ts';

export interface ExportOptions {
  /** Takes the place of the active program at its `activationUtc`. */
  readonly passive?: TariffProgram | undefined;
  readonly deviation: DeviationSign;
  /** What the clock shows; without it attribute 2 is unspecified. */
  readonly reading?: Omit<ClockReading, 'offsetMinutes'> | undefined;
}

export interface Exported {
  readonly file: ObjectFile;
  /** What the objects do not say as the program does. */
  readonly warnings: readonly string[];
}

/**
 * @throws {TariffError} the program is none
 * @throws {DlmsError} dlms-value: an object cannot say this
 */
export function exportProgram(program: TariffProgram, options: ExportOptions): Exported {
  const plan = planProgram(program);
  const passivePlan = options.passive === undefined ? undefined : planProgram(options.passive);
  const warnings: string[] = [];
  const calendar: ActivityCalendar = {
    logicalName: activityCalendarName,
    active: calendarOf(program, plan),
    passive: passivePlan === undefined ? emptyCalendar : calendarOf(options.passive!, passivePlan),
    activation: activationOf(plan.zone, passivePlan),
  };
  const clock = clockOfPlan(plan, options, warnings);
  const specialDays = specialDaysOf(plan);
  if (passivePlan !== undefined) warnAboutPassive(program, options.passive!, warnings);
  const sign = options.deviation;
  const differ = passivePlan !== undefined && !sameSpecialDays(plan, passivePlan);
  if (differ) {
    warnings.push(
      'special days of the passive program: they are not those of the active one, and the special days table (class 11) has no passive part; they stand beside the objects',
    );
  }
  return {
    file: {
      format: objectFileFormat,
      deviation: sign,
      objects: [
        objectOf(clockClass, clockName, encodeClock(clock, sign), decodedClock(clock)),
        calendarObject(calendar, sign),
        specialDaysObject(specialDays),
      ],
      program: partOf(program, plan),
      ...(passivePlan === undefined ? {} : { passive: passivePartOf(options.passive!, passivePlan, differ) }),
    },
    warnings,
  };
}

function calendarObject(calendar: ActivityCalendar, sign: DeviationSign): DlmsObject {
  const attributes = encodeActivityCalendar(calendar, sign);
  return objectOf(activityCalendarClass, activityCalendarName, attributes, decodedActivityCalendar(calendar));
}

function specialDaysObject(table: SpecialDaysTable): DlmsObject {
  return objectOf(specialDaysClass, specialDaysName, encodeSpecialDays(table), decodedSpecialDays(table));
}

function partOf(program: TariffProgram, plan: ProgramPlan): ProgramPart {
  const { zone, activationUtc, defaultTariff, dynamicFallback, tariffs } = program;
  return {
    zone,
    ...(activationUtc === undefined ? {} : { activationUtc }),
    defaultTariff,
    ...(dynamicFallback === undefined ? {} : { dynamicFallback }),
    ...(tariffs === undefined ? {} : { tariffs }),
    scripts: plan.scripts,
  };
}

/** Attribute 10 says when it takes effect. */
function passivePartOf(program: TariffProgram, plan: ProgramPlan, withSpecialDays: boolean): ProgramPart {
  const { activationUtc: _, ...part } = partOf(program, plan);
  return withSpecialDays ? { ...part, specialDays: program.specialDays ?? [] } : part;
}

// ---------------------------------------------------------------- calendar

function calendarOf(program: TariffProgram, plan: ProgramPlan): DlmsCalendar {
  const { seasons = [], weeks = [] } = program;
  return {
    name: nameBytes(plan.name),
    seasons: plan.seasons.map(({ start, timeSeconds, week }, index): DlmsSeason => {
      const { name } = seasons[index]!;
      const date = dateOf(start, `season ${index + 1} (${name})`);
      return {
        name: nameBytes(name),
        start: { ...anyDateTime, ...date, ...timeOf(timeSeconds) },
        week: nameBytes(weeks[week]!.name),
      };
    }),
    weeks: plan.weeks.map((days, index) => ({
      name: nameBytes(weeks[index]!.name),
      days: days.map((day) => plan.days[day]!.id),
    })),
    days: plan.days.map((day) => ({ id: day.id, actions: actionsOf(day, plan) })),
  };
}

function actionsOf({ actions }: PlannedDay, { scripts }: ProgramPlan): DlmsCalendar['days'][number]['actions'] {
  return actions.map(({ timeSeconds, script }) => {
    const { logicalName, selector } = scripts[script]!;
    return { time: timeOf(timeSeconds), logicalName, selector };
  });
}

function timeOf(seconds: number): DlmsTime {
  const [hour, minute] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  return { hour, minute, second: seconds % 60, hundredths: 0 };
}

function dateOf(pattern: DatePattern, place: string): DlmsDate {
  const { year = null, month = null, day = null } = pattern;
  const weekday = pattern.weekday === undefined ? null : weekdays.indexOf(pattern.weekday) + 1;
  const date: DlmsDate = { year, month, day, weekday };
  // Where a year is said, DLMS/COSEM takes a weekday for that of the date itself.
  at(place, () => encodeDate(date));
  return date;
}

function specialDaysOf({ specialDays, days }: ProgramPlan): SpecialDaysTable {
  return {
    logicalName: specialDaysName,
    entries: specialDays.map(({ date, day }, index) => ({
      index: index + 1,
      date: dateOf(date, `special day ${index + 1}`),
      dayId: days[day]!.id,
    })),
  };
}

function sameSpecialDays(a: ProgramPlan, b: ProgramPlan): boolean {
  return JSON.stringify(specialDaysOf(a).entries) === JSON.stringify(specialDaysOf(b).entries);
}

// ---------------------------------------------------------------- passive

function activationOf(zone: ResolvedZone, passive: ProgramPlan | undefined): DlmsDateTime {
  if (passive === undefined) return anyDateTime;
  if (passive.activation === 0) {
    throw new DlmsError(
      'dlms-value',
      'passive program: expected activationUtc, when it takes the place of the active one, came none',
    );
  }
  return dateTimeInZone(zone, BigInt(passive.activation) * nsPerSecond, 0);
}

/** An instant in legal time, with the bit of summer time; in UTC where the offset is no whole minute. */
function dateTimeInZone(zone: ResolvedZone, utcNs: bigint, status: number): DlmsDateTime {
  const { offsetSeconds, summer } = legalOffsetAt(zone, Number(utcNs / nsPerSecond));
  if (offsetSeconds % 60 !== 0) return dateTimeAt(utcNs, 0, status);
  return dateTimeAt(utcNs, offsetSeconds / 60, summer ? status | ClockStatusBit.SummerTime : status);
}

function warnAboutPassive(active: TariffProgram, passive: TariffProgram, warnings: string[]): void {
  if (JSON.stringify(active.zone) === JSON.stringify(passive.zone)) return;
  warnings.push(
    'zone of the passive program: it is not that of the active one, and the clock (class 8) has one alone; it stands beside the objects',
  );
}

// ---------------------------------------------------------------- clock

function clockOfPlan({ zone }: ProgramPlan, { reading }: ExportOptions, warnings: string[]): DlmsClock {
  const now = readingIn(zone, reading);
  if (zone.kind === 'rule') return clockOf(zone.rule, now);
  warnings.push(
    'zone: it is a list of transitions, and the clock (class 8) has one begin and one end of summer time for all years; the clock says the offset in force and no summer time, and the list stands beside the objects',
  );
  const offsetSeconds = now?.utcNs === undefined ? zone.list.initial.offsetMinutes * 60 : now.offsetMinutes * 60;
  return clockOf({ standard: { name: 'local', offsetSeconds } }, now);
}

/** The zone says whether it is summer time. */
function withSummer(status: number | null, summer: boolean): number | null {
  if (status === null) return null;
  const others = status & ~ClockStatusBit.SummerTime;
  return summer ? others | ClockStatusBit.SummerTime : others;
}

function readingIn(zone: ResolvedZone, reading: ExportOptions['reading']): ClockReading | undefined {
  if (reading === undefined) return undefined;
  const { utcNs, status } = reading;
  if (utcNs === undefined) return { utcNs, status, offsetMinutes: 0 };
  const { offsetSeconds, summer } = legalOffsetAt(zone, Number(utcNs / nsPerSecond));
  if (offsetSeconds % 60 !== 0) {
    throw new DlmsError('dlms-value', `zone: expected an offset of whole minutes, came ${offsetSeconds} s`);
  }
  return { utcNs, offsetMinutes: offsetSeconds / 60, status: withSummer(status, summer) };
}
