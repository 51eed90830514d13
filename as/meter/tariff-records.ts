// Records of what legal time, transactions and the time's worth make happen, with the registers read at that time.
//
//   due ──> registers asked for ──┬── answer ──> record, with what the time was worth when they were read
//                                 └── none within 2 s ──> record without readings
//
// What always holds:
// - Reasons that come up together are one record; a record is of one transaction at most.
// - What a network can bring about makes a few records an hour.

import { actionAdd } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import { Action, ReadingsField, RecordField, RecordMark, RecordReason } from '../abi/codes';
import { localFromTicks } from '../clock/local';
import { rulesTransactionRuns } from '../clock/rules';
import { SECOND_NS } from '../ntp/timestamp';
import { bodyTime, captureUtc } from '../record/body';
import { headRequest } from '../record/head';
import { logFull } from '../record/log';
import { MARK_RUNS, markedTransaction } from '../record/mark';
import {
  LETTER_SYNCHRONISED,
  qualityAt,
  qualityDlms,
  qualityDoubtful,
  qualityLetter,
  qualityPlain,
  qualityPtb,
  TRANSACTION_CONTINUOUS,
  TRANSACTION_RUNS,
  TRANSACTION_SYNCHRONISED,
} from '../record/quality';
import { recordAdd, recordCommit, recordLossMark } from '../record/records';
import { shareDue, shareTake } from '../record/share';
import { zoneOffsetSeconds, zoneSummer } from '../tariff/zone';
import { settingsRegisters } from './settings';
import {
  keeperDynamicEnded,
  keeperHeld,
  keeperMinutes,
  keeperOffsetSeconds,
  keeperSummer,
  keeperTariff,
  keeperTariffSince,
} from './tariff-keeper';
import { slotsLoading, slotsProgramCrc } from './tariff-slots';

/** An application that answers later gives readings of another time. */
const ANSWER_NS: i64 = 2 * SECOND_NS;
/** Records of a changed status: so many at once, and one in this time after them. */
const STATUS_BURST: i64 = 3;
const STATUS_NS: i64 = 1200 * SECOND_NS;
/** What a switch may be late by where there are no periods: as with 15 minutes. */
const LATE_MINUTES: i64 = 15;

// Records to be made: the one whose registers are asked for, and the next one. Reasons u32, marks u32, target i64,
// transaction u32, tariff before it i32 (-1: not known), bits of the transaction u32, beyond the rules u32, tariff since i64.
const REQUEST_BYTES: u32 = 40;
const MARKS: usize = 4;
const TARGET: usize = 8;
const NUMBER: usize = 16;
const TARIFF_AT: usize = 20;
const BITS: usize = 24;
const BEYOND: usize = 28;
const SINCE: usize = 32;
const ASKED: usize = TARIFF == 0 ? 0 : memory.data(80, 8);
const NEXT: usize = ASKED + REQUEST_BYTES;

/** The application has registers. */
let registers: bool = false;
let askedAt: i64 = 0;

/** Letter and PTB status of the last record, and the local time up to which the share of records of a status is used. */
let toldLetter: u32 = 0;
let toldPtb: u32 = 0;
let statusUsed: i64 = 0;
let statusDue: i64 = i64.MAX_VALUE;

/** The transaction: number of the last one, and bits of the one that runs. */
let transaction: u32 = 0;
let transactionBits: u32 = 0;

/** The meter starts. */
export function recordsStart(withRegisters: bool): void {
  registers = withRegisters;
}

/** Bits of the transaction that runs (`TRANSACTION_RUNS` and so on); 0 without one. */
export function recordsTransactionBits(): u32 {
  return transactionBits;
}

/** PTB status of a record made at the time that `qualityAt` looked at. */
export function recordsPtb(): u32 {
  return qualityPtb(standingMarks(), false, false);
}

function standingMarks(): u32 {
  let marks: u32 = 0;
  if (slotsProgramCrc() == 0) marks |= RecordMark.NoProgram;
  if (keeperDynamicEnded()) marks |= RecordMark.DynamicEnded;
  if (logFull()) marks |= RecordMark.LogbookFull;
  if (keeperHeld()) marks |= RecordMark.SwitchHeld;
  if (qualityDoubtful) marks |= RecordMark.Doubtful;
  return marks;
}

// ---------------------------------------------------------------- what is recorded

