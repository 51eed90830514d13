// Stream and report channels: messages arrive in order and once, or the session ends. Go-back-N: a receiver keeps
// nothing that it cannot deliver, so the sender goes back to the first frame that is missing.
//
// What always holds, for each channel, modulo 256:
// - base <= next <= high <= end <= base + slots. A frame before base is acknowledged, one before high was sent at least
//   once, one before end is queued. next is what is sent next; it falls back to base when something was lost.
// - Only the frame with the sequence expected is delivered, and it is expected until it came.
// - An acknowledgement outside base to high is old or senseless; the credit beside it does not count either.
//
// A channel's state:
//    0  base, next, high, end  u8 each
//    4  credit of the peer u8, retries since the last progress u8
//    6  sequence expected u8, sequence that last came too early u8
//    8  due u8, `DUE_` bits; own credit u8
//   16  timer u64: when to go back to base unless something is acknowledged; NEVER: off
// A slot, for one message; a sequence's slot is the sequence modulo the channel's slots:
//    0  tick u64: last byte left, with SLOT_SENT
//    8  length u8; `SLOT_` bits u8
//   10  message, up to 221 bytes; on the stream channel of a meter's end up to `REQUEST_MAX_BYTES`

import { copy } from '../abi/bytes';
import { Channel, LinkLimit } from '../abi/codes';
import { frameBegin, frameEnd } from './frame';
import { Credit, REQUEST_MAX_BYTES } from './layout';
import { GATEWAY_SLOT_BYTES, GATEWAY_SLOTS, memoryOfGateway, memoryQueue } from './memory';
import { NEVER, timeout, timingRoundTrip } from './timing';

const BASE: usize = 0;
const NEXT: usize = 1;
const HIGH: usize = 2;
const END: usize = 3;
const CREDIT: usize = 4;
const RETRIES: usize = 5;
const EXPECTED: usize = 6;
const EARLY: usize = 7;
const DUE: usize = 8;
const OWN_CREDIT: usize = 9;
const TIMER: usize = 16;
const STATE_BYTES: usize = 24;

const DUE_ACKNOWLEDGE: u32 = 1;
const DUE_REJECT: u32 = 2;
// A frame came too early and was rejected; ends when the one expected comes.
const DUE_REJECTED: u32 = 4;

const SLOT_LENGTH: usize = 8;
const SLOT_STATE: usize = 9;
const SLOT_MESSAGE: usize = 10;

const SLOT_SENT: u32 = 1;
const SLOT_RESENT: u32 = 2;

// Powers of two, for a sequence's slot must stay its own where the sequence wraps around.
const STREAM_SLOTS: u32 = SERVERS_MAX == 1 ? 1 : 2;
const REPORT_SLOTS: u32 = SERVERS_MAX == 1 ? 1 : 2;

// A sequence this far ahead is out of order; farther, it is none that a sender can have reached.
const WINDOW: u32 = 8;

const STATES: usize = memory.data(48, 8);
// Each with its header, up to a multiple of eight.
const STREAM_SLOT_BYTES: u32 = 176;
const REPORT_SLOT_BYTES: u32 = 232;
const STREAM_QUEUE: usize = memory.data(<i32>(STREAM_SLOT_BYTES * STREAM_SLOTS), 8);
const REPORT_QUEUE: usize = memory.data(<i32>(REPORT_SLOT_BYTES * REPORT_SLOTS), 8);

let framesResent: u32 = 0;

function stateOf(channel: u32): usize {
  return channel == Channel.Stream ? STATES : STATES + STATE_BYTES;
}

function slotsOf(channel: u32): u32 {
  if (channel != Channel.Stream) return REPORT_SLOTS;
  return memoryOfGateway() ? GATEWAY_SLOTS : STREAM_SLOTS;
}

function slotOf(channel: u32, sequence: u32): usize {
  const index = sequence & (slotsOf(channel) - 1);
  if (channel != Channel.Stream) return REPORT_QUEUE + index * REPORT_SLOT_BYTES;
  return memoryOfGateway() ? memoryQueue() + index * GATEWAY_SLOT_BYTES : STREAM_QUEUE + index * STREAM_SLOT_BYTES;
}

