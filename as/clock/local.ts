// The local counter: ticks of the board as nanoseconds since its start, in integers.
// What always holds: the conversion is exact to the nanosecond below and never runs backwards.
// An oscillator that is wrong by y shows t (1 + y) after a time t, so a shown time is wrong by up to its Y / (1 - Y)th part
// where the board guarantees |y| <= Y: at 100 ppm, 78 ms in 90 days more than its Yth part.

import { SECOND_NS } from '../ntp/timestamp';

let tickHz: u64 = 1_000_000_000;
/** Y / (1 - Y), rounded up. */
let shownErrorPpb: i64 = 0;

/** A board that guarantees less than this is taken to guarantee this, lest the arithmetic overflow. */
const ERROR_MAX_PPB: i64 = 500_000_000;

/** Sets the counter's nominal rate, and the largest error of that rate which the board guarantees. */
export function localConfigure(hz: u32, maxFrequencyErrorPpb: u32): void {
  tickHz = hz;
  const maxErrorPpb = min<i64>(maxFrequencyErrorPpb, ERROR_MAX_PPB);
  const right = SECOND_NS - maxErrorPpb;
  shownErrorPpb = (maxErrorPpb * SECOND_NS + right - 1) / right;
}

/** Local ticks as local ns, rounded down. */
export function localFromTicks(ticks: u64): i64 {
  const hz = tickHz;
  const seconds = ticks / hz;
  return <i64>(seconds * 1_000_000_000 + ((ticks - seconds * hz) * 1_000_000_000) / hz);
}

/** The first tick at or after a local time. */
export function ticksFromLocal(localNs: i64): u64 {
  const ns = <u64>max<i64>(localNs, 0);
  const seconds = ns / 1_000_000_000;
  return seconds * tickHz + ((ns - seconds * 1_000_000_000) * tickHz + 999_999_999) / 1_000_000_000;
}

/** Length of a tick in ns, rounded up. */
export function localResolutionNs(): i64 {
  return <i64>((999_999_999 + tickHz) / tickHz);
}

/** What a shown time may be wrong where the board's frequency error is as large as it guarantees: Y / (1 - Y), ppb. */
export function localShownErrorPpb(): i64 {
  return shownErrorPpb;
}

/** By how much an interval of local time, in either direction, may be wrong, ns, rounded up. */
export function localErrorNs(intervalNs: i64): i64 {
  const length = intervalNs < 0 ? -intervalNs : intervalNs;
  const seconds = length / SECOND_NS;
  return seconds * shownErrorPpb + ((length - seconds * SECOND_NS) * shownErrorPpb) / SECOND_NS + 1;
}
