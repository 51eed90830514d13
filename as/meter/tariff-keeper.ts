// What legal time makes happen in the meter: registration periods end, tariffs switch, and each of that is recorded with the
// registers read at that time.
//
//   due ──> registers asked for ──┬── answer ──> record, with what the time was worth when they were read
//                                 └── none within 2 s ──> record without readings
//
// What always holds:
// - Reasons that come up together are one record; a record is of one transaction at most.
// - No period is recorded and no tariff switched twice: what the clock was set back by less than the profile's `InvalidMs`
//   passes again in silence. What it was set back by more is determined anew, and marked.
// - While the time is not good enough, what the settings say is done, records are marked, and the application is told.
// - What a network can bring about makes a few records an hour.

import { actionAdd } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import {
  Action,
  Capability,
  ClockStatus,
  DoubtRule,
  ReadingsField,
  RecordField,
  RecordMark,
  RecordReason,
  TariffRulesField,
  TariffSwitchField,
} from '../abi/codes';
import { clockSetNs, clockSets, clockStatus, clockUtc } from '../clock/clock';
import { localFromTicks, localResolutionNs } from '../clock/local';
import { rulesInvalidations, rulesInvalidNs, rulesTransactionRuns } from '../clock/rules';
import { SECOND_NS } from '../ntp/timestamp';
import { bodyTime, captureUtc } from '../record/body';
import { headRequest } from '../record/head';
import { logFull } from '../record/log';
import { markChange, markedSince, markedTariff, markedTransaction, markTariff, markTransaction } from '../record/mark';
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
import { storeReady } from '../record/store';
import { periodBegin, periodEnd } from '../tariff/period';
import { tariffAt, tariffDynamic, tariffDynamicEnded, tariffNextAction } from '../tariff/tariff';
import { zoneOffsetSeconds, zoneSummer } from '../tariff/zone';
import { settingsRegisters, settingsTariffRules } from './settings';
import {
  slotsActivate,
  slotsActivation,
  slotsChanged,
  slotsDynamic,
  slotsLoading,
  slotsPresent,
  slotsProgramCrc,
  slotsReady,
  slotsSince,
  slotsStart,
} from './tariff-slots';

/** An application that answers later gives readings of another time. */
const ANSWER_NS: i64 = 2 * SECOND_NS;
/** How often the time's worth is looked at, at most, where nothing is due. */
const LOOK_NS: i64 = SECOND_NS;
/** Records of a changed status: so many at once, and one in this time after them. */
const STATUS_BURST: i64 = 3;
const STATUS_NS: i64 = 1200 * SECOND_NS;
/** Where the profile has no limit above which periods are invalid; and the least of it: a leap second is none. */
const BACK_NS: i64 = 9 * SECOND_NS;
const BACK_LEAST_NS: i64 = SECOND_NS;
/** Actions of a calendar that are looked at one by one: about a week's. */
const ACTIONS_MOST: u32 = 64;
/** What a switch may be late by where there are no periods: as with 15 minutes. */
const LATE_MINUTES: i64 = 15;
const NEVER: i64 = i64.MAX_VALUE;

/** Bit of the marked number of a transaction: it runs. */
const RUNS: u32 = 0x8000_0000;

// Records to be made: the one whose registers are asked for, and the next one. Reasons u32, marks u32, target i64,
// transaction u32, tariff u32, bits of the transaction u32, beyond the rules u32.
const REQUEST_BYTES: u32 = 32;
const MARKS: usize = 4;
const TARGET: usize = 8;
const NUMBER: usize = 16;
const TARIFF_AT: usize = 20;
const BITS: usize = 24;
const BEYOND: usize = 28;
const ASKED: usize = TARIFF == 0 ? 0 : memory.data(64, 8);
const NEXT: usize = ASKED + REQUEST_BYTES;

let registers: bool = false;
let begun: bool = false;
let askedAt: i64 = 0;

/** Whether there was a time since the start. */
let anchored: bool = false;
let sets: u32 = 0;
let setNs: i64 = 0;
let invalidations: u32 = 0;

