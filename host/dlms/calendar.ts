// Activity calendar (class 20) and special days table (class 11) of DLMS/COSEM (Blue Book), version 0:
// what their attributes hold, to A-XDR and back.
//
//   20  1 logical name  2 to 5 active: name, seasons, weeks, days  6 to 9 passive: the same  10 activation time
//       seasons   array of { name, start date-time (12 bytes), name of the week }
//       weeks     array of { name, ids of seven days, Monday first }
//       days      array of { id, array of { start time (4 bytes), logical name of the script table, selector } }
//   11  1 logical name  2 entries: array of { index, date (5 bytes), id of the day }
//
// What always holds: what is decoded is complete and of the standard's types; what is encoded decodes to the same.
import type { AxdrValue } from './axdr.ts';
import {
  type DeviationSign,
  type DlmsDate,
  type DlmsDateTime,
  type DlmsTime,
  decodeDate,
  decodeDateTime,
  decodeTime,
  encodeDate,
  encodeDateTime,
  encodeTime,
} from './date-time.ts';
import {
  array,
  arrayOf,
  at,
  logicalNameBytes,
  logicalNameText,
  number,
  numberOf,
  octets,
  octetsOf,
  type Place,
  structure,
  structureOf,
} from './shape.ts';

export interface DlmsSeason {
  readonly name: Uint8Array;
  readonly start: DlmsDateTime;
  readonly week: Uint8Array;
}

export interface DlmsWeek {
  readonly name: Uint8Array;
  /** Seven ids, Monday first. */
  readonly days: readonly number[];
}

export interface DlmsAction {
  readonly time: DlmsTime;
  /** Of the script table. */
  readonly logicalName: string;
  readonly selector: number;
}

export interface DlmsDayProfile {
  readonly id: number;
  readonly actions: readonly DlmsAction[];
}

export interface DlmsCalendar {
  readonly name: Uint8Array;
  readonly seasons: readonly DlmsSeason[];
  readonly weeks: readonly DlmsWeek[];
  readonly days: readonly DlmsDayProfile[];
}

export interface ActivityCalendar {
  readonly logicalName: string;
  readonly active: DlmsCalendar;
  readonly passive: DlmsCalendar;
  /** When the passive calendar becomes the active one; all unspecified for never. */
  readonly activation: DlmsDateTime;
}

export interface DlmsSpecialDay {
  readonly index: number;
  readonly date: DlmsDate;
  readonly dayId: number;
}

export interface SpecialDaysTable {
  readonly logicalName: string;
  readonly entries: readonly DlmsSpecialDay[];
}

/** Attributes by number. */
export type Attributes = Readonly<Record<number, AxdrValue>>;

export const activityCalendarClass = 20;
export const specialDaysClass = 11;
export const activityCalendarName = '0.0.13.0.0.255';
export const specialDaysName = '0.0.11.0.0.255';

/** In the place of a passive calendar that there is not. */
export const emptyCalendar: DlmsCalendar = { name: new Uint8Array(), seasons: [], weeks: [], days: [] };

// ---------------------------------------------------------------- encode

/** @throws {DlmsError} dlms-value */
export function encodeActivityCalendar(calendar: ActivityCalendar, sign: DeviationSign): Attributes {
  const [name, seasons, weeks, days] = encodeCalendar(calendar.active, sign);
  const [passiveName, passiveSeasons, passiveWeeks, passiveDays] = encodeCalendar(calendar.passive, sign);
  return {
    1: octets(logicalNameBytes(calendar.logicalName)),
    ...{ 2: name, 3: seasons, 4: weeks, 5: days },
    ...{ 6: passiveName, 7: passiveSeasons, 8: passiveWeeks, 9: passiveDays },
    10: octets(encodeDateTime(calendar.activation, sign)),
  };
}

type Four = readonly [AxdrValue, AxdrValue, AxdrValue, AxdrValue];

function encodeCalendar({ name, seasons, weeks, days }: DlmsCalendar, sign: DeviationSign): Four {
  return [
    octets(name),
    array(
      seasons.map((season) =>
        structure(octets(season.name), octets(encodeDateTime(season.start, sign)), octets(season.week)),
      ),
    ),
    array(weeks.map((week) => structure(octets(week.name), ...week.days.map((id) => number('unsigned', id))))),
    array(days.map(({ id, actions }) => structure(number('unsigned', id), array(actions.map(encodeAction))))),
  ];
}

