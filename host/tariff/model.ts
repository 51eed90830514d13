// Tariff programs and dynamic tariffs as people and programs write them, in YAML or JSON: types, and schemas that check
// the shape. What must fit together (a season's week, a week's days) is checked where the meter's block is made.
//
// What always holds: a value of these types is as it was written, nothing is filled in; times of day and dates are local
// (legal) time, and what is named `utc` is UTC; no text is longer than the block or DLMS/COSEM takes.
import { z } from 'zod';
import { DynamicFormat, ProgramFormat } from '../../as/abi/codes.ts';
import { settingMeta } from '../config/schema.ts';

const tariffLimits = {
  nameBytes: 23,
  labelBytes: 64,
  tariff: { least: 0, most: 65_535 },
  dayId: { least: 0, most: 255 },
  year: { least: 1970, most: 2105 },
  offsetMinutes: { least: -1440, most: 1440 },
} as const;

/** Logical name of the tariffication script table (DLMS/COSEM Blue Book, class 9), where none is said. */
export const defaultScriptTable = '0.0.10.0.100.255';

export const weekdays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const;
export type Weekday = (typeof weekdays)[number];

/** Legal time and a calendar of tariffs. */
export interface TariffProgram {
  /** 1 to 23 bytes. */
  readonly name: string;
  /** When it takes effect, ISO 8601 in UTC; at once where it is missing. */
  readonly activationUtc?: string | undefined;
  /** IANA name (Europe/Berlin), POSIX TZ string (CET-1CEST,M3.5.0,M10.5.0/3), or a list of transitions. */
  readonly zone: string | ZoneList;
  /** What applies where no season does. */
  readonly defaultTariff: number;
  /** What applies after the last of the dynamic tariffs: the calendar (default), the last of them, or a tariff. */
  readonly dynamicFallback?: 'calendar' | 'keep' | number | undefined;
  /** Names of tariffs for people, by number. The meter does not have them. */
  readonly tariffs?: Readonly<Record<string, string>> | undefined;
  /** What selectors of script tables stand for. An action that says a tariff alone needs none here. */
  readonly scripts?: readonly TariffScript[] | undefined;
  readonly seasons?: readonly Season[] | undefined;
  readonly weeks?: readonly Week[] | undefined;
  readonly days?: readonly Day[] | undefined;
  /** The first that fits a date counts. */
  readonly specialDays?: readonly SpecialDay[] | undefined;
}

export interface ZoneOffset {
  /** Local time minus UTC. */
  readonly offsetMinutes: number;
  readonly summer: boolean;
}

export interface ZoneTransition extends ZoneOffset {
  readonly utc: string;
}

export interface ZoneList {
  /** Before the first transition. */
  readonly initial: ZoneOffset;
  /** In ascending order. */
  readonly transitions: readonly ZoneTransition[];
}

export interface TariffScript {
  /** Six numbers; `defaultScriptTable` where it is missing. */
  readonly logicalName?: string | undefined;
  readonly selector: number;
  readonly tariff: number;
}

export interface Season {
  /** Not in the meter's block: kept for people and for DLMS/COSEM. */
  readonly name: string;
  readonly start: SeasonStart;
  /** Name of a week. */
  readonly week: string;
}

export type SummerTimeDate = 'summer-begin' | 'summer-end';
export type DayOfMonth = number | 'last' | 'second-last';

export interface SeasonStart {
  /** Each year where it is missing. */
  readonly year?: number | undefined;
  /** `summer-begin` and `summer-end`: the local date on which summer time does so, which needs no day. */
  readonly month: number | SummerTimeDate;
  readonly day?: DayOfMonth | undefined;
  /** The first such day at or after `day`; with `last` and `second-last` the last or second last of the month. */
  readonly weekday?: Weekday | undefined;
  /** `HH:MM` or `HH:MM:SS`; midnight where it is missing. */
  readonly time?: string | undefined;
}

/** Days by their ids: one for each day of the week, or seven in `days`, Monday first. */
export interface Week extends Readonly<Partial<Record<Weekday, number | undefined>>> {
  /** As a season's. */
  readonly name: string;
  readonly days?: readonly number[] | undefined;
}

