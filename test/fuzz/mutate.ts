// Inputs for parsers: noise, and valid inputs with something wrong.
import { crc32 } from 'node:zlib';
import { cobsDecode, cobsEncode } from '../core/link-wire.ts';
import type { Prng } from './prng.ts';

const interesting = [0, 1, 2, 3, 4, 15, 16, 17, 0x7f, 0x80, 0xfe, 0xff];
const interestingWords = [0, 1, 0xff, 0x100, 0x101, 0x4d0, 0x4d1, 0x7fff, 0x8000, 0x8001, 0xfffe, 0xffff];

/** A copy with one to a few things changed; at most `limit` bytes. */
export function mutate(random: Prng, bytes: Uint8Array, limit: number): Uint8Array {
  let result: Uint8Array = new Uint8Array(bytes);
  for (let changes = 1 + random.size(6); changes > 0; changes--) result = mutateOnce(random, result);
  return result.subarray(0, limit);
}

function mutateOnce(random: Prng, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return random.bytes(random.size(40));
  const at = random.below(bytes.length);
  switch (random.below(10)) {
    case 0:
      bytes[at]! ^= 1 << random.below(8);
      return bytes;
    case 1:
      bytes[at] = random.u32();
      return bytes;
    case 2:
      bytes[at] = random.pick(interesting);
      return bytes;
    case 3: {
      const word = random.pick(interestingWords);
      const [low, high] = random.chance(0.5) ? [0, 1] : [1, 0];
      bytes[at] = word >> (8 * low);
      if (at + 1 < bytes.length) bytes[at + 1] = word >> (8 * high);
      return bytes;
    }
    case 4:
      return bytes.slice(0, at);
    case 5:
      return joined([bytes, random.bytes(random.size(300))]);
    case 6: {
      const end = Math.min(bytes.length, at + random.size(64));
      return joined([bytes.subarray(0, at), bytes.subarray(end)]);
    }
    case 7: {
      const piece = bytes.slice(at, at + random.size(64));
      const target = random.below(bytes.length + 1);
      return joined([bytes.subarray(0, target), piece, bytes.subarray(target)]);
    }
    case 8: {
      const from = random.below(bytes.length);
      bytes.copyWithin(at, from, from + random.size(64));
      return bytes;
    }
    default:
      bytes.fill(random.pick(interesting), at, at + random.size(64));
      return bytes;
  }
}

/** A frame as it stands between two delimiters, from header and payload: with the right CRC-32. */
export function frameOf(decoded: Uint8Array): Uint8Array {
  const body = Buffer.alloc(decoded.length + 4);
  body.set(decoded);
  body.writeUInt32LE(crc32(decoded), decoded.length);
  return cobsEncode(body);
}

/** Header and payload of an undamaged frame. */
export function openFrame(encoded: Uint8Array): Uint8Array {
  return cobsDecode(encoded).slice(0, -4);
}

/** The pieces, one behind the other, in memory of their own. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(pieces));
}
