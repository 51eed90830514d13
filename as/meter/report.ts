// What the meter tells its gateway: who it is, its time, and what happened.
// What always holds: after a new session of the link everything is told anew; an event is told until it is acknowledged;
// time goes out on each change and at least every `settingsReportSeconds`.

import { appendText, clear, copy } from '../abi/bytes';
import {
  Abi,
  Channel,
  ClockStatus,
  InfoField,
  Message,
  MilliCelsius,
  RtcKnown,
  SourceCountField,
  SourceField,
  SourceFlag,
  StackField,
  StartField,
  TimeField,
  TimeFlag,
  TimeReplyField,
} from '../abi/codes';
import {
  clockBoundNs,
  clockBudget,
  clockFrequencyPpb,
  clockFromRtc,
  clockHoldoverEnded,
  clockLastDelayNs,
  clockLastOffsetNs,
  clockLastSampleUtc,
  clockSlewing,
  clockStatus,
  clockUncertaintyNs,
} from '../clock/clock';
import { leapSecond, leapUtc } from '../clock/leap';
import { localFromTicks } from '../clock/local';
import { pathOf } from '../clock/path';
import { calibrationExpectNs, calibrationLearned, calibrationRatePpb, calibrationUtc } from '../clock/rtc-calibration';
import { rulesRefused } from '../clock/rules';
import { temperatureKnown, temperatureMilliCelsius } from '../clock/temperature';
import { SECOND_NS } from '../ntp/timestamp';
import { cookieBytes, cookiesHeld } from '../nts/cookies';
import { exchangeAead } from '../nts/exchange';
import { agreeCount, agreeEnough, agreeNeeded } from './agree';
import { eventMessage, eventSent, eventsLost, eventsPending } from './events';
import { networkBegin, networkIsOwn, networkSend, networkUp } from './network';
import { timeNowLocal, timeNowUtc } from './now';
import { sessionMissing } from './session';
import { METER_ID, settingsReportSeconds, settingsServerName, settingsServers } from './settings';
import {
  Ke,
  REJECT_REASONS,
  SOURCES,
  Source,
  serverRetryAt,
  sourceAt,
  sourceNtpHost,
  sourceReference,
  sourceRejected,
  sourceState,
  sources,
  sourcesChanged,
  sourcesLastKeError,
  sourcesLastReject,
} from './source';
import { tariffReportSoon } from './tariff-report';

const INFO_BYTES: u32 = InfoField.Texts + 33 + 32 + 32 + StackField.Bytes;
const TIME_BYTES: u32 = TimeField.Texts + 64;
const SOURCE_BYTES: u32 = SourceField.Texts + 64 + 66;
const COUNTS_BYTES: u32 = SourceCountField.Rejected + 2 * REJECT_REASONS;
const EVENT_BYTES: u32 = 44 + 65;

// The facts of `Event.Start` that Info passes on: AbiVersion to Entropy, then the two names.
const FACTS: usize = memory.data(88, 8);
const NAMES: usize = memory.data(64, 4);

const EMPTY: usize = memory.data(4, 4);

// `StackField`; zeros as long as nobody says it.
const STACK: usize = memory.data(8, 4);

/** Changes that follow each other faster, as a flood of forged answers makes them, go into one report. */
const CHANGE_NS: i64 = 50_000_000;

let infoDue: bool = false;
/** Whether the stack was used deeper than was told: goes with the next report of the time. */
let stackNew: bool = false;
let timeDue: bool = false;
/** Sources to be told of: their state in the low bits, what was counted in the next. */
let sourcesDue: u32 = 0;
/** Those that changed since they were last told of: bits. */
let sourcesNew: u32 = 0;
let timeAt: i64 = 0;
let timeSent: i64 = -CHANGE_NS;

/** Keeps what `Event.Start` said about board and software. */
export function reportStart(start: usize, names: usize, namesBytes: u32): void {
  copy(FACTS, start, StartField.Entropy);
  clear(NAMES, 64);
  copy(NAMES, names, namesBytes);
}

/** What `Event.Start` said, up to the hashes of core and image. */
export function reportFacts(): usize {
  return FACTS;
}

/** `Event.Stack`. */
export function reportStack(fields: usize): void {
  copy(STACK, fields, StackField.Bytes);
  stackNew = true;
}

/** Two texts: board, firmware version. */
export function reportNames(): usize {
  return NAMES;
}

/** A new session of the link. */
export function reportRestart(): void {
  infoDue = true;
  timeDue = true;
  tellAll();
}

/** When all sources are told of again, also those that did not change: a retained report must not get too old. */
let allAt: i64 = 0;

function tellAll(): void {
  sourcesDue = (1 << (2 * SOURCES)) - 1;
  allAt = timeNowLocal() + <i64>settingsReportSeconds() * SECOND_NS;
}

