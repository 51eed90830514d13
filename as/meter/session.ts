// The association with a time server: NTS key establishment over the gateway's TLS, then authenticated polls.
//
//   waiting ──retry──> opening ──TlsOpened──> establishing ──End of Message──> exporting ──both keys──> serving
//      ^                  │                        │                              │                        │
//      └──────────────────┴── failure: next server, longer wait ──────────────────┴── NAK, silence, no cookie
//
// What always holds:
// - One connection and one exchange at a time; what belongs to an older one is ignored by its number.
// - Whatever else goes wrong, the clock is in holdover once the time of eight polls has passed without one.
// - The wait before a key establishment grows with each failure and is reset only by an authenticated answer.
// - Without a time, certificate dates are checked at the time floor, or not at all where the trust policy says so; in
//   both cases the first answer is believed only when the certificate holds at the time that it gives.

import { clear, copy } from '../abi/bytes';
import {
  Channel,
  ClockStatus,
  Failure,
  KeError,
  Message,
  MeterEvent,
  Reject,
  TlsOpenedField,
  TrustPolicy,
  UdpReceivedField,
} from '../abi/codes';
import { clockForget, clockHoldover, clockSample, clockStatus } from '../clock/clock';
import { localFromTicks, localResolutionNs } from '../clock/local';
import { NTP_MAX_BYTES } from '../ntp/header';
import { SECOND_NS } from '../ntp/timestamp';
import { cookiesHeld } from '../nts/cookies';
import {
  answerReceiveNs,
  answerRootDelayNs,
  answerRootDispersionNs,
  answerStratum,
  answerTransmitNs,
  exchangeAnswer,
  exchangeClear,
  exchangeClose,
  exchangeKeyed,
  exchangeOpen,
  exchangeRequest,
  exchangeSetKeys,
  REQUEST_RANDOM_BYTES,
} from '../nts/exchange';
import {
  AEAD_SIV_CMAC_256,
  KE_SERVER,
  keBegin,
  keEnded,
  keError,
  keErrorDetail,
  keFinish,
  kePort,
  keRead,
  keRequest,
} from '../nts/key-establishment';
import { raiseEvent, raiseRefused } from './events';
import {
  networkBegin,
  networkDatagramLeft,
  networkDatagramTick,
  networkIsOwn,
  networkSend,
  networkUp,
} from './network';
import { timeNowLocal, timeNowUtc } from './now';
import {
  isProtocol,
  KEY_BYTES,
  REQUEST_MAX_BYTES,
  requestById,
  requestConnection,
  requestKey,
  requestSocket,
} from './requests';
import { randomBytes, randomReady } from './seed';
import {
  settingsPollMax,
  settingsPollMin,
  settingsServerName,
  settingsServerPort,
  settingsServers,
  settingsTrustPolicy,
} from './settings';
import { stateFloorUtc } from './state';

const WAITING: u32 = 0;
const OPENING: u32 = 1;
const ESTABLISHING: u32 = 2;
const EXPORTING: u32 = 3;
const SERVING: u32 = 4;

// Messages still to be sent, in this order.
const WANT_CLOSE: u32 = 1;
const WANT_OPEN: u32 = 2;
const WANT_REQUEST: u32 = 4;
const WANT_EXPORT_C2S: u32 = 8;
const WANT_EXPORT_S2C: u32 = 16;
const WANT_UDP_CLOSE: u32 = 32;
const WANT_UDP_OPEN: u32 = 64;

const SOCKET_CLOSED: u32 = 0;
const SOCKET_OPENING: u32 = 1;
const SOCKET_OPEN: u32 = 2;

const KE_DEADLINE_NS: i64 = 30 * SECOND_NS;
const EXCHANGE_DEADLINE_NS: i64 = 3 * SECOND_NS;
const SOCKET_DEADLINE_NS: i64 = 10 * SECOND_NS;

/** First wait after a failure; each further one is half as long again (RFC 8915 4.2). */
const RETRY_NS: i64 = 10 * SECOND_NS;
/** RFC 8915 4.2: the longest wait. */
const RETRY_MAX_NS: i64 = 5 * 86_400 * SECOND_NS;