/** Unix seconds: the last boundary that counts, the next one, and the latest of boundaries and switches so far. */
let lastEnd: i64 = 0;
let nextEnd: i64 = NEVER;
let reached: i64 = 0;
/** `RecordMark` bits of the period that runs, and whether the rules say that it is invalid. */
let periodMarks: u32 = RecordMark.PeriodIncomplete;
let periodBeyond: bool = false;
/** Local time minus UTC, s, and summer time, when they were last known. */
let offsetSeconds: i32 = 0;
let summer: bool = false;

/** The tariff that applies, -1 while it is not known, and since when. */
let tariff: i32 = -1;
let tariffSince: i64 = 0;
/** What the calendar says, -1 where it says nothing, and since when; when it may say something else. */
let wanted: i32 = -1;
let wantedSince: i64 = 0;
let nextAction: i64 = NEVER;
let dynamicNow: bool = false;
let dynamicEnded: bool = false;
/** A switch is held back. */
let held: bool = false;
/** The application has to be told. */
let untold: bool = false;
let replan: bool = false;
/** Something has changed that is told with the tariff. */
let news: bool = false;

let doubtful: bool = true;
let lookedAt: i64 = 0;
/** Letter and PTB status of the last record, and the local time up to which the share of records of a status is used. */
let toldLetter: u32 = 0;
let toldPtb: u32 = 0;
let statusUsed: i64 = 0;
let statusDue: i64 = NEVER;

/** The transaction: number of the last one, and bits of the one that runs. */
let transaction: u32 = 0;
let transactionBits: u32 = 0;

/** The instant that is waited for, and the local time at which the clock shows it. */
let plannedUtc: i64 = 0;
let plannedAt: i64 = 0;

/** `Event.Start`. */
export function tariffStart(capabilities: u32, storageBytes: u32): void {
  if (TARIFF == 0) return;
  registers = (capabilities & Capability.Registers) != 0;
  slotsStart((capabilities & Capability.Storage) == 0 ? 0 : storageBytes);
}

export function keeperTariff(): i32 {
  return tariff;
}
export function keeperTariffSince(): i64 {
  return tariffSince;
}
export function keeperDoubtful(): bool {
  return doubtful;
}
export function keeperDynamic(): bool {
  return dynamicNow;
}
export function keeperDynamicEnded(): bool {
  return dynamicEnded;
}
export function keeperSuspended(): bool {
  return doubtful && rule(TariffRulesField.Doubt) == DoubtRule.Suspend;
}
/** Unix seconds at which the period ends; 0 where that is not known. */
export function keeperPeriodEnd(): i64 {
  return anchored && nextEnd != NEVER ? nextEnd : 0;
}
/** Whether there are tariffs to switch. */
export function keeperSwitches(): bool {
  return nextAction != NEVER;
}
export function keeperOffsetSeconds(): i32 {
  return offsetSeconds;
}
export function keeperSummer(): bool {
  return summer;
}
/** PTB status of a record made at the time that `qualityAt` looked at. */
export function keeperPtb(): u32 {
  return qualityPtb(standingMarks(), false, false);
}
export function keeperTransactionBits(): u32 {
  return transactionBits;
}
/** Whether something has changed that is told with the tariff, since this was last asked. */
export function keeperNews(): bool {
  const result = news;
  news = false;
  return result;
}

function rule(field: usize): u32 {
  return load<u8>(settingsTariffRules() + field);
}

function minutes(): u32 {
  return rule(TariffRulesField.PeriodMinutes);
}

/** After each event: does what is due. */
export function tariffStep(now: i64): void {
  if (TARIFF == 0 || !slotsPresent()) return;
  if (!begun) {
    if (!slotsReady() || slotsLoading() || !storeReady()) return;
    begin();
  }
  if (load<u32>(ASKED) != 0 && now >= askedAt + ANSWER_NS) finish(ASKED, now, 0, 0);
  const known = clockStatus() != ClockStatus.Unsynchronised;
  const utc = known ? clockUtc(now) / SECOND_NS : 0;
  if (known && (!anchored || isDue(utc))) {
    look(now);
    passTime(utc);
  } else if (now >= lookedAt + LOOK_NS) {
    look(now);
  }
  if (wanted >= 0) apply(utc);
  followTransaction(now, known);
  status(now);
  ask(now);
  if (untold) tell();
}

