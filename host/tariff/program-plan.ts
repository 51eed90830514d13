// A tariff program with its names and ids resolved to the indices that the meter's block has: all checks that go beyond
// the shape, which core and host do alike (ProgramError in as/abi/codes.ts).
//
// What always holds: a plan has a block that the core takes; an error names the place, what was expected and what came.
import { ProgramFormat } from '../../as/abi/codes.ts';
import { TariffError, type TariffPath } from './errors.ts';
import {
  type DatePattern,
  type DayAction,
  daysOf,
  defaultScriptTable,
  patternOf,
  type SeasonStart,
  type SpecialDay,
  type TariffProgram,
  tariffProgramSchema,
  utcSeconds,
  weekdays,
} from './model.ts';
import { hasSummerTime } from './posix-tz.ts';
import { type ResolvedZone, resolveZone } from './zone.ts';

export interface PlannedScript {
  readonly logicalName: string;
  readonly selector: number;
  readonly tariff: number;
}

export interface PlannedDay {
  readonly id: number;
  readonly actions: readonly { readonly timeSeconds: number; readonly script: number }[];
}

export interface ProgramPlan {
  readonly name: string;
  /** Unix seconds; 0 for at once. */
  readonly activation: number;
  readonly zone: ResolvedZone;
  readonly defaultTariff: number;
  readonly dynamicFallback: 'calendar' | 'keep' | number;
  readonly scripts: readonly PlannedScript[];
  /** `week`: an index. */
  readonly seasons: readonly { readonly start: SeasonStart; readonly timeSeconds: number; readonly week: number }[];
  /** Indices of days, Monday first. */
  readonly weeks: readonly (readonly number[])[];
  readonly days: readonly PlannedDay[];
  readonly specialDays: readonly { readonly date: DatePattern; readonly day: number }[];
}

const latestUtc = 2 ** 32 - 1;
const commonYear = 2027;
const leapYear = 2028;

/** @throws {TariffError} tariff-value, tariff-zone */
export function planProgram(program: TariffProgram): ProgramPlan {
  checkShape(program);
  const { seasons = [], weeks = [], days = [], specialDays = [] } = program;
  const activation = program.activationUtc === undefined ? 0 : utcSeconds(program.activationUtc);
  if (activation < 0 || activation > latestUtc) {
    refuse(['activationUtc'], `activationUtc: expected a time from 1970 to 2106, came ${program.activationUtc}`);
  }
  const zone = resolveZone(program.zone);
  if (zone.kind === 'list') checkTransitions(zone.list.transitions.map(({ utc }) => utc));
  for (const number of Object.keys(program.tariffs ?? {})) {
    if (Number(number) > 65_535) refuse(['tariffs'], `tariffs: expected numbers from 0 to 65535, came ${number}`);
  }
  const scripts = new Scripts(program);
  const ids = unique(days, ({ id }) => id, 'days', 'id');
  const names = unique(weeks, ({ name }) => name, 'weeks', 'name');
  unique(seasons, ({ name }) => name, 'seasons', 'name');
  return {
    ...{ name: program.name, activation, zone, defaultTariff: program.defaultTariff },
    dynamicFallback: program.dynamicFallback ?? 'calendar',
    seasons: seasons.map(({ start, week, name }, index) => {
      const path = ['seasons', index];
      const place = `season ${index + 1} (${name})`;
      checkStart(start, zone, [...path, 'start'], place);
      const found = names.indexOf(week);
      if (found < 0) refuse([...path, 'week'], `${place}: expected ${oneOf(names, 'weeks')}, came ${quoted(week)}`);
      return { start, timeSeconds: timeOfDay(start.time), week: found };
    }),
    weeks: weeks.map((week, index) => {
      const place = `week ${index + 1} (${week.name})`;
      if (week.days !== undefined && weekdays.some((name) => week[name] !== undefined)) {
        refuse(['weeks', index], `${place}: expected days, or monday to sunday, not both`);
      }
      return daysOf(week).map((id, weekday) => {
        const path = ['weeks', index, ...(week.days === undefined ? [weekdays[weekday]!] : ['days', weekday])];
        const name = weekdays[weekday]!;
        if (id === undefined) return refuse(path, `${place}: expected the id of a day for ${name}, came none`);
        return indexOfDay(ids, id, path, `${place}, ${name}`);
      });
    }),
    days: days.map(({ id, actions }, index) => ({ id, actions: planActions(actions, id, ['days', index], scripts) })),
    specialDays: specialDays.map((special, index) => planSpecialDay(special, index, ids, zone)),
    // Last: the actions may have added to them.
    scripts: scripts.all(),
  };
}

