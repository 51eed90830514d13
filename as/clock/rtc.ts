// The real-time clock: when its time counts after a start, how it is compared with the clock, and how it is set.
// What always holds: its time counts only when its oscillator never stopped, storage proves that an authenticated time
// set it, and it is not behind the time floor; even then it gives holdover, never synchronisation.

import { actionAdd } from '../abi/buffers';
import { Action, MeterEvent, RtcField, RtcRefusal, RtcStatus } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { stateContradicted, stateFloorUtc } from '../meter/state';
import { SECOND_NS } from '../ntp/timestamp';
import { civilDay, civilFromDays, civilMonth, civilYear, daysFromCivil, monthDays } from './civil';
import { clockBoundNs, clockFromRealTimeClock, clockUncertaintyNs, clockUtc } from './clock';
import { leapCovered, leapMonthEnds } from './leap';
import {
  calibrationBoundNs,
  calibrationCovers,
  calibrationExpectNs,
  calibrationOffsetNs,
  calibrationStandardNs,
  calibrationTake,
  calibrationUtc,
} from './rtc-calibration';
import { phaseHalfNs, phaseNs, phaseStart, phaseTake, READ_NS } from './rtc-phase';

const DAY_SECONDS: i64 = 86_400;

/** Last year that counts: later ones do not fit into ns since 1970, and no meter lives that long. */
const YEAR_MAX: u32 = 2199;

/** A chip that is set shows at most so much more than it was set to: the phase below a second, and the time that setting takes. */
const AHEAD_NS: i64 = 2 * SECOND_NS;

/** Stamps of readings, and the edges of the chip's seconds: standard uncertainty. */
const STAMP_NS: i64 = 500_000;

/**
 * Takes what the real-time clock said first after a start (`RtcField`), at local time `t`.
 *
 * @returns whether it counts
 */
export function rtcRead(t: i64, at: usize): bool {
  const status: u32 = load<u8>(at, RtcField.Status);
  const seconds = rtcSeconds(at);
  if (status == RtcStatus.Absent || seconds < 0) return refuse(RtcRefusal.Absent, 0);
  if (status != RtcStatus.Running) return refuse(RtcRefusal.OscillatorStopped, seconds);
  if (calibrationUtc() == 0) return refuse(RtcRefusal.NoProof, seconds);
  if (seconds * SECOND_NS + AHEAD_NS < stateFloorUtc()) return refuse(RtcRefusal.BehindFloor, seconds);
  phaseStart();
  phaseTake(t, seconds);
  takeTime(t);
  raiseEvent(MeterEvent.RtcAccepted, clockBoundNs(t), 0, false);
  return true;
}

function refuse(reason: u32, seconds: i64): bool {
  raiseEvent(MeterEvent.RtcRefused, reason, seconds, false);
  return false;
}

/** The clock that rests on the real-time clock alone takes its time again, whose phase is known better by now. */
export function rtcSharpen(t: i64): void {
  const before = clockUtc(t);
  takeTime(t);
  const step = clockUtc(t) - before;
  // During a transaction it waits.
  if (step != 0) raiseEvent(MeterEvent.ClockSet, step, clockBoundNs(t), false);
}

function takeTime(t: i64): void {
  const shown = t + phaseNs();
  const half = phaseHalfNs();
  const utc = shown - calibrationOffsetNs();
  const drift = half + READ_NS + calibrationBoundNs(shown);
  // It counts no leap seconds.
  const leaps = leapMonthEnds(calibrationUtc() - calibrationBoundNs(calibrationUtc()), utc + drift) * SECOND_NS;
  const error = drift + leaps;
  const known = calibrationStandardNs(shown);
  // A rectangular distribution: half-width over the root of three.
  const standard = known > error ? error : known + (half * 577) / 1000 + leaps / 2;
  clockFromRealTimeClock(t, utc - error, utc + error, shown - calibrationExpectNs(shown), standard);
  leapCovered(utc + error);
}

/** Compares the real-time clock, whose phase is known, with the synchronised clock; returns its offset to UTC, ns. */
export function rtcCompare(t: i64): i64 {
  const half = phaseHalfNs();
  const offset = t + phaseNs() - clockUtc(t);
  // One that is somewhere else altogether has nothing to tell.
  if (max<i64>(offset, -offset) < DAY_SECONDS * SECOND_NS) {
    const utc = clockUtc(t);
    const bound = half + READ_NS + clockBoundNs(t);
    if (!calibrationCovers(utc, offset, bound)) stateContradicted();
    const leaps = leapMonthEnds(calibrationUtc(), utc) * SECOND_NS;
    calibrationTake(utc, offset, bound, clockUncertaintyNs(t) / 2 + (half * 577) / 1000 + STAMP_NS, leaps);
  }
  return offset;
}

/** What the real-time clock says (`RtcField`) in Unix seconds; -1 when it is no date from 1970 to YEAR_MAX. */
export function rtcSeconds(at: usize): i64 {
  const second: u32 = load<u8>(at, RtcField.Second);
  const minute: u32 = load<u8>(at, RtcField.Minute);
  const hour: u32 = load<u8>(at, RtcField.Hour);
  const day: u32 = load<u8>(at, RtcField.Day);
  const month: u32 = load<u8>(at, RtcField.Month);
  const year: u32 = load<u16>(at, RtcField.Year);
  if (second > 59 || minute > 59 || hour > 23 || month < 1 || month > 12 || year < 1970 || year > YEAR_MAX) return -1;
  if (day < 1 || day > monthDays(year, month)) return -1;
  return daysFromCivil(year, month, day) * DAY_SECONDS + <i64>(hour * 3600 + minute * 60 + second);
}

/** Sets the real-time clock to a full second of UTC, now. */
export function rtcSet(seconds: i64): void {
  const days = seconds / DAY_SECONDS;
  const rest = <u32>(seconds - days * DAY_SECONDS);
  civilFromDays(days);
  const at = actionAdd(Action.RtcSet, RtcField.Bytes - RtcField.Second) - RtcField.Second;
  store<u8>(at, <u8>(rest % 60), RtcField.Second);
  store<u8>(at, <u8>((rest / 60) % 60), RtcField.Minute);
  store<u8>(at, <u8>(rest / 3600), RtcField.Hour);
  store<u8>(at, <u8>civilDay, RtcField.Day);
  store<u8>(at, <u8>civilMonth, RtcField.Month);
  store<u16>(at, <u16>civilYear, RtcField.Year);
}
