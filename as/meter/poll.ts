// Authenticated polls of each source that has keys (RFC 8915 5, RFC 5905).
// What always holds:
// - One request in flight for each source; an answer counts once, and only for the request that is open.
// - A NAK counts only when no valid answer comes until the next poll is due; then, as after silence, new keys are asked for
//   while the old ones go on serving as long as there are cookies (RFC 8915 5.7).
// - Kiss codes count only when authenticated: whoever can see a request could forge the others.

import { Channel, Message, MeterEvent, Reject, UdpReceivedField } from '../abi/codes';
import { clockOffset } from '../clock/clock';
import { leapHides, leapNote, leapShiftNs } from '../clock/leap';
import { localFromTicks, localResolutionNs } from '../clock/local';
import { sampleDelay, sampleEstimate, sampleHigh, sampleLow, sampleMeasure } from '../clock/sample';
import { NTP_MAX_BYTES } from '../ntp/header';
import { SECOND_NS } from '../ntp/timestamp';
import { FailureKind } from '../nts/backoff';
import { cookiesClear, cookiesHeld } from '../nts/cookies';
import {
  answerKiss,
  answerLeap,
  answerReceiveNs,
  answerRootDelayNs,
  answerRootDispersionNs,
  answerRootDistanceNs,
  answerStratum,
  answerTransmitNs,
  exchangeAnswer,
  exchangeClear,
  exchangeClose,
  exchangeDropOther,
  exchangeOpen,
  exchangeRequest,
  exchangeSwitchKeys,
  REQUEST_RANDOM_BYTES,
} from '../nts/exchange';
import { agreeDrop, agreeEnough, agreeTake } from './agree';
import { establishAbandon, keysWanted, NUMBER_STEP } from './establish';
import { raiseEvent, raiseRefused } from './events';
import {
  networkBegin,
  networkDatagramLeft,
  networkDatagramsAreOwn,
  networkDatagramTick,
  networkSend,
  networkTarget,
  OPENED_BYTES,
} from './network';
import { timeNowLocal, timeNowUtc } from './now';
import { requestById, requestSocket } from './requests';
import { randomBytes } from './seed';
import {
  POLL_MAX_SECONDS,
  settingsKeyAgeNs,
  settingsPollMax,
  settingsPollMin,
  settingsRootDelayMaxNs,
  settingsRootDispersionMaxNs,
  settingsStratumMax,
} from './settings';
import {
  Ke,
  Socket,
  Source,
  serverFailed,
  serverHold,
  serverKeysLasted,
  serverKeysUseless,
  serverProven,
  serverRefuses,
  serverRetryAt,
  serverSpread,
  sourceChanged,
  sourceCountReject,
  sourceMoves,
  sourceMovesBefore,
  sourceNtpHost,
  sources,
} from './source';
import { stateFloorUtc } from './state';

// Messages still to be sent.
export const WANT_UDP_CLOSE: u32 = 0x100;
export const WANT_UDP_OPEN: u32 = 0x200;

/** From the request's last byte on the link to the answer, without their time on the link; and before that. */
const EXCHANGE_DEADLINE_NS: i64 = 3 * SECOND_NS;
const LEAVE_DEADLINE_NS: i64 = 10 * SECOND_NS;
const SOCKET_DEADLINE_NS: i64 = 10 * SECOND_NS;

/** Keys that lead to an answer at this age were good, whatever becomes of them. */
const KEYS_LASTED_NS: i64 = 3600 * SECOND_NS;

/**
 * Polls at the start of a synchronisation: four at this distance, of which the least delayed gives a time, the others at a
 * fifth of the shortest interval, which give the frequency its first digits.
 */