/** Polls at the start of a synchronisation, and their distance. */
const BURST_POLLS: u32 = 4;
const BURST_NS: i64 = 2 * SECOND_NS;
/** Answers at one poll interval before it doubles. */
const POLLS_BEFORE_LONGER: u32 = 4;
/** Polls without an answer before the address changes, before holdover, and before new keys. */
const SILENCE_ADDRESS: u32 = 2;
const SILENCE_KEYS: u32 = 8;
/** Answers without a time before another server is asked, where there is one. */
const USELESS_MAX: u32 = 8;

const NTP_PORT: u32 = 123;

// Keys between their export and the end of the key establishment.
const KEYS: usize = memory.data(64, 4);
const RANDOM: usize = memory.data(56, 4);
// Host of NTP in use: a text of at most 64 bytes.
const NTP_HOST: usize = memory.data(68, 4);
/** SHA-256 of the certificate of the keys in use. */
export const CERTIFICATE: usize = memory.data(32, 4);

let phase: u32 = WAITING;
let wants: u32 = 0;
let server: u32 = 0;
let connection: u32 = 0;
let keysSeen: u32 = 0;
let deadline: i64 = 0;
let retryAt: i64 = 0;
let failures: u32 = 0;

let datesUnchecked: bool = false;
/** Whether the certificate is still to hold at the time that its server gives. */
let datesUnproven: bool = false;
let notBefore: i64 = 0;
let notAfter: i64 = 0;
let keysSinceLocal: i64 = 0;
let keysSinceUtc: i64 = 0;

let socket: u32 = SOCKET_CLOSED;
let socketId: u32 = 0;
let address: u32 = 0;
let ntpPort: u32 = NTP_PORT;

let exchange: u32 = 0;
let exchangeBuilt: i64 = 0;
let exchangeDeadline: i64 = 0;
let nakSeen: bool = false;
let pollAt: i64 = 0;
let pollSeconds: u32 = 0;
let answersAtPoll: u32 = 0;
let burst: u32 = 0;
let silence: u32 = 0;
/** Authenticated answers in a row that gave no time. */
let useless: u32 = 0;
/** Whether the keys in use led to a time yet. */
let proven: bool = false;
/** Local time at which the last time obtained is too old to be called synchronised. */
let holdoverAt: i64 = 0;

// What `report.ts` tells.
export let sessionReach: u32 = 0;
export let sessionSent: u32 = 0;
export let sessionAuthenticated: u32 = 0;
export let sessionRejected: u32 = 0;
export let sessionNaks: u32 = 0;
export let sessionKeAttempts: u32 = 0;
export let sessionKeFailures: u32 = 0;
export let sessionLastReject: u32 = 0;
export let sessionLastKeError: u32 = 0;
export let sessionStratum: u32 = 0;
export let sessionRootDelayNs: i64 = 0;
export let sessionRootDispersionNs: i64 = 0;
let changed: bool = false;

/** Index of the NTS-KE server in use. */
export function sessionServerIndex(): u32 {
  return server;
}
/** Host of NTP in use, a text. */
export function sessionNtpHost(): usize {
  return NTP_HOST;
}
/** AEAD of the keys in use, 0 without. */
export function sessionAead(): u32 {
  return exchangeKeyed() ? AEAD_SIV_CMAC_256 : 0;
}
/** UTC ns at which the keys were made, 0 without keys or time. */
export function sessionKeysSinceUtc(): i64 {
  return exchangeKeyed() ? keysSinceUtc : 0;
}
/** Poll interval, s. */
export function sessionPollSeconds(): u32 {
  return pollSeconds;
}
/** Whether the certificate's dates are still to be checked at an obtained time. */
export function sessionDatesUnchecked(): bool {
  return datesUnchecked;
}
/** Whether something worth a report happened since last asked. */
export function sessionChanged(): bool {
  const was = changed;
  changed = false;
  return was;
}

/** The network was lost or came back without memory of our sockets: what stood on them begins anew. */
export function sessionNetworkReset(): void {
  socket = SOCKET_CLOSED;
  wants = 0;
  exchangeClose();
  if (phase != SERVING && phase != WAITING) {
    phase = WAITING;
    retryAt = timeNowLocal();
  }
}

/** Does what is due and can be done now. */
export function sessionStep(): void {
  if (settingsServers() == 0 || !randomReady()) return;
  const now = timeNowLocal();
  if (now >= holdoverAt) clockHoldover(now);
  if (!networkUp()) {
    noteSilence(now);
    return;
  }
  if (phase == WAITING) {
    if (now >= retryAt && (wants & WANT_CLOSE) == 0) beginEstablishment(now);
  } else if (phase != SERVING) {
    if (now >= deadline) failEstablishment(KeError.Timeout, 0);
  } else {
    serve(now);
  }
  sendWanted();
}

