// NTS key establishment of each source, over the gateway's TLS (RFC 8915 4).
//
//   waiting ──wait over──> opening ──TlsOpened──> queued ──reader free──> establishing ──End of Message──> exporting
//      ^                      │                                               │                               │
//      └── failure: longer wait, another server where one is free ────────────┴───────────────────────────────┤
//                                                                                        idle <──all keys─────┘
//
// What always holds:
// - Connections may be open to all servers, but one answer is read at a time; what belongs to an older connection is
//   ignored by its number.
// - The keys in use serve until all of the new ones are there (RFC 8915 5.7).
// - Without a time, certificate dates are checked at the time floor, or not at all where the trust policy says so; in
//   both cases no answer counts before the certificate holds at the time obtained.

import { clear, copy } from '../abi/bytes';
import { ClockStatus, Failure, KeError, Message, MeterEvent, TlsOpenedField, TrustPolicy } from '../abi/codes';
import { AEAD_KEY_MAX_BYTES, AEAD_SIV_CMAC_256, aeadKeyBytes } from '../aead/aead';
import { clockFromRtc, clockStatus } from '../clock/clock';
import { SECOND_NS } from '../ntp/timestamp';
import { FailureKind } from '../nts/backoff';
import { cookiesHeld, cookiesKeepNew, cookiesKeepOld, cookiesRenew } from '../nts/cookies';
import { exchangeAead, exchangeOpen, exchangeSetKeys, KEYS_BYTES } from '../nts/exchange';
import {
  KE_SERVER,
  keAead,
  keBegin,
  keContextAead,
  keEnded,
  keError,
  keErrorDetail,
  keFinish,
  kePort,
  keRead,
  keRequest,
  keSpare,
} from '../nts/key-establishment';
import { contextFingerprint } from '../record/context';
import { agreeNeeded } from './agree';
import { raiseEvent } from './events';
import { timeNowLocal, timeNowUtc } from './now';
import { pollsBegin, pollsEnd } from './poll';
import { isProtocol, requestById, requestConnection, requestKey } from './requests';
import {
  settingsAeadCount,
  settingsAeads,
  settingsOffer,
  settingsServerName,
  settingsServerPort,
  settingsTrustPolicy,
} from './settings';
import {
  Ke,
  Source,
  serverFailed,
  serverHold,
  serverIsPlain,
  serverMakePlain,
  serverRetryAt,
  sourceAt,
  sourceCertificate,
  sourceChanged,
  sourceCountKeFailure,
  sourceMoves,
  sourceNtpHost,
  sources,
} from './source';
import { stateFloorUtc } from './state';

// Messages still to be sent, in this order.
export const WANT_CLOSE: u32 = 1;
export const WANT_OPEN: u32 = 2;
export const WANT_REQUEST: u32 = 4;
/** Client to server, server to client; the same two of the other exporter context. */
export const WANT_EXPORT: u32 = 8;
export const WANT_EXPORTS: u32 = 8 | 16 | 32 | 64;

/** From asking for a connection to having it, and from the request to all keys. */
const OPEN_DEADLINE_NS: i64 = 30 * SECOND_NS;
const ANSWER_DEADLINE_NS: i64 = 15 * SECOND_NS;
/** Longest silence of a server while another one waits for the reader. */
const ANSWER_OTHERS_NS: i64 = 5 * SECOND_NS;

/** A server that refuses even the plainest request is asked again after this (RFC 8915 4.1.3). */
const REFUSED_NS: i64 = 86_400 * SECOND_NS;

const NTP_PORT: u32 = 123;
const AEAD_SIV_CMAC_256_ALONE: usize = memory.data<u8>([15], 4);

// Keys between their export and the end of the key establishment are laid out as those in use, in the reader's memory: it
// has read all of the answer by then.
const BOTH_KEYS: u32 = 3;
const ALL_KEYS: u32 = 15;

/** Source whose answer is being read. */
const NOBODY: u32 = 0xff;
let reading: u32 = NOBODY;
/** Local time at which something of it came last. */
let readAt: i64 = 0;

/** New keys are wanted, when the server's wait allows it. */
export function keysWanted(source: Source): void {
  if (source.ke == Ke.Idle) source.ke = <u8>Ke.Waiting;
  sourceChanged(source);
}

