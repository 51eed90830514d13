// Clock object of DLMS/COSEM (class 8, version 0; Blue Book): attributes from legal time and back.
//
//   1 logical name  2 time date-time  3 time zone i16, min  4 status u8  5 and 6 summer time's begin and end, date-time
//   7 deviation i8, min: by how much clocks go forward for summer time  8 enabled bool  9 clock base enum
//
// What always holds: offsets are local time minus UTC here; attribute 3 and the deviation inside of date-times take the
// sign that is asked for, attribute 7 does not. Begin and end are said by the clock that is in force before them, with
// its deviation, and are read with any deviation, or with none by that same clock.
import { offsetName, type PosixTz } from '../tariff/posix-tz.ts';
import type { Attributes, GetAttribute } from './calendar.ts';
import {
  anyDateTime,
  ClockStatusBit,
  type DeviationSign,
  type DlmsDateTime,
  dateTimeAt,
  decodeDateTime,
  deviationOf,
  encodeDateTime,
} from './date-time.ts';
import { DlmsError } from './error.ts';
import {
  at,
  booleanOf,
  logicalNameBytes,
  logicalNameText,
  number,
  numberOf,
  octets,
  octetsOf,
  refuse,
} from './shape.ts';
import { dateOfZoneDay, zoneDayOfDate } from './summer-time.ts';

export const clockClass = 8;
export const clockName = '0.0.1.0.0.255';

/** What a clock runs by; time from a network has no value of its own and is `NotDefined`. */
export enum ClockBase {
  NotDefined = 0,
  Crystal = 1,
  Mains50Hz = 2,
  Mains60Hz = 3,
  Gps = 4,
  Radio = 5,
}

export interface DlmsClock {
  readonly logicalName: string;
  readonly time: DlmsDateTime;
  /** Normal (standard) local time minus UTC. */
  readonly normalOffsetMinutes: number;
  /** `ClockStatusBit`s. */
  readonly status: number | null;
  readonly summerBegin: DlmsDateTime;
  readonly summerEnd: DlmsDateTime;
  /** Summer time minus normal time. */
  readonly summerShiftMinutes: number;
  /** Whether there is summer time. */
  readonly summerEnabled: boolean;
  readonly clockBase: number;
}

/** What the clock shows; left out where only its settings are of interest. */
export interface ClockReading {
  /** Nanoseconds since 1970, UTC; undefined while the meter has no time. */
  readonly utcNs: bigint | undefined;
  /** In force at that instant. */
  readonly offsetMinutes: number;
  /** `ClockStatusBit`s; null for unspecified. */
  readonly status: number | null;
}

/**
 * The clock object of a meter with this legal time.
 * @throws {DlmsError} dlms-value: an offset that is no whole minute, or a day that has no such date each year
 */
export function clockOf(zone: PosixTz, reading?: ClockReading): DlmsClock {
  const normal = wholeMinutes(zone.standard.offsetSeconds, 'standard time');
  const base = {
    logicalName: clockName,
    time: timeOf(reading),
    status: reading?.status ?? null,
    normalOffsetMinutes: normal,
    clockBase: ClockBase.NotDefined,
  };
  if (zone.summer === undefined) {
    return { ...base, summerBegin: anyDateTime, summerEnd: anyDateTime, summerShiftMinutes: 0, summerEnabled: false };
  }
  const summer = wholeMinutes(zone.summer.offsetSeconds, 'summer time');
  return {
    ...base,
    summerBegin: dateOfZoneDay(zone.summer.begin, normal, 0, 'begin of summer time'),
    summerEnd: dateOfZoneDay(zone.summer.end, summer, ClockStatusBit.SummerTime, 'end of summer time'),
    summerShiftMinutes: summer - normal,
    summerEnabled: true,
  };
}

function timeOf(reading: ClockReading | undefined): DlmsDateTime {
  if (reading === undefined) return anyDateTime;
  const { utcNs, offsetMinutes, status } = reading;
  return utcNs === undefined ? { ...anyDateTime, clockStatus: status } : dateTimeAt(utcNs, offsetMinutes, status);
}

function wholeMinutes(seconds: number, what: string): number {
  if (seconds % 60 !== 0) {
    throw new DlmsError('dlms-value', `${what}: expected an offset of whole minutes, came ${seconds} s`);
  }
  return seconds / 60;
}

/** Legal time as a clock object says it. @throws {DlmsError} dlms-value */
export function zoneOfClock(clock: DlmsClock): PosixTz {
  const { normalOffsetMinutes: normal, summerShiftMinutes: shift } = clock;
  const named = (minutes: number) => ({ name: offsetName(minutes * 60), offsetSeconds: minutes * 60 });
  if (!clock.summerEnabled || shift === 0) return { standard: named(normal) };
  return {
    standard: named(normal),
    summer: {
      ...named(normal + shift),
      begin: zoneDayOfDate(clock.summerBegin, normal, 'clock, attribute 5 (begin of summer time)'),
      end: zoneDayOfDate(clock.summerEnd, normal + shift, 'clock, attribute 6 (end of summer time)'),
    },
  };
}

/** @throws {DlmsError} dlms-value */
export function encodeClock(clock: DlmsClock, sign: DeviationSign): Attributes {
  return {
    1: octets(logicalNameBytes(clock.logicalName)),
    2: octets(encodeDateTime(clock.time, sign)),
    3: number('long', deviationOf(clock.normalOffsetMinutes, sign)),
    4: number('unsigned', clock.status ?? 0xff),
    5: octets(encodeDateTime(clock.summerBegin, sign)),
    6: octets(encodeDateTime(clock.summerEnd, sign)),
    7: number('integer', clock.summerShiftMinutes),
    8: { type: 'boolean', value: clock.summerEnabled },
    9: number('enum', clock.clockBase),
  };
}

/** @throws {DlmsError} file-dlms */
export function decodeClock(attribute: GetAttribute, sign: DeviationSign): DlmsClock {
  const place = (index: number) => `clock, attribute ${index}`;
  const dateTime = (index: number) =>
    at(place(index), () => decodeDateTime(octetsOf(attribute(index), 'date-time', 'date-time'), sign));
  const zone = numberOf(attribute(3), 'long', place(3));
  const status = numberOf(attribute(4), 'unsigned', place(4));
  const clockBase = numberOf(attribute(9), 'enum', place(9));
  if (!(clockBase in ClockBase)) refuse(place(9), 'a clock base from 0 to 5', `${clockBase}`);
  return {
    logicalName: logicalNameText(octetsOf(attribute(1), place(1)), place(1)),
    time: dateTime(2),
    normalOffsetMinutes: at(place(3), () => deviationOf(zone, sign)),
    status: status === 0xff ? null : status,
    summerBegin: dateTime(5),
    summerEnd: dateTime(6),
    summerShiftMinutes: numberOf(attribute(7), 'integer', place(7)),
    summerEnabled: booleanOf(attribute(8), place(8)),
    clockBase,
  };
}
