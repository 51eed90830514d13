// One end of a link: sessions, and what goes on the line next. The channels are in reliable.ts and datagram.ts, the
// bytes in layout.ts and frame.ts.
//
// What always holds:
// - At most one frame is outstanding: built by `linkPoll` and not yet reported by `linkFrameSent`.
// - A frame counts only when its session is this end's. A session's number is chosen by the gateway and never used again
//   (in 65,535 sessions), so frames of older sessions, late or doubled, change nothing.
// - A session stands at the gateway only when a status with its number came: a hello alone, late or doubled, ends none.
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

import { Channel } from '../abi/codes';
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
import { FRAME_DAMAGED, frameBegin, frameEnd, frameOpen, framePlace } from './frame';
import { Control, FrameField, FrameSize, OpenField, StatusField, StatusFlag } from './layout';
import { memoryOfGateway } from './memory';
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
let nonce: u32 = 0;
let offered: u32 = 0;
let offeredStreamCredit: u32 = 0;
let offeredReportCredit: u32 = 0;
let sessionsOffered: u32 = 0;

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

/**
 * Starts this end, before anything else; again, it begins a new session. `tickHz` (1,000 or more): local ticks a second; `seed`: random, another
 * one for each start.
 */
export function linkStart(gateway: bool, tickHz: u32, seed: u32): void {
  atGateway = gateway;
  nonce = seed;
  sessionsOffered = seed;
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
  openDelay = tenths(OPEN_FIRST);
  openTick = 0;
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
  framesReceived++;
  const header = frame + 1;
  const payload = header + FrameField.Payload;
  const channel = <u32>load<u8>(header) & 15;
  const number: u32 = load<u16>(header, FrameField.Session);
  const kind: u32 = channel == Channel.Control ? <u32>load<u8>(payload) : 0;
  if (kind != 0 && kind < <u32>Control.Status) {
    receiveOpen(kind, number, payload, payloadLength, now);
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
    if (kind != Control.Status) return false;
    startSession(number, offeredStreamCredit, offeredReportCredit, now);
  }
  heardTick = now;
  damageReported = false;
  if (!heard) {
    heard = true;
    openTick = NEVER;
  }
  const sequence: u32 = load<u8>(header, FrameField.Sequence);
  if (channel == Channel.Control) {
    if (kind == Control.Status && payloadLength >= StatusField.Bytes) receiveStatus(payload, firstTick, lastTick);
    return false;
  }
  messageChannel = channel;
  messageLastTick = lastTick;
  if (channel == Channel.Time) {
    const flags: u32 = load<u8>(header, FrameField.Flags);
    if (!datagramReceived(sequence, flags, payload, payloadLength, firstTick)) {
      if (answerTick != 0) answerTick = now + timingAnswer();
      return false;
    }
    messageAt = datagramAt();
    messageLength = datagramLengthReceived();
    messageFirstTick = datagramFirstTick();
    if (messageLength > SHORT_BYTES) answerTick = 0;
    return true;
  }
  reliableAcknowledged(
    channel,
    load<u8>(header, FrameField.Acknowledge),
    load<u8>(header, FrameField.Credit),
    false,
    firstTick,
    lastTick,
  );
  messageAt = payload;
  messageLength = payloadLength;
  messageFirstTick = firstTick;
  return reliableReceived(channel, sequence);
}

/** Hello, answer and call: they are about sessions, not of one. */
function receiveOpen(kind: u32, number: u32, payload: usize, length: u32, now: u64): void {
  if (kind == Control.Call) {
    if (atGateway) return;
    if (up && number == session) {
      endSession();
    } else if (number == 0) {
      if (up) statusDue = true;
      else hasten();
    }
    return;
  }
  if (length < <u32>OpenField.Bytes) return;
  const streamCredit: u32 = load<u8>(payload, OpenField.StreamCredit);
  const reportCredit: u32 = load<u8>(payload, OpenField.ReportCredit);
  const peerNonce = load<u32>(payload, OpenField.Nonce);
  const version: u32 = load<u8>(payload, OpenField.Version);
  if (atGateway) {
    if (kind != Control.Hello || version < <u32>FrameSize.Version) return;
    if (offered == 0 || peerNonce != nonce) {
      nonce = peerNonce;
      // Never 0, and never the one that stands.
      do offered = ++sessionsOffered & 0xffff;
      while (offered == 0 || offered == session);
    }
    offeredStreamCredit = streamCredit;
    offeredReportCredit = reportCredit;
    answerDue = true;
  } else if (kind == Control.Answer && version == FrameSize.Version && !up && peerNonce == nonce && number != 0) {
    startSession(number, streamCredit, reportCredit, now);
  }
}

function receiveStatus(payload: usize, firstTick: u64, lastTick: u64): void {
  const flags: u32 = load<u8>(payload, StatusField.Flags);
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
 * Takes a message: 1 to 237 bytes on the stream and report channels (from a meter `REQUEST_MAX_BYTES` on stream), 1 to
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
  if (up && now >= silenceTick()) endSession();
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
    return buildOpen(Control.Answer, offered, nonce);
  }
  if (now >= openTick) {
    openedTick = now;
    openTick = now + openDelay;
    openDelay = min(openDelay << 1, tenths(OPEN_LAST));
    if (atGateway) {
      if (up) openTick = NEVER;
      const number = callSession;
      callSession = 0;
      store<u8>(frameBegin(Channel.Control, 0, number, 0, 0, 0), Control.Call);
      return frameEnd(1);
    }
    if (!up) return buildOpen(Control.Hello, 0, nonce);
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

function buildOpen(kind: u32, number: u32, openNonce: u32): u32 {
  const payload = frameBegin(Channel.Control, 0, number, 0, 0, 0);
  store<u8>(payload, kind);
  store<u8>(payload, FrameSize.Version, OpenField.Version);
  store<u8>(payload, ownCredit(Channel.Stream, atGateway), OpenField.StreamCredit);
  store<u8>(payload, ownCredit(Channel.Report, atGateway), OpenField.ReportCredit);
  store<u32>(payload, openNonce, OpenField.Nonce);
  return frameEnd(OpenField.Bytes);
}

function buildStatus(): u32 {
  let flags: u32 = 0;
  if (damageDue || reliableRejects(Channel.Stream)) flags |= StatusFlag.RejectStream;
  if (damageDue || reliableRejects(Channel.Report)) flags |= StatusFlag.RejectReport;
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
  tick = min(tick, spokeTick + tenths(KEEPALIVE));
  return min(tick, min(reliableTimer(Channel.Stream), reliableTimer(Channel.Report)));
}

/** Frames received undamaged. Counters start at 0 and wrap around. */
export function linkFramesReceived(): u32 {
  return framesReceived;
}

/** Frames whose COBS or CRC-32 do not hold, or that are of another version, of an unknown channel, or sealed. */
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