const BURST_POLLS: u32 = 8;
const BURST_SLOWER: u32 = 4;
const BURST_NS: i64 = 2 * SECOND_NS;
/** With each answer the interval trebles, as the frequency is known the better the longer it was watched. */
const LONGER: u32 = 3;
/** A poll comes earlier by up to this part of its interval: at the longest one, and on the way there. */
const SPREAD: i64 = 8;
const SPREAD_EARLY: i64 = 32;
/** Answers at the longest interval before what RATE asked for is halved. */
const ANSWERS_AFTER_RATE: u32 = 64;
/** Polls without an answer that are soon repeated, before another address is tried, and before new keys. */
const SILENCE_SOON: u32 = 2;
const SILENCE_ADDRESS: u32 = 2;
export const SILENCE_KEYS: u32 = 8;
/** Answers without a time before another server is asked, where there is one. */
const USELESS_MAX: u32 = 8;
/** Such a server is not asked again before this. */
const USELESS_NS: i64 = 86_400 * SECOND_NS;

/** "DENY", "RSTR", "RATE" (RFC 5905 7.4). */
const KISS_DENY: u32 = 0x44454e59;
const KISS_RSTR: u32 = 0x52535452;
const KISS_RATE: u32 = 0x52415445;

const RANDOM: usize = memory.data(56, 4);

/** Source whose datagram was the last given to the link, until it is known when it left. */
const NOBODY: u32 = 0xff;
let leaving: u32 = NOBODY;

/** How old an interval of this source may get: the time of eight polls. */
function lifeNs(source: Source): i64 {
  return SILENCE_KEYS * (<i64>source.pollSeconds * SECOND_NS + EXCHANGE_DEADLINE_NS);
}

/** There are keys: polls begin. */
export function pollsBegin(source: Source): void {
  closeSocket(source);
  source.address = 0;
  source.pollAt = timeNowLocal();
  source.pollSeconds = max<u32>(settingsPollMin(), source.pollFloor);
  source.answersAtPoll = 0;
  source.burst = <u8>(source.pollFloor == 0 ? BURST_POLLS : 0);
  source.silence = 0;
  source.useless = 0;
  source.proven = false;
  source.nakSeen = false;
  sourceChanged(source);
}

/** The network was lost or came back without memory of our sockets. */
export function pollsReset(source: Source): void {
  source.socket = <u8>Socket.Closed;
  source.wants = <u16>(source.wants & ~(WANT_UDP_CLOSE | WANT_UDP_OPEN));
  exchangeClose(source.index);
  leaving = NOBODY;
}

/** Notes when the last datagram left. */
export function pollsNoteLeft(source: Source): void {
  if (leaving != source.index || !networkDatagramLeft()) return;
  source.sentTick = networkDatagramTick();
  source.sentKnown = true;
  leaving = NOBODY;
  // The answer is no longer than the request, but may wait on the link for others.
  const sent = localFromTicks(source.sentTick);
  source.exchangeDeadline = sent + EXCHANGE_DEADLINE_NS + 2 * (sent - source.builtAt);
}

/** Does what is due of a source with keys. */
export function pollStep(source: Source, now: i64): void {
  if (source.overdue) {
    source.overdue = false;
    source.pollAt = min<i64>(source.pollAt, now + drawnNs(<i64>settingsPollMin() * SECOND_NS));
  }
  if (exchangeOpen(source.index)) {
    if (now < source.exchangeDeadline) return;
    exchangeClose(source.index);
    miss(source, now);
  }
  if (source.nakSeen && now >= source.pollAt) nak(source);
  if (refreshDue(source, now)) keysWanted(source);
  // The keys are being replaced, or the number of a socket whose close waits for room must not change.
  if (source.ke > <u32>Ke.Queued || (source.wants & WANT_UDP_CLOSE) != 0) return;
  if (source.socket == Socket.Closed) {
    if (now < source.pollAt) return;
    if (cookiesHeld(source.index) > 0) openSocket(source, now);
    else withoutCookies(source);
  } else if (source.socket == Socket.Opening) {
    if (now >= source.socketDeadline) socketFailed(source);
  } else if (now >= source.pollAt) {
    poll(source, now);
  }
}

