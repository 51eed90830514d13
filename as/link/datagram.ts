// Time channel: messages that are never sent again, arrive whole or not at all, and at most once.
//
// What always holds:
// - A message longer than a frame's payload goes in as few pieces as it can, of about the same length, with consecutive
//   sequences; no other frame of this channel goes between them. So no last piece is too short to tell when it came where
//   bytes are kept back (host/link/frame-splitter.ts).
// - A short message (up to 64 bytes) has a slot of its own, so that it need not wait for room while a long one is sent.
// - A slot is free again when the last byte of its message has left.
// - At a meter's end the two long buffers are one, and what is sent goes first: no piece is put into it before the last
//   one of the message sent was copied out of it, and one that is given ends what was being put together. Nothing is lost by
//   that: the only long messages of a meter are its requests, and an answer comes after its request has left and before
//   the next one is built (`datagramAwaited`); what comes at another time is late. Short messages stay out of that buffer,
//   since they are sent at any time.
// - While a meter's long buffer is lent, no long message is taken or put together. Only what can wait is done with it.
//
//   meter    LONG   1036  the long message that is being sent, or pieces received, from the first on, without a gap
//   gateway               both apart, 1,256 bytes each (memory.ts)
//   both     SHORT    64  the short message that is being sent
//
// In a sealed session a short message is sealed as any frame is; one of more than 64 bytes is readable, with a tag behind it.

import { copy } from '../abi/bytes';
import { Channel, LinkLimit } from '../abi/codes';
import { frameBegin, frameBeginOpen, frameEnd, frameHeader } from './frame';
import { FrameFlag, FrameKey, FrameSize, METER_DATAGRAM_BYTES } from './layout';
import { memoryOfGateway, memoryReceiving, memorySending } from './memory';
import { sealHeader, sealStands, sealTag, sealTagBytes } from './seal';

/** A message up to this size is short. */
export const SHORT_BYTES: u32 = 64;
// A frame whose sequence lies this little behind the newest is a double.
const DOUBLE_WINDOW: u32 = 64;

const LONG: usize = memory.data(1036, 4);
const SHORT: usize = memory.data(64, 4);

/** The buffer of the message that is sent in pieces. */
function sending(): usize {
  return memoryOfGateway() ? memorySending() : LONG;
}

/** That of a message that came in pieces. */
function receiving(): usize {
  return memoryOfGateway() ? memoryReceiving() : LONG;
}

/** Bytes of the longest message. */
export function datagramMost(): u32 {
  return memoryOfGateway() ? LinkLimit.DatagramBytes : METER_DATAGRAM_BYTES;
}

/** The memory that `datagramLend` gives: 1,036 bytes. */
export const LENT: usize = LONG;

let lent: bool = false;
// 0: free
let datagramLength: u32 = 0;
let datagramSent: u32 = 0;
let shortLength: u32 = 0;
let shortSent: bool = false;
let sequenceNext: u32 = 0;

// 0: no message is being put together
let filled: u32 = 0;
let filledFirstTick: u64 = 0;
let sequenceNewest: u32 = 0;
let anyReceived: bool = false;
let dropped: u32 = 0;

let wholeAt: usize = 0;
let wholeLength: u32 = 0;
let wholeFirstTick: u64 = 0;

/** Empties both directions for a new session. */
export function datagramStart(): void {
  datagramLength = 0;
  datagramSent = 0;
  shortLength = 0;
  shortSent = false;
  sequenceNext = 0;
  filled = 0;
  anyReceived = false;
}

/** Where a message may be made that `datagramGive` then takes, while there is room. */
export function datagramBuffer(): usize {
  if (!memoryOfGateway()) filled = 0;
  return sending();
}

/** Lends a meter's long message's buffer, until it is given back; false while it is in use. What it held is gone. */
export function datagramLend(): bool {
  if (datagramLength != 0) return false;
  filled = 0;
  lent = true;
  return true;
}

/** Gives it back. */
export function datagramReturn(): void {
  lent = false;
}

function isLent(): bool {
  return UPDATE != 0 && lent;
}

/** Long messages that `datagramGive` takes now. */
export function datagramRoom(): u32 {
  return datagramLength == 0 && !isLent() ? 1 : 0;
}

/** Takes a message of 1 byte to `datagramMost`; it may already lie at `datagramBuffer`. False when its slot is taken. */
export function datagramGive(message: usize, length: u32): bool {
  if (length <= SHORT_BYTES && shortLength == 0) {
    copy(SHORT, message, length);
    shortLength = length;
    shortSent = false;
    return true;
  }
  if (datagramLength != 0 || isLent() || (!memoryOfGateway() && length <= SHORT_BYTES)) return false;
  if (message != datagramBuffer()) copy(sending(), message, length);
  datagramLength = length;
  datagramSent = 0;
  return true;
}

