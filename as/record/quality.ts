// What the meter's time is worth at an instant: whether it is good enough to bill by, as OCMF letter, as DLMS clock status, and
// as PTB status (docs/time-rules.md has the rule as a table).
// What always holds: S only where the time is authenticated, within the limits of the settings, and the clock calibrated then;
// nothing that is not known makes a status better.

import { CalibrationField, ClockStatus, LogFullRule, RecordMark, TariffRulesField, TimeFlag } from '../abi/codes';
import { clockBoundNs, clockStatus, clockUncertaintyNs, clockUtc } from '../clock/clock';
import { agreeContradicted } from '../meter/agree';
import { reportFlags } from '../meter/report';
import { settingsCalibration, settingsTariffRules } from '../meter/settings';
import { slotsBroken } from '../meter/tariff-slots';
import { SECOND_NS } from '../ntp/timestamp';
import { logFull } from './log';

/** Letters of OCMF, ASCII. */
export const LETTER_SYNCHRONISED: u32 = 0x53;
const LETTER_INFORMATIVE: u32 = 0x49;
const LETTER_RELATIVE: u32 = 0x52;
const LETTER_UNSYNCHRONISED: u32 = 0x55;

/** Bits of a transaction: it runs; it began with S; the time was known since then, and was not set. */
export const TRANSACTION_RUNS: u32 = 1;
export const TRANSACTION_SYNCHRONISED: u32 = 2;
export const TRANSACTION_CONTINUOUS: u32 = 4;

/** DLMS clock status (Blue Book 4.1.6.1). */
const DLMS_INVALID: u32 = 0x01;
const DLMS_DOUBTFUL: u32 = 0x02;
const DLMS_SUMMER: u32 = 0x80;

/** PTB status. */
const OK: u32 = 0;
const WARNING: u32 = 1;
const TEMPORARY: u32 = 2;
const CRITICAL: u32 = 3;

const MILLISECOND_NS: i64 = 1_000_000;
/** So long before its end a calibration is warned of. */
const EXPIRES_SECONDS: i64 = 30 * 86_400;

/** Marks of a record for which a substitute may serve, and of one with a warning. */
const MARKS_TEMPORARY: u32 =
  RecordMark.PeriodInvalid | RecordMark.PeriodIncomplete | RecordMark.Late | RecordMark.SwitchHeld;
const MARKS_WARNING: u32 = RecordMark.DynamicEnded | RecordMark.RecordsLost | RecordMark.LogbookFull;

/** Results of `qualityAt`: `TimeFlag` bits, ns, whether the time is not good enough to bill by, and the letter. */
export let qualityFlags: u32 = 0;
export let qualityUncertaintyNs: i64 = 0;
export let qualityBoundNs: i64 = 0;
export let qualityDoubtful: bool = true;
export let qualityLetter: u32 = LETTER_UNSYNCHRONISED;
/** The letter that there would be without a transaction. */
export let qualityPlain: u32 = LETTER_UNSYNCHRONISED;
/** Whether an authenticated time stands behind it. */
let confirmed: bool = false;
/** PTB status of the time alone. */
let level: u32 = CRITICAL;

function limitNs(field: usize): i64 {
  const ms: i64 = load<u32>(settingsTariffRules() + field);
  return ms == 0 ? i64.MAX_VALUE : ms * MILLISECOND_NS;
}

// Whether the logbook is full, and that makes registration periods invalid.
function logInvalidates(): bool {
  return logFull() && load<u8>(settingsTariffRules(), TariffRulesField.LogFull) == <u8>LogFullRule.Invalid;
}

/**
 * Looks at the time at local time `t`, that of the event being handled or just before it.
 *
 * @param transaction `TRANSACTION_RUNS` and so on; 0 without one
 */
export function qualityAt(t: i64, transaction: u32): void {
  const status = clockStatus();
  qualityFlags = reportFlags(t);
  if (status == ClockStatus.Unsynchronised) {
    qualityUncertaintyNs = i64.MAX_VALUE;
    qualityBoundNs = i64.MAX_VALUE;
    qualityDoubtful = true;
    confirmed = false;
    qualityLetter = LETTER_UNSYNCHRONISED;
    qualityPlain = LETTER_UNSYNCHRONISED;
    level = CRITICAL;
    return;
  }
  qualityUncertaintyNs = clockUncertaintyNs(t);
  qualityBoundNs = clockBoundNs(t);
  qualityDoubtful =
    (qualityFlags & (TimeFlag.HoldoverEnded | TimeFlag.ClockRefused)) != 0 ||
    qualityUncertaintyNs > limitNs(TariffRulesField.UncertaintyMaxMs) ||
    qualityBoundNs > limitNs(TariffRulesField.BoundMaxMs);
  let against: u32 = TimeFlag.DatesUnchecked | TimeFlag.FromRtc;
  // In holdover servers that are not heard contradict nothing.
  if (status == ClockStatus.Synchronised || agreeContradicted(t)) against |= TimeFlag.NoMajority;
  confirmed = (qualityFlags & against) == 0;
  const left = calibrationLeft(clockUtc(t) / SECOND_NS);
  const good = confirmed && !qualityDoubtful && !slotsBroken() && !logInvalidates();
  qualityPlain = good && left > 0 ? LETTER_SYNCHRONISED : LETTER_INFORMATIVE;
  qualityLetter = transaction == 0 ? qualityPlain : letterWithin(transaction, left > 0);
  level = levelOf(status, left);
}

// Seconds for which the calibration holds after `utc`; 0 where it does not.
function calibrationLeft(utc: i64): i64 {
  const calibration = settingsCalibration();
  if (calibration == 0 || utc < load<i64>(calibration, CalibrationField.At)) return 0;
  return max<i64>(load<i64>(calibration, CalibrationField.Until) - utc, 0);
}

function letterWithin(transaction: u32, calibrated: bool): u32 {
  // Both ends of a transaction have to be S where it is billed by its times.
  if (qualityPlain == LETTER_SYNCHRONISED && (transaction & TRANSACTION_SYNCHRONISED) != 0) return LETTER_SYNCHRONISED;
  return calibrated && (transaction & TRANSACTION_CONTINUOUS) != 0 ? LETTER_RELATIVE : LETTER_INFORMATIVE;
}

function levelOf(status: u32, left: i64): u32 {
  if ((qualityFlags & TimeFlag.HoldoverEnded) != 0 || logInvalidates()) return CRITICAL;
  if (qualityDoubtful || !confirmed || left == 0 || slotsBroken()) return TEMPORARY;
  return status == ClockStatus.Holdover || left < EXPIRES_SECONDS ? WARNING : OK;
}

/** DLMS clock status of the time that `qualityAt` looked at. */
export function qualityDlms(summer: bool): u32 {
  if (qualityLetter == LETTER_UNSYNCHRONISED) return DLMS_INVALID;
  return (summer ? DLMS_SUMMER : 0) | (qualityDoubtful || !confirmed ? DLMS_DOUBTFUL : 0);
}

/**
 * PTB status of a record with these marks, made at that time.
 *
 * @param beyond the period that ended is invalid by the rules for the clock
 * @param unread there are registers, and no readings came
 */
export function qualityPtb(marks: u32, beyond: bool, unread: bool): u32 {
  let worst = beyond ? CRITICAL : level;
  if ((marks & MARKS_TEMPORARY) != 0 || unread) worst = max<u32>(worst, TEMPORARY);
  if ((marks & MARKS_WARNING) != 0) worst = max<u32>(worst, WARNING);
  return worst;
}