/** Local time at which `pollStep` has something to do again. */
export function pollDeadline(source: Source, now: i64): i64 {
  if (exchangeOpen(source.index)) return source.exchangeDeadline;
  if (source.ke > <u32>Ke.Queued) return i64.MAX_VALUE;
  if (source.socket == Socket.Opening) return source.socketDeadline;
  // Without a cookie nothing happens before there are new keys, or one comes from the storage.
  const waits = source.ke != Ke.Idle || (source.reserveLeft && !source.proven);
  const idle = cookiesHeld(source.index) == 0 && waits && now >= source.pollAt;
  return idle ? i64.MAX_VALUE : source.pollAt;
}

/** Without a network, polls are missed as well; that says nothing about the server and its keys. One waits for it. */
export function pollMissed(source: Source, now: i64): void {
  if (now < source.pollAt) return;
  source.overdue = true;
  exchangeClose(source.index);
  source.reach = <u8>((<u32>source.reach) << 1);
  sourceChanged(source);
  source.pollAt = now + <i64>source.pollSeconds * SECOND_NS;
}

// Keys are replaced when they are old (RFC 8915 4: the server's own keys change, too).
function refreshDue(source: Source, now: i64): bool {
  if (source.ke != Ke.Idle || !source.proven) return false;
  const utc = timeNowUtc();
  const age = source.keysSinceUtc != 0 && utc != 0 ? utc - source.keysSinceUtc : now - source.keysSinceLocal;
  return age >= settingsKeyAgeNs();
}

function openSocket(source: Source, now: i64): void {
  source.socket = <u8>Socket.Opening;
  // The low bits say whose it is.
  source.socketId = <u8>(((<u32>source.socketId & ~3) + NUMBER_STEP) | source.index);
  source.socketDeadline = now + SOCKET_DEADLINE_NS;
  source.wants = <u16>(source.wants | WANT_UDP_OPEN);
}

// The gateway keeps few sockets for a meter, so each is closed, also one that may open yet.
function closeSocket(source: Source): void {
  if (source.socket != Socket.Closed) source.wants = <u16>((source.wants & ~WANT_UDP_OPEN) | WANT_UDP_CLOSE);
  source.socket = <u8>Socket.Closed;
}

function socketFailed(source: Source): void {
  closeSocket(source);
  exchangeClose(source.index);
  miss(source, timeNowLocal());
}

/** A message of the stream channel about the source's socket. */
export function pollMessage(source: Source, message: usize, length: u32): void {
  if (load<u8>(message) == Message.UdpOpened) {
    if (source.socket != Socket.Opening || length < OPENED_BYTES) return;
    if (networkTarget(message, source.ntpPort)) source.socket = <u8>Socket.Open;
  } else if (source.socket != Socket.Closed) {
    socketFailed(source);
  }
}

/** A datagram could not be sent: `Message.UdpFailed`. */
export function pollUdpFailed(source: Source, message: usize, length: u32): void {
  if (length >= 4 && exchangeOpen(source.index) && load<u16>(message, 2) == source.exchange) socketFailed(source);
}

// A poll without an answer.
function miss(source: Source, now: i64): void {
  source.silence += 1;
  source.reach = <u8>((<u32>source.reach) << 1);
  sourceChanged(source);
  if (source.silence % SILENCE_ADDRESS == 0) {
    closeSocket(source);
    // Cookies of an address where NTS-KE was are for that address (RFC 8915 4.1.7).
    if (source.ntpElsewhere) source.address += 1;
  }
  // Keys that have served keep their cookies for a server that is away for a while.
  const soon = !source.proven || source.nakSeen || source.silence <= SILENCE_SOON;
  const wait = soon
    ? min<u32>(max<u32>(1 << min<u32>(source.silence, 16), source.pollFloor), source.pollSeconds)
    : source.pollSeconds;
  source.pollAt = now + <i64>wait * SECOND_NS;
  if (source.silence == SILENCE_KEYS) keysUseless(source);
  else if (cookiesHeld(source.index) == 0) withoutCookies(source);
}

