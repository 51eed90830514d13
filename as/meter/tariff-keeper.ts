// What legal time makes happen in the meter: registration periods end and tariffs switch, each of which is recorded
// (`tariff-records.ts`).
//
// What always holds:
// - No period is recorded and no tariff switched twice: what the clock was set back by less than the profile's `InvalidMs`
//   passes again in silence. What it was set back by more is determined anew, and marked.
// - While the time is not good enough, what the settings say is done, records are marked, and the application is told.

import { actionAdd } from '../abi/buffers';
import { clear } from '../abi/bytes';
import {
  Action,
  Capability,
  ClockStatus,
  DoubtRule,
  RecordMark,
  RecordReason,
  TariffRulesField,
  TariffSwitchField,
} from '../abi/codes';
import { clockSetNs, clockSets, clockStatus, clockUtc } from '../clock/clock';
import { localResolutionNs } from '../clock/local';
import { rulesInvalidations, rulesInvalidNs } from '../clock/rules';
import { SECOND_NS } from '../ntp/timestamp';
import { markedSince, markedTariff, markSince } from '../record/mark';
import { qualityAt, qualityDoubtful } from '../record/quality';
import { storeReady } from '../record/store';
import { periodBegin, periodEnd } from '../tariff/period';
import { tariffAt, tariffDynamic, tariffDynamicEnded, tariffNextAction } from '../tariff/tariff';
import { zoneOffsetSeconds, zoneSummer } from '../tariff/zone';
import { settingsTariffRules } from './settings';
import {
  recordClockSet,
  recordNeed,
  recordPeriod,
  recordStart,
  recordStatus,
  recordsAsk,
  recordsDeadline,
  recordsStart,
  recordsStep,
  recordsTransactionBits,
  recordTransaction,
} from './tariff-records';
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

/** How often the time's worth is looked at, at most, where nothing is due. */
const LOOK_NS: i64 = SECOND_NS;
/** Where the profile has no limit above which periods are invalid; and the least of it: a leap second is none. */
const BACK_NS: i64 = 9 * SECOND_NS;
const BACK_LEAST_NS: i64 = SECOND_NS;
/** Actions of a calendar that are looked at one by one: about a week's. */
const ACTIONS_MOST: u32 = 64;
const NEVER: i64 = i64.MAX_VALUE;

let begun: bool = false;

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
/** The instant that is waited for, and the local time at which the clock shows it. */
let plannedUtc: i64 = 0;
let plannedAt: i64 = 0;

/** `Event.Start`. */
export function tariffStart(capabilities: u32, storageBytes: u32): void {
  if (TARIFF == 0) return;
  recordsStart((capabilities & Capability.Registers) != 0);
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
/** Whether a switch is held back. */
export function keeperHeld(): bool {
  return held;
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

/** Length of a registration period; 0 without any. */
export function keeperMinutes(): u32 {
  return rule(TariffRulesField.PeriodMinutes);
}

/** After each event: does what is due. */
export function tariffStep(now: i64): void {
  if (TARIFF == 0 || !slotsPresent()) return;
  if (!begun) {
    if (!slotsReady() || slotsLoading() || !storeReady()) return;
    begin();
  }
  recordsStep(now);
  const known = clockStatus() != ClockStatus.Unsynchronised;
  const utc = known ? clockUtc(now) / SECOND_NS : 0;
  if (known && (!anchored || isDue(utc))) {
    look(now);
    passTime(utc);
  } else if (now >= lookedAt + LOOK_NS) {
    look(now);
  }
  if (wanted >= 0) apply(utc);
  recordTransaction(now, known);
  recordStatus(lookedAt == now, now);
  recordsAsk(now);
  if (untold) tell();
}

function begin(): void {
  begun = true;
  tariff = markedTariff();
  tariffSince = markedSince();
  untold = true;
  recordStart();
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
    if (utc >= nextEnd) endPeriod(nextEnd, nextEnd + 60 * <i64>keeperMinutes());
    return;
  }
  if (utc >= slotsActivation()) return slotsActivate();
  if (slotsChanged(true) || replan) plan(utc);
  if (utc >= nextEnd) {
    const target = max<i64>(periodBegin(utc, keeperMinutes()), nextEnd);
    // Periods that passed unseen are not made up for.
    if (target != nextEnd) periodMarks |= RecordMark.PeriodIncomplete;
    endPeriod(target, periodEnd(max<i64>(utc, target), keeperMinutes()));
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
  recordClockSet();
  return -by > backNs() && utc < reached;
}

// From `utc` on the programs in force, or the clock, say something else.
function plan(utc: i64): void {
  replan = false;
  news = true;
  nextEnd = periodEnd(max<i64>(utc, lastEnd), keeperMinutes());
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
  recordPeriod(target, periodMarks, periodBeyond);
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
    markSince(since, tariff);
  } else {
    if (tariff >= 0 && doubtful && rule(TariffRulesField.Doubt) != DoubtRule.Switch) {
      held = true;
      return;
    }
    recordNeed(RecordReason.Switch, since);
  }
  held = false;
  tariff = wanted;
  tariffSince = since;
  wantedSince = since;
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
  qualityAt(now, recordsTransactionBits());
  if (qualityDoubtful) periodMarks |= RecordMark.Doubtful;
  if (qualityDoubtful == doubtful) return;
  doubtful = qualityDoubtful;
  untold = true;
}

// ---------------------------------------------------------------- wake-up

/** Local time at which `tariffStep` has something to do. */
export function tariffDeadline(now: i64): i64 {
  if (TARIFF == 0 || !begun) return NEVER;
  const due = recordsDeadline();
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