/** Does what is due. */
export function establishStep(source: Source, now: i64): void {
  switch (<u32>source.ke) {
    case Ke.Idle:
      break;
    case Ke.Waiting:
      if (source.taking || (source.wants & WANT_CLOSE) != 0) break;
      if (now >= serverRetryAt(source.server)) begin(source, now);
      break;
    case Ke.Queued:
      if (mayAsk(source)) ask(source, now);
      else if (now >= source.deadline) fail(source, KeError.Timeout, 0);
      break;
    default:
      if (now >= deadlineOf(source)) fail(source, KeError.Timeout, 0);
  }
}

/** Local time at which `establishStep` has something to do again. */
export function establishDeadline(source: Source): i64 {
  if (source.ke == Ke.Idle) return i64.MAX_VALUE;
  return source.ke == Ke.Waiting ? serverRetryAt(source.server) : deadlineOf(source);
}

// A server that says nothing must not keep the others from the reader until their own time is over.
function deadlineOf(source: Source): i64 {
  if (reading != source.index) return source.deadline;
  for (let i: u32 = 0; i < sources(); i++) {
    if (sourceAt(i).ke == Ke.Queued) return min<i64>(source.deadline, readAt + ANSWER_OTHERS_NS);
  }
  return source.deadline;
}

/** The source gets another server, or none: a key establishment under way ends. */
export function establishAbandon(source: Source): void {
  if (source.ke <= <u32>Ke.Waiting) return;
  leave(source, false);
  source.wants = <u16>((source.wants & ~(WANT_OPEN | WANT_REQUEST | WANT_EXPORTS)) | WANT_CLOSE);
  source.ke = <u8>Ke.Waiting;
}

/** The network was lost: a key establishment under way begins anew, as if it had failed. */
export function establishReset(source: Source): void {
  source.wants = <u16>(source.wants & ~(WANT_CLOSE | WANT_OPEN | WANT_REQUEST | WANT_EXPORTS));
  if (source.ke == Ke.Idle || source.ke == Ke.Waiting) return;
  leave(source, false);
  source.ke = <u8>Ke.Waiting;
  serverFailed(source.server, FailureKind.Tcp);
}

function begin(source: Source, now: i64): void {
  source.ke = <u8>Ke.Opening;
  // The low bits say whose it is.
  source.connection = <u8>(((<u32>source.connection & ~3) + NUMBER_STEP) | source.index);
  source.wants = <u16>(source.wants | WANT_OPEN);
  source.deadline = now + OPEN_DEADLINE_NS;
  source.keAttempts += 1;
  sourceChanged(source);
}

/** Numbers of connections and sockets: the source in the low two bits, a count above. */
export const NUMBER_STEP: u32 = 4;

// The reader of answers must be free, and no answer on its way: its cookies are of the keys before, and would be taken for
// new ones.
function mayAsk(source: Source): bool {
  return reading == NOBODY && !exchangeOpen(source.index);
}

function ask(source: Source, now: i64): void {
  source.ke = <u8>Ke.Establishing;
  source.deadline = now + ANSWER_DEADLINE_NS;
  source.wants = <u16>(source.wants | WANT_REQUEST);
  reading = source.index;
  readAt = now;
  if (serverIsPlain(source.server)) keBegin(source.index, AEAD_SIV_CMAC_256_ALONE, 1);
  else keBegin(source.index, settingsAeads(), settingsAeadCount());
  cookiesRenew(source.index);
  source.keysSeen = 0;
}

// Gives the reader back; what it has read counts or goes.
function leave(source: Source, counts: bool): void {
  if (reading != source.index) return;
  reading = NOBODY;
  if (counts) cookiesKeepNew(source.index);
  else cookiesKeepOld(source.index);
  clear(keSpare(), KEYS_BYTES);
}

function fail(source: Source, error: u32, detail: u32): void {
  sourceCountKeFailure(source, error);
  source.expired = error == KeError.Connection && detail == Failure.Expired;
  raiseEvent(MeterEvent.KeFailed, error, detail, true);
  leave(source, false);
  source.wants = <u16>((source.wants & ~(WANT_OPEN | WANT_REQUEST | WANT_EXPORTS)) | WANT_CLOSE);
  source.ke = <u8>Ke.Waiting;
  serverFailed(source.server, failureKind(error, detail));
  if (error == KeError.PeerUnrecognizedCritical || error == KeError.PeerBadRequest) requestRefused(source);
  // Keys without a cookie serve nothing.
  const serves = exchangeAead(source.index) != 0 && (cookiesHeld(source.index) > 0 || source.reserveLeft);
  if (!serves && sourceMoves(source)) pollsEnd(source);
  sourceChanged(source);
}