// No valid answer came after a NAK.
function nak(source: Source): void {
  source.nakSeen = false;
  if (exchangeSwitchKeys(source.index)) return raiseEvent(MeterEvent.KeysSwitched, 0, 0, true);
  raiseEvent(MeterEvent.Nak, 0, 0, true);
  keysUseless(source);
}

// The next cookie may still be in the storage: what keys that have led to an answer leave there is for the next start.
function withoutCookies(source: Source): void {
  if (source.reserveLeft && !source.proven) return;
  keysUseless(source);
  // Better a server that is free and may be asked at once than waiting for this one.
  const until = min<i64>(timeNowLocal() + 1, serverRetryAt(source.server));
  if (source.ke == Ke.Waiting && sourceMovesBefore(source, until)) pollsEnd(source);
}

/** There is no cookie in the storage either. */
export function pollWithoutCookies(source: Source): void {
  if (cookiesHeld(source.index) == 0) keysUseless(source);
}

// The keys serve nothing any more: new ones, but not before the back-off allows it; of another server where these never
// led to an authenticated answer.
function keysUseless(source: Source): void {
  if (source.ke != Ke.Idle) return;
  if (source.proven) {
    serverKeysUseless(source.server, source.keysSinceLocal);
  } else if (source.restored) {
    serverSpread(source.server);
  } else {
    serverFailed(source.server, FailureKind.KeyEstablishment);
    if (sourceMoves(source)) pollsEnd(source);
  }
  keysWanted(source);
}

/** The keys of a source go, and what stands on them. */
export function pollsEnd(source: Source): void {
  establishAbandon(source);
  closeSocket(source);
  exchangeClear(source.index);
  cookiesClear(source.index);
  agreeDrop(source);
  source.nakSeen = false;
  source.datesUnchecked = false;
  sourceChanged(source);
}

function poll(source: Source, now: i64): void {
  if (leaving != NOBODY || source.taking) return;
  if (cookiesHeld(source.index) == 0) return withoutCookies(source);
  const message = networkBegin(Channel.Time, 4 + NTP_MAX_BYTES);
  if (message == 0 || !randomBytes(RANDOM, REQUEST_RANDOM_BYTES)) return;
  source.exchange = <u16>(<u32>source.exchange + 1);
  store<u8>(message, Message.UdpSend);
  store<u8>(message, <u8>source.socketId, 1);
  store<u16>(message, <u16>source.exchange, 2);
  const length = exchangeRequest(source.index, message + 4, RANDOM);
  networkSend(Channel.Time, 4 + length);
  if (!networkDatagramsAreOwn()) leaving = source.index;
  source.sentKnown = false;
  source.builtAt = now;
  source.exchangeDeadline = now + (networkDatagramsAreOwn() ? EXCHANGE_DEADLINE_NS : LEAVE_DEADLINE_NS);
  source.sent += 1;
}

// When to poll next, spread by up to an eighth, so that meters of a fleet keep no step.
function schedulePoll(source: Source, now: i64): void {
  if (source.burst > 0) source.burst -= 1;
  if (source.burst > 0) {
    const slower = (<i64>settingsPollMin() * SECOND_NS) / 5;
    // Where the line is slow, the polls of all servers have to fit on it.
    const crowded = 2 * <i64>sources() * (now - source.builtAt);
    const apart = min<i64>(source.burst > BURST_SLOWER ? BURST_NS : slower, <i64>source.pollSeconds * SECOND_NS);
    source.pollAt = now + max<i64>(apart, crowded);
    return;
  }
  source.answersAtPoll += 1;
  let spread = SPREAD;
  if (source.pollSeconds < settingsPollMax()) {
    source.pollSeconds = min<u32>(source.pollSeconds * LONGER, settingsPollMax());
    source.answersAtPoll = 0;
    spread = SPREAD_EARLY;
  } else if (source.pollFloor != 0 && source.answersAtPoll >= ANSWERS_AFTER_RATE) {
    afterRate(source);
  }
  const interval = <i64>source.pollSeconds * SECOND_NS;
  source.pollAt = now + interval - drawnNs(interval / spread);
}

