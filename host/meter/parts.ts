// What a meter in software takes from outside: clock, storage, real-time clock, entropy.
// Nothing here reads the machine's time or randomness by itself, so a simulation decides all of it.
import {
  ReadingsField,
  RtcField,
  RtcStatus,
  TariffSwitchField,
  TemperatureField,
  TemperatureStatus,
} from '../../as/abi/codes.ts';
import { nsPerSecond } from '../text/utc.ts';

/** Takes back what was asked for; does nothing when it has happened or was taken back before. */
export type Cancel = () => void;

/** The free-running local counter of a meter. */
export interface MeterClock {
  /** Ticks per second, nominal. */
  readonly tickHz: number;
  /** The counter now; never goes back. */
  nowTicks(): bigint;
  /** Calls back once when the counter has reached `tick`, never from within this call. */
  at(tick: bigint, callback: () => void): Cancel;
}

/** Non-volatile storage. A rejected promise or an exception is reported to the core as a failure. */
export interface MeterStorage {
  /** Size in bytes. */
  readonly bytes: number;
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>;
  /** Returns (or resolves) when the bytes are there for good. */
  write(offset: number, bytes: Uint8Array): void | Promise<void>;
}

/** A date as a real-time clock counts it: UTC, Gregorian, whole seconds. */
export interface RtcDate {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  /** 1 to 31. */
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

/** A battery-backed clock beside the meter's own counter. */
export interface MeterRtc {
  /** The date is left out where the status is `Absent`. */
  read(): { status: RtcStatus; date?: RtcDate };
  /** Sets it now and clears what says that it had stopped. */
  set(date: RtcDate): void;
}

/** Payload of `Event.RtcTime`. */
export function encodeRtcTime(reading: { status: RtcStatus; date?: RtcDate }): Uint8Array {
  const payload = new Uint8Array(RtcField.Bytes);
  payload[RtcField.Status] = reading.date === undefined ? RtcStatus.Absent : reading.status;
  if (reading.date !== undefined) {
    payload[RtcField.Second] = reading.date.second;
    payload[RtcField.Minute] = reading.date.minute;
    payload[RtcField.Hour] = reading.date.hour;
    payload[RtcField.Day] = reading.date.day;
    payload[RtcField.Month] = reading.date.month;
    new DataView(payload.buffer).setUint16(RtcField.Year, reading.date.year, true);
  }
  return payload;
}

/** Payload of `Event.Temperature`: thousandths of a degree Celsius; undefined where the thermometer gives nothing. */
export function encodeTemperature(milliCelsius: number | undefined): Uint8Array {
  const payload = new Uint8Array(TemperatureField.Bytes);
  payload[TemperatureField.Status] = milliCelsius === undefined ? TemperatureStatus.Failed : TemperatureStatus.Measured;
  new DataView(payload.buffer).setInt32(TemperatureField.MilliCelsius, milliCelsius ?? 0, true);
  return payload;
}

/** Registers that a record has room for. */
const registersMost = 4;

/**
 * Payload of `Event.Readings`: values of the registers, in the order and units of the settings.
 * @throws {RangeError} more than `registersMost`
 */
export function encodeReadings(values: readonly bigint[]): Uint8Array {
  if (values.length > registersMost) {
    throw new RangeError(`readings: expected at most ${registersMost} registers, came ${values.length}`);
  }
  const payload = new Uint8Array(ReadingsField.Values + 8 * values.length);
  payload[ReadingsField.Count] = values.length;
  const view = new DataView(payload.buffer);
  for (const [index, value] of values.entries()) view.setBigInt64(ReadingsField.Values + 8 * index, value, true);
  return payload;
}

/** A tariff that applies from now on. */
export interface TariffSwitch {
  readonly tariff: number;
  /** The time is not good enough to bill by. */
  readonly doubtful: boolean;
  /** When it took effect; undefined where that is not known. */
  readonly sinceUnixSeconds: number | undefined;
}

/** The payload of `Action.TariffSwitch`. */
export function decodeTariffSwitch(payload: Uint8Array): TariffSwitch {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const since = Number(view.getBigInt64(TariffSwitchField.SinceUnixSeconds, true));
  return {
    tariff: view.getUint16(TariffSwitchField.Tariff, true),
    doubtful: payload[TariffSwitchField.Doubtful] !== 0,
    sinceUnixSeconds: since === 0 ? undefined : since,
  };
}

/** The date in the payload of `Action.RtcSet`, which begins at `RtcField.Second`. */
export function decodeRtcSet(payload: Uint8Array): RtcDate {
  const field = (at: RtcField) => payload[at - RtcField.Second] ?? 0;
  return {
    second: field(RtcField.Second),
    minute: field(RtcField.Minute),
    hour: field(RtcField.Hour),
    day: field(RtcField.Day),
    month: field(RtcField.Month),
    year: field(RtcField.Year) | ((payload[RtcField.Year + 1 - RtcField.Second] ?? 0) << 8),
  };
}

/** The whole second in which `utcNs` (ns since 1970, POSIX) lies. */
export function dateOfNs(utcNs: bigint): RtcDate {
  const seconds = utcNs >= 0n ? utcNs / nsPerSecond : -((-utcNs + nsPerSecond - 1n) / nsPerSecond);
  const date = new Date(Number(seconds) * 1000);
  return {
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
  };
}

/** The beginning of the second that `date` names, ns since 1970. */
export function nsOfDate(date: RtcDate): bigint {
  return BigInt(Date.UTC(date.year, date.month - 1, date.day, date.hour, date.minute, date.second)) * 1_000_000n;
}

/**
 * A real-time clock in software, on a counter of its own (ns) that never stops. Like a DS1338 it counts whole seconds,
 * starts a new second when it is set, and remembers that it was never set.
 */
export class SoftwareRtc implements MeterRtc {
  #counterNs: () => bigint;
  #offsetNs: bigint;
  #stopped: boolean;

  /**
   * @param counterNs a counter that goes on while the meter is off
   * @param start what the clock says now, ns since 1970; without it, the oscillator-stop flag is set
   */
  constructor(counterNs: () => bigint, start?: bigint) {
    this.#counterNs = counterNs;
    this.#stopped = start === undefined;
    this.#offsetNs = (start ?? 946_684_800n * nsPerSecond) - counterNs();
  }

  read(): { status: RtcStatus; date: RtcDate } {
    return {
      status: this.#stopped ? RtcStatus.Stopped : RtcStatus.Running,
      date: dateOfNs(this.#counterNs() + this.#offsetNs),
    };
  }

  set(date: RtcDate): void {
    this.#offsetNs = nsOfDate(date) - this.#counterNs();
    this.#stopped = false;
  }

  /** As after a change of the battery. */
  loseTime(): void {
    this.#offsetNs = 946_684_800n * nsPerSecond - this.#counterNs();
    this.#stopped = true;
  }
}