/** Local time at which `sessionStep` has something to do again. */
export function sessionDeadline(): i64 {
  if (settingsServers() == 0 || !randomReady()) return i64.MAX_VALUE;
  if (clockStatus() != ClockStatus.Synchronised) return networkUp() ? phaseDeadline() : i64.MAX_VALUE;
  return min<i64>(holdoverAt, networkUp() || phase == SERVING ? phaseDeadline() : i64.MAX_VALUE);
}

function phaseDeadline(): i64 {
  if (!networkUp()) return pollAt;
  if (phase == WAITING) return retryAt;
  if (phase != SERVING) return deadline;
  if (exchangeOpen()) return exchangeDeadline;
  return socket == SOCKET_OPENING ? deadline : pollAt;
}

// ---------------------------------------------------------------- key establishment

function beginEstablishment(now: i64): void {
  phase = OPENING;
  connection = (connection + 1) & 0xff;
  wants = (wants & WANT_UDP_CLOSE) | WANT_OPEN;
  deadline = now + KE_DEADLINE_NS;
  keysSeen = 0;
  sessionKeAttempts += 1;
  exchangeClear();
  keBegin();
}

// The wait before the next key establishment.
function retryDelay(): i64 {
  let delay = RETRY_NS;
  for (let i: u32 = 1; i < failures && delay < RETRY_MAX_NS; i++) delay += delay / 2;
  delay = min<i64>(delay, RETRY_MAX_NS);
  // Up to an eighth more, so that meters that failed together do not come back together.
  return randomBytes(RANDOM, 2) ? delay + (delay / 8 / 65_536) * <i64>load<u16>(RANDOM) : delay;
}

function failEstablishment(error: u32, detail: u32): void {
  sessionKeFailures += 1;
  sessionLastKeError = error;
  raiseEvent(MeterEvent.KeFailed, error, detail, true);
  failures += 1;
  wants = (wants & WANT_UDP_CLOSE) | WANT_CLOSE;
  phase = WAITING;
  retryAt = timeNowLocal() + retryDelay();
  nextServer();
  exchangeClear();
  keBegin();
  clear(KEYS, 2 * KEY_BYTES);
  changed = true;
}

function nextServer(): void {
  server = (server + 1) % settingsServers();
}

// The keys are of no use any more: new ones, but not before the back-off allows it; of another server where these never
// led to a time.
function replaceKeys(): void {
  failures += 1;
  phase = WAITING;
  retryAt = max<i64>(timeNowLocal(), failures == 1 ? keysSinceLocal + RETRY_NS : timeNowLocal() + retryDelay());
  if (!proven) nextServer();
  closeSocket();
  exchangeClear();
  silence = 0;
  nakSeen = false;
  changed = true;
}

/** A message of the stream channel. */
export function sessionMessage(message: usize, length: u32): void {
  if (length < 2) return;
  const type: u32 = load<u8>(message);
  const id: u32 = load<u8>(message, 1);
  switch (type) {
    case Message.TlsOpened:
      if (isCurrent(id, OPENING)) tlsOpened(message, length);
      break;
    case Message.TlsData:
      if (isCurrent(id, ESTABLISHING)) tlsData(message + 2, length - 2);
      break;
    case Message.TlsExported:
      if (isCurrent(id, EXPORTING)) tlsExported(message, length);
      break;
    case Message.TlsClosed:
      if (id == connection && phase != WAITING && phase != SERVING) tlsClosed(message, length);
      break;
    case Message.UdpOpened:
      if (id == socketId && socket == SOCKET_OPENING) udpOpened();
      break;
    case Message.UdpOpenFailed:
      if (id == socketId && socket != SOCKET_CLOSED) udpFailed();
      break;
  }
}

function isCurrent(id: u32, wanted: u32): bool {
  return id == connection && phase == wanted;
}

