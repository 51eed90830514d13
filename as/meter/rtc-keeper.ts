// Keeps the real-time clock within half a second of UTC while the meter is synchronised, and what is stored of it true.
//
//   start ──> read: counts ──> compared ──┬──> state written ──> compared again in an hour
//      └──> does not count ──> set ───────┘        too far off ──> set
//
// A comparison is a bisection: some twelve readings within some seconds (`rtc-phase.ts`). It needs no setting, and its record is
// the proof that the real-time clock counts at the next start.
// What always holds: one reading or setting at a time; before the real-time clock is set, what is stored holds for the new
// setting too (`stateCovers`); the state is written after each setting and after a first comparison, then some times a day.

import { actionAdd } from '../abi/buffers';
import { Action, ClockStatus, RtcField, RtcStatus } from '../abi/codes';
import { clockBoundNs, clockFromRtc, clockStatus, clockUtc } from '../clock/clock';
import { rtcCompare, rtcRead, rtcSeconds, rtcSet, rtcSharpen } from '../clock/rtc';
import {
  calibrationExpectNs,
  calibrationLearned,
  calibrationRatePpb,
  calibrationSet,
  calibrationUtc,
  calibrationVariationPpb,
} from '../clock/rtc-calibration';
import { phaseKnown, phaseLost, phaseNextAt, phaseNs, phaseStart, phaseTake } from '../clock/rtc-phase';
import { SECOND_NS } from '../ntp/timestamp';
import { stateCovers, stateRaiseFloor, stateWiden, stateWrite, stateWritten } from './state';

/** How far from UTC the real-time clock may get. */
const HALF_NS: i64 = SECOND_NS / 2;
/** How often it is compared; sooner where nothing is known of its rate, or where it gets too far off before. */
const COMPARE_SECONDS: i64 = 3600;
const COMPARE_FIRST_SECONDS: i64 = 600;
/** Soonest next comparison of one that is about to get too far off. */
const COMPARE_MIN_SECONDS: i64 = 300;
/** One that can be set to any time is set rather than compared sooner than this: it may stay near the limit for hours. */
const COMPARE_OR_SET_SECONDS: i64 = 1800;
/** One that can be set to any time is set so long before it is half a second off: in an hour 17 ppm more than was foreseen. */
const MARGIN_NS: i64 = 60_000_000;
/**
 * How often the state is written: for the storage's life. Where there is a real-time clock its bound and uncertainty count
 * from then on, so four times as often.
 */
const STATE_NS: i64 = 86_400 * SECOND_NS;
const STATE_WITH_RTC_NS: i64 = STATE_NS / 4;
/** How late after the full second the real-time clock may still be set to it. */
const LATE_NS: i64 = 20_000_000;
/** A chip that is further from it after it was set keeps its phase below a second. */
const RESTARTED_NS: i64 = 100_000_000;
/**
 * So near to where it was expected, an edge is checked once from each side, else three times: it might be none. The rate of
 * an hour rarely differs from the mean by so much.
 */
const EXPECTED_NS: i64 = 50_000_000;
const CHECKS_EXPECTED: u32 = 1;
const CHECKS: u32 = 3;
const RETRY_NS: i64 = 60 * SECOND_NS;
/** Failures of the storage are counted up to here: a shift by this many still fits. */
const FAILURES_MAX: u32 = 16;

let present: bool = false;
/** A reading was asked for. */
let reading: bool = false;
/** Readings go on until the phase is known. */
let searching: bool = false;
/** It has to be set. */
let wanted: bool = true;
/** Local time of the next reading while searching; else from which on it may be set where that is wanted, or is compared. */
let dueAt: i64 = 0;
/** What it is being set to, and the bound on its offset then; 0 while it is not. */
let settingUtc: i64 = 0;
let settingBoundNs: i64 = 0;
/** It was set since it was compared. */
let fresh: bool = false;
/** Setting it does not begin a new second. */
let keepsPhase: bool = false;
/** Local time at which the state is to be written; before the first comparison there is nothing to write. */
let stateAt: i64 = i64.MAX_VALUE;
/** Writes that failed in a row. */
let failures: u32 = 0;

/** The board has no real-time clock: the time floor alone is kept. */
export function keeperWithout(): void {
  stateAt = 0;
}

/** The first answer of the real-time clock after the start (`RtcField`). */
export function keeperStart(now: i64, at: usize): void {
  present = true;
  searching = rtcRead(now, at);
  wanted = !searching;
  dueAt = phaseNextAt(now);
}

function synchronised(): bool {
  return clockStatus() == ClockStatus.Synchronised && !clockFromRtc();
}

/** UTC has leapt: the real-time clock is off by a second now. */
export function keeperCompareSoon(): void {
  dueAt = 0;
}

/** Whether it is being set: then its proof comes first into the storage. */
export function keeperSetting(): bool {
  return settingUtc != 0;
}

/** Local time at which `keeperStep` has something to do again. */
export function keeperDeadline(): i64 {
  if (reading || settingUtc != 0) return i64.MAX_VALUE;
  if (searching) return dueAt;
  if (!synchronised()) return i64.MAX_VALUE;
  return present ? min<i64>(stateAt, dueAt) : stateAt;
}

