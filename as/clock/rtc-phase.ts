// Where the seconds of the real-time clock begin: it shows whole ones, so each reading is one side of a bisection.
// What always holds: a reading of second N at local time t says that the clock minus local time is at least N - t and
// below N + 1 - t; the interval that is left widens by what both oscillators may err since the last reading. A bisection
// alone would believe one reading that is wrong by a second: what it found counts once readings just before the edge and
// just behind it, in turn, have said the same. Where there is no edge each such round takes one more wrong reading.

import { SECOND_NS } from '../ntp/timestamp';
import { localErrorNs } from './local';
import { rtcDriftNs } from './rtc-calibration';

/** Narrow enough: a wake-up and a read of the bus are not sharper. */
const RESOLUTION_NS: i64 = 2_000_000;
/** Halved each second while either end moves by e, an interval gets no narrower than 4 e: with a wider e, 8 e is narrow. */
const RESOLUTION_SECONDS: i64 = 8;

/** How far from the tick of its event the chip may have been read. */
export const READ_NS: i64 = 10_000_000;

/** Nine halve a second to the resolution, two to six check it. Where wake-ups come late, or a reading was wrong, it takes more. */
const READINGS_MAX: u32 = 32;

/** Real-time clock minus local time, ns. */
let low: i64 = 0;
let high: i64 = 0;
/** ns: what is narrow, how far from the edge it is read once more, and what such a reading may be off by. */
let resolution: i64 = 0;
let check: i64 = 0;
let slack: i64 = 0;
/** Local time of the last reading, and how many there were. */
let since: i64 = 0;
let readings: u32 = 0;
/** Readings that checked the edge, in turn before it and behind it. */
let checked: u32 = 0;

/** Begins anew: the next reading is the first. */
export function phaseStart(): void {
  readings = 0;
  checked = 0;
  resolution = max<i64>(RESOLUTION_NS, RESOLUTION_SECONDS * localErrorNs(SECOND_NS));
  check = (5 * resolution) / 2;
  slack = (3 * resolution) / 2;
}

function isNarrow(): bool {
  return readings != 0 && high - low <= (checked == 0 ? resolution : 2 * resolution);
}

// Whether the next check is the one before the edge.
function checksBefore(): bool {
  return (checked & 1) == 0;
}

/** Takes a reading, Unix seconds, at local time `t`. */
export function phaseTake(t: i64, seconds: i64): void {
  const least = seconds * SECOND_NS - t;
  const most = least + SECOND_NS;
  const narrow = isNarrow();
  const widening = localErrorNs(t - since) + rtcDriftNs(t - since);
  low -= widening;
  high += widening;
  // One that contradicts those before: it was set, or misread; those that follow decide.
  const contradicts = readings == 0 || least > high + slack || most < low - slack;
  low = contradicts ? least : max<i64>(low, least);
  high = contradicts ? most : min<i64>(high, most);
  since = t;
  readings += 1;
  if (contradicts) checked = 0;
  else if (narrow && (checksBefore() ? most - phaseNs() : phaseNs() - least) <= 2 * check) checked += 1;
}

/** Whether it was found, and checked so many times from each side. */
export function phaseKnown(rounds: u32): bool {
  return checked >= 2 * rounds;
}

/** Whether more readings would not help. */
export function phaseLost(): bool {
  return readings >= READINGS_MAX;
}

/** Real-time clock minus local time, ns. */
export function phaseNs(): i64 {
  return low + (high - low) / 2;
}

/** Half of the interval in which it lies, ns, as far as the chip is read at the ticks of its events. */
export function phaseHalfNs(): i64 {
  return max<i64>(high - low, 0) / 2;
}

/** Local time after `t` of the next reading: where a second begins if the middle is right, which halves the interval. */
export function phaseNextAt(t: i64): i64 {
  const from = !isNarrow() ? 0 : checksBefore() ? -check : check;
  return t + SECOND_NS - ((t + phaseNs() - from) % SECOND_NS);
}