function begin(): void {
  begun = true;
  transaction = markedTransaction();
  tariff = markedTariff();
  tariffSince = markedSince();
  untold = true;
  need(RecordReason.Start, 0);
  if ((transaction & RUNS) == 0) return;
  // Power failed while it ran.
  transaction &= ~RUNS;
  store<u32>(NEXT, transaction, NUMBER);
  store<u32>(NEXT, TRANSACTION_RUNS, BITS);
  store<u32>(NEXT, RecordMark.PeriodIncomplete, MARKS);
  need(RecordReason.TransactionEnd, 0);
  markTransaction(transaction);
  markChange(true);
}

// ---------------------------------------------------------------- time

// Whether the clock has reached something, or was set.
function isDue(utc: i64): bool {
  if (utc >= nextEnd || clockSets() != sets || rulesInvalidations() != invalidations) return true;
  if (slotsLoading()) return false;
  return utc >= nextAction || utc >= slotsActivation() || replan || slotsChanged(false) || wentBack(utc);
}

function wentBack(utc: i64): bool {
  return (reached - utc) * SECOND_NS > backNs();
}

function backNs(): i64 {
  const limit = rulesInvalidNs();
  return limit == 0 ? BACK_NS : max<i64>(limit, BACK_LEAST_NS);
}

function passTime(utc: i64): void {
  const setBack = anchored && wasSet(utc);
  if (!anchored) first(utc);
  if (rulesInvalidations() != invalidations) {
    invalidations = rulesInvalidations();
    periodMarks |= RecordMark.PeriodInvalid;
    periodBeyond = true;
  }
  if (setBack || wentBack(utc)) {
    reached = utc;
    lastEnd = 0;
    wantedSince = utc;
    replan = true;
  }
  if (slotsLoading()) {
    if (utc >= nextEnd) endPeriod(nextEnd, nextEnd + 60 * <i64>minutes());
    return;
  }
  if (utc >= slotsActivation()) return slotsActivate();
  if (slotsChanged(true) || replan) plan(utc);
  if (utc >= nextEnd) {
    const target = max<i64>(periodBegin(utc, minutes()), nextEnd);
    // Periods that passed unseen are not made up for.
    if (target != nextEnd) periodMarks |= RecordMark.PeriodIncomplete;
    endPeriod(target, periodEnd(max<i64>(utc, target), minutes()));
  }
  if (utc >= nextAction) readCalendar(utc);
  offsetSeconds = zoneOffsetSeconds(utc);
  summer = zoneSummer(utc);
}

// The first time after a start.
function first(utc: i64): void {
  anchored = true;
  sets = clockSets();
  setNs = clockSetNs();
  invalidations = rulesInvalidations();
  slotsChanged(true);
  plan(utc);
  // The switches since the last one that is known.
  if (nextAction != NEVER && tariff >= 0 && tariffSince > 0 && tariffSince < utc) {
    wanted = tariff;
    wantedSince = tariffSince;
    nextAction = tariffNextAction(tariffSince);
  }
}

// Whether the clock was set back across what it had reached, by more than passes in silence.
function wasSet(utc: i64): bool {
  if (clockSets() == sets) return false;
  const by = clockSetNs() - setNs;
  sets = clockSets();
  setNs = clockSetNs();
  periodMarks |= RecordMark.PeriodInvalid;
  transactionBits &= ~TRANSACTION_CONTINUOUS;
  for (let request = ASKED; request <= NEXT; request += REQUEST_BYTES) {
    store<u32>(request, load<u32>(request, BITS) & ~TRANSACTION_CONTINUOUS, BITS);
  }
  need(RecordReason.ClockSet, 0);
  return -by > backNs() && utc < reached;
}

// From `utc` on the programs in force, or the clock, say something else.
function plan(utc: i64): void {
  replan = false;
  news = true;
  nextEnd = periodEnd(max<i64>(utc, lastEnd), minutes());
  if (slotsProgramCrc() == 0 && !slotsDynamic()) {
    nextAction = NEVER;
    wanted = -1;
    held = false;
    return;
  }
  nextAction = slotsSince() == 0 ? utc : min<i64>(slotsSince(), utc);
}

