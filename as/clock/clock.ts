// The meter's clock: UTC on a free-running local counter, with a hard bound on its error.
//
//   utc(t) = t + difference + rate (t - start) + slew(t)          t: local ns since the start
//   truth  : UTC - t lies in [low - w, high + w], w = what the oscillator's guaranteed error adds since `since`
//   bound  : the distance from utc(t) - t to the farther end of that interval
//
// What always holds:
// - The bound follows from intervals on which enough servers agree (`agreement.ts`), the local counter and the board's
//   guaranteed oscillator error alone; residence times and learned values only move the estimate inside it.
// - Between samples the clock runs in integers; while it slews no instant is shown twice, where a tick is 2 ns or longer.
// - A step is an event; `rules.ts` says what is a step, and what is done at all.
//
// `discipline.ts` says what the difference and the rate should be; this file takes the clock there.

import { BudgetField, ClockStatus, MeterEvent } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { SECOND_NS } from '../ntp/timestamp';
import {
  disciplineBelievedAt,
  disciplineBudget,
  disciplineOwn,
  disciplineSample,
  disciplineUncertaintyNs,
} from './discipline';
import {
  estimatedDeviation,
  estimatedDifference,
  estimatedFrequency,
  estimatorAim,
  estimatorBegin,
  estimatorReopen,
  estimatorShift,
  estimatorSpread,
} from './estimator';
import { below, wholeOf } from './gaussian';
import { localErrorNs, localResolutionNs, localShownErrorPpb } from './local';
import { calibrationUtc } from './rtc-calibration';
import {
  CORRECTION_HELD,
  CORRECTION_SET,
  CORRECTION_TOLD,
  rulesAccept,
  rulesBrokenOff,
  rulesFreeze,
  rulesHold,
  rulesHoldoverEnded,
  rulesStep,
  rulesTake,
  rulesTransactionBegin,
  rulesTransactionEnd,
} from './rules';

/** So many answers in a row of a single server count more than the clock. */
const CONTRADICTIONS: u32 = 4;

/** Time in which one nanosecond, and one picosecond, is slewed: 1 ms takes 2 s. */
const SLEW_NS: i64 = 2000;
const SLEW_PS: i64 = SLEW_NS / 1000;

/** How often the rate follows what is learned: a crystal that warms by 1 K in a minute is wrong by less than a microsecond. */
const REFRESH_NS: i64 = 64 * SECOND_NS;

/** So many standard deviations are a surprise. */
const SURPRISE: f64 = 3;

let status: u32 = ClockStatus.Unsynchronised;
let fromRtc: bool = false;
/** What it shows was never corrected by a sample: one that came during a transaction waits. */
let unconfirmed: bool = false;

/** At local time `start`; from there on the clock gains `rate` on the local counter, in parts of 10^12. */
let difference: i64 = 0;
let start: i64 = 0;
let rate: i64 = 0;
let slewEnd: i64 = 0;
let slewTotal: i64 = 0;
let refreshAt: i64 = i64.MAX_VALUE;

let low: i64 = 0;
let high: i64 = 0;
let since: i64 = 0;
/** Times in a row that a single server contradicted the clock. */
let contradictions: u32 = 0;

/** How often it was set while it had a time, and what that adds up to, ns. */
let sets: u32 = 0;
let setNs: i64 = 0;

let lastSampleUtc: i64 = 0;
let lastSampleAt: i64 = 0;
let lastOffset: i64 = 0;
let lastDelay: i64 = 0;

/** `ClockStatus`. */
export function clockStatus(): u32 {
  return status;
}

/** Whether the time still rests on the real-time clock alone. */
export function clockFromRtc(): bool {
  return fromRtc;
}

/** Whether a correction is still being slewed at local time `t`. */
export function clockSlewing(t: i64): bool {
  return status != ClockStatus.Unsynchronised && t < slewEnd;
}

/** How often the clock was set while it had a time, modulo 2^32, and what that adds up to, ns. */
export function clockSets(): u32 {
  return sets;
}
export function clockSetNs(): i64 {
  return setNs;
}

function countSet(ns: i64): void {
  if (ns == 0) return;
  sets += 1;
  setNs += ns;
}

