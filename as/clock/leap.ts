// Leap seconds (ITU-R TF.460-6, RFC 5905 7.3): what the servers announce for the end of the month, when it takes place, and
// what is left of the clock's knowledge where nobody has said.
//
//                     23:59:58    23:59:59    23:59:60    00:00:00
//   inserted      ----------------------------|===========|--------   UTC ns repeat those of 23:59:59 during 23:59:60
//   deleted       ----------------|           .           |--------   UTC ns go from 23:59:58.999... to 00:00:00
//
// What always holds:
// - One takes place only where more than half of the trusted servers heard within the last day of the month, and at least as
//   many as have to agree, announced it in their last answers; a minority neither brings one about nor prevents it.
// - Where neither that nor the contrary is known when a month may have ended, clock and samples widen by a second to both
//   sides: the bound covers either case.
// - What a server said on one side of a leap second is moved to the side on which the clock is; what was said within some
//   seconds of a month's end counts for nothing.
//
// UTC is counted as POSIX and NTP do. A month's end is the UTC of 00:00:00 after it. Of each source two bits say what it
// announced last; when is known to `agreement.ts`.

import { ClockStatus, MeterEvent } from '../abi/codes';
import { raiseEvent } from '../meter/events';
import { keeperCompareSoon } from '../meter/rtc-keeper';
import { sourceAt, sourceChanged, sourceHandle, sourceReference } from '../meter/source';
import { SECOND_NS } from '../ntp/timestamp';
import { agreementLeap, agreementTaken, agreementWiden } from './agreement';
import { civilDay, civilFromDays, civilMonth, civilYear, monthDays } from './civil';
import { clockBoundNs, clockLeap, clockStatus, clockUtc, clockWiden } from './clock';

const DAY_NS: i64 = 86_400 * SECOND_NS;

/** An announcement counts for the month's end that is at most this far away. */
const ANNOUNCED_NS: i64 = DAY_NS;
/** That there is none counts from the middle of the last day on: servers announce from its begin on, those behind others later. */
const NOT_ANNOUNCED_NS: i64 = DAY_NS / 2;
/** So close to a month's end a server's clock, and how it counts the leap second, are not known. */
const CLOSE_NS: i64 = 5 * SECOND_NS;

/** Leap indicators (RFC 5905 7.3). */
const INSERTS: u32 = 1;
const DELETES: u32 = 2;

/** What `verdict` returns where it is not known whether there is a leap second. */
const UNKNOWN: i64 = i64.MAX_VALUE;

/** Leap indicators, two bits for each source, and who agreed when last asked. */
let announced: u32 = 0;
let trusted: u32 = 0;
/** UTC ns at which the server of the last sample received the request. */
let served: i64 = 0;

/** The first month's end for which the clock does not account yet; 0 where there is no time. */
let nextEnd: i64 = 0;
/** What UTC minus local time is going to change by then, ns. */
let pending: i64 = 0;
/** Nothing is to be done before this local time. */
let idleUntil: i64 = 0;

/** The last leap second: its month's end, what UTC minus local time changed by (0: there was none), and local time. */
let leapEnd: i64 = 0;
let leapDelta: i64 = 0;
let leapAt: i64 = 0;

/** First end of a month after `utc`, ns. */
export function leapMonthEnd(utc: i64): i64 {
  const days = utc / DAY_NS;
  civilFromDays(days);
  return (days + <i64>(monthDays(civilYear, civilMonth) + 1 - civilDay)) * DAY_NS;
}

function monthsAt(utc: i64): i64 {
  civilFromDays(utc / DAY_NS);
  return <i64>civilYear * 12 + <i64>civilMonth;
}

/** Ends of months at which a leap second may have been inserted or deleted from one UTC to a later one: each may be 1 s. */
export function leapMonthEnds(fromUtc: i64, toUtc: i64): i64 {
  // A deletion is a second early.
  return max<i64>(monthsAt(toUtc + SECOND_NS) - monthsAt(fromUtc), 0);
}

/** There is a time, whose error covers all leap seconds up to `latestUtc`. */
export function leapCovered(latestUtc: i64): void {
  nextEnd = leapMonthEnd(latestUtc + SECOND_NS);
  idleUntil = 0;
}

/** Whether an answer is too close to the end of a month to count: from when the server had the request until it is read. */
export function leapHides(servedUtc: i64, latestUtc: i64): bool {
  return leapMonthEnd(servedUtc - CLOSE_NS) != leapMonthEnd(latestUtc + CLOSE_NS);
}

/** What is added to what a server said, so that it is on the clock's side of a leap second, ns. */
export function leapShiftNs(servedUtc: i64): i64 {
  if (leapDelta == 0 && pending == 0) return 0;
  const end = leapMonthEnd(servedUtc);
  if (leapDelta != 0 && end <= leapEnd) return leapDelta;
  return pending != 0 && end > nextEnd ? -pending : 0;
}

/** Notes what a server announced; what it says after the month is about the next one. */
export function leapNote(source: u32, indicator: u32, servedUtc: i64): void {
  served = servedUtc;
  idleUntil = 0;
  if (nextEnd != 0 && servedUtc >= nextEnd) return;
  announced = (announced & ~(3 << (2 * source))) | ((indicator & 3) << (2 * source));
}

/** Whether a source agrees with the majority; one that was not asked keeps what was said of it. */
export function leapTrust(source: u32, agrees: bool): void {
  const bit: u32 = 1 << source;
  trusted = agrees ? trusted | bit : trusted & ~bit;
  idleUntil = 0;
}

/** What a source announced does not count any more. */
export function leapForget(source: u32): void {
  leapTrust(source, false);
}