/** Bytes of the longest message on a channel. */
export function reliableMost(channel: u32): u32 {
  return channel == Channel.Stream && !memoryOfGateway() ? REQUEST_MAX_BYTES : LinkLimit.MessageBytes;
}

/** How far sequence `a` lies behind sequence `b`. */
function distance(a: u32, b: u32): u32 {
  return (b - a) & 0xff;
}

/** Empties a channel for a new session. */
export function reliableStart(channel: u32, gateway: bool, peerCredit: u32): void {
  const state = stateOf(channel);
  store<u64>(state, 0);
  store<u64>(state, 0, DUE);
  store<u64>(state, NEVER, TIMER);
  store<u8>(state, ownCredit(channel, gateway), OWN_CREDIT);
  store<u8>(state, max<u32>(peerCredit, 1), CREDIT);
}

/** Messages that `reliableGive` would take now. */
export function reliableRoom(channel: u32): u32 {
  const state = stateOf(channel);
  return slotsOf(channel) - distance(load<u8>(state, BASE), load<u8>(state, END));
}

/** Queues a message; there must be room, and 1 byte to `reliableMost`. */
export function reliableGive(channel: u32, message: usize, length: u32): void {
  const state = stateOf(channel);
  const end: u32 = load<u8>(state, END);
  const slot = slotOf(channel, end);
  store<u8>(slot, length, SLOT_LENGTH);
  store<u8>(slot, 0, SLOT_STATE);
  copy(slot + SLOT_MESSAGE, message, length);
  store<u8>(state, end + 1, END);
}

/** Whether a frame may be sent now. */
export function reliableReady(channel: u32): bool {
  const state = stateOf(channel);
  const next: u32 = load<u8>(state, NEXT);
  return next != <u32>load<u8>(state, END) && distance(load<u8>(state, BASE), next) < <u32>load<u8>(state, CREDIT);
}

/** Sequence of the frame that `reliableBuild` would build. */
export function reliableNext(channel: u32): u32 {
  return load<u8>(stateOf(channel), NEXT);
}

/** Builds the next frame, which must be ready, and returns its length on the line. */
export function reliableBuild(channel: u32, session: u32): u32 {
  const state = stateOf(channel);
  const next: u32 = load<u8>(state, NEXT);
  const slot = slotOf(channel, next);
  if (next == <u32>load<u8>(state, HIGH)) {
    store<u8>(state, next + 1, HIGH);
  } else {
    store<u8>(slot, SLOT_RESENT, SLOT_STATE);
    framesResent++;
  }
  store<u8>(state, next + 1, NEXT);
  store<u8>(state, <u32>load<u8>(state, DUE) & ~DUE_ACKNOWLEDGE, DUE);
  const length: u32 = load<u8>(slot, SLOT_LENGTH);
  const payload = frameBegin(channel, 0, session, next, load<u8>(state, EXPECTED), load<u8>(state, OWN_CREDIT));
  copy(payload, slot + SLOT_MESSAGE, length);
  return frameEnd(length);
}

/** The last byte of the frame with this sequence left at `tick`. */
export function reliableSent(channel: u32, sequence: u32, tick: u64): void {
  const state = stateOf(channel);
  const base: u32 = load<u8>(state, BASE);
  // Acknowledged meanwhile, or to be sent again already.
  if (distance(base, sequence) >= distance(base, load<u8>(state, NEXT))) return;
  const slot = slotOf(channel, sequence);
  store<u64>(slot, tick);
  store<u8>(slot, <u32>load<u8>(slot, SLOT_STATE) | SLOT_SENT, SLOT_STATE);
  if (sequence == base || load<u64>(state, TIMER) == NEVER)
    store<u64>(state, tick + timeout(load<u8>(state, RETRIES)), TIMER);
}

/**
 * The peer expects `acknowledge` next, takes `credit` frames from there on, and says with `reject` that it misses that
 * one. `firstTick` and `lastTick`: when the frame that says so came.
 */