/** UTC ns since 1970 at local time `t`; meaningless while unsynchronised. */
export function clockUtc(t: i64): i64 {
  return t + clockDifference(t);
}

// Of a correction, what is still to be slewed, ps.
function leftPs(t: i64): i64 {
  if (t >= slewEnd) return 0;
  const rest = (slewEnd - max<i64>(t, start)) / SLEW_PS;
  return slewTotal < 0 ? -rest : rest;
}

function left(t: i64): i64 {
  return leftPs(t) / 1000;
}

/** What `clockDifference` found last, and for which local time; none where the clock went another way since. */
let shown: i64 = 0;
let shownAt: i64 = i64.MIN_VALUE;

// UTC by this clock minus local time: within an event it is asked for again and again.
function clockDifference(t: i64): i64 {
  if (t != shownAt) {
    shown = differenceAt(t);
    shownAt = t;
  }
  return shown;
}

// Rate and slew are rounded once, together: so while a counter of nanoseconds goes on by one, this goes back by no more
// than one.
function differenceAt(t: i64): i64 {
  const age = t - start;
  const seconds = age / SECOND_NS;
  // Without the rate's last bits, at most 0.5 ns in a second, the product of any rate up to 1 fits.
  const rest = ((age - seconds * SECOND_NS) * (rate >> 9)) / (SECOND_NS >> 9);
  return difference + slewTotal + (seconds * rate + rest - leftPs(t)) / 1000;
}

/** Hard bound on the clock's error at local time `t`, and until the next tick, ns. */
export function clockBoundNs(t: i64): i64 {
  const widening = localErrorNs(t - since);
  const own = clockDifference(t);
  return max<i64>(high + widening + localResolutionNs() - own, own - (low - widening));
}

/** Expanded uncertainty (k = 2) at local time `t`, ns; never above the bound. */
export function clockUncertaintyNs(t: i64): i64 {
  const standing = disciplineUncertaintyNs(t);
  return min<i64>(standing + offNs(t), clockBoundNs(t));
}

// By how much the clock is known to be wrong at local time t.
function offNs(t: i64): i64 {
  let off = left(t);
  if (rulesHold()) {
    estimatorAim(t);
    off = estimatedDifference - clockDifference(t);
  }
  return off < 0 ? -off : off;
}

/** Writes what the uncertainty is made of, `BudgetField`, and the frequency. */
export function clockBudget(t: i64, to: usize): void {
  disciplineBudget(t, to);
  store<u32>(to, <u32>min<i64>(offNs(t), 0xffff_ffff), BudgetField.SlewNs);
  store<i32>(to, <i32>min<i64>(max<i64>(rate, i32.MIN_VALUE), i32.MAX_VALUE), BudgetField.FrequencyPpt);
}

/** ns since the last authenticated sample that moved the clock; -1 for never. */
export function clockSampleAgeNs(t: i64): i64 {
  return lastSampleUtc == 0 ? -1 : max<i64>(t - lastSampleAt, 0);
}

/** Rate of the clock against the local counter, ppb. */
export function clockFrequencyPpb(): i32 {
  return <i32>(rate / 1000);
}

/** The last sample: server minus meter before the correction, round trip, and the UTC it gave (0 for never). */
export function clockLastOffsetNs(): i64 {
  return lastOffset;
}
export function clockLastDelayNs(): i64 {
  return lastDelay;
}
export function clockLastSampleUtc(): i64 {
  return lastSampleUtc;
}

/** No authenticated sample for too long. */
export function clockHoldover(t: i64): void {
  if (status != ClockStatus.Synchronised) return;
  status = ClockStatus.Holdover;
  raiseEvent(MeterEvent.Holdover, clockBoundNs(t), 0, true);
}

/**
 * Takes the time of a real-time clock that counts: UTC within [earliest, latest] at local time `t`. What it was taken for
 * is the estimate, as sure as its standard uncertainty says, which may be larger than the interval.
 */