function sendSources(): void {
  for (let i: u32 = 0; i < SOURCES; i++) {
    const state: u32 = 1 << i;
    const counts: u32 = state << SOURCES;
    if (i >= sources()) sourcesDue &= ~(state | counts);
    if ((sourcesDue & state) != 0 && sendSource(sourceAt(i))) sourcesDue &= ~state;
    if ((sourcesDue & counts) != 0 && sendCounts(sourceAt(i))) sourcesDue &= ~counts;
  }
}

/** Local time at which the next report is due. */
export function reportDeadline(): i64 {
  // One that waits for room on the link goes with the frame that brings it.
  return networkUp() && (networkIsOwn() || !timeDue) ? timeAt : i64.MAX_VALUE;
}

/** Sends what is due and has room. */
export function reportStep(): void {
  if (!networkUp()) return;
  const changed = sourcesChanged();
  sourcesNew |= changed;
  if (changed != 0) timeAt = min<i64>(timeAt, timeSent + CHANGE_NS);
  if (timeNowLocal() >= timeAt) {
    timeDue = true;
    sourcesDue |= sourcesNew * (1 | (1 << SOURCES));
    sourcesNew = 0;
  }
  infoDue = infoDue || (timeDue && stackNew);
  if (infoDue && !sendInfo()) return;
  infoDue = false;
  if (timeDue && sendTime()) {
    timeDue = false;
    tariffReportSoon();
    timeSent = timeNowLocal();
    timeAt = timeSent + <i64>settingsReportSeconds() * SECOND_NS;
    if (timeSent >= allAt) tellAll();
  }
  sendSources();
  while (eventsPending()) {
    const message = networkBegin(Channel.Report, EVENT_BYTES);
    if (message == 0) return;
    networkSend(Channel.Report, eventMessage(message));
    eventSent();
  }
}

function sendInfo(): bool {
  const message = networkBegin(Channel.Report, INFO_BYTES);
  if (message == 0) return false;
  store<u8>(message, Message.Info);
  store<u8>(message, Abi.Version, InfoField.AbiVersion);
  store<u8>(message, load<u8>(FACTS, StartField.ResetCause), InfoField.ResetCause);
  store<u8>(message, load<u8>(FACTS, StartField.Capabilities), InfoField.Capabilities);
  store<u32>(message, load<u32>(FACTS, StartField.MaxFrequencyErrorPpb), InfoField.MaxFrequencyErrorPpb);
  store<u64>(message, load<u64>(FACTS, StartField.BuildUnixSeconds), InfoField.BuildUnixSeconds);
  store<u8>(message, <u8>SOURCES, InfoField.ServersMax);
  copy(message + InfoField.CoreSha256, FACTS + StartField.CoreSha256, 32);
  copy(message + InfoField.ImageSha256, FACTS + StartField.ImageSha256, 32);
  let at = appendText(message + InfoField.Texts, METER_ID);
  at = appendText(at, NAMES);
  at = appendText(at, NAMES + 1 + load<u8>(NAMES));
  stackNew = false;
  copy(at, STACK, StackField.Bytes);
  networkSend(Channel.Report, <u32>(at - message) + StackField.Bytes);
  return true;
}

// Saturates a duration to a field of 32 bits.
function saturate(ns: i64): u32 {
  return ns > 0xffff_ffff ? 0xffff_ffff : <u32>ns;
}