export function reliableAcknowledged(
  channel: u32,
  acknowledge: u32,
  credit: u32,
  reject: bool,
  firstTick: u64,
  lastTick: u64,
): void {
  const state = stateOf(channel);
  const base: u32 = load<u8>(state, BASE);
  const progress = distance(base, acknowledge);
  if (progress > distance(base, load<u8>(state, HIGH))) return;
  store<u8>(state, max<u32>(credit, 1), CREDIT);
  let next: u32 = load<u8>(state, NEXT);
  if (progress != 0) {
    const slot = slotOf(channel, acknowledge - 1);
    if (<u32>load<u8>(slot, SLOT_STATE) == SLOT_SENT && lastTick > load<u64>(slot)) {
      timingRoundTrip(lastTick - load<u64>(slot));
    }
    if (distance(base, next) < progress) {
      next = acknowledge;
      store<u8>(state, next, NEXT);
    }
    store<u8>(state, acknowledge, BASE);
    store<u8>(state, 0, RETRIES);
    store<u64>(state, next == acknowledge ? NEVER : lastTick + timeout(0), TIMER);
  }
  if (reject && next != acknowledge) {
    // A rejection that began to arrive before the frame had left is about an earlier try.
    const slot = slotOf(channel, acknowledge);
    if ((<u32>load<u8>(slot, SLOT_STATE) & SLOT_SENT) != 0 && load<u64>(slot) < firstTick) goBack(state);
  }
}

function goBack(state: usize): void {
  store<u8>(state, load<u8>(state, BASE), NEXT);
  store<u64>(state, NEVER, TIMER);
}

/** When `reliableExpire` has something to do. */
export function reliableTimer(channel: u32): u64 {
  return load<u64>(stateOf(channel), TIMER);
}

/** Goes back when the time for an acknowledgement is over. Returns how often this happened since the last progress. */
export function reliableExpire(channel: u32, now: u64): u32 {
  const state = stateOf(channel);
  const retries: u32 = load<u8>(state, RETRIES);
  if (now < load<u64>(state, TIMER)) return retries;
  goBack(state);
  store<u8>(state, retries + 1, RETRIES);
  return retries + 1;
}

/** Whether a frame was sent and is not acknowledged. */
export function reliableOpen(channel: u32): bool {
  const state = stateOf(channel);
  return load<u8>(state, BASE) != load<u8>(state, HIGH);
}

/** A frame with this sequence came: whether its message is to be delivered. */
export function reliableReceived(channel: u32, sequence: u32): bool {
  const state = stateOf(channel);
  const expected: u32 = load<u8>(state, EXPECTED);
  const ahead = distance(expected, sequence);
  let due: u32 = load<u8>(state, DUE);
  if (ahead == 0) {
    store<u8>(state, expected + 1, EXPECTED);
    store<u8>(state, DUE_ACKNOWLEDGE, DUE);
    return true;
  }
  if (ahead < WINDOW) {
    // Frames of the same round come with rising sequences and need no second rejection.
    if ((due & DUE_REJECTED) == 0 || ahead <= distance(expected, load<u8>(state, EARLY))) {
      due |= DUE_REJECT | DUE_REJECTED;
    }
    store<u8>(state, sequence, EARLY);
  } else if (ahead >= 128) {
    due |= DUE_ACKNOWLEDGE;
  }
  store<u8>(state, due, DUE);
  return false;
}

/** Whether the peer is to be told that a frame is missing. */
export function reliableRejects(channel: u32): bool {
  return (<u32>load<u8>(stateOf(channel), DUE) & DUE_REJECT) != 0;
}

/** Whether the peer waits for an acknowledgement. */
export function reliableOwes(channel: u32): bool {
  return (<u32>load<u8>(stateOf(channel), DUE) & DUE_ACKNOWLEDGE) != 0;
}

/** Writes acknowledgement and credit, one byte each, and takes them as said. */
export function reliableReport(channel: u32, target: usize): void {
  const state = stateOf(channel);
  store<u8>(target, load<u8>(state, EXPECTED));
  store<u8>(target, load<u8>(state, OWN_CREDIT), 1);
  store<u8>(state, <u32>load<u8>(state, DUE) & DUE_REJECTED, DUE);
}

/** Frames that this end takes on a channel. */
export function ownCredit(channel: u32, gateway: bool): u32 {
  if (channel == Channel.Stream) return gateway ? Credit.GatewayStream : Credit.MeterStream;
  return gateway ? Credit.GatewayReport : Credit.MeterReport;
}

/** Frames sent again since the start. */
export function reliableResent(): u32 {
  return framesResent;
}
