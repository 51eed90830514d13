// Which servers agree: each one's last interval for UTC minus local time, and where enough of them meet (after Marzullo).
// What always holds: the agreed interval reaches from the first to the last point that `covered` intervals cover. So while
// at least `covered` of the servers that are heard tell the truth, it is inside, and liars can widen the interval or not,
// but never move it off the truth.
//
//   entry    0  low      i64   at `taken`; both widen by what the oscillator may have erred since
//            8  high     i64
//           16  taken    i64   local time
//           24  until    i64   local time from which on it is too old; 0 where there is none

import { clear } from '../abi/bytes';
import { localErrorNs } from './local';

const ENTRY_BYTES: u32 = 32;
const ENTRIES: usize = memory.data(<i32>(ENTRY_BYTES * <u32>SERVERS_MAX), 8);

/** What `agreementFind` found: the agreed interval, how many servers share a point, and which meet the interval (bits). */
export let agreedLow: i64 = 0;
export let agreedHigh: i64 = 0;
export let agreedCount: u32 = 0;
export let agreedMask: u32 = 0;

function entryAt(source: u32): usize {
  return ENTRIES + source * ENTRY_BYTES;
}

/** Forgets a server's interval. */
export function agreementDrop(source: u32): void {
  clear(entryAt(source), ENTRY_BYTES);
}

/** Whether there is an interval of this server at local time `t`. */
export function agreementHas(source: u32, t: i64): bool {
  return t < load<i64>(entryAt(source), 24);
}

/** Local time from which on the first of the intervals is too old. */
export function agreementUntil(t: i64): i64 {
  let until = i64.MAX_VALUE;
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    if (agreementHas(i, t)) until = min<i64>(until, load<i64>(entryAt(i), 24));
  }
  return until;
}

/** Local time of a server's last interval. */
export function agreementTaken(source: u32): i64 {
  return load<i64>(entryAt(source), 16);
}

/** A leap second: UTC minus local time changes by `deltaNs`, in all that was said before. */
export function agreementLeap(deltaNs: i64): void {
  move(deltaNs, deltaNs);
}

/** Whether there was a leap second is not known: all that was said before may be wrong by `ns`. */
export function agreementWiden(ns: i64): void {
  move(-ns, ns);
}

function move(lowBy: i64, highBy: i64): void {
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    const at = entryAt(i);
    store<i64>(at, load<i64>(at) + lowBy);
    store<i64>(at, load<i64>(at, 8) + highBy, 8);
  }
}

function lowAt(source: u32, t: i64): i64 {
  const at = entryAt(source);
  return load<i64>(at) - localErrorNs(t - load<i64>(at, 16));
}

function highAt(source: u32, t: i64): i64 {
  const at = entryAt(source);
  return load<i64>(at, 8) + localErrorNs(t - load<i64>(at, 16));
}

/**
 * Takes a server's new interval. Where it meets the one before, both are true and their common part counts.
 *
 * @param t local time
 * @param until local time from which on it is too old
 * @returns ns by which it lies before the earlier one of the same server (its clock ran backwards), 0 where it does not
 */
export function agreementTake(source: u32, t: i64, low: i64, high: i64, until: i64): i64 {
  let backwards: i64 = 0;
  if (agreementHas(source, t)) {
    const earlierLow = lowAt(source, t);
    const earlierHigh = highAt(source, t);
    backwards = max<i64>(earlierLow - high, 0);
    if (backwards == 0 && low <= earlierHigh) {
      low = max<i64>(low, earlierLow);
      high = min<i64>(high, earlierHigh);
    }
  }
  const at = entryAt(source);
  store<i64>(at, low);
  store<i64>(at, high, 8);
  store<i64>(at, t, 16);
  store<i64>(at, until, 24);
  return backwards;
}

// The intervals as they are when they are asked for: low and high, i64 each.
const PRESENT_BYTES: u32 = 16;
const PRESENT: usize = memory.data(<i32>(PRESENT_BYTES * <u32>SERVERS_MAX), 8);

function presentAt(source: u32): usize {
  return PRESENT + source * PRESENT_BYTES;
}

function presentLow(source: u32): i64 {
  return load<i64>(presentAt(source));
}

function presentHigh(source: u32): i64 {
  return load<i64>(presentAt(source), 8);
}

// Widens all of them once; one that there is not covers nothing.
function present(t: i64): void {
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    const at = entryAt(i);
    let low = i64.MAX_VALUE;
    let high = i64.MIN_VALUE;
    if (agreementHas(i, t)) {
      const widening = localErrorNs(t - load<i64>(at, 16));
      low = load<i64>(at) - widening;
      high = load<i64>(at, 8) + widening;
    }
    store<i64>(presentAt(i), low);
    store<i64>(presentAt(i), high, 8);
  }
}

// How many intervals cover a point.
function covers(point: i64): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    if (presentLow(i) <= point && point <= presentHigh(i)) count += 1;
  }
  return count;
}

/**
 * Finds where enough intervals meet.
 *
 * @param t local time
 * @param needed how many have to share a point
 * @param covered how many are certain to tell the truth then
 * @returns false where not enough do; then `agreedCount` and `agreedMask` are those of the largest group of two or more
 */
export function agreementFind(t: i64, needed: u32, covered: u32): bool {
  agreedLow = i64.MAX_VALUE;
  agreedHigh = i64.MIN_VALUE;
  agreedCount = 0;
  agreedMask = 0;
  let meeting: i64 = 0;
  present(t);
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    if (!agreementHas(i, t)) continue;
    // The first point that enough of them cover is the low end of one, the last the high end of one.
    const low = presentLow(i);
    const high = presentHigh(i);
    const count = covers(low);
    if (count > agreedCount) meeting = low;
    agreedCount = max<u32>(agreedCount, count);
    if (count >= covered) agreedLow = min<i64>(agreedLow, low);
    if (covers(high) >= covered) agreedHigh = max<i64>(agreedHigh, high);
  }
  const found = agreedCount >= needed;
  // One alone agrees with nobody.
  if (!found && agreedCount < 2) return false;
  const from = found ? agreedLow : meeting;
  const to = found ? agreedHigh : meeting;
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    if (presentLow(i) <= to && presentHigh(i) >= from) agreedMask |= 1 << i;
  }
  return found;
}

/** Gap between a server's interval and another one at local time `t`, ns; 0 where they meet. */
export function agreementGap(source: u32, t: i64, low: i64, high: i64): i64 {
  return max<i64>(max<i64>(low - highAt(source, t), lowAt(source, t) - high), 0);
}
