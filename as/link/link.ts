// One end of a link: sessions, and what goes on the line next. The channels are in reliable.ts and datagram.ts, the
// bytes in layout.ts and frame.ts.
//
// What always holds:
// - At most one frame is outstanding: built by `linkPoll` and not yet reported by `linkFrameSent`.
// - A frame counts only when its session is this end's. A session's number is chosen by the gateway and never used again
//   (in 65,535 sessions), so frames of older sessions, late or doubled, change nothing.
// - A session stands at the gateway only when a status with its number came: a hello alone, late or doubled, ends none.
// - Where the link is sealed, a session stands only with an answer that proves the link key, and a status that opens under the
//   session's keys; only what opens under them counts. A meter whose link is sealed takes no open session, a gateway none that
//   its host does not allow, and none at all as long as a sealed one stands.
// - A call that begins a session delivers no message.
// - Each frame received leads to a bounded amount of work and to at most one frame sent.
// - Nothing is sent without an end while nobody answers, except one short frame every five seconds.
//
//   meter                                      gateway
//   wants a session:
//     Hello(nonce)            ------------>    notes nonce, chooses a session
//     session stands          <------------    Answer(nonce), header's session
//     Status                  ------------>    session stands
//     knows that it does      <------------    Status
//   gateway lost the session or started:
//     any frame of session s  ------------>    not known
//     wants a session         <------------    Call, header's session s
//   gateway started, line quiet:
//     Hello or Status         <------------    Call, header's session 0
//
// Anybody can say Call, so a sealed session ends by it only where nothing answers a Status that asks.

import { clear, copy } from '../abi/bytes';
import { Channel, LinkKnown, LinkLimit } from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { DIGEST } from '../aead/scratch';
import {
  datagramAt,
  datagramBegun,
  datagramBuffer,
  datagramBuild,
  datagramDropped,
  datagramFirstTick,
  datagramFrameSent,
  datagramGive,
  datagramLengthReceived,
  datagramMost,
  datagramReady,
  datagramReceived,
  datagramRoom,
  datagramStart,
  datagramWaits,
  SHORT_BYTES,
} from './datagram';
import { FRAME_DAMAGED, frameBegin, frameBeginOpen, frameEnd, frameHeader, frameOpen, framePlace } from './frame';
import {
  AnswerField,
  Control,
  FrameField,
  FrameFlag,
  FrameKey,
  FrameSize,
  HelloField,
  OpenField,
  StatusField,
  StatusFlag,
} from './layout';
import { memoryAsker, memoryHello, memoryKnown, memoryOffered, memoryOfGateway, memoryPeer } from './memory';
import {
  ownCredit,
  reliableAcknowledged,
  reliableBuild,
  reliableExpire,
  reliableGive,
  reliableMost,
  reliableNext,
  reliableOpen,
  reliableOwes,
  reliableReady,
  reliableReceived,
  reliableRejects,
  reliableReport,
  reliableResent,
  reliableRoom,
  reliableSent,
  reliableStart,
  reliableTimer,
} from './reliable';
import {
  LINK_KEY,
  PROOF_BYTES,
  SESSION_KEYS,
  SESSION_KEYS_BYTES,
  sealBegin,
  sealDeriveSession,
  sealEnd,
  sealExhausted,
  sealForged,
  sealOpen,
  sealOpenFirst,
  sealPiece,
  sealProveAnswer,
  sealProveHello,
  sealStands,
  sealTagBytes,
  sealTagHolds,
  sealTaken,
} from './seal';
import { NEVER, tenths, timingAnswer, timingFrame, timingStart } from './timing';