export interface Day {
  readonly id: number;
  /** In ascending order of time. Before the first of them the last one of the day before goes on. */
  readonly actions: readonly DayAction[];
}

/** Says either a tariff, or a script by its selector. */
export interface DayAction {
  /** `HH:MM` or `HH:MM:SS`. */
  readonly time: string;
  readonly tariff?: number | undefined;
  readonly selector?: number | undefined;
  /** Of `selector`; `defaultScriptTable` where it is missing. */
  readonly logicalName?: string | undefined;
}

export interface DatePattern {
  readonly year?: number | undefined;
  readonly month?: number | SummerTimeDate | undefined;
  readonly day?: DayOfMonth | undefined;
  readonly weekday?: Weekday | undefined;
}

export interface SpecialDay {
  /** `2026-12-24`, `--12-25` for each year, or a pattern. */
  readonly date: string | DatePattern;
  /** Id of a day. */
  readonly day: number;
}

/** Tariffs that switch at absolute times, such as those of a day-ahead market. */
export interface DynamicTariffs {
  /** In ascending order; none to take back those that the meter has. */
  readonly entries: readonly DynamicEntry[];
  /** End of the last one; may be missing where there are none. */
  readonly endUtc?: string | undefined;
}

export interface DynamicEntry {
  readonly utc: string;
  readonly tariff: number;
}

const { tariff, dayId, year, offsetMinutes, nameBytes, labelBytes } = tariffLimits;

function whole({ least, most }: { readonly least: number; readonly most: number }) {
  const error = `expected a whole number from ${least} to ${most}`;
  return z.int({ error }).min(least, { error }).max(most, { error });
}

function text(most: number) {
  const error = `expected a text of 1 to ${most} bytes without control characters`;
  return z.string({ error }).refine((value) => isText(value, most), { error });
}

function isText(value: string, most: number): boolean {
  const bytes = Buffer.byteLength(value);
  return bytes >= 1 && bytes <= most && !/\p{Cc}/u.test(value);
}

function list<Item extends z.ZodType>(item: Item, most: number, what: string) {
  return z.array(item).max(most, { error: `expected at most ${most} ${what}` });
}

const utcError = 'expected a time in UTC to the second, such as 2026-03-29T01:00:00Z';
const utcShape = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$/;
/** A time in UTC to the second; seconds may be left out. */
export const utcSchema = z
  .string({ error: utcError })
  .regex(utcShape, { error: utcError, abort: true })
  .refine(isUtc, { error: utcError });

function isUtc(value: string): boolean {
  // Date.parse takes 31 February for 3 March.
  const at = Date.parse(value);
  return !Number.isNaN(at) && new Date(at).toISOString().slice(0, 16) === value.slice(0, 16);
}

const timeError = 'expected a time of day from 00:00:00 to 23:59:59, such as 06:00, in quotes';
const time = z.string({ error: timeError }).regex(/^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$/, { error: timeError });

const logicalName = z
  .string()
  .regex(/^(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])(\.(\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5])){5}$/, {
    error: `expected a logical name of six numbers from 0 to 255, such as ${defaultScriptTable}`,
  });

const weekday = z.enum(weekdays, { error: `expected one of ${weekdays.join(', ')}` });
const summerDates = ['summer-begin', 'summer-end'] as const;
const month = z.union([whole({ least: 1, most: 12 }), z.enum(summerDates)], {
  error: `expected a month from 1 to 12, ${summerDates.join(' or ')}`,
});
const dayOfMonth = z.union([whole({ least: 1, most: 31 }), z.enum(['last', 'second-last'])], {
  error: 'expected a day from 1 to 31, last or second-last',
});

const offset = { offsetMinutes: whole(offsetMinutes), summer: z.boolean() };

const zoneListSchema: z.ZodType<ZoneList> = z.strictObject({
  initial: z.strictObject(offset),
  transitions: list(z.strictObject({ utc: utcSchema, ...offset }), ProgramFormat.TransitionsMax, 'transitions'),
});