/** Whether a message at `datagramBuffer` has been given of which no piece has gone. */
export function datagramWaits(): bool {
  return datagramLength != 0 && datagramSent == 0;
}

/** Whether some pieces of a message have gone and some have not. */
export function datagramBegun(): bool {
  return datagramSent != 0 && datagramSent < datagramLength;
}

/** Whether there is a frame to send. */
export function datagramReady(): bool {
  return (shortLength != 0 && !shortSent) || datagramSent < datagramLength;
}

/** Whether a message may be put together: where it would lie is not being sent from. */
function reassembles(): bool {
  return memoryOfGateway() || (!isLent() && datagramSent == datagramLength);
}

/** Builds the next frame, which must be ready, and returns its length on the line. */
export function datagramBuild(session: u32): u32 {
  const sequence = sequenceNext++ & 0xff;
  let length = shortLength;
  let source = SHORT;
  if (length != 0 && !shortSent && !datagramBegun()) {
    shortSent = true;
  } else {
    if (datagramLength > SHORT_BYTES) return buildPiece(session, sequence);
    source = sending();
    length = datagramLength;
    datagramSent = length;
  }
  copy(frameBegin(Channel.Time, FrameFlag.First | FrameFlag.Last, session, sequence, 0, 0), source, length);
  return frameEnd(length);
}

function buildPiece(session: u32, sequence: u32): u32 {
  const tagged = sealStands();
  const most = <u32>FrameSize.PayloadBytes - (tagged ? sealTagBytes(memoryOfGateway()) : 0);
  const source = sending() + datagramSent;
  const pieces = (datagramLength - datagramSent + most - 1) / most;
  let length = (datagramLength - datagramSent + pieces - 1) / pieces;
  const flags: u32 = (datagramSent == 0 ? FrameFlag.First : 0) | (pieces == 1 ? FrameFlag.Last : 0);
  datagramSent += length;
  const payload = frameBeginOpen(Channel.Time, flags, session, sequence, 0, 0);
  copy(payload, source, length);
  if (tagged) {
    sealHeader(frameHeader(), FrameKey.Tagged);
    if (pieces == 1) length += sealTag(frameHeader(), sending(), datagramLength, payload + length);
  }
  return frameEnd(length);
}

/** The frame built last has left. True when it ended a message that is not short. */
export function datagramFrameSent(): bool {
  if (shortSent) {
    shortSent = false;
    shortLength = 0;
    return false;
  }
  if (datagramLength == 0 || datagramSent < datagramLength) return false;
  const long = datagramLength > SHORT_BYTES;
  datagramLength = 0;
  datagramSent = 0;
  return long;
}

/** Takes a frame; true when it completes a message. */
export function datagramReceived(sequence: u32, flags: u32, payload: usize, length: u32, firstTick: u64): bool {
  // Where frames are sealed, counters tell; a sequence that somebody made up must not keep others away.
  if (!sealStands() && anyReceived && ((sequenceNewest - sequence) & 0xff) < DOUBLE_WINDOW) return false;
  const follows = ((sequenceNewest + 1) & 0xff) == sequence;
  sequenceNewest = sequence;
  anyReceived = true;
  const last = (flags & FrameFlag.Last) != 0;
  if ((flags & FrameFlag.First) != 0) {
    if (filled != 0) dropped++;
    filled = 0;
    if (last) {
      wholeAt = payload;
      wholeLength = length;
      wholeFirstTick = firstTick;
      return true;
    }
    if (!reassembles()) return false;
    filledFirstTick = firstTick;
  } else if (filled == 0 || !follows || filled + length > datagramMost()) {
    filled = 0;
    if (last) dropped++;
    return false;
  }
  copy(receiving() + filled, payload, length);
  filled += length;
  if (!last) return false;
  wholeAt = receiving();
  wholeLength = filled;
  wholeFirstTick = filledFirstTick;
  filled = 0;
  return true;
}

/** The message that was completed last: where it lies, until the next frame comes. */
export function datagramAt(): usize {
  return wholeAt;
}

export function datagramLengthReceived(): u32 {
  return wholeLength;
}

/** Tick of the first byte of its first frame. */
export function datagramFirstTick(): u64 {
  return wholeFirstTick;
}

/** Messages of which the last piece came but not all before it, or that another one cut off. */
export function datagramDropped(): u32 {
  return dropped;
}
