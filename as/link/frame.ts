// Frames: built in one buffer, checked and opened where they were received.
//
// What always holds:
// - One frame is built at a time; its bytes stay until the next one begins.
// - An opened frame's length, CRC, version, channel and key id are right; nothing is said about the rest.
//
//   buffer   0   1   2   3   4                16              16 + n   20 + n   21 + n
//            -   -   0   COBS  header          payload (n)     CRC-32    0
//                    |<--------------------- FRAME -------------------->|
// The header lies at a multiple of four.

import { cobsDecode, cobsEncode } from './cobs';
import { crc32 } from './crc32';
import { FrameField, FrameSize } from './layout';

const BUFFER: usize = memory.data(260, 4);
const HEADER: usize = BUFFER + 4;

/** The frame built last: delimiter, encoded bytes, delimiter. */
export const FRAME: usize = BUFFER + 2;
/** Payload of the frame that is being built, `LinkLimit.MessageBytes` of room. */
export const FRAME_PAYLOAD: usize = HEADER + FrameField.Payload;

/** `frameOpen`: COBS or CRC-32 do not hold. */
export const FRAME_DAMAGED: i32 = -1;
/** `frameOpen`: undamaged, but of another version, an unknown channel, or sealed. */
export const FRAME_REFUSED: i32 = -2;

/** Copies `length` bytes. */
export function copy(target: usize, source: usize, length: u32): void {
  for (let i: u32 = 0; i < length; i++) store<u8>(target + i, load<u8>(source + i));
}

/** Writes a header; the payload is to follow at `FRAME_PAYLOAD`. */
export function frameBegin(channel: u32, flags: u32, session: u32, sequence: u32, acknowledge: u32, credit: u32): void {
  store<u32>(HEADER, (FrameSize.Version << 4) | channel | (flags << 8) | (credit << 24));
  store<u32>(HEADER, 0, FrameField.Counter);
  store<u32>(HEADER, session | (sequence << 16) | (acknowledge << 24), FrameField.Session);
}

/** Finishes the frame whose payload has `length` bytes: the bytes at `FRAME` that go on the line. */
export function frameEnd(length: u32): u32 {
  const bytes = FrameField.Payload + length;
  store<u32>(HEADER + bytes, crc32(HEADER, bytes));
  const decoded = bytes + FrameSize.CrcBytes;
  cobsEncode(HEADER - 1, decoded);
  store<u8>(FRAME, 0);
  store<u8>(HEADER + decoded, 0);
  return decoded + 3;
}

/**
 * Opens the encoded bytes between two delimiters, in place: the header then lies at `frame` + 1.
 * Returns the length of the payload, at least 1, or `FRAME_DAMAGED` or `FRAME_REFUSED`.
 */
export function frameOpen(frame: usize, length: u32): i32 {
  if (length < <u32>FrameSize.EncodedLeastBytes || length > <u32>FrameSize.EncodedBytes) return FRAME_DAMAGED;
  if (!cobsDecode(frame, length)) return FRAME_DAMAGED;
  const header = frame + 1;
  const bytes = length - 1 - FrameSize.CrcBytes;
  if (crc32(header, bytes) != load<u32>(header + bytes)) return FRAME_DAMAGED;
  const kind: u32 = load<u8>(header, FrameField.VersionChannel);
  if (
    kind >> 4 != FrameSize.Version ||
    (kind & 15) > 3 ||
    load<u8>(header, FrameField.KeyId) != 0 ||
    load<u32>(header, FrameField.Counter) != 0
  ) {
    return FRAME_REFUSED;
  }
  return bytes - FrameField.Payload;
}