// A few RATEs in the years of a meter are not to add up: the server says so again where it means it.
function afterRate(source: Source): void {
  const half = source.pollFloor / 2;
  source.pollFloor = half > settingsPollMin() ? half : 0;
  source.pollSeconds = max<u32>(half, settingsPollMax());
  source.answersAtPoll = 0;
}

// A time up to `most`, at random; none where there are no random bytes.
function drawnNs(most: i64): i64 {
  return randomBytes(RANDOM, 2) ? (most / 65_536) * <i64>load<u16>(RANDOM) : 0;
}

/**
 * A datagram came: `Message.UdpReceived`.
 *
 * @param firstTick local tick of its first byte on the link
 * @param lastTick local tick of its last
 */
export function pollDatagram(source: Source, message: usize, length: u32, firstTick: u64, lastTick: u64): void {
  if (!exchangeOpen(source.index) || load<u16>(message, UdpReceivedField.Exchange) != source.exchange) {
    return reject(source, Reject.Unexpected);
  }
  pollsNoteLeft(source);
  const verdict = exchangeAnswer(
    source.index,
    message + UdpReceivedField.Payload,
    length - UdpReceivedField.Payload,
    stateFloorUtc() / SECOND_NS,
  );
  if (verdict == Reject.Nak) {
    source.naks += 1;
    source.nakSeen = true;
  }
  if (verdict == Reject.Nak || verdict == Reject.Kiss) source.kiss = answerKiss;
  if (verdict != Reject.None && exchangeOpen(source.index)) return reject(source, verdict);
  answered(source);
  if (verdict == Reject.Kiss) return kissed(source);
  if (verdict != Reject.None) return uselessAnswer(source, verdict);
  measure(source, message, firstTick, lastTick);
}

// An authenticated answer came, whatever it says.
function answered(source: Source): void {
  source.authenticated += 1;
  source.reach = <u8>(((<u32>source.reach) << 1) | 1);
  source.silence = 0;
  source.nakSeen = false;
  if (!source.proven) {
    // RFC 8915 4.2: only the first success of new keys, lest failing refreshes follow each other at once.
    source.proven = true;
    exchangeDropOther(source.index);
    // Nor before the certificate behind them holds, lest one that does not is asked for again and again.
    if (!source.restored && !source.datesUnproven) serverProven(source.server);
  }
  if (timeNowLocal() - source.keysSinceLocal >= KEYS_LASTED_NS) serverKeysLasted(source.server);
  // New keys are not needed after all.
  if (source.ke == Ke.Waiting && cookiesHeld(source.index) > 0) source.ke = <u8>Ke.Idle;
  sourceChanged(source);
  schedulePoll(source, timeNowLocal());
}

