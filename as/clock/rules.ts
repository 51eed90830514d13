// What may be done with a correction of the clock: slewed silently, slewed or set with an event, held back, or refused.
// What always holds:
// - A clock that is set is told. What is slewed without an event is at most the profile's silent limit, and with all
//   corrections of the day before it, what it adds up to is at most the day's limit, or an event says that it is more.
// - While a transaction runs the clock is not set, and slewed only where the profile allows it.
// - What follows from the learned rate is no correction. Corrections to and fro cancel out: a network's noise adds up to
//   nothing, a shift does.
//
// The numbers are the settings' (`ProfileField`); docs/time-rules.md says which rule of the field has which.

import { copy } from '../abi/bytes';
import { Invalidity, MeterEvent, ProfileField, TransactionRule } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { SECOND_NS } from '../ntp/timestamp';

/** Verdicts of `rulesTake`. */
export const CORRECTION_HELD: u32 = 0;
export const CORRECTION_SLEWED: u32 = 1;
export const CORRECTION_TOLD: u32 = 2;
export const CORRECTION_SET: u32 = 3;

const MILLISECOND_NS: i64 = 1_000_000;
const MICROSECOND_NS: i64 = 1000;
const HOUR_NS: i64 = 3600 * SECOND_NS;

/** Largest correction that may be slewed: at 500 ppm it takes eleven hours. */
const SLEW_MAX_MS: u32 = 20_000;
/** Largest of the other limits. */
const LIMIT_MAX_MS: u32 = 1_000_000;

/** A transaction that lasts longer was not ended: so its beginning says nothing any more. */
const TRANSACTION_MAX_NS: i64 = 24 * HOUR_NS;

// slewed up to 50 ms, silent up to 10 ms, periods invalid above 9 s, nothing refused, 9 s a day; no limit to holdover, nor to
// the number of settings; held back during transactions.
const PROFILE: usize = memory.data<u8>(
  [50, 0, 0, 0, 10, 0, 0, 0, 0x28, 0x23, 0, 0, 0, 0, 0, 0, 0x28, 0x23, 0, 0, 0, 0, 0, 0],
  4,
);

/** The day: this part of it and the three before, so that corrections count for at least 24 h. */
const PART_NS: i64 = 8 * HOUR_NS;
const PARTS: u32 = 4;
/** What corrections added up to in each part, the newest first: i32, µs. */
const MOVED: usize = memory.data(16, 4);
const MOVED_MAX_US: i64 = 2_000_000_000;
/** How often the clock was set in each, u8 each, the newest in the low bits. */
let sets: u32 = 0;
let part: u32 = 0;

let transactionEnd: i64 = i64.MAX_VALUE;
/** Bits of `state`. A correction waits, or was refused: the clock is not where it is known to belong. */
const HELD: u32 = 1;
const REFUSED: u32 = 2;
const ACCEPTED: u32 = 4;
const HOLDOVER_TOLD: u32 = 8;
/** And how often periods became invalid, above them. */
const INVALIDATION: u32 = 0x100;

let state: u32 = 0;

function mark(bit: u32, on: bool): void {
  state = on ? state | bit : state & ~bit;
}

function limitNs(field: usize): i64 {
  return <i64>load<u32>(PROFILE + field) * MILLISECOND_NS;
}

/** Takes the profile of the settings, `ProfileField.Bytes` long; false when it is not one. */
export function rulesConfigure(at: usize): bool {
  const slewMax = load<u32>(at, ProfileField.SlewMaxMs);
  const refuse = load<u32>(at, ProfileField.RefuseMs);
  if (slewMax > SLEW_MAX_MS || load<u32>(at, ProfileField.SilentMaxMs) > slewMax) return false;
  if (refuse != 0 && refuse < slewMax) return false;
  if (
    max<u32>(refuse, max<u32>(load<u32>(at, ProfileField.InvalidMs), load<u32>(at, ProfileField.DayLimitMs))) >
    LIMIT_MAX_MS
  )
    return false;
  if (load<u8>(at, ProfileField.Transaction) > <u8>TransactionRule.Slew) return false;
  copy(PROFILE, at, ProfileField.Bytes);
  return true;
}

/** Whether the clock is kept from where it is known to belong. */
export function rulesHold(): bool {
  return (state & HELD) != 0;
}

/** Whether a correction was refused, which an operator has to accept. */
export function rulesRefused(): bool {
  return (state & REFUSED) != 0;
}

/** How often registration periods became invalid since the start, modulo 256. */
export function rulesInvalidations(): u32 {
  return (state / INVALIDATION) & 0xff;
}

/** A transaction begins at local time `t`; false where one runs already. */
export function rulesTransactionBegin(t: i64): bool {
  if (transactionEnd != i64.MAX_VALUE) return false;
  transactionEnd = t + TRANSACTION_MAX_NS;
  return true;
}

/** Whether a transaction runs. */
export function rulesTransactionRuns(): bool {
  return transactionEnd != i64.MAX_VALUE;
}

/** A correction above this makes registration periods invalid, ns; 0: none does. */
export function rulesInvalidNs(): i64 {
  return limitNs(ProfileField.InvalidMs);
}

/** The transaction ends; false where none runs. */
export function rulesTransactionEnd(): bool {
  if (transactionEnd == i64.MAX_VALUE) return false;
  transactionEnd = i64.MAX_VALUE;
  return true;
}

/** Whether a transaction runs that allows no correction at all. */
export function rulesFreeze(): bool {
  return transactionEnd != i64.MAX_VALUE && load<u8>(PROFILE, ProfileField.Transaction) == <u8>TransactionRule.Hold;
}