// Not again with the same request: with AEAD 15 alone, where the settings offer it beside others, else after a day.
function requestRefused(source: Source): void {
  const plainest = serverIsPlain(source.server) || settingsAeadCount() == 1 || !settingsOffer(AEAD_SIV_CMAC_256);
  if (plainest) serverHold(source.server, timeNowLocal() + REFUSED_NS);
  else serverMakePlain(source.server);
}

function failureKind(error: u32, detail: u32): u32 {
  if (error == KeError.Alpn) return FailureKind.Tls;
  if (error != KeError.Connection) return FailureKind.KeyEstablishment;
  if (detail == Failure.Dns) return FailureKind.Dns;
  if (detail == Failure.Connect || detail == Failure.Timeout || detail == Failure.Limit) return FailureKind.Tcp;
  return FailureKind.Tls;
}

/** A message about the source's connection. */
export function establishMessage(source: Source, message: usize, length: u32): void {
  switch (<u32>load<u8>(message)) {
    case Message.TlsOpened:
      if (source.ke == Ke.Opening) opened(source, message, length);
      break;
    case Message.TlsData:
      if (source.ke == Ke.Establishing) received(source, message + 2, length - 2);
      break;
    case Message.TlsExported:
      if (source.ke == Ke.Exporting) exported(source, message, length);
      break;
    case Message.TlsClosed:
      if (source.ke != Ke.Idle && source.ke != Ke.Waiting) closed(source, message, length);
      break;
  }
}

function opened(source: Source, message: usize, length: u32): void {
  if (length < <u32>TlsOpenedField.Texts + 1) return fail(source, KeError.Connection, Failure.Request);
  const chosen = message + TlsOpenedField.Texts;
  if (!isProtocol(chosen, length - TlsOpenedField.Texts)) return fail(source, KeError.Alpn, 0);
  source.opensNotBefore = load<i64>(message, TlsOpenedField.NotBefore);
  source.opensNotAfter = load<i64>(message, TlsOpenedField.NotAfter);
  copy(FINGERPRINTS + <usize>source.index * 32, message + TlsOpenedField.Fingerprint, 32);
  source.ke = <u8>Ke.Queued;
  if (mayAsk(source)) ask(source, timeNowLocal());
}

// SHA-256 of the certificates of connections whose keys do not count yet.
const FINGERPRINTS: usize = memory.data(<i32>(32 * <u32>SERVERS_MAX), 4);

function received(source: Source, bytes: usize, length: u32): void {
  readAt = timeNowLocal();
  keRead(bytes, length);
  if (keError() == KeError.None && !keEnded()) return;
  const verdict = keFinish();
  if (verdict != KeError.None) return fail(source, verdict, keErrorDetail());
  source.ke = <u8>Ke.Exporting;
  clear(keSpare(), KEYS_BYTES);
  source.wants = <u16>(source.wants | (keContextAead() == keAead() ? WANT_EXPORT | (WANT_EXPORT << 1) : WANT_EXPORTS));
}

function closed(source: Source, message: usize, length: u32): void {
  const reason: u32 = length > 2 ? load<u8>(message, 2) : Failure.Request;
  // The peer closed: what it sent until then is all there is.
  if (source.ke == Ke.Establishing && reason == Failure.None) return fail(source, keFinish(), keErrorDetail());
  if (source.ke == Ke.Queued && reason == Failure.None) return fail(source, KeError.Empty, 0);
  // The keys are still to be had after the server has said goodbye.
  if (source.ke == Ke.Exporting && reason == Failure.None) return;
  if (reason == Failure.Alpn) return fail(source, KeError.Alpn, reason);
  fail(source, KeError.Connection, reason);
}