// Durations, tenths of a second.
/** Between two hellos or calls: at first, doubled each time; and at most. */
const OPEN_FIRST: u32 = 1;
const OPEN_LAST: u32 = 50;
/** After this long without a frame sent, a status tells that this end lives. */
const KEEPALIVE: u32 = 50;
/** After this long without a frame from the peer the session is over; */
const SILENCE: u32 = 150;
/** and sooner when it owes an acknowledgement. */
const SILENCE_OPEN: u32 = 100;
/** The session is over too when a peer that is heard lets this many timeouts pass without acknowledging anything. */
const RETRIES: u32 = 32;
/** So long a sealed session that was called for waits for a sign of the gateway. */
const DOUBT: u32 = 15;
/** The longest id of a meter: a text. */
const METER_BYTES: u32 = 33;

// What the outstanding frame is; stream and report frames have their channel's number.
const LINE_IDLE: u32 = 0;
const LINE_TIME: u32 = Channel.Time;
const LINE_OTHER: u32 = 15;

let atGateway: bool = false;

// Session. `up`: it stands here; `heard`: the peer has sent a frame of it, so it stands there too.
let up: bool = false;
let heard: bool = false;
let session: u32 = 0;
let changed: bool = false;
let heardTick: u64 = 0;
let spokeTick: u64 = 0;
// Meter: nonce of its hello. Gateway: nonce of the last hello, and the session that it got (0: none is offered).
let nonce: u64 = 0;
let offered: u32 = 0;
let offeredSealed: bool = false;
let offeredStreamCredit: u32 = 0;
let offeredReportCredit: u32 = 0;
let sessionsOffered: u32 = 0;
// Gateway: nonce of the session that is offered.
let ownNonce: u64 = 0;
// Meter: its id, 0 for none; whether its link is to be sealed; until when a called session waits for a sign, 0: for none.
let meter: usize = 0;
let sealed: bool = false;
let doubtTick: u64 = 0;
// Gateway: bytes of the hello that waits, 0 for none; whether the host is to be asked about it; whether its proof does not
// hold; whether the host has said something of the meter at `memoryKnown`, and what: `LinkKnown`.
let helloLength: u32 = 0;
let helloAsks: bool = false;
let helloRefused: bool = false;
let answered: bool = false;
let known: u32 = 0;
let servesOpen: bool = false;

// What is to be sent.
let openTick: u64 = NEVER;
let openedTick: u64 = 0;
let openDelay: u64 = 0;
let callSession: u32 = 0;
let answerDue: bool = false;
let statusDue: bool = false;
// A damaged frame is reported once between two good ones, so that two ends that hear only noise stay quiet.
let damageDue: bool = false;
let damageReported: bool = false;

// The outstanding frame.
let line: u32 = LINE_IDLE;
let lineSequence: u32 = 0;
let lineLength: u32 = 0;
let lineTick: u64 = 0;

let datagramDone: bool = false;
let datagramTick: u64 = 0;
// At a meter's end: until when the answer to it, or its next piece, is waited for before the next one; 0: none is.
let answerTick: u64 = 0;

// The message delivered last.
let messageChannel: u32 = 0;
let messageAt: usize = 0;
let messageLength: u32 = 0;
let messageFirstTick: u64 = 0;
let messageLastTick: u64 = 0;

let framesReceived: u32 = 0;
let framesDamaged: u32 = 0;
let framesSent: u32 = 0;

/** Of a meter, before its start: its id, a text; whether its link is sealed, under `LINK_KEY`. */
export function linkIdentify(id: usize, isSealed: bool): void {
  meter = id;
  sealed = isSealed;
}

/**
 * Starts this end, before anything else; again, it begins a new session. `tickHz` (1,000 or more): local ticks a second; `seed`: random, another
 * one for each start.
 */
export function linkStart(gateway: bool, tickHz: u32, seed: u64): void {
  atGateway = gateway;
  nonce = seed;
  ownNonce = seed;
  sessionsOffered = <u32>seed;
  timingStart(tickHz);
  endSession();
}

/** Ends the session; the meter asks for a new one, the gateway calls for that. */
function endSession(): void {
  up = false;
  session = 0;
  nonce++;
  offered = 0;
  statusDue = false;
  damageDue = false;
  answerDue = false;
  doubtTick = 0;
  openDelay = tenths(OPEN_FIRST);
  openTick = 0;
  sealEnd();
  startChannels(1, 1);
}