/** A record is due, for this reason and with this target. */
export function recordNeed(reason: u32, target: i64): void {
  if (load<u32>(NEXT) == 0) {
    store<i32>(NEXT, keeperTariff(), TARIFF_AT);
    store<i64>(NEXT, keeperTariffSince(), SINCE);
    if (transactionBits != 0) putTransaction();
  }
  store<u32>(NEXT, load<u32>(NEXT) | reason);
  store<i64>(NEXT, max<i64>(load<i64>(NEXT, TARGET), target), TARGET);
}

/** The same of a period that has ended, with these marks; `beyond`: it is invalid by the rules for the clock. */
export function recordPeriod(target: i64, marks: u32, beyond: bool): void {
  recordNeed(RecordReason.Period, target);
  store<u32>(NEXT, load<u32>(NEXT, MARKS) | marks, MARKS);
  if (beyond) store<u32>(NEXT, 1, BEYOND);
}

/** The first record of a start. */
export function recordStart(): void {
  transaction = markedTransaction();
  recordNeed(RecordReason.Start, 0);
  if ((transaction & MARK_RUNS) == 0) return;
  // Power failed while it ran.
  transaction &= ~MARK_RUNS;
  store<u32>(NEXT, transaction, NUMBER);
  store<u32>(NEXT, TRANSACTION_RUNS, BITS);
  store<u32>(NEXT, RecordMark.PeriodIncomplete, MARKS);
  recordNeed(RecordReason.TransactionEnd, 0);
}

/** The clock was set: no duration across that is right. */
export function recordClockSet(): void {
  transactionBits &= ~TRANSACTION_CONTINUOUS;
  for (let request = ASKED; request <= NEXT; request += REQUEST_BYTES) {
    store<u32>(request, load<u32>(request, BITS) & ~TRANSACTION_CONTINUOUS, BITS);
  }
  recordNeed(RecordReason.ClockSet, 0);
}

/** Follows what the rules for the clock say of a transaction, which may be overdue; `known`: the time is. */
export function recordTransaction(now: i64, known: bool): void {
  const runs = rulesTransactionRuns();
  if (runs == (transactionBits != 0)) return;
  if (!runs) {
    recordNeed(RecordReason.TransactionEnd, 0);
    transactionBits = 0;
  } else {
    // A record is of one transaction.
    if (load<u32>(NEXT, NUMBER) != 0) flush(now);
    transaction = (transaction + 1) & ~MARK_RUNS;
    transactionBits = TRANSACTION_RUNS | TRANSACTION_SYNCHRONISED | (known ? TRANSACTION_CONTINUOUS : 0);
    recordNeed(RecordReason.TransactionBegin, 0);
    putTransaction();
  }
}

function putTransaction(): void {
  store<u32>(NEXT, transaction, NUMBER);
  store<u32>(NEXT, transactionBits, BITS);
}

/** A record says that the status has changed, as `qualityAt` found it just now, unless one is on its way. */
export function recordStatus(looked: bool, now: i64): void {
  statusDue = i64.MAX_VALUE;
  if (!looked || (load<u32>(ASKED) | load<u32>(NEXT)) != 0) return;
  if (qualityPlain == toldLetter && recordsPtb() == toldPtb) return;
  statusDue = shareDue(statusUsed, now, STATUS_NS, STATUS_BURST);
  if (statusDue > now) return;
  statusDue = i64.MAX_VALUE;
  statusUsed = shareTake(statusUsed, now, STATUS_NS);
  recordNeed(RecordReason.Status, 0);
}

// ---------------------------------------------------------------- registers

/** Makes the record whose registers did not come in time. */
export function recordsStep(now: i64): void {
  if (load<u32>(ASKED) != 0 && now >= askedAt + ANSWER_NS) finish(ASKED, now, 0, 0);
}

/** Local time at which that is, or a status can be recorded. */
export function recordsDeadline(): i64 {
  return load<u32>(ASKED) == 0 ? statusDue : min<i64>(statusDue, askedAt + ANSWER_NS);
}

/** Asks for the registers of the next record. */
export function recordsAsk(now: i64): void {
  if (load<u32>(ASKED) != 0 || load<u32>(NEXT) == 0) return;
  copy(ASKED, NEXT, REQUEST_BYTES);
  clear(NEXT, REQUEST_BYTES);
  if (!registers || settingsRegisters() == 0) return finish(ASKED, now, 0, 0);
  askedAt = now;
  actionAdd(Action.ReadingsRead, 0);
}