function endPeriod(target: i64, next: i64): void {
  lastEnd = target;
  reached = max<i64>(reached, target);
  nextEnd = next;
  news = true;
  if (keeperSuspended()) return;
  need(RecordReason.Period, target);
  store<u32>(NEXT, load<u32>(NEXT, MARKS) | periodMarks, MARKS);
  if (periodBeyond) store<u32>(NEXT, 1, BEYOND);
  periodMarks = doubtful ? RecordMark.Doubtful : 0;
  periodBeyond = false;
}

// Follows the calendar's actions up to `utc`.
function readCalendar(utc: i64): void {
  for (let turns: u32 = 0; nextAction <= utc && turns < ACTIONS_MOST; turns++) {
    calendarSays(nextAction, nextAction);
    nextAction = tariffNextAction(nextAction);
  }
  if (nextAction > utc) return;
  // Too long ago to say when.
  calendarSays(utc, 0);
  nextAction = tariffNextAction(utc);
}

function calendarSays(utc: i64, from: i64): void {
  const says = <i32>tariffAt(utc);
  news = news || dynamicNow != tariffDynamic || dynamicEnded != tariffDynamicEnded;
  dynamicNow = tariffDynamic;
  dynamicEnded = tariffDynamicEnded;
  if (says == wanted) return;
  wanted = says;
  wantedSince = from;
  reached = max<i64>(reached, from);
}

// The tariff is switched to what the calendar says, or held.
function apply(utc: i64): void {
  const since = held ? utc : wantedSince;
  if (tariff == wanted) {
    held = false;
    if (wantedSince == 0 || tariffSince == wantedSince) return;
  } else {
    if (tariff >= 0 && doubtful && rule(TariffRulesField.Doubt) != DoubtRule.Switch) {
      held = true;
      return;
    }
    need(RecordReason.Switch, since);
    // It is what the next start goes on with.
    markChange(true);
  }
  held = false;
  tariff = wanted;
  tariffSince = since;
  wantedSince = since;
  markTariff(since, tariff);
  untold = true;
}

function tell(): void {
  untold = false;
  news = true;
  if (tariff < 0) return;
  const at = actionAdd(Action.TariffSwitch, TariffSwitchField.Bytes);
  clear(at, TariffSwitchField.Bytes);
  store<u16>(at, <u16>tariff, TariffSwitchField.Tariff);
  store<u8>(at, doubtful ? 1 : 0, TariffSwitchField.Doubtful);
  store<i64>(at, tariffSince, TariffSwitchField.SinceUnixSeconds);
}

// ---------------------------------------------------------------- what the time is worth

function look(now: i64): void {
  lookedAt = now;
  qualityAt(now, transactionBits);
  if (qualityDoubtful) periodMarks |= RecordMark.Doubtful;
  if (qualityDoubtful == doubtful) return;
  doubtful = qualityDoubtful;
  untold = true;
}

function standingMarks(): u32 {
  let marks: u32 = 0;
  if (slotsProgramCrc() == 0) marks |= RecordMark.NoProgram;
  if (dynamicEnded) marks |= RecordMark.DynamicEnded;
  if (logFull()) marks |= RecordMark.LogbookFull;
  if (held) marks |= RecordMark.SwitchHeld;
  if (qualityDoubtful) marks |= RecordMark.Doubtful;
  return marks;
}

// A record says that the status has changed, unless one is on its way.
function status(now: i64): void {
  statusDue = NEVER;
  if (lookedAt != now || (load<u32>(ASKED) | load<u32>(NEXT)) != 0) return;
  if (qualityPlain == toldLetter && keeperPtb() == toldPtb) return;
  statusDue = shareDue(statusUsed, now, STATUS_NS, STATUS_BURST);
  if (statusDue > now) return;
  statusDue = NEVER;
  statusUsed = shareTake(statusUsed, now, STATUS_NS);
  need(RecordReason.Status, 0);
}

// ---------------------------------------------------------------- transactions

// The rules for the clock say whether one runs: it may be overdue.
function followTransaction(now: i64, known: bool): void {
  const runs = rulesTransactionRuns();
  if (runs == (transactionBits != 0)) return;
  if (!runs) {
    need(RecordReason.TransactionEnd, 0);
    transactionBits = 0;
    markTransaction(transaction);
  } else {
    // A record is of one transaction.
    if (load<u32>(NEXT, NUMBER) != 0) flush(now);
    transaction = (transaction + 1) & ~RUNS;
    transactionBits = TRANSACTION_RUNS | TRANSACTION_SYNCHRONISED | (known ? TRANSACTION_CONTINUOUS : 0);
    need(RecordReason.TransactionBegin, 0);
    store<u32>(NEXT, transaction, NUMBER);
    store<u32>(NEXT, transactionBits, BITS);
    markTransaction(transaction | RUNS);
  }
  markChange(true);
}