/** What the clock would have moved by, `leftNs`, does not come, as a transaction runs: it will be corrected anew. */
export function rulesBrokenOff(t: i64, leftNs: i64): void {
  if (leftNs == 0) return;
  mark(HELD, true);
  move(t, -leftNs);
}

/** The correction that is refused may be done. */
export function rulesAccept(): void {
  mark(ACCEPTED, rulesRefused());
}

/** Whether a time may not be relied on any more whose last authenticated sample is so old, ns; told once. */
export function rulesHoldoverEnded(ageNs: i64): bool {
  const hours: i64 = load<u16>(PROFILE, ProfileField.HoldoverHours);
  return hours != 0 && ageNs > hours * HOUR_NS;
}

/**
 * Tells what has become due at local time `t`: a holdover that lasts longer than is allowed, a transaction that never ended.
 *
 * @param ageNs of the last authenticated sample
 */
export function rulesStep(t: i64, ageNs: i64): void {
  const ended = rulesHoldoverEnded(ageNs);
  if (ended && (state & HOLDOVER_TOLD) == 0) {
    raiseEvent(MeterEvent.HoldoverEnded, ageNs, load<u16>(PROFILE, ProfileField.HoldoverHours), false);
    invalidate(Invalidity.Holdover, 0);
  }
  mark(HOLDOVER_TOLD, ended);
  if (t < transactionEnd) return;
  transactionEnd = i64.MAX_VALUE;
  raiseEvent(MeterEvent.TransactionOverdue, TRANSACTION_MAX_NS, 0, false);
}

/**
 * Decides what is done with a correction at local time `t`, and counts it.
 *
 * @param correction ns, all that the clock is off
 * @param untold of it, what is not being slewed already
 * @param confirmed whether an authenticated sample stands behind the clock's time
 */
export function rulesTake(t: i64, correction: i64, untold: i64, confirmed: bool): u32 {
  const size = magnitude(correction);
  const set = size > limitNs(ProfileField.SlewMaxMs);
  if (refuses(size, correction, confirmed) || (transactionEnd != i64.MAX_VALUE && (set || rulesFreeze()))) {
    mark(HELD, true);
    return CORRECTION_HELD;
  }
  mark(HELD, false);
  const told = set ? size : magnitude(untold);
  count(t, set, told, set ? correction : untold, untold);
  if (set) return CORRECTION_SET;
  return told > limitNs(ProfileField.SilentMaxMs) ? CORRECTION_TOLD : CORRECTION_SLEWED;
}

function magnitude(ns: i64): i64 {
  return ns < 0 ? -ns : ns;
}

function refuses(size: i64, correction: i64, confirmed: bool): bool {
  const limit = limitNs(ProfileField.RefuseMs);
  if (limit == 0 || size <= limit || !confirmed || (state & ACCEPTED) != 0) {
    mark(REFUSED, false);
    return false;
  }
  if (!rulesRefused()) raiseEvent(MeterEvent.ClockRefused, correction, limit, true);
  mark(REFUSED, true);
  return true;
}

// What a correction makes of registration periods.
function count(t: i64, set: bool, size: i64, correction: i64, moved: i64): void {
  mark(ACCEPTED, false);
  move(t, moved);
  if (set && (sets & 0xff) != 0xff) sets += 1;
  const invalid = limitNs(ProfileField.InvalidMs);
  const dayLimit = limitNs(ProfileField.DayLimitMs);
  const dayCount: u32 = load<u8>(PROFILE, ProfileField.DayLimitCount);
  const shift = dayShiftNs();
  if (invalid != 0 && size > invalid) {
    invalidate(Invalidity.Correction, correction);
  } else if (dayLimit != 0 && magnitude(shift) > dayLimit) {
    invalidate(Invalidity.DayShift, shift);
  } else {
    if (set && dayCount != 0 && daySets() > dayCount) invalidate(Invalidity.DayCount, correction);
    return;
  }
  // What was told needs not be told again.
  memory.fill(MOVED, 0, 4 * PARTS);
}

function invalidate(reason: u32, a: i64): void {
  state += INVALIDATION;
  raiseEvent(MeterEvent.PeriodsInvalid, a, reason, false);
}

function move(t: i64, ns: i64): void {
  const now = <u32>(t / PART_NS);
  for (let turns = min<u32>(now - part, PARTS); turns > 0; turns--) {
    for (let i = PARTS - 1; i > 0; i--) store<i32>(MOVED + 4 * i, load<i32>(MOVED + 4 * (i - 1)));
    store<i32>(MOVED, 0);
    sets <<= 8;
  }
  part = now;
  const sum = <i64>load<i32>(MOVED) + min<i64>(max<i64>(ns / MICROSECOND_NS, -MOVED_MAX_US), MOVED_MAX_US);
  store<i32>(MOVED, <i32>min<i64>(max<i64>(sum, -MOVED_MAX_US), MOVED_MAX_US));
}

// What corrections added up to since any of the parts began: the most.
function dayShiftNs(): i64 {
  let sum: i64 = 0;
  let most: i64 = 0;
  for (let i: u32 = 0; i < PARTS; i++) {
    sum += load<i32>(MOVED + 4 * i);
    if (magnitude(sum) > magnitude(most)) most = sum;
  }
  return most * MICROSECOND_NS;
}

function daySets(): u32 {
  return (sets & 0xff) + ((sets >> 8) & 0xff) + ((sets >> 16) & 0xff) + (sets >> 24);
}