function startChannels(streamCredit: u32, reportCredit: u32): void {
  reliableStart(Channel.Stream, atGateway, streamCredit);
  reliableStart(Channel.Report, atGateway, reportCredit);
  datagramStart();
  datagramDone = false;
  answerTick = 0;
  if (line != LINE_IDLE) line = LINE_OTHER;
}

function startSession(number: u32, streamCredit: u32, reportCredit: u32, now: u64): void {
  startChannels(streamCredit, reportCredit);
  session = number;
  up = true;
  doubtTick = 0;
  heard = atGateway;
  changed = true;
  offered = 0;
  heardTick = now;
  spokeTick = now;
  statusDue = true;
  damageReported = false;
  openDelay = tenths(OPEN_FIRST);
  openTick = atGateway ? NEVER : now + openDelay;
}

/** Has the next hello or call sent soon, but not within a tenth of a second of the last. */
function hasten(): void {
  openDelay = tenths(OPEN_FIRST);
  openTick = min(openTick, openedTick + openDelay);
}

/**
 * Takes what came between two zero bytes, still encoded; it is decoded in place. `firstTick`, `lastTick`: ticks of its
 * first and last byte. True when a message is complete; `linkMessage` and its like then describe it until the next call.
 */
export function linkReceive(frame: usize, length: u32, firstTick: u64, lastTick: u64, now: u64): bool {
  if (length == 0) return false;
  const payloadLength = frameOpen(frame, length);
  if (payloadLength < 0) {
    framesDamaged++;
    if (payloadLength == FRAME_DAMAGED && up && !damageReported) {
      damageReported = true;
      damageDue = true;
    }
    return false;
  }
  const header = frame + 1;
  const channel = <u32>load<u8>(header) & 15;
  const number: u32 = load<u16>(header, FrameField.Session);
  const key: u32 = load<u8>(header, FrameField.KeyId);
  if (key != FrameKey.Open && up && number == session && !sealStands()) {
    framesDamaged++;
    return false;
  }
  framesReceived++;
  const open = channel == Channel.Control && key == FrameKey.Open;
  const kind: u32 = open ? <u32>load<u8>(header, FrameField.Payload) : 0;
  if (kind != 0 && kind < <u32>Control.Status) {
    receiveOpen(header, kind, number, payloadLength, now);
    return false;
  }
  if (number == 0) return false;
  if (number != session) {
    if (!atGateway) return false;
    if (number != offered) {
      callSession = number;
      hasten();
      return false;
    }
    // Only a status begins a session, so that no message arrives together with the news of its session.
    if (channel == Channel.Control) receiveFirst(header, payloadLength, firstTick, lastTick, now);
    return false;
  }
  return receiveOwn(header, channel, key, payloadLength, firstTick, lastTick, now);
}

/** A control frame of the session that is offered. */
function receiveFirst(header: usize, length: u32, firstTick: u64, lastTick: u64, now: u64): void {
  let payload = header + FrameField.Payload;
  const key: u32 = load<u8>(header, FrameField.KeyId);
  // The keys are made with the answer.
  if (answerDue || key != <u32>(offeredSealed ? FrameKey.Sealed : FrameKey.Open)) return;
  if (offeredSealed) {
    length = sealOpenFirst(memoryOffered(), header, length);
    payload += FrameSize.SealBytes;
    if (length == 0) return;
  }
  if (load<u8>(payload) != <u8>Control.Status) return;
  if (offeredSealed) copy(SESSION_KEYS, memoryOffered(), SESSION_KEYS_BYTES);
  else sealEnd();
  sealBegin(offeredSealed);
  sealTaken(header);
  copy(memoryPeer(), memoryAsker(), METER_BYTES);
  startSession(offered, offeredStreamCredit, offeredReportCredit, now);
  isHeard(now);
  if (length >= <u32>StatusField.Bytes) receiveStatus(payload, firstTick, lastTick);
}