function tlsOpened(message: usize, length: u32): void {
  if (length < <u32>TlsOpenedField.Texts + 1) return failEstablishment(KeError.Connection, Failure.Request);
  const chosen = message + TlsOpenedField.Texts;
  if (!isProtocol(chosen, length - TlsOpenedField.Texts)) return failEstablishment(KeError.Alpn, 0);
  notBefore = load<i64>(message, TlsOpenedField.NotBefore);
  notAfter = load<i64>(message, TlsOpenedField.NotAfter);
  copy(CERTIFICATE, message + TlsOpenedField.Fingerprint, 32);
  phase = ESTABLISHING;
  wants |= WANT_REQUEST;
}

function tlsData(bytes: usize, length: u32): void {
  keRead(bytes, length);
  if (keError() == KeError.None && !keEnded()) return;
  const verdict = keFinish();
  if (verdict != KeError.None) return failEstablishment(verdict, keErrorDetail());
  phase = EXPORTING;
  wants |= WANT_EXPORT_C2S | WANT_EXPORT_S2C;
}

function tlsClosed(message: usize, length: u32): void {
  const reason: u32 = length > 2 ? load<u8>(message, 2) : Failure.Request;
  // The peer closed: what it sent until then is all there is.
  if (phase == ESTABLISHING && reason == Failure.None) return failEstablishment(keFinish(), keErrorDetail());
  // The keys are still to be had after the server has said goodbye.
  if (phase == EXPORTING && reason == Failure.None) return;
  if (reason == Failure.Alpn) return failEstablishment(KeError.Alpn, reason);
  failEstablishment(KeError.Connection, reason);
}

function tlsExported(message: usize, length: u32): void {
  const tag: u32 = length > 2 ? load<u8>(message, 2) : 2;
  if (tag > 1 || length != 3 + KEY_BYTES) return failEstablishment(KeError.Export, length);
  copy(KEYS + tag * KEY_BYTES, message + 3, KEY_BYTES);
  clear(message + 3, KEY_BYTES);
  keysSeen |= 1 << tag;
  if (keysSeen != 3) return;
  exchangeSetKeys(KEYS, KEYS + KEY_BYTES);
  clear(KEYS, 2 * KEY_BYTES);
  establish();
}

function establish(): void {
  const now = timeNowLocal();
  phase = SERVING;
  wants |= WANT_CLOSE;
  keysSinceLocal = now;
  keysSinceUtc = timeNowUtc();
  // RFC 8915 4.1.7: without a server record, NTP is served by the NTS-KE host.
  const host = load<u8>(KE_SERVER) != 0 ? KE_SERVER : settingsServerName(server);
  copy(NTP_HOST, host, 1 + load<u8>(host));
  ntpPort = kePort() != 0 ? kePort() : NTP_PORT;
  address = 0;
  socket = SOCKET_CLOSED;
  pollAt = now;
  pollSeconds = settingsPollMin();
  answersAtPoll = 0;
  burst = BURST_POLLS;
  silence = 0;
  useless = 0;
  proven = false;
  nakSeen = false;
  raiseEvent(MeterEvent.KeysEstablished, AEAD_SIV_CMAC_256, cookiesHeld(), true);
  changed = true;
}

// ---------------------------------------------------------------- polls

function serve(now: i64): void {
  if (exchangeOpen()) {
    if (now < exchangeDeadline) return;
    exchangeClose();
    miss(now);
    if (phase != SERVING) return;
  }
  // The number of a socket whose close waits for room must not change.
  if (socket == SOCKET_CLOSED && now >= pollAt && (wants & WANT_UDP_CLOSE) == 0) openSocket(now);
  else if (socket == SOCKET_OPENING && now >= deadline) udpFailed();
  else if (socket == SOCKET_OPEN && now >= pollAt) poll(now);
}

function openSocket(now: i64): void {
  socket = SOCKET_OPENING;
  socketId = (socketId + 1) & 0xff;
  deadline = now + SOCKET_DEADLINE_NS;
  wants |= WANT_UDP_OPEN;
}

// The gateway keeps few sockets for a meter, so each is closed, also one that may open yet.
function closeSocket(): void {
  if (socket != SOCKET_CLOSED) wants = (wants & ~WANT_UDP_OPEN) | WANT_UDP_CLOSE;
  socket = SOCKET_CLOSED;
}

function udpOpened(): void {
  socket = SOCKET_OPEN;
}

function udpFailed(): void {
  closeSocket();
  exchangeClose();
  miss(timeNowLocal());
}