function measure(source: Source, message: usize, firstTick: u64, lastTick: u64): void {
  const forward = <i64>load<u32>(message, UdpReceivedField.ForwardResidenceNs);
  const back = <i64>load<u32>(message, UdpReceivedField.BackResidenceNs);
  const sent = source.sentKnown ? localFromTicks(source.sentTick) : source.builtAt;
  const first = localFromTicks(firstTick);
  const received = localFromTicks(lastTick) + localResolutionNs();
  const distance = answerRootDistanceNs() + 1;
  const measured = sampleMeasure(
    sent,
    received,
    sent + forward,
    (networkDatagramsAreOwn() ? received : first) - back,
    answerReceiveNs,
    answerTransmitNs,
    distance,
  );
  if (!measured) return uselessAnswer(source, Reject.Delay);
  source.stratum = <u8>answerStratum;
  source.leap = <u8>answerLeap;
  source.rootDelayNs = answerRootDelayNs;
  source.rootDispersionNs = answerRootDispersionNs;
  if (
    answerStratum > settingsStratumMax() ||
    answerRootDelayNs > settingsRootDelayMaxNs() ||
    answerRootDispersionNs > settingsRootDispersionMaxNs()
  ) {
    return uselessAnswer(source, Reject.Limits);
  }
  const now = timeNowLocal();
  if (leapHides(answerReceiveNs, now + sampleHigh)) return;
  const shift = leapShiftNs(answerReceiveNs);
  const estimate = sampleEstimate + shift;
  leapNote(source.index, answerLeap, answerReceiveNs);
  source.offsetNs = clockOffset(now, estimate);
  source.delayNs = sampleDelay;
  const until = now + lifeNs(source);
  const verdict = agreeTake(source, sampleLow + shift, sampleHigh + shift, estimate, sampleDelay, distance, until);
  if (verdict != Reject.None) return uselessAnswer(source, verdict);
  if (source.agrees && agreeEnough()) source.useless = 0;
  source.lastUtc = timeNowUtc();
  // Keys of a time that is undone were not made later than now.
  if (source.lastUtc != 0 && (source.keysSinceUtc == 0 || source.keysSinceUtc > source.lastUtc)) {
    source.keysSinceUtc = source.lastUtc - (now - source.keysSinceLocal);
  }
}

// An authenticated answer without a time: a server that gives nothing else is left where there is another one.
function uselessAnswer(source: Source, reason: u32): void {
  reject(source, reason);
  source.useless += 1;
  if (source.useless < USELESS_MAX) return;
  source.useless = 0;
  const before = source.server;
  // Better this one than waiting for one that fails or was useless, too.
  const now = timeNowLocal();
  if (!sourceMovesBefore(source, now + 1)) return;
  serverHold(before, now + USELESS_NS);
  pollsEnd(source);
  keysWanted(source);
}

// RFC 5905 7.4. A server that says INIT, STEP or, as chronyd does, nothing has no time (7.3: a stratum of 0 means 16), and
// one that says RATE to every request gives none.
function kissed(source: Source): void {
  if (answerKiss == KISS_RATE) pollLess(source);
  if (answerKiss != KISS_DENY && answerKiss != KISS_RSTR) return uselessAnswer(source, Reject.Kiss);
  reject(source, Reject.Kiss);
  raiseEvent(MeterEvent.SourceStopped, answerKiss, 0, true);
  serverRefuses(source.server);
  pollsEnd(source);
  source.stopped = !sourceMoves(source);
  if (source.stopped) source.ke = <u8>Ke.Idle;
  else keysWanted(source);
}

// Also beyond the longest interval of the settings: it is the server's to say.
function pollLess(source: Source): void {
  source.burst = 0;
  source.answersAtPoll = 0;
  source.pollSeconds = min<u32>(source.pollSeconds * 2, POLL_MAX_SECONDS);
  source.pollFloor = source.pollSeconds;
  source.pollAt = max<i64>(source.pollAt, timeNowLocal() + <i64>source.pollSeconds * SECOND_NS);
  raiseEvent(MeterEvent.RateLimited, source.pollSeconds, 0, true);
}

function reject(source: Source, reason: u32): void {
  sourceCountReject(source, reason);
  raiseRefused(reason);
  sourceChanged(source);
}

/** Builds the message for one of the `WANT_UDP_` bits above; returns its length. */
export function pollWanted(source: Source, message: usize, want: u32): u32 {
  if (want == WANT_UDP_CLOSE) return requestById(message, Message.UdpClose, source.socketId);
  return requestSocket(message, source.socketId, source.address, source.ntpPort, sourceNtpHost(source));
}