/** The peer has said something of this session. */
function isHeard(now: u64): void {
  heardTick = now;
  damageReported = false;
  doubtTick = 0;
  if (heard) return;
  heard = true;
  openTick = NEVER;
}

/** A frame of the session that stands. */
function receiveOwn(header: usize, channel: u32, key: u32, length: u32, firstTick: u64, lastTick: u64, now: u64): bool {
  let payload = header + FrameField.Payload;
  if (sealStands()) {
    if (key == FrameKey.Tagged && channel == Channel.Time)
      return receiveTagged(header, length, firstTick, lastTick, now);
    if (key != FrameKey.Sealed) {
      sealForged();
      return false;
    }
    length = sealOpen(header, length);
    if (length == 0) return false;
    payload += FrameSize.SealBytes;
  }
  isHeard(now);
  const sequence: u32 = load<u8>(header, FrameField.Sequence);
  if (channel == Channel.Control) {
    if (load<u8>(payload) == <u8>Control.Status && length >= <u32>StatusField.Bytes) {
      receiveStatus(payload, firstTick, lastTick);
    }
    return false;
  }
  messageChannel = channel;
  messageLastTick = lastTick;
  if (channel == Channel.Time) {
    const flags: u32 = load<u8>(header, FrameField.Flags);
    if (!datagramReceived(sequence, flags, payload, length, firstTick)) {
      answerGoesOn(now);
      return false;
    }
    datagramCame();
    return true;
  }
  // An open frame has room for more than a message.
  if (length > <u32>LinkLimit.MessageBytes) return false;
  reliableAcknowledged(
    channel,
    load<u8>(header, FrameField.Acknowledge),
    load<u8>(header, FrameField.Credit),
    false,
    firstTick,
    lastTick,
  );
  messageAt = payload;
  messageLength = length;
  messageFirstTick = firstTick;
  return reliableReceived(channel, sequence);
}

/** Part of a readable message of a sealed session: what it says counts when the whole has come and its tag holds. */
function receiveTagged(header: usize, length: u32, firstTick: u64, lastTick: u64, now: u64): bool {
  if (!sealPiece(header)) return false;
  const payload = header + FrameField.Payload;
  const flags: u32 = load<u8>(header, FrameField.Flags);
  const last = (flags & FrameFlag.Last) != 0;
  const tagBytes = last ? sealTagBytes(!atGateway) : 0;
  if (length <= tagBytes) {
    sealForged();
    return false;
  }
  length -= tagBytes;
  if (!datagramReceived(load<u8>(header, FrameField.Sequence), flags, payload, length, firstTick)) {
    answerGoesOn(now);
    return false;
  }
  const at = datagramAt();
  // A short one is sealed.
  if (datagramLengthReceived() <= SHORT_BYTES) {
    sealForged();
    return false;
  }
  if (!sealTagHolds(header, at, datagramLengthReceived(), payload + length)) return false;
  isHeard(now);
  messageChannel = Channel.Time;
  messageLastTick = lastTick;
  datagramCame();
  return true;
}

/** A piece came, and what it is part of is not whole yet. */
function answerGoesOn(now: u64): void {
  if (answerTick != 0) answerTick = now + timingAnswer();
}

function datagramCame(): void {
  messageAt = datagramAt();
  messageLength = datagramLengthReceived();
  messageFirstTick = datagramFirstTick();
  if (messageLength > SHORT_BYTES) answerTick = 0;
}

