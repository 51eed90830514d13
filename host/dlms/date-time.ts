// Date-time, date and time of DLMS/COSEM (Blue Book) as bytes and as what they say.
//
//   date-time, 12 bytes   date | time | deviation i16, minutes | clock status u8
//   date, 5 bytes         year u16 | month u8 | day u8 | weekday u8 (1 Monday to 7)
//   time, 4 bytes         hour u8 | minute u8 | second u8 | hundredths u8
//
// What always holds: null stands for "not specified" (FF, FFFF, deviation 8000); an offset is local time minus UTC,
// positive east, whatever sign the deviation has on the wire. What is encoded decodes to the same.
import { DlmsError } from './error.ts';

/** Month FE and FD: that in which summer time begins and ends. */
export type DlmsMonth = number | 'summer-begin' | 'summer-end';
/** Day FE and FD of the month; with a weekday: the last and second last such weekday. */
export type DlmsDay = number | 'last' | 'second-last';

export interface DlmsDate {
  readonly year: number | null;
  readonly month: DlmsMonth | null;
  readonly day: DlmsDay | null;
  /** 1 Monday to 7 Sunday. With a day, and no year: the first such weekday on or after that day. */
  readonly weekday: number | null;
}

export interface DlmsTime {
  readonly hour: number | null;
  readonly minute: number | null;
  readonly second: number | null;
  readonly hundredths: number | null;
}

export interface DlmsDateTime extends DlmsDate, DlmsTime {
  /** Local time minus UTC. */
  readonly offsetMinutes: number | null;
  /** `ClockStatusBit`s. */
  readonly clockStatus: number | null;
}

/** Invalid and doubtful never stand together. */
export enum ClockStatusBit {
  Invalid = 0x01,
  Doubtful = 0x02,
  DifferentBase = 0x04,
  InvalidStatus = 0x08,
  SummerTime = 0x80,
}

/**
 * The deviation's sign: `dlms` is local time to UTC (Central Europe: -60), as the standard has it; `inverted` is UTC to
 * local time, as in India, Saudi Arabia and Italy.
 */
export type DeviationSign = 'dlms' | 'inverted';
export const deviationSigns: readonly DeviationSign[] = ['dlms', 'inverted'];

const unspecified = 0xff;
const unspecifiedYear = 0xffff;
const unspecifiedDeviation = -0x8000;
const summerBeginMonth = 0xfe;
const summerEndMonth = 0xfd;
const lastDay = 0xfe;
const secondLastDay = 0xfd;

/** Minutes, either way: the line islands are 14 hours ahead. */
const offsetMinutesMost = 840;

export const anyDate: DlmsDate = { year: null, month: null, day: null, weekday: null };
export const anyDateTime: DlmsDateTime = {
  ...anyDate,
  ...{ hour: null, minute: null, second: null, hundredths: null },
  ...{ offsetMinutes: null, clockStatus: null },
};

// ---------------------------------------------------------------- encode

/** 5 bytes. @throws {DlmsError} dlms-value */
export function encodeDate(date: DlmsDate): Uint8Array {
  checkDate(date);
  const { year, month, day, weekday } = date;
  const bytes = Buffer.alloc(5);
  bytes.writeUInt16BE(year ?? unspecifiedYear);
  bytes[2] =
    month === 'summer-begin' ? summerBeginMonth : month === 'summer-end' ? summerEndMonth : (month ?? unspecified);
  bytes[3] = day === 'last' ? lastDay : day === 'second-last' ? secondLastDay : (day ?? unspecified);
  bytes[4] = weekday ?? unspecified;
  return Uint8Array.from(bytes);
}

/** 4 bytes. @throws {DlmsError} dlms-value */
export function encodeTime(time: DlmsTime): Uint8Array {
  checkTime(time);
  const { hour, minute, second, hundredths } = time;
  return Uint8Array.of(hour ?? unspecified, minute ?? unspecified, second ?? unspecified, hundredths ?? unspecified);
}

/** 12 bytes. @throws {DlmsError} dlms-value */
export function encodeDateTime(value: DlmsDateTime, sign: DeviationSign): Uint8Array {
  const { offsetMinutes, clockStatus } = value;
  const tail = Buffer.alloc(3);
  tail.writeInt16BE(offsetMinutes === null ? unspecifiedDeviation : deviationOf(offsetMinutes, sign));
  if (clockStatus !== null) checkStatus(clockStatus);
  tail[2] = clockStatus ?? unspecified;
  return Uint8Array.from([...encodeDate(value), ...encodeTime(value), ...tail]);
}

/** Local time minus UTC as a deviation with this sign, and back: it is its own inverse. @throws {DlmsError} dlms-value */
export function deviationOf(offsetMinutes: number, sign: DeviationSign): number {
  check(
    'deviation',
    offsetMinutes,
    Number.isInteger(offsetMinutes) && Math.abs(offsetMinutes) <= offsetMinutesMost,
    `whole minutes from ${-offsetMinutesMost} to ${offsetMinutesMost}`,
  );
  return sign === 'inverted' || offsetMinutes === 0 ? offsetMinutes : -offsetMinutes;
}

// ---------------------------------------------------------------- decode

/** @throws {DlmsError} file-dlms */
export function decodeDate(bytes: Uint8Array): DlmsDate {
  return decoding('date', bytes, 5, readDate);
}

/** @throws {DlmsError} file-dlms */
export function decodeTime(bytes: Uint8Array): DlmsTime {
  return decoding('time', bytes, 4, readTime);
}

