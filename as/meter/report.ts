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
  StartField,
  TimeField,
  TimeFlag,
  TimeReplyField,
} from '../abi/codes';
import {
  clockBoundNs,
  clockFromRtc,
  clockLastDelayNs,
  clockLastOffsetNs,
  clockLastSampleUtc,
  clockSlewing,
  clockStatus,
  clockUncertaintyNs,
  clockUtc,
} from '../clock/clock';
import { localFromTicks } from '../clock/local';
import { SECOND_NS } from '../ntp/timestamp';
import { cookieBytes, cookiesHeld } from '../nts/cookies';
import { eventMessage, eventSent, eventsLost, eventsPending } from './events';
import { networkBegin, networkSend, networkUp } from './network';
import { timeNowLocal, timeNowUtc } from './now';
import {
  sessionAead,
  sessionAuthenticated,
  sessionChanged,
  sessionDatesUnchecked,
  sessionKeAttempts,
  sessionKeFailures,
  sessionKeysSinceUtc,
  sessionLastKeError,
  sessionLastReject,
  sessionNaks,
  sessionNtpHost,
  sessionPollSeconds,
  sessionReach,
  sessionRejected,
  sessionRootDelayNs,
  sessionRootDispersionNs,
  sessionSent,
  sessionServerIndex,
  sessionStratum,
} from './session';
import { METER_ID, settingsReportSeconds, settingsServerName, settingsServers } from './settings';

const INFO_BYTES: u32 = InfoField.Texts + 33 + 32 + 32;
const TIME_BYTES: u32 = TimeField.Texts + 64 + 65;
const EVENT_BYTES: u32 = 44 + 65;

// The facts of `Event.Start` that Info passes on: AbiVersion to Entropy, then the two names.
const FACTS: usize = memory.data(88, 8);
const NAMES: usize = memory.data(64, 4);

const EMPTY: usize = memory.data(4, 4);

/** Changes that follow each other faster, as a flood of forged answers makes them, go into one report. */
const CHANGE_NS: i64 = 50_000_000;

let infoDue: bool = false;
let timeDue: bool = false;
let timeAt: i64 = 0;
let timeSent: i64 = -CHANGE_NS;

/** Keeps what `Event.Start` said about board and software. */
export function reportStart(start: usize, names: usize, namesBytes: u32): void {
  copy(FACTS, start, StartField.Entropy);
  clear(NAMES, 64);
  copy(NAMES, names, namesBytes);
}

/** A new session of the link. */
export function reportRestart(): void {
  infoDue = true;
  timeDue = true;
}

/** Local time at which the next report is due. */
export function reportDeadline(): i64 {
  return networkUp() ? timeAt : i64.MAX_VALUE;
}

/** Sends what is due and has room. */
export function reportStep(): void {
  if (!networkUp()) return;
  if (sessionChanged()) timeAt = min<i64>(timeAt, timeSent + CHANGE_NS);
  if (timeNowLocal() >= timeAt) timeDue = true;
  if (infoDue && sendInfo()) infoDue = false;
  if (infoDue) return;
  if (timeDue && sendTime()) {
    timeDue = false;
    timeSent = timeNowLocal();
    timeAt = timeSent + <i64>settingsReportSeconds() * SECOND_NS;
  }
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
  copy(message + InfoField.CoreSha256, FACTS + StartField.CoreSha256, 32);
  copy(message + InfoField.ImageSha256, FACTS + StartField.ImageSha256, 32);
  let at = appendText(message + InfoField.Texts, METER_ID);
  at = appendText(at, NAMES);
  at = appendText(at, NAMES + 1 + load<u8>(NAMES));
  networkSend(Channel.Report, <u32>(at - message));
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
  store<u8>(message, <u8>flags(now), TimeField.Flags);
  store<u8>(message, <u8>sessionStratum, TimeField.Stratum);
  store<u8>(message, <u8>sessionReach, TimeField.Reach);
  store<u8>(message, <u8>cookiesHeld(), TimeField.Cookies);
  store<u16>(message, <u16>cookieBytes(), TimeField.CookieBytes);
  store<u16>(message, <u16>sessionAead(), TimeField.Aead);
  store<u16>(message, <u16>sessionPollSeconds(), TimeField.PollSeconds);
  store<u32>(message, saturate(sessionRootDelayNs), TimeField.RootDelayNs);
  store<u32>(message, saturate(sessionRootDispersionNs), TimeField.RootDispersionNs);
  store<i64>(message, timeNowUtc(), TimeField.UtcNs);
  store<i64>(message, clockLastOffsetNs(), TimeField.OffsetNs);
  store<i64>(message, clockLastDelayNs(), TimeField.DelayNs);
  if (known) {
    store<i64>(message, clockUncertaintyNs(now), TimeField.UncertaintyNs);
    store<i64>(message, clockBoundNs(now), TimeField.BoundNs);
  }
  store<i64>(message, clockLastSampleUtc(), TimeField.LastSyncUtcNs);
  store<i64>(message, sessionKeysSinceUtc(), TimeField.KeysSinceUtcNs);
  store<u32>(message, sessionSent, TimeField.Sent);
  store<u32>(message, sessionAuthenticated, TimeField.Authenticated);
  store<u32>(message, sessionRejected, TimeField.Rejected);
  store<u32>(message, sessionNaks, TimeField.Naks);
  store<u32>(message, sessionKeAttempts, TimeField.KeAttempts);
  store<u32>(message, sessionKeFailures, TimeField.KeFailures);
  store<u8>(message, <u8>sessionLastReject, TimeField.LastReject);
  store<u8>(message, <u8>sessionLastKeError, TimeField.LastKeError);
  store<u16>(message, <u16>min<u32>(eventsLost(), 0xffff), TimeField.EventsLost);
  const host = settingsServers() == 0 ? EMPTY : settingsServerName(sessionServerIndex());
  const at = appendText(appendText(message + TimeField.Texts, host), sessionNtpHost());
  networkSend(Channel.Report, <u32>(at - message));
  return true;
}

function flags(now: i64): u32 {
  let bits: u32 = 0;
  if (clockStatus() == ClockStatus.Unsynchronised) return sessionDatesUnchecked() ? TimeFlag.DatesUnchecked : 0;
  // One server at a time: nobody outvotes it.
  if (clockFromRtc()) bits |= TimeFlag.FromRtc;
  else bits |= TimeFlag.SingleSource;
  if (sessionDatesUnchecked()) bits |= TimeFlag.DatesUnchecked;
  if (clockSlewing(now)) bits |= TimeFlag.Slewing;
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
    store<i64>(message, clockUtc(localFromTicks(lastTick)), TimeReplyField.ProbeUtcNs);
    store<i64>(message, clockUtc(now), TimeReplyField.ReplyUtcNs);
    store<i64>(message, clockBoundNs(now), TimeReplyField.BoundNs);
  }
  networkSend(Channel.Time, TimeReplyField.Bytes);
}