/** Hello, answer and call: they are about sessions, not of one. */
function receiveOpen(header: usize, kind: u32, number: u32, length: u32, now: u64): void {
  if (kind == Control.Call) {
    if (atGateway) return;
    if (up && number == session) {
      if (sealStands()) {
        if (doubtTick == 0) doubtTick = now + tenths(DOUBT);
        statusDue = true;
      } else {
        endSession();
      }
    } else if (number == 0) {
      if (up) statusDue = true;
      else hasten();
    }
    return;
  }
  const payload = header + FrameField.Payload;
  if (memoryOfGateway()) {
    if (kind == Control.Hello) receiveHello(header, length);
  } else if (
    kind == Control.Answer &&
    length >= <u32>AnswerField.Proof &&
    <u32>load<u8>(payload, OpenField.Version) == FrameSize.Version &&
    !up &&
    load<u64>(payload, OpenField.Nonce) == nonce &&
    number != 0 &&
    answerHolds(header, length)
  ) {
    sealBegin(sealed);
    startSession(number, load<u8>(payload, OpenField.StreamCredit), load<u8>(payload, OpenField.ReportCredit), now);
  }
}

/** Whether an answer proves what it has to; then the session's keys are made. */
function answerHolds(header: usize, length: u32): bool {
  if (!sealed) return true;
  if (length < <u32>AnswerField.SealedBytes) {
    sealForged();
    return false;
  }
  const before: u32 = FrameField.Payload + AnswerField.Proof;
  sealProveAnswer(header, before, DIGEST);
  if (!equalBytes(DIGEST, header + before, PROOF_BYTES)) {
    sealForged();
    return false;
  }
  sealDeriveSession(header, before, SESSION_KEYS);
  return true;
}

function receiveHello(header: usize, length: u32): void {
  if (length <= <u32>HelloField.Meter) return;
  const hello = header + FrameField.Payload;
  const idLength: u32 = load<u8>(hello, HelloField.Meter);
  const isSealed: u32 = load<u8>(hello, HelloField.Sealed);
  if (
    load<u8>(hello, OpenField.Version) < <u8>FrameSize.Version ||
    idLength >= METER_BYTES ||
    isSealed > 1 ||
    length != <u32>HelloField.Meter + 1 + idLength + isSealed * PROOF_BYTES
  ) {
    return;
  }
  if (offered != 0 && load<u64>(hello, OpenField.Nonce) == nonce && isSealed == (offeredSealed ? 1 : 0)) {
    answerDue = true;
    return;
  }
  helloLength = FrameField.Payload + length;
  copy(memoryHello(), header, helloLength);
  considerHello();
}

/** The hello that waits: offers it a session, as far as is known who says it. */
function considerHello(): void {
  if (helloLength == 0) return;
  const hello = memoryHello() + FrameField.Payload;
  const isSealed = load<u8>(hello, HelloField.Sealed) != 0;
  const id = hello + HelloField.Meter;
  const idBytes: u32 = 1 + load<u8>(id);
  if (isSealed || !servesOpen) {
    if (!answered || !equalBytes(id, memoryKnown(), idBytes)) {
      helloAsks = true;
      return;
    }
    if (known != <u32>(isSealed ? LinkKnown.Key : LinkKnown.Open)) return;
  }
  helloAsks = false;
  const length = helloLength;
  helloLength = 0;
  if (!isSealed && sealStands()) return;
  if (isSealed) {
    const proof = memoryHello() + length - PROOF_BYTES;
    sealProveHello(memoryHello(), length - PROOF_BYTES, DIGEST);
    if (!equalBytes(DIGEST, proof, PROOF_BYTES)) {
      helloRefused = true;
      return;
    }
  }
  nonce = load<u64>(hello, OpenField.Nonce);
  ownNonce++;
  // Never 0, and never the one that stands.
  do offered = ++sessionsOffered & 0xffff;
  while (offered == 0 || offered == session);
  offeredSealed = isSealed;
  offeredStreamCredit = load<u8>(hello, OpenField.StreamCredit);
  offeredReportCredit = load<u8>(hello, OpenField.ReportCredit);
  clear(memoryAsker(), METER_BYTES);
  copy(memoryAsker(), id, idBytes);
  answerDue = true;
}

/** Gateway: any open link is served, without a question. */
export function linkServeOpen(): void {
  servesOpen = true;
}