/** @throws {DlmsError} file-dlms */
export function decodeDateTime(bytes: Uint8Array, sign: DeviationSign): DlmsDateTime {
  return decoding('date-time', bytes, 12, (view) => {
    const deviation = view.readInt16BE(9);
    const status = orNull(view[11]!);
    if (status !== null) checkStatus(status);
    return {
      ...readDate(view.subarray(0, 5)),
      ...readTime(view.subarray(5, 9)),
      offsetMinutes: deviation === unspecifiedDeviation ? null : deviationOf(deviation, sign),
      clockStatus: status,
    };
  });
}

function decoding<T>(what: string, bytes: Uint8Array, length: number, read: (view: Buffer) => T): T {
  const view = Buffer.from(bytes);
  const hex = view.toString('hex');
  if (view.length !== length) {
    throw new DlmsError('file-dlms', `${what}: expected ${length} bytes, came ${view.length} (${hex})`);
  }
  try {
    return read(view);
  } catch (cause) {
    if (!(cause instanceof DlmsError)) throw cause;
    throw new DlmsError('file-dlms', `${what} ${hex}: ${cause.message}`, { cause });
  }
}

function readDate(view: Buffer): DlmsDate {
  const year = view.readUInt16BE(0);
  const month = view[2]!;
  const day = view[3]!;
  const date: DlmsDate = {
    year: year === unspecifiedYear ? null : year,
    month: month === summerBeginMonth ? 'summer-begin' : month === summerEndMonth ? 'summer-end' : orNull(month),
    day: day === lastDay ? 'last' : day === secondLastDay ? 'second-last' : orNull(day),
    weekday: orNull(view[4]!),
  };
  checkDate(date);
  return date;
}

function readTime(view: Buffer): DlmsTime {
  const [hour, minute, second, hundredths] = [...view].map(orNull) as [
    number | null,
    number | null,
    number | null,
    number | null,
  ];
  const time: DlmsTime = { hour, minute, second, hundredths };
  checkTime(time);
  return time;
}

function orNull(byte: number): number | null {
  return byte === unspecified ? null : byte;
}

// ---------------------------------------------------------------- what can be

function check(what: string, value: unknown, holds: boolean, expected: string): void {
  if (!holds) throw new DlmsError('dlms-value', `${what}: expected ${expected}, came ${value}`);
}

function checkRange(what: string, value: number | null, least: number, most: number): void {
  const holds = value === null || (Number.isInteger(value) && value >= least && value <= most);
  check(what, value, holds, `from ${least} to ${most}`);
}

function checkTime({ hour, minute, second, hundredths }: DlmsTime): void {
  checkRange('hour', hour, 0, 23);
  checkRange('minute', minute, 0, 59);
  checkRange('second', second, 0, 59);
  checkRange('hundredths', hundredths, 0, 99);
}

function checkStatus(status: number): void {
  const both = ClockStatusBit.Invalid | ClockStatusBit.Doubtful;
  checkRange('clock status', status, 0, 0xfe);
  check('clock status', `0x${status.toString(16)}`, (status & both) !== both, 'invalid or doubtful, not both');
}

function checkDate({ year, month, day, weekday }: DlmsDate): void {
  checkRange('year', year, 0, 0xfffe);
  if (typeof month !== 'string') checkRange('month', month, 1, 12);
  checkRange('weekday', weekday, 1, 7);
  if (typeof day === 'string' || day === null) return;
  checkRange('day', day, 1, typeof month === 'number' ? daysOfMonth(month, year) : 31);
  if (year === null || typeof month !== 'number' || weekday === null) return;
  const came = weekdayOf(year, month, day);
  check('weekday', weekday, weekday === came, `${came} on ${year}-${month}-${day}`);
}

/** Of a year that is not said: as many as there may be. */
export function daysOfMonth(month: number, year: number | null): number {
  const leapYear = 2000;
  return new Date(utcMs(year ?? leapYear, month + 1, 0)).getUTCDate();
}

/** 1 Monday to 7 Sunday, Gregorian. */
export function weekdayOf(year: number, month: number, day: number): number {
  return new Date(utcMs(year, month, day)).getUTCDay() || 7;
}

// Date.UTC takes years below 100 for those of the twentieth century.
function utcMs(year: number, month: number, day: number): number {
  return new Date(0).setUTCFullYear(year, month - 1, day);
}

/**
 * The date-time of an instant, to its hundredth of a second, rounded down.
 * @param utcNs nanoseconds since 1970, UTC as POSIX counts it
 * @param offsetMinutes local time minus UTC
 */
export function dateTimeAt(utcNs: bigint, offsetMinutes: number, clockStatus: number | null): DlmsDateTime {
  const local = new Date(Number(utcNs / 1_000_000n - (utcNs % 1_000_000n < 0n ? 1n : 0n)) + offsetMinutes * 60_000);
  const [year, month, day] = [local.getUTCFullYear(), local.getUTCMonth() + 1, local.getUTCDate()];
  const value: DlmsDateTime = {
    ...{ year, month, day, weekday: weekdayOf(year, month, day) },
    ...{ hour: local.getUTCHours(), minute: local.getUTCMinutes(), second: local.getUTCSeconds() },
    hundredths: Math.floor(local.getUTCMilliseconds() / 10),
    ...{ offsetMinutes, clockStatus },
  };
  checkDate(value);
  return value;
}

/**
 * The instant that a date-time says.
 * @returns Unix milliseconds; undefined where something that is needed is not specified
 */
export function instantMsOf(value: DlmsDateTime): number | undefined {
  const { year, month, day, hour, minute, second, hundredths, offsetMinutes } = value;
  if (year === null || typeof month !== 'number' || typeof day !== 'number') return undefined;
  if (hour === null || minute === null || offsetMinutes === null) return undefined;
  const seconds = (hour * 60 + minute - offsetMinutes) * 60 + (second ?? 0);
  return utcMs(year, month, day) + seconds * 1000 + (hundredths ?? 0) * 10;
}
