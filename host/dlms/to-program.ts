// From objects of DLMS/COSEM to tariff programs, the active and the passive one.
//
// What always holds: a program that comes of it is one that a meter takes. What an object says and a program cannot is
// refused with its place, or told as a warning where it changes no tariff.

import { instantOfLocal } from '../tariff/legal-time.ts';
import {
  type DatePattern,
  type DayAction,
  defaultScriptTable,
  type Season,
  type SeasonStart,
  type SpecialDay,
  type TariffProgram,
  utcText,
  weekdays,
} from '../tariff/model.ts';
import { printPosixTz, summerTimeOf } from '../tariff/posix-tz.ts';
import { planProgram } from '../tariff/program-plan.ts';
import { type ResolvedZone, resolveZone } from '../tariff/zone.ts';
import {
  activityCalendarClass,
  type DlmsCalendar,
  type DlmsSeason,
  decodeActivityCalendar,
  decodeSpecialDays,
  type SpecialDaysTable,
  specialDaysClass,
} from './calendar.ts';
import { clockClass, type DlmsClock, decodeClock, zoneOfClock } from './clock.ts';
import { anyDateTime, type DlmsDate, type DlmsDateTime, type DlmsTime } from './date-time.ts';
import { dateTimeText, decodedActivityCalendar, decodedClock, decodedSpecialDays } from './decoded.ts';
import { DlmsError } from './error.ts';
import { nameText } from './names.ts';
import { attributesOf, type DlmsObject, type ObjectFile, type ProgramPart } from './object-file.ts';

export interface ImportOptions {
  /** Where the file does not say it: IANA name or POSIX TZ string. */
  readonly zone?: string | undefined;
  readonly defaultTariff?: number | undefined;
}

export interface Imported {
  readonly program: TariffProgram;
  readonly passive: TariffProgram | undefined;
  readonly warnings: readonly string[];
}

interface Objects {
  readonly clock: DlmsClock | undefined;
  readonly calendar: ReturnType<typeof decodeActivityCalendar>;
  readonly specialDays: SpecialDaysTable;
}

/**
 * @throws {DlmsError} file-dlms, file-axdr: an object is none; dlms-value: a program cannot say this
 * @throws {TariffError} what comes of it is no program, such as a week that names a day that there is not
 */
export function importProgram(file: ObjectFile, options: ImportOptions = {}): Imported {
  const warnings: string[] = [];
  const objects = readObjects(file, warnings);
  const { calendar, specialDays } = objects;
  const table = specialDaysOf(specialDays);
  checkZone(file.program?.zone, objects.clock);
  const program: TariffProgram = {
    ...baseOf(file.program, objects, options, warnings),
    ...calendarOf(calendar.active, 'active calendar', warnings),
    ...table,
  };
  // The passive program's times are in the active one's legal time.
  const { zone } = planProgram(program);
  if (isEmpty(calendar.passive)) return { program, passive: undefined, warnings };
  const passive: TariffProgram = {
    ...baseOf(withoutActivation(file.passive ?? file.program), objects, options, []),
    ...activationOf(calendar.activation, zone, warnings),
    ...calendarOf(calendar.passive, 'passive calendar', warnings),
    ...table,
    ...(file.passive?.specialDays === undefined ? {} : { specialDays: file.passive.specialDays as SpecialDay[] }),
  };
  planProgram(passive);
  return { program, passive, warnings };
}

// ---------------------------------------------------------------- objects

function readObjects(file: ObjectFile, warnings: string[]): Objects {
  const sign = file.deviation;
  const known = [clockClass, activityCalendarClass, specialDaysClass];
  for (const { classId, logicalName } of file.objects) {
    if (!known.includes(classId)) warnings.push(`class ${classId}, ${logicalName}: not used`);
  }
  const clock = one(file, clockClass, (object) =>
    checked(object, decodeClock(attributesOf(object), sign), decodedClock),
  );
  const calendar = one(file, activityCalendarClass, (object) =>
    checked(object, decodeActivityCalendar(attributesOf(object), sign), decodedActivityCalendar),
  );
  const specialDays = one(file, specialDaysClass, (object) =>
    checked(object, decodeSpecialDays(attributesOf(object)), decodedSpecialDays),
  );
  if (calendar === undefined) {
    throw new DlmsError('file-dlms', 'objects: expected an activity calendar (class 20), came none');
  }
  return { clock, calendar, specialDays: specialDays ?? { logicalName: '', entries: [] } };
}