/** Does what is due while no storage operation is under way; true when it began one. */
export function keeperStep(now: i64): bool {
  if (now < keeperDeadline()) return false;
  if (searching) {
    ask();
    return false;
  }
  if (now >= stateAt) return write(now);
  if (wanted) return set(now);
  searching = true;
  phaseStart();
  ask();
  return false;
}

function ask(): void {
  reading = true;
  actionAdd(Action.RtcRead, 0);
}

function write(now: i64): bool {
  stateRaiseFloor(clockUtc(now) - clockBoundNs(now));
  stateWrite();
  return true;
}

/** The state was written, or could not be: then again as often as the storage lasts. */
export function keeperWritten(now: i64, failed: bool): void {
  stateWritten(failed);
  if (failed) {
    stateAt = now + min<i64>(RETRY_NS << failures, STATE_NS);
    if (wanted) dueAt = stateAt;
  } else {
    stateAt = now + (present ? STATE_WITH_RTC_NS : STATE_NS);
  }
  failures = failed ? min<u32>(failures + 1, FAILURES_MAX) : 0;
}

/** Answer to a reading (`RtcField`). */
export function keeperRead(now: i64, at: usize): void {
  if (!reading) return;
  reading = false;
  const status: u32 = load<u8>(at, RtcField.Status);
  const seconds = rtcSeconds(at);
  if (status != RtcStatus.Running || seconds < 0) {
    searching = false;
    wanted = wanted || status == RtcStatus.Stopped;
    dueAt = now + RETRY_NS;
    return;
  }
  phaseTake(now, seconds);
  dueAt = phaseNextAt(now);
  const known = phaseKnown(isExpected(now) ? CHECKS_EXPECTED : CHECKS);
  if (!known && !phaseLost()) return;
  searching = false;
  dueAt = now;
  if (!known) dueAt += RETRY_NS;
  else if (clockFromRtc()) rtcSharpen(now);
  else if (synchronised()) compare(now);
}

// Whether the phase that was found is where the last comparison or setting, and the rate, put it.
function isExpected(now: i64): bool {
  if (!synchronised()) return false;
  const utc = clockUtc(now);
  const apart = now + phaseNs() - utc - calibrationExpectNs(utc);
  return max<i64>(apart, -apart) <= EXPECTED_NS;
}

function compare(now: i64): void {
  const knew = calibrationLearned();
  const offset = rtcCompare(now);
  const apart = max<i64>(offset, -offset);
  // How fast it may get further off.
  const speed = max<i64>(
    (offset < 0 ? -calibrationRatePpb() : calibrationRatePpb()) + 2 * calibrationVariationPpb(),
    0,
  );
  let again = true;
  if (fresh) {
    if (!keepsPhase && apart > RESTARTED_NS) keepsPhase = true;
    else if (apart > HALF_NS) {
      // Neither helped. Not again and again.
      keepsPhase = false;
      again = false;
    }
  }
  const left = HALF_NS - apart - (keepsPhase ? 0 : MARGIN_NS);
  // However fast: what was just set, or is near yet, is compared.
  wanted = again && (keepsPhase || fresh ? 0 : min<i64>(speed * COMPARE_OR_SET_SECONDS, HALF_NS / 2)) > left;
  if (!wanted && (fresh || stateAt == i64.MAX_VALUE || knew != calibrationLearned())) stateAt = now;
  fresh = false;
  if (wanted) return;
  let seconds = calibrationLearned() ? COMPARE_SECONDS : COMPARE_FIRST_SECONDS;
  if (again && speed != 0) seconds = min<i64>(seconds, max<i64>(left / speed, COMPARE_MIN_SECONDS));
  dueAt = now + seconds * SECOND_NS;
}

// Sets it at a full second.
function set(now: i64): bool {
  const utc = clockUtc(now);
  const past = utc % SECOND_NS;
  // It is set within a second, and shows up to a second more than that where it keeps its phase.
  const boundNs = clockBoundNs(now) + LATE_NS + (keepsPhase ? 2 : 1) * SECOND_NS;
  if (!stateCovers(utc - past, boundNs)) {
    // Should power fail before the new proof is written, what is stored must hold for the new setting.
    stateWiden(utc - past, boundNs);
    return write(now);
  }
  if (past >= LATE_NS) {
    dueAt = now + SECOND_NS - past;
    return false;
  }
  settingUtc = utc - past;
  settingBoundNs = boundNs;
  // Where it keeps its phase, the second that brings it nearest.
  const phase = keepsPhase ? (now + phaseNs()) % SECOND_NS : past;
  rtcSet((utc - phase + HALF_NS) / SECOND_NS);
  return false;
}

/** It was set, or could not be. */
export function keeperSet(now: i64, failed: bool): void {
  if (settingUtc == 0) return;
  const utc = settingUtc;
  settingUtc = 0;
  if (failed || !synchronised()) {
    dueAt = now + RETRY_NS;
    return;
  }
  // The first proof, at once.
  if (calibrationUtc() == 0) stateAt = now;
  calibrationSet(utc, 0, settingBoundNs);
  wanted = false;
  fresh = true;
  dueAt = now;
}