/** A datagram could not be sent: `Message.UdpFailed`. */
export function sessionUdpFailed(message: usize, length: u32): void {
  if (length < 4 || !exchangeOpen()) return;
  if (load<u8>(message, 1) == socketId && load<u16>(message, 2) == exchange) udpFailed();
}

// A poll without an answer.
function miss(now: i64): void {
  silence += 1;
  sessionReach = (sessionReach << 1) & 0xff;
  changed = true;
  const nak = nakSeen;
  nakSeen = false;
  if (nak) raiseEvent(MeterEvent.Nak, 0, 0, true);
  if (nak || silence >= SILENCE_KEYS || cookiesHeld() == 0) {
    if (silence >= SILENCE_KEYS) clockHoldover(now);
    return replaceKeys();
  }
  if (silence % SILENCE_ADDRESS == 0) {
    closeSocket();
    address += 1;
  }
  pollAt = now + min<i64>(((<i64>1) << min<i64>(silence, 16)) * SECOND_NS, <i64>pollSeconds * SECOND_NS);
}

// Without a network, polls are missed as well.
function noteSilence(now: i64): void {
  if (phase != SERVING || now < pollAt) return;
  exchangeClose();
  silence += 1;
  sessionReach = (sessionReach << 1) & 0xff;
  changed = true;
  pollAt = now + <i64>pollSeconds * SECOND_NS;
}

function poll(now: i64): void {
  if (cookiesHeld() == 0) return replaceKeys();
  const message = networkBegin(Channel.Time, 4 + NTP_MAX_BYTES);
  if (message == 0 || !randomBytes(RANDOM, REQUEST_RANDOM_BYTES)) return;
  exchange = (exchange + 1) & 0xffff;
  store<u8>(message, Message.UdpSend);
  store<u8>(message, <u8>socketId, 1);
  store<u16>(message, <u16>exchange, 2);
  const length = exchangeRequest(message + 4, RANDOM);
  networkSend(Channel.Time, 4 + length);
  exchangeBuilt = now;
  exchangeDeadline = now + EXCHANGE_DEADLINE_NS;
  nakSeen = false;
  sessionSent += 1;
}

// When to poll next, spread by up to a sixteenth.
function schedulePoll(now: i64): void {
  if (burst > 0) burst -= 1;
  if (burst > 0) {
    pollAt = now + min<i64>(BURST_NS, <i64>pollSeconds * SECOND_NS);
    return;
  }
  answersAtPoll += 1;
  if (answersAtPoll >= POLLS_BEFORE_LONGER && pollSeconds < settingsPollMax()) {
    pollSeconds = min<u32>(pollSeconds * 2, settingsPollMax());
    answersAtPoll = 0;
  }
  const interval = <i64>pollSeconds * SECOND_NS;
  const spread = randomBytes(RANDOM, 2) ? (interval / 16 / 65_536) * <i64>load<u16>(RANDOM) : 0;
  pollAt = now + interval - spread;
}

/**
 * A datagram came: `Message.UdpReceived`.
 *
 * @param firstTick local tick of its first byte on the link
 * @param lastTick local tick of its last
 */
export function sessionDatagram(message: usize, length: u32, firstTick: u64, lastTick: u64): void {
  if (length < <u32>UdpReceivedField.Payload || load<u8>(message, UdpReceivedField.Socket) != socketId) {
    return reject(Reject.Unexpected);
  }
  if (!exchangeOpen() || load<u16>(message, UdpReceivedField.Exchange) != exchange) return reject(Reject.Unexpected);
  const left = networkDatagramLeft();
  const verdict = exchangeAnswer(
    message + UdpReceivedField.Payload,
    length - UdpReceivedField.Payload,
    stateFloorUtc() / SECOND_NS,
  );
  if (verdict == Reject.Nak) {
    // Not authenticated: believed only when no valid answer comes until the exchange ends (RFC 8915 5.7).
    sessionNaks += 1;
    nakSeen = true;
    return reject(verdict);
  }
  if (verdict != Reject.None) {
    if (exchangeOpen()) return reject(verdict);
    // RFC 5905 7.4: a server that asks for fewer polls gets them.
    if (verdict == Reject.Kiss) slowDown();
    answered();
    return uselessAnswer(verdict);
  }
  const forward = <i64>load<u32>(message, UdpReceivedField.ForwardResidenceNs);
  const back = <i64>load<u32>(message, UdpReceivedField.BackResidenceNs);
  const sent = left ? localFromTicks(networkDatagramTick()) : exchangeBuilt;
  const first = localFromTicks(firstTick);
  const received = localFromTicks(lastTick) + localResolutionNs();
  answered();
  if (!certificateHolds()) return;
  const distance = answerRootDelayNs / 2 + answerRootDispersionNs + 1;
  const accepted = clockSample(
    timeNowLocal(),
    sent,
    received,
    sent + forward,
    (networkIsOwn() ? received : first) - back,
    answerReceiveNs,
    answerTransmitNs,
    distance,
  );
  if (!accepted) return uselessAnswer(Reject.Delay);
  useless = 0;
  proven = true;
  holdoverAt = timeNowLocal() + SILENCE_KEYS * (<i64>pollSeconds * SECOND_NS + EXCHANGE_DEADLINE_NS);
  sessionStratum = answerStratum;
  sessionRootDelayNs = answerRootDelayNs;
  sessionRootDispersionNs = answerRootDispersionNs;
  failures = 0;
  if (keysSinceUtc == 0) keysSinceUtc = timeNowUtc() - (timeNowLocal() - keysSinceLocal);
}