/** Gateway: what the host knows of a meter, `LinkKnown`, whose id is the text at `id`; with a key, of 16 bytes. */
export function linkKnow(id: usize, what: u32, key: usize): void {
  if (!memoryOfGateway() || load<u8>(id) >= METER_BYTES) return;
  copy(memoryKnown(), id, 1 + load<u8>(id));
  known = what;
  answered = true;
  // What is on offer was proven with the key before.
  offered = 0;
  answerDue = false;
  if (what == LinkKnown.Key) copy(LINK_KEY, key, PROOF_BYTES);
  considerHello();
}

/** Gateway: whether a hello waits for `linkKnow`. */
export function linkAsks(): bool {
  const result = helloAsks;
  helloAsks = false;
  return result;
}

/** Gateway: whether a hello's proof did not hold since this was last asked. */
export function linkHelloRefused(): bool {
  const result = helloRefused;
  helloRefused = false;
  return result;
}

/** Gateway: the payload of the last hello that led to something. */
export function linkHello(): usize {
  return memoryHello() + FrameField.Payload;
}

/** Gateway: the meter that the session is with, a text; 0 without one. */
export function linkPeer(): usize {
  return up ? memoryPeer() : 0;
}

function receiveStatus(payload: usize, firstTick: u64, lastTick: u64): void {
  const flags: u32 = load<u8>(payload, StatusField.Flags);
  if ((flags & StatusFlag.Ask) != 0) statusDue = true;
  reliableAcknowledged(
    Channel.Stream,
    load<u8>(payload, StatusField.StreamAcknowledge),
    load<u8>(payload, StatusField.StreamCredit),
    (flags & StatusFlag.RejectStream) != 0,
    firstTick,
    lastTick,
  );
  reliableAcknowledged(
    Channel.Report,
    load<u8>(payload, StatusField.ReportAcknowledge),
    load<u8>(payload, StatusField.ReportCredit),
    (flags & StatusFlag.RejectReport) != 0,
    firstTick,
    lastTick,
  );
}

/** Channel of the message delivered last. */
export function linkChannel(): u32 {
  return messageChannel;
}

/** Where it lies: in the frame that was given to `linkReceive`, or in a buffer of the link. */
export function linkMessage(): usize {
  return messageAt;
}

export function linkMessageLength(): u32 {
  return messageLength;
}

/** Tick of the first byte of its first frame. */
export function linkFirstTick(): u64 {
  return messageFirstTick;
}

/** Tick of the last byte of its last frame. */
export function linkLastTick(): u64 {
  return messageLastTick;
}

/** Whether a session stands. */
export function linkUp(): bool {
  return up;
}

/** Number of the session, 0 without one. */
export function linkSession(): u32 {
  return session;
}

/** Whether a session began since this was last asked. Messages given or half received before are gone. */
export function linkSessionChanged(): bool {
  const result = changed;
  changed = false;
  return result;
}

/**
 * Messages that may be given now: stream and report 0 to 4, time 0 or 1 (of more than 64 bytes, or any that is the only one).
 * At a meter's end the answer to the last long one is waited for, a while.
 */
export function linkRoom(channel: u32): u32 {
  if (!up) return 0;
  if (channel == Channel.Time) return answerTick != 0 ? 0 : datagramRoom();
  return channel == Channel.Stream || channel == Channel.Report ? reliableRoom(channel) : 0;
}

/** A message on the time channel of more than 64 bytes may be made here, up to 1,036, while `linkRoom` says that there is room. */
export function linkDatagramBuffer(): usize {
  return datagramBuffer();
}

/** Whether a message there was taken of which nothing has left yet. */
export function linkDatagramWaits(): bool {
  return datagramWaits();
}

/**
 * Takes a message: 1 to 221 bytes on the stream and report channels (from a meter `REQUEST_MAX_BYTES` on stream), 1 to
 * 1,036 on the time channel, from a gateway 1,256; there one of up to 64 bytes finds a place even when `linkRoom` is 0 if no other such waits. False, and nothing taken, when it does not fit.
 */
