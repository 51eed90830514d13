// From the servers' samples to the meter's time: certificates, majority, clock.
// What always holds:
// - The clock moves only while as many servers agree as are needed, and only into the interval on which they do.
// - A certificate whose dates were not checked at the meter's own time must hold at the time obtained before its server
//   counts; where it does not, its keys and its sample go, and the others are asked again whether they agree.

import { ClockStatus, MeterEvent, Missing, Reject } from '../abi/codes';
import {
  agreedCount,
  agreedHigh,
  agreedLow,
  agreedMask,
  agreementDrop,
  agreementFind,
  agreementGap,
  agreementHas,
  agreementTake,
  agreementUntil,
} from '../clock/agreement';
import {
  clockAgree,
  clockCorrect,
  clockFromRtc,
  clockHoldover,
  clockStatus,
  clockUncontradicted,
} from '../clock/clock';
import { disciplineGauge } from '../clock/discipline';
import { leapDeadline, leapExcuses, leapForget, leapIdle, leapSampled, leapStep, leapTrust } from '../clock/leap';
import { SECOND_NS } from '../ntp/timestamp';
import { FailureKind } from '../nts/backoff';
import { exchangeAead } from '../nts/exchange';
import { keysWanted } from './establish';
import { raiseEvent } from './events';
import { networkDatagramsAreOwn } from './network';
import { timeNowLocal, timeNowUtc } from './now';
import { pollsEnd } from './poll';
import { settingsAgreement } from './settings';
import {
  Source,
  serverFailed,
  serverProven,
  serverSpread,
  sourceAt,
  sourceChanged,
  sourceHandle,
  sourceMoves,
  sourceReference,
  sourceSetReference,
  sources,
} from './source';

/** How many agreed when they were last asked, and whether these were enough. */
let agreeing: u32 = 0;
let enough: bool = false;

// Servers that have to agree: as the settings say, or more than half of those in use.
function neededAtLeast(): u32 {
  const wanted = settingsAgreement();
  return wanted == 0 ? sources() / 2 + 1 : wanted;
}

/** Servers that have to agree: as many as the settings say, and of those that are heard more than half. */
export function agreeNeeded(now: i64): u32 {
  return max<u32>(neededAtLeast(), heardNow(now) / 2 + 1);
}

/** Servers that agreed when they were last asked. */
export function agreeCount(): u32 {
  return agreeing;
}

/** Whether enough servers agree. */
export function agreeEnough(): bool {
  return enough;
}

/** Whether servers that were enough to agree do not. */
export function agreeContradicted(now: i64): bool {
  return !enough && heardNow(now) >= neededAtLeast();
}

function heardNow(now: i64): u32 {
  let heard: u32 = 0;
  for (let i: u32 = 0; i < sources(); i++) {
    if (agreementHas(i, now)) heard += 1;
  }
  return heard;
}

// Of two that are heard and agree one may be the liar whom the third, not heard, would outvote: then the truth need not be
// where they meet, but is where either is.
function truthfulNow(now: i64): u32 {
  const liars = min<u32>(sources() - neededAtLeast(), neededAtLeast() - 1);
  return min<u32>(agreeNeeded(now), max<u32>(heardNow(now), liars + 1) - liars);
}

/** A server's sample does not count any more. */
export function agreeDrop(source: Source): void {
  agreementDrop(source.index);
  leapForget(source.index);
  source.agrees = false;
  source.disagrees = false;
  dropped = true;
}

/** A sample went, or all have changed, since the servers were last asked. */
let dropped: bool = false;

/**
 * Takes a sample: UTC minus local time.
 *
 * @param until local time from which on it is too old
 * @returns `Reject.None`, or why it counts for nothing
 */
export function agreeTake(
  source: Source,
  low: i64,
  high: i64,
  estimate: i64,
  delay: i64,
  rootDistance: i64,
  until: i64,
): u32 {
  const now = timeNowLocal();
  const told = source.disagrees;
  const backwards = agreementTake(source.index, now, low, high, until);
  if (backwards > 0) clockUncontradicted();
  if (backwards > 0 && !leapExcuses(now, backwards)) return Reject.Backwards;
  while (askAll(now)) {
    if (certificatesHold(now)) break;
  }
  // Others were marked or refused in between.
  sourceHandle(source);
  if (!agreementHas(source.index, now)) return Reject.Certificate;
  if (!enough || !source.agrees) return Reject.None;
  const gap = clockAgree(now, agreedLow, agreedHigh, agreeNeeded(now) == 1);
  if (gap > 0) {
    // Told once, however often it insists.
    source.disagrees = told;
    mark(source, gap);
    return Reject.None;
  }
  countsUntil = until;
  clockCorrect(source.index, now, estimate, delay, rootDistance, networkDatagramsAreOwn());
  const gauge = sourceAt(disciplineGauge());
  sourceSetReference(gauge.agrees ? gauge : source);
  leapSampled(now);
  return Reject.None;
}