// An authenticated answer came, whatever it says.
function answered(): void {
  const now = timeNowLocal();
  sessionAuthenticated += 1;
  sessionReach = ((sessionReach << 1) | 1) & 0xff;
  silence = 0;
  nakSeen = false;
  changed = true;
  schedulePoll(now);
}

// An authenticated answer without a time: a server that gives nothing else is left where there is another one.
function uselessAnswer(reason: u32): void {
  reject(reason);
  useless += 1;
  if (useless < USELESS_MAX || settingsServers() == 1) return;
  proven = false;
  replaceKeys();
}

function slowDown(): void {
  burst = 0;
  answersAtPoll = 0;
  pollSeconds = min<u32>(pollSeconds * 2, settingsPollMax());
}

function reject(reason: u32): void {
  sessionRejected += 1;
  sessionLastReject = reason;
  raiseRefused(reason);
  changed = true;
}

// The second check of a certificate that was not checked at the meter's own time: at the time that its server gave.
function certificateHolds(): bool {
  if (!datesUnproven) return true;
  const obtained = answerTransmitNs / SECOND_NS;
  if (obtained >= notBefore && obtained <= notAfter) {
    datesUnchecked = false;
    datesUnproven = false;
    return true;
  }
  raiseEvent(MeterEvent.CertificateRefused, notBefore, notAfter, true);
  clockForget();
  replaceKeys();
  return false;
}

// ---------------------------------------------------------------- messages to the gateway

function sendWanted(): void {
  while (wants != 0) {
    const want = wants & (0 - wants);
    const message = networkBegin(Channel.Stream, REQUEST_MAX_BYTES);
    if (message == 0) return;
    networkSend(Channel.Stream, buildWanted(message, want));
    wants &= ~want;
  }
}

function buildWanted(message: usize, want: u32): u32 {
  switch (want) {
    case WANT_OPEN:
      return open(message);
    case WANT_REQUEST:
      requestById(message, Message.TlsWrite, connection);
      return 2 + keRequest(message + 2);
    case WANT_EXPORT_C2S:
      return requestKey(message, connection, AEAD_SIV_CMAC_256, 0);
    case WANT_EXPORT_S2C:
      return requestKey(message, connection, AEAD_SIV_CMAC_256, 1);
    case WANT_UDP_OPEN:
      return requestSocket(message, socketId, address, ntpPort, NTP_HOST);
    case WANT_UDP_CLOSE:
      return requestById(message, Message.UdpClose, socketId);
    default:
      return requestById(message, Message.TlsClose, connection);
  }
}

// Certificates are to be valid at the meter's own time; without one, at the floor, or at no time at all where the trust
// policy lets the first answer be checked afterwards.
function open(message: usize): u32 {
  const synchronised = clockStatus() != ClockStatus.Unsynchronised;
  datesUnproven = !synchronised;
  datesUnchecked = !synchronised && (settingsTrustPolicy() & TrustPolicy.FirstDatesUnchecked) != 0;
  const utc = synchronised ? timeNowUtc() : stateFloorUtc();
  const validAt = datesUnchecked ? 0 : utc / SECOND_NS;
  const name = settingsServerName(server);
  return requestConnection(message, connection, datesUnchecked, validAt, settingsServerPort(server), name);
}