export function linkSend(channel: u32, message: usize, length: u32): bool {
  if (!up || length == 0) return false;
  if (channel == Channel.Time) return length <= datagramMost() && datagramGive(message, length);
  if (length > reliableMost(channel) || linkRoom(channel) == 0) return false;
  reliableGive(channel, message, length);
  return true;
}

/** When the peer must be heard from. */
function silenceTick(): u64 {
  const open = reliableOpen(Channel.Stream) || reliableOpen(Channel.Report);
  return heardTick + tenths(open ? SILENCE_OPEN : SILENCE);
}

/**
 * To be called after each other event and at `linkDeadline`. Returns the length of the frame that was built at `target`
 * and is to be sent now, delimiters included, at most `LinkLimit.FrameBytes`, or 0; until it is reported as sent there is
 * no other. The link does not look at it again.
 */
export function linkPoll(now: u64, target: usize): u32 {
  if (up && (now >= silenceTick() || (doubtTick != 0 && now >= doubtTick) || sealExhausted())) endSession();
  if (now >= answerTick) answerTick = 0;
  if (line != LINE_IDLE) return 0;
  if (up && max(reliableExpire(Channel.Stream, now), reliableExpire(Channel.Report, now)) > RETRIES) {
    endSession();
  }
  framePlace(target);
  const length = build(now);
  if (length == 0) return 0;
  framesSent++;
  lineLength = length;
  lineTick = now;
  return length;
}

/** Builds what is most urgent, and says in `line` what it is. */
function build(now: u64): u32 {
  line = LINE_OTHER;
  if (answerDue) {
    answerDue = false;
    return buildAnswer();
  }
  if (now >= openTick) {
    openedTick = now;
    openTick = now + openDelay;
    openDelay = min(openDelay << 1, tenths(OPEN_LAST));
    if (atGateway) {
      if (up) openTick = NEVER;
      const number = callSession;
      callSession = 0;
      store<u8>(frameBeginOpen(Channel.Control, 0, number, 0, 0, 0), Control.Call);
      return frameEnd(1);
    }
    if (!up) return buildHello();
    statusDue = true;
  }
  if (up) {
    // A time message waits for the frame on the line and no more; once its first piece has gone, others may go between.
    const time = datagramReady();
    const begun = datagramBegun();
    if (time && !begun && heard) {
      line = LINE_TIME;
      return datagramBuild(session);
    }
    if (
      statusDue ||
      damageDue ||
      now >= spokeTick + tenths(KEEPALIVE) ||
      statusOwed(Channel.Stream, begun) ||
      statusOwed(Channel.Report, begun)
    ) {
      return buildStatus();
    }
    if (time) {
      line = LINE_TIME;
      return datagramBuild(session);
    }
    for (let channel: u32 = Channel.Stream; channel <= <u32>Channel.Report; channel++) {
      if (reliableReady(channel)) {
        line = channel;
        lineSequence = reliableNext(channel);
        return reliableBuild(channel, session);
      }
    }
  }
  line = LINE_IDLE;
  return 0;
}

/** Whether a channel's acknowledgement or rejection cannot wait for its next frame. */
function statusOwed(channel: u32, busy: bool): bool {
  return reliableRejects(channel) || (reliableOwes(channel) && (busy || !reliableReady(channel)));
}

function beginOpen(kind: u32, number: u32): usize {
  const payload = frameBeginOpen(Channel.Control, 0, number, 0, 0, 0);
  store<u8>(payload, kind);
  store<u8>(payload, FrameSize.Version, OpenField.Version);
  store<u8>(payload, ownCredit(Channel.Stream, atGateway), OpenField.StreamCredit);
  store<u8>(payload, ownCredit(Channel.Report, atGateway), OpenField.ReportCredit);
  store<u64>(payload, nonce, OpenField.Nonce);
  return payload;
}