function one<T>(file: ObjectFile, classId: number, read: (object: DlmsObject) => T): T | undefined {
  const found = file.objects.filter((object) => object.classId === classId);
  if (found.length > 1) {
    const names = found.map(({ logicalName }) => logicalName).join(', ');
    throw new DlmsError('file-dlms', `objects: expected one of class ${classId}, came ${found.length} (${names})`);
  }
  return found[0] === undefined ? undefined : read(found[0]);
}

/** What `decoded` and `logicalName` say has to be what the attributes say. */
function checked<T extends { readonly logicalName: string }>(
  object: DlmsObject,
  value: T,
  decode: (value: T) => object,
): T {
  const place = `class ${object.classId}, ${object.logicalName}`;
  if (value.logicalName !== object.logicalName) {
    throw new DlmsError(
      'file-dlms',
      `${place}: expected the logical name of its attribute 1, which is ${value.logicalName}`,
    );
  }
  if (object.decoded !== undefined && JSON.stringify(object.decoded) !== JSON.stringify(decode(value))) {
    throw new DlmsError(
      'file-dlms',
      `${place}: expected decoded to say what the attributes say; change the attributes and leave decoded out`,
    );
  }
  return value;
}

function isEmpty({ seasons, weeks, days }: DlmsCalendar): boolean {
  return seasons.length + weeks.length + days.length === 0;
}

// ---------------------------------------------------------------- what stands beside the objects

type Base = Pick<TariffProgram, 'zone' | 'defaultTariff' | 'dynamicFallback' | 'tariffs' | 'scripts' | 'activationUtc'>;

function baseOf(part: ProgramPart | undefined, { clock }: Objects, options: ImportOptions, warnings: string[]): Base {
  if (part !== undefined) {
    for (const key of ['zone', 'defaultTariff'] as const) {
      if (options[key] === undefined) continue;
      throw new DlmsError(
        'dlms-value',
        `${key}: the file says it (${JSON.stringify(part[key])}), came ${options[key]} too`,
      );
    }
    const { specialDays: _, ...said } = part;
    // `planProgram` checks it with the rest.
    return said as Base;
  }
  if (options.defaultTariff === undefined) {
    warnings.push('defaultTariff: DLMS/COSEM has none; 0 is taken');
  }
  return { zone: zoneOf(clock, options), defaultTariff: options.defaultTariff ?? 0 };
}

function zoneOf(clock: DlmsClock | undefined, options: ImportOptions): string {
  if (options.zone !== undefined) return options.zone;
  if (clock === undefined) {
    throw new DlmsError(
      'file-dlms',
      'objects: expected a clock (class 8), which says the zone, or the zone as an option',
    );
  }
  return printPosixTz(zoneOfClock(clock));
}

/** Attribute 10 says when the passive program takes effect. */
function withoutActivation(part: ProgramPart | undefined): ProgramPart | undefined {
  if (part === undefined) return undefined;
  const { activationUtc: _, ...rest } = part;
  return rest;
}

/** A zone by name beside a clock that has other rules: nobody could know which of them is meant. */
function checkZone(zone: unknown, clock: DlmsClock | undefined): void {
  if (typeof zone !== 'string' || clock === undefined) return;
  const named = resolveZone(zone);
  if (named.kind === 'list') return;
  const said = zoneOfClock(clock);
  if (sameRule(named, { kind: 'rule', rule: said, text: '' })) return;
  throw new DlmsError('file-dlms', `clock: expected the rules of ${zone}, came ${printPosixTz(said)}`);
}

const years = Array.from({ length: 28 }, (_, index) => 2026 + index);

function sameRule(a: ResolvedZone & { kind: 'rule' }, b: ResolvedZone & { kind: 'rule' }): boolean {
  const offsets = ({ rule }: typeof a) => [rule.standard.offsetSeconds, rule.summer?.offsetSeconds];
  return (
    JSON.stringify(offsets(a)) === JSON.stringify(offsets(b)) &&
    // All combinations of weekday and leap year come within 28 years.
    years.every((year) => JSON.stringify(summerTimeOf(a.rule, year)) === JSON.stringify(summerTimeOf(b.rule, year)))
  );
}

// ---------------------------------------------------------------- calendar

type Calendar = Pick<TariffProgram, 'name' | 'seasons' | 'weeks' | 'days'>;