// ---------------------------------------------------------------- records

// A record is due, for this reason and with this target.
function need(reason: u32, target: i64): void {
  if (load<u32>(NEXT) == 0) {
    store<u32>(NEXT, <u32>max<i32>(tariff, 0), TARIFF_AT);
    if (transactionBits != 0) {
      store<u32>(NEXT, transaction, NUMBER);
      store<u32>(NEXT, transactionBits, BITS);
    }
  }
  store<u32>(NEXT, load<u32>(NEXT) | reason);
  store<i64>(NEXT, max<i64>(load<i64>(NEXT, TARGET), target), TARGET);
}

function ask(now: i64): void {
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
export function tariffReadings(at: usize, length: u32, tick: u64, now: i64): void {
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
  const standing = standingMarks();
  const ptb = keeperPtb();
  if (toldLetter != 0 && (qualityPlain != toldLetter || ptb != toldPtb)) reasons |= RecordReason.Status;
  toldLetter = qualityPlain;
  toldPtb = ptb;
  const body = recordAdd();
  if (body != 0) {
    let marks = standing | load<u32>(request, MARKS) | recordLossMark();
    if (count == 0) marks |= RecordMark.NoReadings;
    else if (isLate(t, load<i64>(request, TARGET))) marks |= RecordMark.Late;
    bodyTime(body, t);
    store<u8>(body, <u8>reasons, RecordField.Reasons);
    store<u16>(body, <u16>marks, RecordField.Marks);
    store<u32>(body, load<u32>(request, NUMBER), RecordField.Transaction);
    store<i64>(body, load<i64>(request, TARGET), RecordField.TargetUnixSeconds);
    putLocalTime(body);
    store<u16>(body, <u16>load<u32>(request, TARIFF_AT), RecordField.Tariff);
    const beyond = load<u32>(request, BEYOND) != 0;
    store<u8>(body, <u8>qualityPtb(marks, beyond, count == 0 && settingsRegisters() != 0), RecordField.PtbStatus);
    store<u8>(body, <u8>count, RecordField.Readings);
    copy(body + RecordField.Values, values, 8 * count);
    recordCommit();
  }
  if ((reasons & RecordReason.TransactionEnd) != 0) headRequest();
  clear(request, REQUEST_BYTES);
}

// Legal time at the capture.
function putLocalTime(body: usize): void {
  const utc = load<i64>(body, RecordField.CaptureUtcNs) / SECOND_NS;
  let offset = offsetSeconds;
  let isSummer = summer;
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
  const period: i64 = minutes() == 0 ? LATE_MINUTES : minutes();
  return max<i64>(apart, -apart) > (period * 60 * SECOND_NS) / 100;
}

// ---------------------------------------------------------------- wake-up

/** Local time at which `tariffStep` has something to do. */
export function tariffDeadline(now: i64): i64 {
  if (TARIFF == 0 || !begun) return NEVER;
  let due = statusDue;
  if (load<u32>(ASKED) != 0) due = min<i64>(due, askedAt + ANSWER_NS);
  if (!anchored) return due;
  const utc = slotsLoading() ? nextEnd : min<i64>(min<i64>(nextEnd, nextAction), slotsActivation());
  return utc == NEVER ? due : min<i64>(due, localAt(now, utc * SECOND_NS));
}

// The first local time, to the tick, at which the clock as it goes now shows a UTC.
function localAt(now: i64, utc: i64): i64 {
  const tick = localResolutionNs();
  if (utc != plannedUtc || clockUtc(plannedAt) < utc || clockUtc(plannedAt - tick) >= utc) {
    plannedUtc = utc;
    plannedAt = now;
    // The rate is off by less than a thousandth: each turn leaves as much of what is left.
    for (let turns = 0; turns < 4; turns++) plannedAt += utc - clockUtc(plannedAt);
    while (clockUtc(plannedAt) < utc) plannedAt += tick;
  }
  return plannedAt;
}