/** Months end: before anything reads the clock. */
export function agreeLeap(): void {
  const now = timeNowLocal();
  if (!leapIdle(now) && leapStep(now, agreeNeeded(now))) dropped = true;
}

/** Samples get too old: holdover begins when too few are left, or those that come do not agree for as long. */
export function agreeStep(now: i64): void {
  // A sample may have brought the clock to the end of a month.
  agreeLeap();
  // Fewer may be left, but what they agreed on counts until it is too old.
  if (dropped) askAll(now);
  const lost = now >= askAt && !askAll(now);
  if (!lost && now < countsUntil) return;
  countsUntil = i64.MAX_VALUE;
  sourceHandle(sourceReference());
  clockHoldover(now);
}

/** Local time at which `agreeStep` has something to do again. */
export function agreeDeadline(): i64 {
  return dropped ? 0 : min<i64>(min<i64>(askAt, countsUntil), leapDeadline(timeNowLocal()));
}

/** Local time from which on the sample that moved the clock last is too old. */
let countsUntil: i64 = i64.MAX_VALUE;

/** Local time at which the servers are to be asked again without a new sample. */
let askAt: i64 = i64.MAX_VALUE;

// Asks whether enough servers agree, and marks those that do not.
function askAll(now: i64): bool {
  dropped = false;
  const needed = agreeNeeded(now);
  const found = agreementFind(now, needed, truthfulNow(now));
  agreeing = agreedCount;
  askAt = agreementUntil(now);
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    const agrees = (agreedMask & (1 << i)) != 0;
    if (source.agrees != agrees) sourceChanged(source);
    source.agrees = agrees;
    if (found && agreementHas(i, now)) leapTrust(i, agrees);
    if (source.agrees || !found) source.disagrees = false;
    else if (agreementHas(i, now)) mark(source, agreementGap(i, now, agreedLow, agreedHigh));
  }
  if (found != enough) {
    enough = found;
    if (sources() > 1)
      raiseEvent(found ? MeterEvent.MajorityReached : MeterEvent.MajorityLost, agreeing, needed, false);
  }
  return found;
}

function mark(source: Source, gap: i64): void {
  source.agrees = false;
  if (source.disagrees) return;
  source.disagrees = true;
  sourceHandle(source);
  raiseEvent(MeterEvent.SourceDisagrees, gap, 0, true);
  sourceChanged(source);
}

// The second check of certificates that were not checked at the meter's own time: at the time obtained. False when one
// does not hold: then who agrees is to be asked anew.
function certificatesHold(now: i64): bool {
  const own = clockStatus() != ClockStatus.Unsynchronised && !clockFromRtc();
  const utc = own ? timeNowUtc() : now + agreedLow + (agreedHigh - agreedLow) / 2;
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    if (!source.agrees || !source.datesUnproven) continue;
    if (utc / SECOND_NS < source.notBefore || utc / SECOND_NS > source.notAfter) {
      refuse(source);
      return false;
    }
    source.datesUnproven = false;
    source.datesUnchecked = false;
    if (!source.restored) serverProven(source.server);
    sourceChanged(source);
  }
  return true;
}

function refuse(source: Source): void {
  sourceHandle(source);
  source.lastReject = <u8>Reject.Certificate;
  raiseEvent(MeterEvent.CertificateRefused, source.notBefore, source.notAfter, true);
  serverFailed(source.server, FailureKind.Tls);
  // As after a start without keys: the others of a fleet find the same.
  if (source.restored) serverSpread(source.server);
  pollsEnd(source);
  sourceMoves(source);
  keysWanted(source);
}

/** What a meter without a time waits for next, where it has settings, random bytes and a network. */
export function agreeMissing(now: i64): u32 {
  if (clockStatus() != ClockStatus.Unsynchronised) return Missing.None;
  let missing: u32 = Missing.Keys;
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    if (agreementHas(i, now)) return Missing.Majority;
    if (source.lastReject == Reject.Certificate) missing = max<u32>(missing, Missing.Certificate);
    else if (exchangeAead(i) != 0) missing = max<u32>(missing, Missing.Answer);
  }
  return missing;
}