function calendarOf({ name, seasons, weeks, days }: DlmsCalendar, place: string, warnings: string[]): Calendar {
  return {
    name: nameText(name),
    seasons: seasons.map((season, index) =>
      seasonOf(season, `${place}, season ${index + 1} (${nameText(season.name)})`, warnings),
    ),
    weeks: weeks.map((week) => ({ name: nameText(week.name), days: [...week.days] })),
    days: days.map(({ id, actions }) => ({
      id,
      actions: actions.map(
        ({ time, selector, logicalName }, index): DayAction => ({
          time: timeOf(time, `${place}, day ${id}, action ${index + 1}`),
          selector,
          ...(logicalName === defaultScriptTable ? {} : { logicalName }),
        }),
      ),
    })),
  };
}

function seasonOf({ name, start, week }: DlmsSeason, place: string, warnings: string[]): Season {
  const { month } = start;
  if (month === null) refuse(place, 'a month, summer-begin or summer-end', 'any month (FF)');
  if (typeof month === 'number' && start.day === null) {
    refuse(place, 'a day of the month', start.weekday === null ? 'any day (FF)' : 'any such weekday (day FF)');
  }
  if (start.offsetMinutes !== null) {
    warnings.push(`${place}: its deviation is left out: seasons start by the local time in force`);
  }
  const none = [start.hour, start.minute, start.second].every((part) => part === null || part === 0);
  const time = none ? {} : { time: timeOf(start, place) };
  return { name: nameText(name), start: { ...patternOf(start), ...time } as SeasonStart, week: nameText(week) };
}

function patternOf({ year, month, day, weekday }: DlmsDate): DatePattern {
  return {
    ...(year === null ? {} : { year }),
    ...(month === null ? {} : { month }),
    ...(day === null ? {} : { day }),
    ...(weekday === null ? {} : { weekday: weekdays[weekday - 1] }),
  };
}

/** `HH:MM`, with seconds where there are any. */
function timeOf({ hour, minute, second, hundredths }: DlmsTime, place: string): string {
  if (hour === null || minute === null) refuse(place, 'an hour and a minute', 'any (FF)');
  if ((hundredths ?? 0) !== 0) refuse(place, 'a whole second', `${hundredths} hundredths of one`);
  const parts = [hour, minute, ...((second ?? 0) === 0 ? [] : [second])];
  return parts.map((part) => String(part).padStart(2, '0')).join(':');
}

function specialDaysOf({ entries }: SpecialDaysTable): { specialDays: SpecialDay[] } {
  const inOrder = [...entries].sort((a, b) => a.index - b.index);
  const again = inOrder.find(({ index }, position) => inOrder[position + 1]?.index === index);
  if (again !== undefined) refuse('special days', 'each index once', `${again.index} twice`);
  return { specialDays: inOrder.map(({ date, dayId }) => ({ date: dateOf(date), day: dayId })) };
}

/** `2026-12-24` and `--12-25` where that says it. */
function dateOf(date: DlmsDate): SpecialDay['date'] {
  const { year, month, day, weekday } = date;
  if (typeof month !== 'number' || typeof day !== 'number' || weekday !== null) return patternOf(date);
  const [months, days] = [month, day].map((part) => String(part).padStart(2, '0'));
  return `${year === null ? '-' : String(year).padStart(4, '0')}-${months}-${days}`;
}

function activationOf(value: DlmsDateTime, zone: ResolvedZone, warnings: string[]): { activationUtc?: string } {
  if (JSON.stringify({ ...value, clockStatus: null }) === JSON.stringify(anyDateTime)) {
    warnings.push(
      'passive calendar: it has no activation time (attribute 10); as a program without activationUtc it takes effect at once',
    );
    return {};
  }
  const place = 'passive calendar, activation time';
  const { year, month, day, hour, minute, second, hundredths, offsetMinutes } = value;
  if (year === null || typeof month !== 'number' || typeof day !== 'number' || hour === null || minute === null) {
    return refuse(place, 'a date and a time', dateTimeText(value));
  }
  if ((hundredths ?? 0) !== 0) refuse(place, 'a whole second', dateTimeText(value));
  const local = Date.UTC(year, month - 1, day, hour, minute, second ?? 0) / 1000;
  return { activationUtc: utcText(offsetMinutes === null ? instantOfLocal(zone, local) : local - offsetMinutes * 60) };
}

function refuse(place: string, expected: string, came: string): never {
  throw new DlmsError('dlms-value', `${place}: expected ${expected}, came ${came}`);
}