function sendTime(): bool {
  const message = networkBegin(Channel.Report, TIME_BYTES);
  if (message == 0) return false;
  const now = timeNowLocal();
  const status = clockStatus();
  const known = status != ClockStatus.Unsynchronised;
  clear(message, TimeField.Texts);
  store<u8>(message, Message.Time);
  store<u8>(message, <u8>status, TimeField.Status);
  store<u8>(message, <u8>reportFlags(now), TimeField.Flags);
  const source = sourceReference();
  store<u8>(message, <u8>source.stratum, TimeField.Stratum);
  store<u8>(message, <u8>source.reach, TimeField.Reach);
  store<u8>(message, <u8>cookiesHeld(source.index), TimeField.Cookies);
  store<u16>(message, <u16>cookieBytes(source.index), TimeField.CookieBytes);
  store<u16>(message, <u16>exchangeAead(source.index), TimeField.Aead);
  store<u16>(message, <u16>source.pollSeconds, TimeField.PollSeconds);
  store<u32>(message, saturate(source.rootDelayNs), TimeField.RootDelayNs);
  store<u32>(message, saturate(source.rootDispersionNs), TimeField.RootDispersionNs);
  store<i64>(message, timeNowUtc(), TimeField.UtcNs);
  store<i64>(message, clockLastOffsetNs(), TimeField.OffsetNs);
  store<i64>(message, clockLastDelayNs(), TimeField.DelayNs);
  if (known) {
    store<i64>(message, clockUncertaintyNs(now), TimeField.UncertaintyNs);
    store<i64>(message, clockBoundNs(now), TimeField.BoundNs);
    store<i32>(message, clockFrequencyPpb(), TimeField.FrequencyPpb);
    clockBudget(now, message + TimeField.Budget);
  }
  store<i64>(message, clockLastSampleUtc(), TimeField.LastSyncUtcNs);
  store<i64>(message, keysSinceUtc(source), TimeField.KeysSinceUtcNs);
  for (let i: u32 = 0; i < sources(); i++) addCounts(message, sourceAt(i));
  store<u8>(message, <u8>sourcesLastReject, TimeField.LastReject);
  store<u8>(message, <u8>sourcesLastKeError, TimeField.LastKeError);
  store<u16>(message, <u16>min<u32>(eventsLost(), 0xffff), TimeField.EventsLost);
  store<u8>(message, <u8>sources(), TimeField.Servers);
  store<u8>(message, <u8>agreeCount(), TimeField.Agreeing);
  store<u8>(message, <u8>agreeNeeded(now), TimeField.Needed);
  store<u8>(message, <u8>sessionMissing(), TimeField.Missing);
  store<u8>(message, <u8>source.index, TimeField.Source);
  const temperature = temperatureKnown(now) ? temperatureMilliCelsius() : MilliCelsius.None;
  store<i32>(message, temperature, TimeField.MilliCelsius);
  const compared = known && calibrationUtc() != 0;
  store<i32>(message, compared ? rtcOffsetUs() : RtcKnown.None, TimeField.RtcOffsetUs);
  store<i32>(message, calibrationLearned() ? calibrationRatePpb() : RtcKnown.None, TimeField.RtcRatePpb);
  const at = appendText(message + TimeField.Texts, hostOf(source));
  networkSend(Channel.Report, <u32>(at - message));
  return true;
}

// Saturated, and never `RtcKnown.None`.
function rtcOffsetUs(): i32 {
  const us = calibrationExpectNs(timeNowUtc()) / 1000;
  return <i32>min<i64>(max<i64>(us, -RtcKnown.Most), RtcKnown.Most);
}

function hostOf(source: Source): usize {
  return settingsServers() == 0 ? EMPTY : settingsServerName(source.server);
}

function keysSinceUtc(source: Source): i64 {
  return exchangeAead(source.index) == 0 ? 0 : source.keysSinceUtc;
}

function rejectedOf(source: Source): u32 {
  let sum: u32 = 0;
  for (let reason: u32 = 1; reason <= REJECT_REASONS; reason++) sum += sourceRejected(source, reason);
  return sum;
}

function add(message: usize, field: usize, value: u32): void {
  store<u32>(message + field, load<u32>(message + field) + value);
}

function addCounts(message: usize, source: Source): void {
  add(message, TimeField.Sent, source.sent);
  add(message, TimeField.Authenticated, source.authenticated);
  add(message, TimeField.Rejected, rejectedOf(source));
  add(message, TimeField.Naks, source.naks);
  add(message, TimeField.KeAttempts, source.keAttempts);
  add(message, TimeField.KeFailures, source.keFailures);
}

function sendSource(source: Source): bool {
  const message = networkBegin(Channel.Report, SOURCE_BYTES);
  if (message == 0) return false;
  const index = source.index;
  clear(message, SourceField.Texts);
  store<u8>(message, Message.Source);
  store<u8>(message, <u8>index, SourceField.Index);
  store<u8>(message, <u8>sourceFlags(source), SourceField.Flags);
  store<u8>(message, <u8>sourceState(source, exchangeAead(index) != 0), SourceField.State);
  store<u8>(message, <u8>source.stratum, SourceField.Stratum);
  store<u8>(message, <u8>source.leap, SourceField.Leap);
  store<u8>(message, <u8>source.reach, SourceField.Reach);
  store<u8>(message, <u8>cookiesHeld(index), SourceField.Cookies);
  store<u16>(message, <u16>cookieBytes(index), SourceField.CookieBytes);
  store<u16>(message, <u16>exchangeAead(index), SourceField.Aead);
  store<u16>(message, <u16>source.pollSeconds, SourceField.PollSeconds);
  store<u16>(message, <u16>source.ntpPort, SourceField.NtpPort);
  store<u32>(message, saturate(source.rootDelayNs), SourceField.RootDelayNs);
  store<u32>(message, saturate(source.rootDispersionNs), SourceField.RootDispersionNs);
  store<i64>(message, source.offsetNs, SourceField.OffsetNs);
  store<i64>(message, source.delayNs, SourceField.DelayNs);
  store<i64>(message, source.lastUtc, SourceField.LastSyncUtcNs);
  store<i64>(message, keysSinceUtc(source), SourceField.KeysSinceUtcNs);
  store<u32>(message, retrySeconds(source), SourceField.RetrySeconds);
  const at = appendText(appendText(message + SourceField.Texts, hostOf(source)), sourceNtpHost(source));
  networkSend(Channel.Report, <u32>(at - message));
  return true;
}