/** The last sample moved the clock: the months that it accounts for are those that the server does. */
export function leapSampled(now: i64): void {
  idleUntil = 0;
  if (leapDelta != 0 && clockUtc(now) < leapBegin(leapEnd, leapDelta)) {
    // The clock was ahead: the leap second is still to come.
    shift(leapEnd, -leapDelta);
    leapDelta = 0;
  }
  const end = leapMonthEnd(served);
  if (leapDelta != 0 && end <= leapEnd) return;
  // The clock was behind: it passes the leap second now.
  if (pending != 0 && end > nextEnd) return;
  if (end != nextEnd) pending = 0;
  nextEnd = end;
}

// UTC, as before it, at which a leap second begins.
function leapBegin(end: i64, delta: i64): i64 {
  return delta < 0 ? end : end - SECOND_NS;
}

function shift(end: i64, delta: i64): void {
  clockLeap(delta);
  agreementLeap(delta);
  keeperCompareSoon();
  raiseEvent(MeterEvent.LeapSecond, delta, end / SECOND_NS, false);
  sourceChanged(sourceReference());
}

/** Whether no month can end yet, or there is no time. */
export function leapIdle(now: i64): bool {
  return now < idleUntil || nextEnd == 0 || clockStatus() == ClockStatus.Unsynchronised;
}

/**
 * Lets months end, where it is not idle. Before anything reads the clock.
 *
 * @param needed how many servers have to agree
 * @returns whether anything changed for the servers' samples
 */
export function leapStep(now: i64, needed: u32): bool {
  let changed = false;
  while (step(now, needed)) changed = true;
  return changed;
}

// What comes `left` later at the earliest: the bound may grow meanwhile, by less than half of it.
function idle(now: i64, left: i64): bool {
  idleUntil = now + left / 2;
  return false;
}

function step(now: i64, needed: u32): bool {
  const utc = clockUtc(now);
  const latest = utc + clockBoundNs(now);
  if (latest < nextEnd - ANNOUNCED_NS) return idle(now, nextEnd - ANNOUNCED_NS - latest);
  const endAt = now + nextEnd - utc;
  const known = verdict(endAt, needed);
  expect(known == UNKNOWN ? 0 : known);
  if (known == UNKNOWN) {
    // Truth may be there before the clock is.
    if (latest < nextEnd - SECOND_NS) return idle(now, nextEnd - SECOND_NS - latest);
    clockWiden(SECOND_NS);
    agreementWiden(SECOND_NS);
  } else {
    const begin = known == 0 ? nextEnd : leapBegin(nextEnd, known);
    if (utc < begin) return idle(now, begin - utc);
    if (known != 0) take(now - (utc - begin));
    tellOthers(endAt, known);
  }
  pending = 0;
  nextEnd = leapMonthEnd(nextEnd);
  return true;
}

function take(at: i64): void {
  leapEnd = nextEnd;
  leapDelta = pending;
  leapAt = at;
  shift(nextEnd, pending);
}

// Told once, also where it is taken back.
function expect(delta: i64): void {
  if (delta == pending) return;
  pending = delta;
  raiseEvent(MeterEvent.LeapAnnounced, delta, nextEnd / SECOND_NS, false);
}

function indicatorOf(source: u32): u32 {
  return (announced >> (2 * source)) & 3;
}

// Whether a source that agrees was heard within the last day of the month, which ends at local time `end`.
function counts(source: u32, end: i64): bool {
  return (trusted & (1 << source)) != 0 && end - agreementTaken(source) <= ANNOUNCED_NS;
}

// Who said otherwise than what is done.
function tellOthers(end: i64, done: i64): void {
  const right: u32 = done == 0 ? 0 : done < 0 ? INSERTS : DELETES;
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    if (!counts(i, end) || indicatorOf(i) == right) continue;
    sourceHandle(sourceAt(i));
    raiseEvent(MeterEvent.LeapDisagrees, indicatorOf(i), nextEnd / SECOND_NS, true);
  }
}

// What UTC minus local time changes by at the end of the month, which is at local time `end`; or UNKNOWN.
function verdict(end: i64, needed: u32): i64 {
  let heard: u32 = 0;
  let inserts: u32 = 0;
  let deletes: u32 = 0;
  let none: u32 = 0;
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    if (!counts(i, end)) continue;
    heard += 1;
    const indicator = indicatorOf(i);
    if (indicator == INSERTS) inserts += 1;
    else if (indicator == DELETES) deletes += 1;
    else if (end - agreementTaken(i) <= NOT_ANNOUNCED_NS) none += 1;
  }
  const enough = max<u32>(needed, heard / 2 + 1);
  if (inserts >= enough) return -SECOND_NS;
  if (deletes >= enough) return SECOND_NS;
  return none >= enough ? 0 : UNKNOWN;
}

/** Local time at which an announced leap second takes place. */
export function leapDeadline(now: i64): i64 {
  return pending == 0 ? i64.MAX_VALUE : now + leapBegin(nextEnd, pending) - clockUtc(now);
}

/** UTC ns by the clock at local time `t`, which may be before the last leap second. */
export function leapUtc(t: i64): i64 {
  return clockUtc(t) - (t < leapAt ? leapDelta : 0);
}

/** Whether an inserted second, 23:59:60, is passing at local time `t`. */
export function leapSecond(t: i64): bool {
  return leapDelta < 0 && t >= leapAt && clockUtc(t) < leapEnd;
}

/** Whether a server's time may run backwards by so much: it was late with, or smears, a leap second of the last day. */
export function leapExcuses(now: i64, backwardsNs: i64): bool {
  return leapDelta != 0 && now - leapAt < DAY_NS && backwardsNs <= SECOND_NS;
}
