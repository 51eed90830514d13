// Frames: built where they are wanted, checked and opened where they were received.
//
// What always holds:
// - One frame is built at a time, in one go; nothing here is about its bytes once it is finished.
// - An opened frame's length, CRC, version, channel and key id are right; nothing is said about the rest, and its seal is
//   still to be looked at.
//
//   0   1      2         14            14 + n    18 + n
//   0   COBS   header    payload (n)   CRC-32    0
//
//   payload of a sealed frame: tag (16), ciphertext

import { cobsDecode, cobsEncode } from './cobs';
import { crc32 } from './crc32';
import { FrameField, FrameKey, FrameSize } from './layout';
import { isSealed, sealFrame, sealHeader, sealStands } from './seal';

/** Where the next frame is built: delimiter, encoded bytes, delimiter. */
let place: usize = 0;

/** `frameOpen`: COBS or CRC-32 do not hold. */
export const FRAME_DAMAGED: i32 = -1;
/** `frameOpen`: undamaged, but of another version, an unknown channel or key. */
export const FRAME_REFUSED: i32 = -2;

/** The next frame is to be built at `at`, where `LinkLimit.FrameBytes` have room. */
export function framePlace(at: usize): void {
  place = at;
}

/** The header of the frame that is being built. */
export function frameHeader(): usize {
  return place + 2;
}

/** Writes the header of a frame that is never sealed; returns where the payload is to follow, up to `FrameSize.PayloadBytes`. */
export function frameBeginOpen(
  channel: u32,
  flags: u32,
  session: u32,
  sequence: u32,
  acknowledge: u32,
  credit: u32,
): usize {
  const header = place + 2;
  store<u32>(header, (FrameSize.Version << 4) | channel | (flags << 8) | (credit << 24));
  store<u32>(header, 0, FrameField.Counter);
  store<u32>(header, session | (sequence << 16) | (acknowledge << 24), FrameField.Session);
  return header + FrameField.Payload;
}

/** Writes a header; returns where the payload is to follow, up to `LinkLimit.MessageBytes`. */
export function frameBegin(
  channel: u32,
  flags: u32,
  session: u32,
  sequence: u32,
  acknowledge: u32,
  credit: u32,
): usize {
  const payload = frameBeginOpen(channel, flags, session, sequence, acknowledge, credit);
  if (!sealStands()) return payload;
  sealHeader(frameHeader(), FrameKey.Sealed);
  return payload + FrameSize.SealBytes;
}

/** Finishes the frame whose payload has `length` bytes, and seals it; returns how many bytes go on the line. */
export function frameEnd(length: u32): u32 {
  const header = place + 2;
  let bytes = FrameField.Payload + length;
  if (isSealed(header)) {
    sealFrame(header, length);
    bytes += FrameSize.SealBytes;
  }
  store<u32>(header + bytes, crc32(header, bytes));
  const decoded = bytes + FrameSize.CrcBytes;
  cobsEncode(header - 1, decoded);
  store<u8>(place, 0);
  store<u8>(header + decoded, 0);
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
  const key: u32 = load<u8>(header, FrameField.KeyId);
  if (
    kind >> 4 != FrameSize.Version ||
    (kind & 15) > 3 ||
    key > <u32>FrameKey.Tagged ||
    (key == FrameKey.Open && load<u32>(header, FrameField.Counter) != 0)
  ) {
    return FRAME_REFUSED;
  }
  return bytes - FrameField.Payload;
}
