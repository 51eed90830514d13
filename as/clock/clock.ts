// The meter's clock: UTC on a free-running local counter, with a hard bound on its error.
//
//   utc(t) = t + difference + slew(t)          t: local ns since the start
//   truth  : UTC - t lies in [low - w, high + w], w = what the oscillator's guaranteed error adds since `since`
//   bound  : the distance from utc(t) - t to the farther end of that interval
//
// What always holds:
// - The bound follows from authenticated timestamps, the local counter and the board's guaranteed oscillator error
//   alone; residence times and learned values only move the estimate inside it.
// - Between samples the clock runs in integers; while it slews it is monotonic.
// - A step is an event.
//
// `discipline.ts` decides by how much a sample moves the clock; this file moves it.

import { ClockStatus, MeterEvent } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { SECOND_NS } from '../ntp/timestamp';
import { disciplineReset, disciplineSample, disciplineUncertaintyNs } from './discipline';
import { localErrorNs, localResolutionNs } from './local';

/** A correction below this is slewed, above it the clock is set. */
const STEP_NS: i64 = 50_000_000;

/** A slew of this size is worth an event. */
const SLEW_EVENT_NS: i64 = 10_000_000;

/** Rate of a slew: 1 ms takes 2 s. */
const SLEW_PPB: i64 = 500_000;

let status: u32 = ClockStatus.Unsynchronised;
let fromRtc: bool = false;

let difference: i64 = 0;
let slewStart: i64 = 0;
let slewEnd: i64 = 0;
let slewTotal: i64 = 0;

let low: i64 = 0;
let high: i64 = 0;
let since: i64 = 0;

let lastSampleLocal: i64 = 0;
let lastSampleUtc: i64 = 0;
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

/** UTC ns since 1970 at local time `t`; meaningless while unsynchronised. */
export function clockUtc(t: i64): i64 {
  return t + clockDifference(t);
}

// UTC by this clock minus local time.
function clockDifference(t: i64): i64 {
  if (t >= slewEnd) return difference + slewTotal;
  if (t <= slewStart) return difference;
  const slewed = ((t - slewStart) / 1000) * (SLEW_PPB / 1000);
  const done = slewed / 1000;
  return difference + (slewTotal < 0 ? -done : done);
}

/** Hard bound on the clock's error at local time `t`, and until the next tick, ns. */
export function clockBoundNs(t: i64): i64 {
  const widening = localErrorNs(t - since);
  const own = clockDifference(t);
  return max<i64>(high + widening + localResolutionNs() - own, own - (low - widening));
}