function encodeAction({ time, logicalName, selector }: DlmsAction): AxdrValue {
  return structure(octets(encodeTime(time)), octets(logicalNameBytes(logicalName)), number('long-unsigned', selector));
}

/** @throws {DlmsError} dlms-value */
export function encodeSpecialDays({ logicalName, entries }: SpecialDaysTable): Attributes {
  return {
    1: octets(logicalNameBytes(logicalName)),
    2: array(
      entries.map(({ index, date, dayId }) =>
        structure(number('long-unsigned', index), octets(encodeDate(date)), number('unsigned', dayId)),
      ),
    ),
  };
}

// ---------------------------------------------------------------- decode

/** The attribute, or an error that says that it is missing. */
export type GetAttribute = (number: number) => AxdrValue;

/** @throws {DlmsError} file-dlms */
export function decodeActivityCalendar(attribute: GetAttribute, sign: DeviationSign): ActivityCalendar {
  const place = (number: number, what: string) => `activity calendar, attribute ${number} (${what})`;
  return {
    logicalName: logicalNameText(octetsOf(attribute(1), place(1, 'logical name')), place(1, 'logical name')),
    active: decodeCalendar(attribute, 2, sign),
    passive: decodeCalendar(attribute, 6, sign),
    activation: at(place(10, 'activation time'), () =>
      decodeDateTime(octetsOf(attribute(10), 'activation time', 'date-time'), sign),
    ),
  };

  function decodeCalendar(get: GetAttribute, first: number, deviation: DeviationSign): DlmsCalendar {
    return {
      name: octetsOf(get(first), place(first, 'name')),
      seasons: items(get(first + 1), place(first + 1, 'seasons'), (value, where) =>
        decodeSeason(value, where, deviation),
      ),
      weeks: items(get(first + 2), place(first + 2, 'weeks'), decodeWeek),
      days: items(get(first + 3), place(first + 3, 'days'), decodeDay),
    };
  }
}

function items<T>(value: AxdrValue, place: Place, decode: (item: AxdrValue, place: Place) => T): T[] {
  return arrayOf(value, place).map((item, index) => decode(item, `${place}, item ${index + 1}`));
}

function decodeSeason(value: AxdrValue, place: Place, sign: DeviationSign): DlmsSeason {
  const [name, start, week] = structureOf(value, 3, place) as [AxdrValue, AxdrValue, AxdrValue];
  return {
    name: octetsOf(name, `${place}, name`),
    start: at(`${place}, start`, () => decodeDateTime(octetsOf(start, 'date-time', 'date-time'), sign)),
    week: octetsOf(week, `${place}, week`),
  };
}

function decodeWeek(value: AxdrValue, place: Place): DlmsWeek {
  const [name, ...days] = structureOf(value, 8, place) as [AxdrValue, ...AxdrValue[]];
  return {
    name: octetsOf(name, `${place}, name`),
    days: days.map((day, index) => numberOf(day, 'unsigned', `${place}, day ${index + 1}`)),
  };
}

function decodeDay(value: AxdrValue, place: Place): DlmsDayProfile {
  const [id, actions] = structureOf(value, 2, place) as [AxdrValue, AxdrValue];
  return { id: numberOf(id, 'unsigned', `${place}, id`), actions: items(actions, `${place}, schedule`, decodeAction) };
}

function decodeAction(value: AxdrValue, place: Place): DlmsAction {
  const [time, logicalName, selector] = structureOf(value, 3, place) as [AxdrValue, AxdrValue, AxdrValue];
  return {
    time: at(`${place}, start time`, () => decodeTime(octetsOf(time, 'time', 'time'))),
    logicalName: logicalNameText(octetsOf(logicalName, `${place}, script table`), `${place}, script table`),
    selector: numberOf(selector, 'long-unsigned', `${place}, selector`),
  };
}

/** @throws {DlmsError} file-dlms */
export function decodeSpecialDays(attribute: GetAttribute): SpecialDaysTable {
  const place = 'special days table, attribute';
  return {
    logicalName: logicalNameText(octetsOf(attribute(1), `${place} 1`), `${place} 1`),
    entries: items(attribute(2), `${place} 2`, (value, where) => {
      const [index, date, dayId] = structureOf(value, 3, where) as [AxdrValue, AxdrValue, AxdrValue];
      return {
        index: numberOf(index, 'long-unsigned', `${where}, index`),
        date: at(`${where}, date`, () => decodeDate(octetsOf(date, 'date', 'date'))),
        dayId: numberOf(dayId, 'unsigned', `${where}, day`),
      };
    }),
  };
}