const script = z.strictObject({ logicalName: logicalName.optional(), selector: whole(tariff), tariff: whole(tariff) });

const season = z.strictObject({
  name: text(labelBytes),
  start: z.strictObject({
    year: whole(year).optional(),
    month,
    day: dayOfMonth.optional(),
    weekday: weekday.optional(),
    time: time.optional(),
  }),
  week: text(labelBytes),
});

const dayOfWeek = whole(dayId).optional();
const week = z.strictObject({
  name: text(labelBytes),
  days: z.array(whole(dayId)).length(7, { error: 'expected seven ids of days, Monday first' }).optional(),
  monday: dayOfWeek,
  tuesday: dayOfWeek,
  wednesday: dayOfWeek,
  thursday: dayOfWeek,
  friday: dayOfWeek,
  saturday: dayOfWeek,
  sunday: dayOfWeek,
});

const action = z.strictObject({
  time,
  tariff: whole(tariff).optional(),
  selector: whole(tariff).optional(),
  logicalName: logicalName.optional(),
});

const day = z.strictObject({
  id: whole(dayId),
  actions: list(action, ProgramFormat.ActionsMax, 'actions a day').min(1, { error: 'expected at least one action' }),
});

const dateError = 'expected a date such as 2026-12-24, or --12-25 for each year';
const datePattern = z.strictObject({
  year: whole(year).optional(),
  month: month.optional(),
  day: dayOfMonth.optional(),
  weekday: weekday.optional(),
});
const specialDay = z.strictObject({
  date: z.union([z.string().regex(/^(\d{4}|-)-\d\d-\d\d$/, { error: dateError }), datePattern]),
  day: whole(dayId),
});

/** Of the shape alone; `encodeProgram` checks what must fit together. */
export const tariffProgramSchema: z.ZodType<TariffProgram> = z.strictObject({
  name: text(nameBytes).meta(settingMeta({ description: 'Name of the program.', example: 'household-2026' })),
  activationUtc: utcSchema.optional(),
  zone: z.union([z.string().min(1), zoneListSchema]),
  defaultTariff: whole(tariff),
  dynamicFallback: z
    .union([z.enum(['calendar', 'keep']), whole(tariff)], {
      error: 'expected calendar, keep, or the number of a tariff',
    })
    .optional(),
  tariffs: z
    .record(z.string().regex(/^(0|[1-9]\d{0,4})$/, { error: 'expected the number of a tariff' }), text(labelBytes))
    .optional(),
  scripts: list(script, ProgramFormat.ScriptsMax, 'scripts').optional(),
  seasons: list(season, ProgramFormat.SeasonsMax, 'seasons').optional(),
  weeks: list(week, ProgramFormat.WeeksMax, 'weeks').optional(),
  days: list(day, ProgramFormat.DaysMax, 'days').optional(),
  specialDays: list(specialDay, ProgramFormat.SpecialDaysMax, 'special days').optional(),
});

/** Of the shape alone; `encodeDynamic` checks what must fit together. */
export const dynamicTariffsSchema: z.ZodType<DynamicTariffs> = z.strictObject({
  entries: list(z.strictObject({ utc: utcSchema, tariff: whole(tariff) }), DynamicFormat.EntriesMax, 'dynamic tariffs'),
  endUtc: utcSchema.optional(),
});

/** Unix seconds of a time in UTC as the types have it. */
export function utcSeconds(text: string): number {
  return Date.parse(text) / 1000;
}

/** `2026-03-29T01:00:00Z` of Unix seconds. */
export function utcText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** A special day's date, whatever the way in which it is written. A text is taken to be of the right shape. */
export function patternOf(date: SpecialDay['date']): DatePattern {
  if (typeof date !== 'string') return date;
  const [, years, months, days] = /^(\d{4}|-)-(\d\d)-(\d\d)$/.exec(date) ?? [];
  return { ...(years === '-' ? {} : { year: Number(years) }), month: Number(months), day: Number(days) };
}

/** Ids of a week's days, Monday first; undefined where one is missing. */
export function daysOf(week: Week): readonly (number | undefined)[] {
  return week.days ?? weekdays.map((name) => week[name]);
}