/** Expanded uncertainty (k = 2) at local time `t`, ns; never above the bound. */
export function clockUncertaintyNs(t: i64): i64 {
  // Nothing is known of the real-time clock's error within its bound, which is less than U of a rectangular distribution.
  if (fromRtc) return clockBoundNs(t);
  const left = t < slewEnd ? difference + slewTotal - clockDifference(t) : 0;
  const expanded = disciplineUncertaintyNs(t) + (left < 0 ? -left : left);
  return min<i64>(expanded, clockBoundNs(t));
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
export function clockLastSampleLocal(): i64 {
  return lastSampleLocal;
}

/** The time is not to be trusted any more, as after a certificate that does not hold. */
export function clockForget(): void {
  status = ClockStatus.Unsynchronised;
  fromRtc = false;
  lastSampleUtc = 0;
  disciplineReset();
}

/** No authenticated sample for too long. */
export function clockHoldover(t: i64): void {
  if (status != ClockStatus.Synchronised) return;
  status = ClockStatus.Holdover;
  raiseEvent(MeterEvent.Holdover, clockBoundNs(t), 0, true);
}

/** Takes the time of a real-time clock that counts: UTC within [earliest, latest] at local time `t`. */
export function clockFromRealTimeClock(t: i64, earliestUtc: i64, latestUtc: i64): void {
  low = earliestUtc - t;
  high = latestUtc - t;
  since = t;
  setDifference(t, low + (high - low) / 2);
  status = ClockStatus.Holdover;
  fromRtc = true;
  disciplineReset();
}

function setDifference(t: i64, value: i64): void {
  difference = value;
  slewTotal = 0;
  slewStart = t;
  slewEnd = t;
}

/**
 * Takes an authenticated sample.
 *
 * @param now local time
 * @param sent local time before which the server cannot have received the request
 * @param received local time after which the server cannot have sent the answer
 * @param sentCorrected the same two moved to where the gateway's own network begins
 * @param receivedCorrected see there
 * @param serverReceived UTC ns by the server when it received
 * @param serverSent UTC ns by the server when it sent
 * @param rootDistance half the server's root delay plus its root dispersion, ns
 * @returns false when the timestamps contradict themselves (negative round trip)
 */
export function clockSample(
  now: i64,
  sent: i64,
  received: i64,
  sentCorrected: i64,
  receivedCorrected: i64,
  serverReceived: i64,
  serverSent: i64,
  rootDistance: i64,
): bool {
  const during = localErrorNs(received - sent);
  const sampleHigh = serverReceived - sent + rootDistance + during;
  const sampleLow = serverSent - received - rootDistance;
  if (sampleHigh < sampleLow || received < sent) return false;

  const served = serverSent - serverReceived;
  if (sentCorrected < sent || receivedCorrected > received || receivedCorrected - sentCorrected < served) {
    // Residence times that cannot be: the estimate does without.
    sentCorrected = sent;
    receivedCorrected = received;
  }
  // Halves first: the sum of two dates after 2116 would not fit.
  const estimate = (serverReceived - sentCorrected) / 2 + (serverSent - receivedCorrected) / 2;
  const delay = max<i64>(receivedCorrected - sentCorrected - served, 0);

  narrow(received, sampleLow, sampleHigh);
  const target = min<i64>(max<i64>(estimate, low), high);
  const known = status != ClockStatus.Unsynchronised;
  const own = known ? clockDifference(now) : 0;
  const offset = target - own;
  // From here on there is a time, which the events of this sample tell.
  const regained = status != ClockStatus.Synchronised;
  status = ClockStatus.Synchronised;
  const corrected = own + disciplineSample(now, offset, delay, rootDistance, known && !fromRtc);
  // However little the sample counts: the truth is nowhere outside.
  apply(now, min<i64>(max<i64>(corrected, low), high) - own, known);

  lastOffset = known ? offset : 0;
  lastDelay = delay;
  lastSampleLocal = now;
  lastSampleUtc = clockUtc(now);
  fromRtc = false;
  if (regained) raiseEvent(MeterEvent.Synchronised, clockBoundNs(now), 0, true);
  return true;
}

// Brings the interval of the truth to local time `t` and cuts it with that of a sample.
function narrow(t: i64, sampleLow: i64, sampleHigh: i64): void {
  if (status == ClockStatus.Unsynchronised) {
    low = sampleLow;
    high = sampleHigh;
  } else {
    const widening = localErrorNs(t - since);
    low -= widening;
    high += widening;
    const cutLow = max<i64>(low, sampleLow);
    const cutHigh = min<i64>(high, sampleHigh);
    if (cutLow <= cutHigh) {
      low = cutLow;
      high = cutHigh;
    } else {
      // One of the two is wrong and nobody knows which: the truth is somewhere in both.
      raiseEvent(MeterEvent.BoundsDisagree, cutLow - cutHigh, 0, true);
      low = min<i64>(low, sampleLow);
      high = max<i64>(high, sampleHigh);
    }
  }
  since = t;
}

function apply(t: i64, correction: i64, known: bool): void {
  const now = clockDifference(t);
  const size = correction < 0 ? -correction : correction;
  // What is still to be slewed was told when it began.
  const untold = correction - (difference + slewTotal - now);
  if (!known || size > STEP_NS) {
    setDifference(t, known ? now + correction : correction);
    raiseEvent(MeterEvent.ClockSet, known ? correction : 0, clockBoundNs(t), true);
    return;
  }
  if ((untold < 0 ? -untold : untold) >= SLEW_EVENT_NS) raiseEvent(MeterEvent.ClockSlewed, correction, 0, true);
  difference = now;
  slewTotal = correction;
  slewStart = t;
  slewEnd = t + (size / SLEW_PPB) * SECOND_NS + ((size % SLEW_PPB) * SECOND_NS) / SLEW_PPB;
}