export function clockFromRealTimeClock(
  t: i64,
  earliestUtc: i64,
  latestUtc: i64,
  estimateUtc: i64,
  standardNs: i64,
): void {
  low = earliestUtc - t;
  high = latestUtc - t;
  since = t;
  const difference = min<i64>(max<i64>(estimateUtc - t, low), high);
  estimatorBegin(t, t + difference, <f64>standardNs * 1e-9);
  disciplineOwn();
  const known = status != ClockStatus.Unsynchronised;
  const own = known && rulesFreeze() ? clockDifference(t) : difference;
  if (TARIFF != 0 && known) countSet(own - clockDifference(t));
  rulesBrokenOff(t, difference - own);
  follow(t, own);
  status = ClockStatus.Holdover;
  fromRtc = true;
  unconfirmed = true;
}

/** A leap second: UTC minus local time changes by `deltaNs`, and with it all that is known of it. */
export function clockLeap(deltaNs: i64): void {
  difference += deltaNs;
  shownAt = i64.MIN_VALUE;
  low += deltaNs;
  high += deltaNs;
  estimatorShift(deltaNs);
}

/** Whether there was a leap second is not known: the clock may be wrong by `ns` more. */
export function clockWiden(ns: i64): void {
  low -= ns;
  high += ns;
}

// From local time t on the clock starts at `value`, and nothing is being slewed.
function leadFrom(t: i64, value: i64): void {
  difference = value;
  start = t;
  slewTotal = 0;
  slewEnd = t;
  shownAt = i64.MIN_VALUE;
}

// The clock shows `value` at local time `t`, to which `estimatorAim` came last, and goes on at the rate estimated for then.
function follow(t: i64, value: i64): void {
  const most = 1000 * localShownErrorPpb();
  rate = min<i64>(max<i64>(wholeOf(estimatedFrequency * 1e12), -most), most);
  leadFrom(t, value);
  refreshAt = t + REFRESH_NS;
}

/** Follows what is learned of the oscillator, also without samples. */
export function clockStep(t: i64): void {
  if (t < refreshAt) return;
  estimatorAim(t);
  steer(t);
}

// For how long no authenticated sample stood behind the time, also before the start. By local time where it can be: the
// clock may have been set since.
function unconfirmedNs(t: i64): i64 {
  return lastSampleUtc == 0 ? clockUtc(t) - calibrationUtc() : t - lastSampleAt;
}

/** Whether no authenticated sample came for longer than the profile allows. */
export function clockHoldoverEnded(t: i64): bool {
  return status != ClockStatus.Unsynchronised && rulesHoldoverEnded(unconfirmedNs(t));
}

/** A transaction begins: what is still to be slewed waits for its end as well. */
export function clockTransactionBegin(t: i64): void {
  if (!rulesTransactionBegin(t) || !rulesFreeze() || status == ClockStatus.Unsynchronised) return;
  rulesBrokenOff(t, left(t));
  leadFrom(t, clockDifference(t));
}

/** It ends: what waited is done now. */
export function clockTransactionEnd(t: i64): void {
  if (rulesTransactionEnd() && status != ClockStatus.Unsynchronised) refreshAt = t;
}

/** An operator accepts the correction that was refused. */
export function clockAccept(t: i64): void {
  rulesAccept();
  if (status != ClockStatus.Unsynchronised) refreshAt = t;
}

/** Local time at which `clockStep` has something to do. */
export function clockDeadline(): i64 {
  return refreshAt;
}

// The oscillator may have had another frequency since the last sample.
function reopen(t: i64, seconds: f64): void {
  const since = max<i64>(t - disciplineBelievedAt(), SECOND_NS);
  estimatorReopen(seconds, seconds / (<f64>since * 1e-9));
}

// Takes the clock to the estimate for local time t.
function steer(t: i64): void {
  rulesStep(t, unconfirmedNs(t));
  const own = clockDifference(t);
  const widening = localErrorNs(t - since);
  // However little a sample counts: the truth is nowhere outside, and what supposed it there was wrong.
  const to = min<i64>(max<i64>(estimatedDifference, low - widening), high + widening);
  if (to != estimatedDifference) {
    const wrong = abs<f64>(<f64>(to - estimatedDifference) * 1e-9);
    estimatorSpread(t);
    estimatorShift(to - estimatedDifference);
    if (below(SURPRISE * estimatedDeviation, wrong)) reopen(t, wrong);
  }
  apply(t, to - own, true);
}