function buildHello(): u32 {
  const payload = beginOpen(Control.Hello, 0);
  store<u8>(payload, sealed ? 1 : 0, HelloField.Sealed);
  const id = payload + HelloField.Meter;
  const idBytes: u32 = meter == 0 ? 1 : 1 + load<u8>(meter);
  store<u8>(id, 0);
  if (meter != 0) copy(id, meter, idBytes);
  let length: u32 = HelloField.Meter + idBytes;
  if (sealed) {
    sealProveHello(frameHeader(), FrameField.Payload + length, payload + length);
    length += PROOF_BYTES;
  }
  return frameEnd(length);
}

function buildAnswer(): u32 {
  const payload = beginOpen(Control.Answer, offered);
  store<u64>(payload, ownNonce, AnswerField.Nonce);
  if (!offeredSealed) return frameEnd(AnswerField.Proof);
  const before: u32 = FrameField.Payload + AnswerField.Proof;
  sealProveAnswer(frameHeader(), before, payload + AnswerField.Proof);
  sealDeriveSession(frameHeader(), before, memoryOffered());
  return frameEnd(AnswerField.SealedBytes);
}

function buildStatus(): u32 {
  let flags: u32 = 0;
  if (damageDue || reliableRejects(Channel.Stream)) flags |= StatusFlag.RejectStream;
  if (damageDue || reliableRejects(Channel.Report)) flags |= StatusFlag.RejectReport;
  if (doubtTick != 0) flags |= StatusFlag.Ask;
  damageDue = false;
  statusDue = false;
  const payload = frameBegin(Channel.Control, 0, session, 0, 0, 0);
  store<u8>(payload, Control.Status);
  store<u8>(payload, flags, StatusField.Flags);
  reliableReport(Channel.Stream, payload + StatusField.StreamAcknowledge);
  reliableReport(Channel.Report, payload + StatusField.ReportAcknowledge);
  return frameEnd(StatusField.Bytes);
}

/** The last byte of the outstanding frame left at `tick`. */
export function linkFrameSent(tick: u64): void {
  if (line == LINE_IDLE) return;
  const kind = line;
  line = LINE_IDLE;
  spokeTick = tick;
  if (tick > lineTick) timingFrame(lineLength, tick - lineTick);
  if (kind == LINE_TIME) {
    if (datagramFrameSent()) {
      datagramDone = true;
      datagramTick = tick;
      if (!memoryOfGateway()) answerTick = tick + timingAnswer();
    }
  } else if (kind != LINE_OTHER) {
    reliableSent(kind, lineSequence, tick);
  }
}

/** Whether a message of more than 64 bytes on the time channel has left since this was last asked. */
export function linkDatagramSent(): bool {
  const result = datagramDone;
  datagramDone = false;
  return result;
}

/** Tick at which its last byte left. */
export function linkDatagramTick(): u64 {
  return datagramTick;
}

/** When `linkPoll` must be called again; u64.MAX_VALUE: not before another event. */
export function linkDeadline(): u64 {
  const silence = up ? silenceTick() : NEVER;
  if (line != LINE_IDLE) return silence;
  let tick = min(openTick, silence);
  if (!up) return tick;
  if (answerTick != 0) tick = min(tick, answerTick);
  if (doubtTick != 0) tick = min(tick, doubtTick);
  tick = min(tick, spokeTick + tenths(KEEPALIVE));
  return min(tick, min(reliableTimer(Channel.Stream), reliableTimer(Channel.Report)));
}

/** Frames received undamaged. Counters start at 0 and wrap around. */
export function linkFramesReceived(): u32 {
  return framesReceived;
}

/** Frames whose COBS or CRC-32 do not hold, or that are of another version, of an unknown channel or key. */
export function linkFramesDamaged(): u32 {
  return framesDamaged;
}

/** Frames sent, those sent again included. */
export function linkFramesSent(): u32 {
  return framesSent;
}

export function linkFramesResent(): u32 {
  return reliableResent();
}

/** Messages on the time channel of which a piece was lost. */
export function linkDatagramsDropped(): u32 {
  return datagramDropped();
}