function refuse(path: TariffPath, message: string): never {
  throw new TariffError('tariff-value', message, path);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

/** For callers whose program is not from a file, where the schema was not asked. */
function checkShape(program: TariffProgram): void {
  const result = tariffProgramSchema.safeParse(program);
  if (result.success) return;
  const [issue] = result.error.issues;
  const path = (issue?.path ?? []) as TariffPath;
  refuse(path, `${path.length === 0 ? 'the program' : path.join('.')}: ${issue?.message}`);
}

/** Keys of a list of which each may come once. */
function unique<Item, Key extends string | number>(
  items: readonly Item[],
  keyOf: (item: Item) => Key,
  list: string,
  key: string,
): Key[] {
  const keys = items.map(keyOf);
  for (const [index, value] of keys.entries()) {
    const before = keys.indexOf(value);
    if (before === index) continue;
    const came = `${JSON.stringify(value)} came as number ${before + 1} and ${index + 1}`;
    refuse([list, index, key], `${list}: expected each ${key} once, ${came}`);
  }
  return keys;
}

function oneOf(known: readonly (string | number)[], list: string): string {
  return known.length === 0 ? `one of ${list}, of which there are none` : `one of ${known.map(String).join(', ')}`;
}

function indexOfDay(ids: readonly number[], id: number, path: TariffPath, place: string): number {
  const found = ids.indexOf(id);
  if (found < 0) refuse(path, `${place}: expected the id of a day, ${oneOf(ids, 'days')}, came ${id}`);
  return found;
}

/** Seconds since midnight; a text is taken to be of the right shape. */
function timeOfDay(text = '00:00'): number {
  const [hours = 0, minutes = 0, seconds = 0] = text.split(':').map(Number);
  return hours * 3600 + minutes * 60 + seconds;
}

function checkTransitions(times: readonly string[]): void {
  let before = 0;
  for (const [index, utc] of times.entries()) {
    const path = ['zone', 'transitions', index, 'utc'];
    const at = utcSeconds(utc);
    const place = `zone, transition ${index + 1}`;
    if (at < 1 || at > latestUtc) refuse(path, `${place}: expected a time from 1970 to 2106, came ${utc}`);
    if (at <= before) refuse(path, `${place}: expected a time after that of the one before, came ${utc}`);
    before = at;
  }
}

function checkStart(start: SeasonStart, zone: ResolvedZone, path: TariffPath, place: string): void {
  if (typeof start.month === 'number' && start.day === undefined) {
    refuse([...path, 'day'], `${place}: expected the day on which it starts, came none`);
  }
  // Each year has to have it.
  checkDate(start, zone, path, place, commonYear);
}

function daysInMonth(month: number, year: number): number {
  return new Date(Date.UTC(year, month, 0)).getUTCDate();
}

/** Days are those of `anyYear` where the date says no year. */
function checkDate(date: DatePattern, zone: ResolvedZone, path: TariffPath, place: string, anyYear: number): void {
  const { year, month, day } = date;
  if (typeof month === 'string') {
    if (day !== undefined || date.weekday !== undefined) {
      const key = day === undefined ? 'weekday' : 'day';
      refuse([...path, key], `${place}: expected no ${key} beside ${month}, which is a date; came ${date[key]}`);
    }
    if (zone.kind === 'rule' && !hasSummerTime(zone.rule)) {
      const instead = 'expected a month from 1 to 12, as this zone has no summer time';
      refuse([...path, 'month'], `${place}: ${instead}, came ${month}`);
    }
    return;
  }
  if (typeof day !== 'number') return;
  const most = month === undefined ? 31 : daysInMonth(month, year ?? anyYear);
  if (day >= 1 && day <= most) return;
  const where = month === undefined ? '' : ` in month ${month}${year === undefined ? '' : ` of ${year}`}`;
  refuse([...path, 'day'], `${place}: expected a day from 1 to ${most}${where}, came ${day}`);
}

function planSpecialDay(
  special: SpecialDay,
  index: number,
  ids: readonly number[],
  zone: ResolvedZone,
): ProgramPlan['specialDays'][number] {
  const place = `special day ${index + 1}`;
  const path = ['specialDays', index];
  const date = patternOf(special.date);
  const inText = typeof special.date === 'string';
  const { year, month } = date;
  if (inText && (typeof month !== 'number' || month < 1 || month > 12 || (year ?? 1970) < 1970 || (year ?? 0) > 2105)) {
    refuse([...path, 'date'], `${place}: expected a month from 01 to 12 of 1970 to 2105, came ${special.date}`);
  }
  checkDate(date, zone, [...path, 'date'], place, leapYear);
  return { date, day: indexOfDay(ids, special.day, [...path, 'day'], place) };
}

function planActions(
  actions: readonly DayAction[],
  id: number,
  path: TariffPath,
  scripts: Scripts,
): PlannedDay['actions'] {
  let before = -1;
  return actions.map((action, index) => {
    const at = [...path, 'actions', index];
    const place = `day ${id}, action ${index + 1} (${action.time})`;
    const timeSeconds = timeOfDay(action.time);
    if (timeSeconds <= before) {
      refuse([...at, 'time'], `${place}: expected a time after ${actions[index - 1]!.time}, that of the one before`);
    }
    before = timeSeconds;
    return { timeSeconds, script: scripts.of(action, at, place) };
  });
}

/** The scripts of a program, and those that its actions need without saying so. */
class Scripts {
  readonly #list: PlannedScript[];
  readonly #said: boolean;

  constructor({ scripts }: TariffProgram) {
    this.#said = scripts !== undefined;
    this.#list = (scripts ?? []).map((script) => ({
      ...script,
      logicalName: script.logicalName ?? defaultScriptTable,
    }));
    unique(this.#list, ({ logicalName, selector }) => `${logicalName} selector ${selector}`, 'scripts', 'selector');
  }

  all(): readonly PlannedScript[] {
    return this.#list;
  }

  /** Index of the script that an action runs. */
  of(action: DayAction, path: TariffPath, place: string): number {
    const { tariff, selector, logicalName } = action;
    if ((tariff === undefined) === (selector === undefined)) {
      refuse(path, `${place}: expected either tariff or selector, came ${tariff === undefined ? 'neither' : 'both'}`);
    }
    if (tariff !== undefined) {
      if (logicalName !== undefined) {
        refuse([...path, 'logicalName'], `${place}: expected no logicalName beside tariff: it is of a selector`);
      }
      const found = this.#list.findIndex((script) => script.tariff === tariff);
      return found >= 0 ? found : this.#add(defaultScriptTable, tariff, path, place);
    }
    return this.#bySelector(logicalName ?? defaultScriptTable, selector!, path, place);
  }

  #bySelector(logicalName: string, selector: number, path: TariffPath, place: string): number {
    const found = this.#find(logicalName, selector);
    if (found >= 0) return found;
    if (!this.#said) return this.#add(logicalName, selector, path, place);
    const known = this.#list.filter((script) => script.logicalName === logicalName).map((script) => script.selector);
    const expected = `expected a selector of ${logicalName}, ${oneOf(known, 'scripts')}`;
    return refuse([...path, 'selector'], `${place}: ${expected}, came ${selector}`);
  }

  #find(logicalName: string, selector: number): number {
    return this.#list.findIndex((script) => script.logicalName === logicalName && script.selector === selector);
  }

  /** A selector that nobody has said anything about stands for the tariff of the same number. */
  #add(logicalName: string, number: number, path: TariffPath, place: string): number {
    const other = this.#list[this.#find(logicalName, number)];
    if (other !== undefined) {
      const clash = `selector ${number} of ${logicalName} stands for tariff ${other.tariff}`;
      refuse(
        [...path, 'tariff'],
        `${place}: expected a tariff that scripts have, came ${number}, and ${clash}; add one to scripts`,
      );
    }
    if (this.#list.length === ProgramFormat.ScriptsMax) {
      refuse(path, `${place}: expected at most ${ProgramFormat.ScriptsMax} tariffs and scripts, came another one`);
    }
    return this.#list.push({ logicalName, selector: number, tariff: number }) - 1;
  }
}
