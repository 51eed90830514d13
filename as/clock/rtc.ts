// The real-time clock: when its time counts after a start, and when it is set.
// What always holds: its time counts only when its oscillator never stopped, storage proves that an authenticated time
// set it, and it is not behind the time floor; even then it gives holdover, never synchronisation.

import { actionAdd } from '../abi/buffers';
import { Action, MeterEvent, RtcField, RtcRefusal, RtcStatus } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { rtcDriftNs, stateFloorUtc, stateRtcBoundNs, stateRtcSetUtc } from '../meter/state';
import { SECOND_NS } from '../ntp/timestamp';
import { civilDay, civilFromDays, civilMonth, civilYear, daysFromCivil, monthDays } from './civil';
import { clockFromRealTimeClock } from './clock';
import { leapCovered, leapMonthEnds } from './leap';

const DAY_SECONDS: i64 = 86_400;

/** Last year that counts: later ones do not fit into ns since 1970, and no meter lives that long. */
const YEAR_MAX: u32 = 2199;

// A second read may be at its very end, and a chip may keep the phase below a second when it is set.
const READ_EARLY_NS: i64 = SECOND_NS;
const READ_LATE_NS: i64 = 2 * SECOND_NS;

/** Takes what the real-time clock said (`RtcField`) at local time `t`. */
export function rtcRead(t: i64, at: usize): void {
  const status: u32 = load<u8>(at, RtcField.Status);
  const seconds = unixSeconds(at);
  if (status == RtcStatus.Absent || seconds < 0) return refuse(RtcRefusal.Absent, 0);
  if (status != RtcStatus.Running) return refuse(RtcRefusal.OscillatorStopped, seconds);
  const setUtc = stateRtcSetUtc();
  if (setUtc == 0) return refuse(RtcRefusal.NoProof, seconds);
  const utc = seconds * SECOND_NS;
  if (utc + READ_LATE_NS < stateFloorUtc()) return refuse(RtcRefusal.BehindFloor, seconds);
  const drift = stateRtcBoundNs() + rtcDriftNs(utc - setUtc);
  // It counts no leap seconds.
  const error = drift + leapMonthEnds(setUtc - stateRtcBoundNs(), utc + READ_LATE_NS + drift) * SECOND_NS;
  clockFromRealTimeClock(t, utc - READ_EARLY_NS - error, utc + READ_LATE_NS + error);
  leapCovered(utc + READ_LATE_NS + error);
  raiseEvent(MeterEvent.RtcAccepted, error + READ_LATE_NS, 0, false);
}

function refuse(reason: u32, seconds: i64): void {
  raiseEvent(MeterEvent.RtcRefused, reason, seconds, false);
}

// Unix seconds of a civil time; -1 when it is no date from 1970 to YEAR_MAX.
function unixSeconds(at: usize): i64 {
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