// Tag: bit 0 direction, bit 1 the other exporter context.
function exported(source: Source, message: usize, length: u32): void {
  const tag: u32 = length > 2 ? load<u8>(message, 2) : ALL_KEYS;
  const bytes = aeadKeyBytes(keAead());
  const other = keContextAead() != keAead();
  if (tag > (other ? 3 : 1) || length != 3 + bytes) return fail(source, KeError.Export, length);
  copy(keSpare() + (tag & 1) * AEAD_KEY_MAX_BYTES + (tag >> 1) * (AEAD_KEY_MAX_BYTES / 2), message + 3, bytes);
  clear(message + 3, bytes);
  source.keysSeen = <u8>(source.keysSeen | ((<u32>1) << tag));
  if (source.keysSeen == (other ? ALL_KEYS : BOTH_KEYS)) establish(source, other);
}

function establish(source: Source, other: bool): void {
  exchangeSetKeys(source.index, keAead(), keSpare(), other);
  leave(source, true);
  source.ke = <u8>Ke.Idle;
  source.wants = <u16>(source.wants | WANT_CLOSE);
  source.keysSinceLocal = timeNowLocal();
  source.keysSinceUtc = timeNowUtc();
  source.restored = false;
  source.expired = false;
  source.datesUnchecked = source.opensUnchecked;
  source.datesUnproven = source.opensUnproven;
  source.notBefore = source.opensNotBefore;
  source.notAfter = source.opensNotAfter;
  copy(sourceCertificate(source), FINGERPRINTS + <usize>source.index * 32, 32);
  contextFingerprint(source.server);
  putNtpHost(source);
  source.ntpPort = <u16>(kePort() != 0 ? kePort() : NTP_PORT);
  pollsBegin(source);
  raiseEvent(MeterEvent.KeysEstablished, keAead(), cookiesHeld(source.index), true);
}

// RFC 8915 4.1.7: without a server record, NTP is served by the NTS-KE host; with one, a name in it is fully qualified, so
// it gets the dot that says so.
function putNtpHost(source: Source): void {
  source.ntpElsewhere = load<u8>(KE_SERVER) != 0;
  const from = source.ntpElsewhere ? KE_SERVER : settingsServerName(source.server);
  const host = sourceNtpHost(source);
  const length: u32 = load<u8>(from);
  copy(host, from, 1 + length);
  if (!source.ntpElsewhere || isAddress(from) || load<u8>(from + length) == DOT) return;
  store<u8>(host, <u8>(length + 1));
  store<u8>(host + length, DOT, 1);
}

const DOT: u8 = 0x2e;
const COLON: u8 = 0x3a;

// Digits and dots, or with a colon.
function isAddress(host: usize): bool {
  let digits = true;
  for (let i: u32 = 1; i <= load<u8>(host); i++) {
    const character = load<u8>(host + i);
    if (character == COLON) return true;
    digits = digits && (character == DOT || (character >= 0x30 && character <= 0x39));
  }
  return digits;
}

/** Builds the message for one of the `WANT_` bits above; returns its length. */
export function establishWanted(source: Source, message: usize, want: u32): u32 {
  if (want == WANT_CLOSE) return requestById(message, Message.TlsClose, source.connection);
  if (want == WANT_OPEN) return open(source, message);
  if (want == WANT_REQUEST) {
    requestById(message, Message.TlsWrite, source.connection);
    return 2 + keRequest(message + 2);
  }
  const tag: u32 = want == WANT_EXPORT ? 0 : want == WANT_EXPORT << 1 ? 1 : want == WANT_EXPORT << 2 ? 2 : 3;
  const context = tag < 2 ? keContextAead() : keAead();
  return requestKey(message, source.connection, tag, aeadKeyBytes(keAead()), context, tag & 1);
}

// Certificates are to be valid at the meter's own time; without one, at the floor, or at no time at all where the trust
// policy lets the time obtained decide.
function open(source: Source, message: usize): u32 {
  const known = clockStatus() != ClockStatus.Unsynchronised && !doubtsClock(source);
  source.opensUnproven = !known;
  source.opensUnchecked = !known && (settingsTrustPolicy() & TrustPolicy.FirstDatesUnchecked) != 0;
  const utc = known ? timeNowUtc() : stateFloorUtc();
  const validAt = source.opensUnchecked ? 0 : utc / SECOND_NS;
  const name = settingsServerName(source.server);
  const port = settingsServerPort(source.server);
  return requestConnection(message, source.connection, source.opensUnchecked, validAt, port, name);
}

// A certificate that had expired by a real-time clock may show that the clock is wrong; but only where a majority can.
function doubtsClock(source: Source): bool {
  return clockFromRtc() && agreeNeeded(timeNowLocal()) > 1 && source.expired;
}
