// Where the seconds of the real-time clock begin: it shows whole ones, so each reading is one side of a bisection.
// What always holds: a reading of second N at local time t says that the clock minus local time is at least N - t and
// below N + 1 - t; the interval that is left widens by what both oscillators may err since the last reading.

import { SECOND_NS } from '../ntp/timestamp';
import { localErrorNs } from './local';
import { rtcDriftNs } from './rtc-calibration';

/** Narrow enough: a wake-up and a read of the bus are not sharper. */
const RESOLUTION_NS: i64 = 2_000_000;

/** How far from the tick of its event the chip may have been read. */
export const READ_NS: i64 = 10_000_000;

/** Nine halve a second to the resolution. Where wake-ups come late, or a reading was wrong, it takes some more. */
const READINGS_MAX: u32 = 24;

/** Real-time clock minus local time, ns. */
let low: i64 = 0;
let high: i64 = 0;
/** Local time of the last reading, and how many there were. */
let since: i64 = 0;
let readings: u32 = 0;

/** Begins anew: the next reading is the first. */
export function phaseStart(): void {
  readings = 0;
}

/** Takes a reading, Unix seconds, at local time `t`. */
export function phaseTake(t: i64, seconds: i64): void {
  const least = seconds * SECOND_NS - t;
  const most = least + SECOND_NS;
  const widening = localErrorNs(t - since) + rtcDriftNs(t - since);
  low -= widening;
  high += widening;
  // One that contradicts those before: it was set, or misread; those that follow decide.
  const contradicts = readings == 0 || least > high + READ_NS || most < low - READ_NS;
  low = contradicts ? least : max<i64>(low, least);
  high = contradicts ? most : min<i64>(high, most);
  since = t;
  readings += 1;
}

/** Whether more readings would not help. */
export function phaseKnown(): bool {
  return readings >= READINGS_MAX || high - low <= RESOLUTION_NS;
}

/** Real-time clock minus local time, ns. */
export function phaseNs(): i64 {
  return low + (high - low) / 2;
}

/** Half of the interval in which it lies, ns, as far as the chip is read at the ticks of its events. */
export function phaseHalfNs(): i64 {
  return max<i64>(high - low, 0) / 2;
}

/** Local time after `t` at which the next reading halves the interval: where a second begins if the middle is right. */
export function phaseNextAt(t: i64): i64 {
  return t + SECOND_NS - ((t + phaseNs()) % SECOND_NS);
}