// What waits is recorded without readings.
function flush(now: i64): void {
  if (load<u32>(ASKED) != 0) finish(ASKED, now, 0, 0);
  if (load<u32>(NEXT) != 0) finish(NEXT, now, 0, 0);
}

/** `Event.Readings`, read at local tick `tick`. */
export function recordsReadings(at: usize, length: u32, tick: u64, now: i64): void {
  if (TARIFF == 0 || load<u32>(ASKED) == 0 || length < <u32>ReadingsField.Values) return;
  const read = min<i64>(localFromTicks(tick), now);
  const count: u32 = load<u8>(at, ReadingsField.Count);
  // Those of an earlier question, which was given up.
  if (read < askedAt || length < <u32>ReadingsField.Values + 8 * count) return;
  finish(ASKED, read, at + ReadingsField.Values, min<u32>(count, settingsRegisters()));
}

// Makes the record of a request, of which nothing is left then.
function finish(request: usize, t: i64, values: usize, count: u32): void {
  let reasons = load<u32>(request);
  qualityAt(t, load<u32>(request, BITS));
  if ((reasons & RecordReason.TransactionBegin) != 0 && qualityLetter != LETTER_SYNCHRONISED) {
    transactionBits &= ~TRANSACTION_SYNCHRONISED;
    store<u32>(NEXT, load<u32>(NEXT, BITS) & ~TRANSACTION_SYNCHRONISED, BITS);
  }
  const ptb = recordsPtb();
  if (toldLetter != 0 && (qualityPlain != toldLetter || ptb != toldPtb)) reasons |= RecordReason.Status;
  toldLetter = qualityPlain;
  toldPtb = ptb;
  const body = recordAdd();
  if (body != 0) {
    let marks = standingMarks() | load<u32>(request, MARKS) | recordLossMark();
    if (count == 0) marks |= RecordMark.NoReadings;
    else if (isLate(t, load<i64>(request, TARGET))) marks |= RecordMark.Late;
    bodyTime(body, t);
    store<u8>(body, <u8>reasons, RecordField.Reasons);
    store<u16>(body, <u16>marks, RecordField.Marks);
    store<u32>(body, load<u32>(request, NUMBER), RecordField.Transaction);
    store<i64>(body, load<i64>(request, TARGET), RecordField.TargetUnixSeconds);
    putLocalTime(body);
    store<u16>(body, <u16>max<i32>(load<i32>(request, TARIFF_AT), 0), RecordField.Tariff);
    const beyond = load<u32>(request, BEYOND) != 0;
    store<u8>(body, <u8>qualityPtb(marks, beyond, count == 0 && settingsRegisters() != 0), RecordField.PtbStatus);
    store<u8>(body, <u8>count, RecordField.Readings);
    copy(body + RecordField.Values, values, 8 * count);
    // The tariff after it is the one before the next record, where that is due already.
    if (request == ASKED && load<u32>(NEXT) != 0) recordCommit(load<i32>(NEXT, TARIFF_AT), load<i64>(NEXT, SINCE));
    else recordCommit(keeperTariff(), keeperTariffSince());
  }
  if ((reasons & RecordReason.TransactionEnd) != 0) headRequest();
  clear(request, REQUEST_BYTES);
}

// Legal time at the capture.
function putLocalTime(body: usize): void {
  const utc = load<i64>(body, RecordField.CaptureUtcNs) / SECOND_NS;
  let offset = keeperOffsetSeconds();
  let isSummer = keeperSummer();
  if (utc != 0 && !slotsLoading()) {
    offset = zoneOffsetSeconds(utc);
    isSummer = zoneSummer(utc);
  }
  store<i16>(body, <i16>(offset / 60), RecordField.OffsetMinutes);
  store<u8>(body, <u8>qualityDlms(isSummer), RecordField.DlmsStatus);
}

// Whether registers were read too far from the target: a hundredth of the period.
function isLate(t: i64, target: i64): bool {
  if (target == 0) return false;
  const apart = captureUtc(t) - target * SECOND_NS;
  const period: i64 = keeperMinutes() == 0 ? LATE_MINUTES : keeperMinutes();
  return max<i64>(apart, -apart) > (period * 60 * SECOND_NS) / 100;
}