/**
 * Takes the interval on which enough servers agree: UTC minus local time at local time `t`.
 *
 * @param alone one server is enough: it is believed against the clock only when it insists
 * @returns 0, or the gap between the interval and the clock's, ns, when it was not taken
 */
export function clockAgree(t: i64, agreedLow: i64, agreedHigh: i64, alone: bool): i64 {
  if (status == ClockStatus.Unsynchronised) {
    low = agreedLow;
    high = agreedHigh;
    since = t;
    return 0;
  }
  const widening = localErrorNs(t - since);
  const cutLow = max<i64>(low - widening, agreedLow);
  const cutHigh = min<i64>(high + widening, agreedHigh);
  if (cutLow <= cutHigh) {
    low = cutLow;
    high = cutHigh;
    contradictions = 0;
  } else {
    contradictions += 1;
    if (alone && !fromRtc && contradictions < CONTRADICTIONS) return cutLow - cutHigh;
    raiseEvent(MeterEvent.BoundsDisagree, cutLow - cutHigh, 0, true);
    // One of the two is wrong. A real-time clock is no witness against servers; else the truth is somewhere in both.
    low = fromRtc ? agreedLow : min<i64>(low - widening, agreedLow);
    high = fromRtc ? agreedHigh : max<i64>(high + widening, agreedHigh);
    contradictions = 0;
  }
  since = t;
  return 0;
}

/** A server contradicts itself: what it said against the clock before does not count any more. */
export function clockUncontradicted(): void {
  contradictions = 0;
}

/** What a server's estimate (UTC minus local time) differs from the clock at local time `t`; 0 while it has no time. */
export function clockOffset(t: i64, estimate: i64): i64 {
  return status == ClockStatus.Unsynchronised ? 0 : estimate - clockDifference(t);
}

/**
 * Corrects the clock by a sample of a server that is among those agreeing, after `clockAgree` took their interval.
 *
 * @param source whose sample
 * @param now local time
 * @param estimate UTC minus local time
 * @param delay round trip without serial line and gateway, ns
 * @param rootDistance of the server, ns
 * @param own whether it came over the meter's own network
 */
export function clockCorrect(source: u32, now: i64, estimate: i64, delay: i64, rootDistance: i64, own: bool): void {
  const inside = min<i64>(max<i64>(estimate, low), high);
  const known = status != ClockStatus.Unsynchronised;
  lastOffset = known ? estimate - clockDifference(now) : 0;
  // From here on there is a time, which the events of this sample tell.
  const regained = status != ClockStatus.Synchronised;
  status = ClockStatus.Synchronised;
  disciplineSample(source, now, inside, delay, rootDistance, own, known && !fromRtc);
  fromRtc = false;
  if (known) steer(now);
  else apply(now, min<i64>(max<i64>(estimatedDifference, low), high), false);
  lastDelay = delay;
  lastSampleUtc = clockUtc(now);
  lastSampleAt = now;
  if (regained) raiseEvent(MeterEvent.Synchronised, clockBoundNs(now), 0, true);
}

// Moves the clock by a correction as far as the rules allow, or to it where it has no time.
function apply(t: i64, correction: i64, known: bool): void {
  const now = clockDifference(t);
  // What is still to be slewed was told when it began.
  const verdict = known ? rulesTake(t, correction, correction - left(t), !unconfirmed) : CORRECTION_SET;
  if (verdict == CORRECTION_HELD) {
    refreshAt = t + REFRESH_NS;
    return;
  }
  unconfirmed = fromRtc;
  if (verdict == CORRECTION_SET) {
    if (TARIFF != 0 && known) countSet(correction);
    follow(t, known ? now + correction : correction);
    raiseEvent(MeterEvent.ClockSet, known ? correction : 0, clockBoundNs(t), true);
    return;
  }
  if (verdict == CORRECTION_TOLD) raiseEvent(MeterEvent.ClockSlewed, correction, 0, true);
  follow(t, now);
  slewTotal = correction;
  slewEnd = t + (correction < 0 ? -correction : correction) * SLEW_NS;
}