function sourceFlags(source: Source): u32 {
  let bits: u32 = 0;
  if (source.agrees) bits |= SourceFlag.Agrees;
  if (source.disagrees) bits |= SourceFlag.Disagrees;
  if (source == sourceReference() && clockLastSampleUtc() != 0) bits |= SourceFlag.Reference;
  if (source.datesUnchecked) bits |= SourceFlag.DatesUnchecked;
  if (source.restored) bits |= SourceFlag.Restored;
  if (pathOf(source.index).contradictions != 0) bits |= SourceFlag.Strays;
  return bits;
}

function retrySeconds(source: Source): u32 {
  const left = serverRetryAt(source.server) - timeNowLocal();
  return source.ke == Ke.Waiting && left > 0 ? <u32>((left + SECOND_NS - 1) / SECOND_NS) : 0;
}

function sendCounts(source: Source): bool {
  const message = networkBegin(Channel.Report, COUNTS_BYTES);
  if (message == 0) return false;
  store<u8>(message, Message.SourceCounts);
  store<u8>(message, <u8>source.index, SourceCountField.Index);
  store<u8>(message, <u8>source.lastReject, SourceCountField.LastReject);
  store<u8>(message, <u8>source.lastKeError, SourceCountField.LastKeError);
  store<u32>(message, bswap<u32>(source.kiss), SourceCountField.KissCode);
  store<u32>(message, source.sent, SourceCountField.Sent);
  store<u32>(message, source.authenticated, SourceCountField.Authenticated);
  store<u32>(message, source.naks, SourceCountField.Naks);
  store<u32>(message, source.keAttempts, SourceCountField.KeAttempts);
  store<u32>(message, source.keFailures, SourceCountField.KeFailures);
  for (let reason: u32 = 1; reason <= REJECT_REASONS; reason++) {
    store<u16>(message + 2 * (reason - 1), <u16>sourceRejected(source, reason), SourceCountField.Rejected);
  }
  networkSend(Channel.Report, COUNTS_BYTES);
  return true;
}

/** `TimeFlag` bits of the time at local time `now`, that of the event being handled. */
export function reportFlags(now: i64): u32 {
  let bits: u32 = 0;
  // A server that is outvoted does not count.
  for (let i: u32 = 0; i < sources(); i++) {
    const counts = clockStatus() == ClockStatus.Unsynchronised || sourceAt(i).agrees;
    if (counts && sourceAt(i).datesUnchecked) bits |= TimeFlag.DatesUnchecked;
  }
  const needed = agreeNeeded(now);
  if (needed > 1 && !agreeEnough()) bits |= TimeFlag.NoMajority;
  if (clockStatus() == ClockStatus.Unsynchronised) return bits;
  if (clockFromRtc()) bits |= TimeFlag.FromRtc;
  else if (needed <= 1) bits |= TimeFlag.SingleSource;
  if (clockSlewing(now)) bits |= TimeFlag.Slewing;
  if (leapSecond(now)) bits |= TimeFlag.LeapSecond;
  if (clockHoldoverEnded(now)) bits |= TimeFlag.HoldoverEnded;
  if (rulesRefused()) bits |= TimeFlag.ClockRefused;
  return bits;
}

/** Answers `Message.TimeProbe`, whose last byte came at local tick `lastTick`. */
export function reportProbe(probe: usize, length: u32, lastTick: u64): void {
  if (length < 5) return;
  const message = networkBegin(Channel.Time, TimeReplyField.Bytes);
  if (message == 0) return;
  const now = timeNowLocal();
  const known = clockStatus() != ClockStatus.Unsynchronised;
  const token = load<u32>(probe, 1);
  clear(message, TimeReplyField.Bytes);
  store<u8>(message, Message.TimeReply);
  store<u32>(message, token, TimeReplyField.Token);
  store<u8>(message, <u8>clockStatus(), TimeReplyField.Status);
  if (known) {
    const probed = localFromTicks(lastTick);
    if (leapSecond(probed)) store<u8>(message, TimeFlag.LeapSecond, TimeReplyField.ProbeFlags);
    store<u8>(message, <u8>reportFlags(now), TimeReplyField.ReplyFlags);
    store<i64>(message, leapUtc(probed), TimeReplyField.ProbeUtcNs);
    store<i64>(message, leapUtc(now), TimeReplyField.ReplyUtcNs);
    store<i64>(message, clockBoundNs(now), TimeReplyField.BoundNs);
  }
  networkSend(Channel.Time, TimeReplyField.Bytes);
}
