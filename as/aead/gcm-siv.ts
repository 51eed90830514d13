// AEAD_AES_128_GCM_SIV (RFC 8452).
//
//   1. (4) authentication key H, encryption key K' = halves of AES(K, [i] || nonce), i = 0 to 3
//   2. (4) S = POLYVAL(H, data and text, each padded with zeros, then the bits of each in 64 bits)
//   3. (4) tag = AES(K', (S xor nonce) with its highest bit cleared)
//   4. (4) text xor AES(K', Q), AES(K', Q + 1), …; Q = tag with its highest bit set; the first 32 bits count
//
// All numbers are little-endian.
//
// What always holds:
// - A key serves any number of messages, each with keys of its own.
// - A plaintext whose tag is wrong never stays in memory.
// - No branch depends on a key, a plaintext or the place where two tags differ.
//
//   context       0  schedule of K         AES_128_SCHEDULE_BYTES
//               180  schedule of K'        AES_128_SCHEDULE_BYTES
//               360  H                     16
//               376  K' as bytes, later Q  16
//               392  S, later the tag      16
//               408  a block               16
//               424

import { AES_128_SCHEDULE_BYTES, AES_KEY_BYTES, aesEncrypt, aesExpandKey, aesLikesPairs, aesXorPair } from './aes';
import { BLOCK_BYTES, clearBlock, copyBlock, copyBytes, xorBlock, xorBytes } from './block';
import { equalBytes, wipe } from './constant-time';
import { polyvalBlock } from './polyval';

/** Size of a tag; it stands behind the ciphertext. */
export const GCM_SIV_TAG_BYTES: u32 = BLOCK_BYTES;

/** Size of every nonce. */
export const GCM_SIV_NONCE_BYTES: u32 = 12;

const MESSAGE_SCHEDULE: u32 = AES_128_SCHEDULE_BYTES;
const HASH_KEY: u32 = 2 * AES_128_SCHEDULE_BYTES;
const COUNTER: u32 = HASH_KEY + BLOCK_BYTES;
const SUM: u32 = COUNTER + BLOCK_BYTES;
const BLOCK: u32 = SUM + BLOCK_BYTES;

/** Size of a key's context; it may lie at any address. */
export const GCM_SIV_CONTEXT_BYTES: u32 = BLOCK + BLOCK_BYTES;

/**
 * Prepares a key.
 *
 * @param context GCM_SIV_CONTEXT_BYTES, written
 * @param key AES_KEY_BYTES
 */
export function gcmSivSetKey(context: usize, key: usize): void {
  aesExpandKey(context, key, AES_KEY_BYTES);
}

// The message's own keys: H, and behind it those of the cipher, eight bytes of each block.
function deriveKeys(context: usize, nonce: usize): void {
  const block = context + BLOCK;
  const keys = context + HASH_KEY;
  for (let i: u32 = 0; i < 4; i++) {
    store<u32>(block, i);
    copyBytes(block + 4, nonce, GCM_SIV_NONCE_BYTES);
    aesEncrypt(context, block, block);
    copyBytes(keys + (i << 3), block, 8);
  }
  aesExpandKey(context + MESSAGE_SCHEDULE, keys + BLOCK_BYTES, AES_KEY_BYTES);
}

// S of a string that is padded with zeros to whole blocks.
function addPadded(context: usize, data: usize, length: u32): void {
  const sum = context + SUM;
  const key = context + HASH_KEY;
  while (length >= BLOCK_BYTES) {
    polyvalBlock(sum, key, data);
    data += BLOCK_BYTES;
    length -= BLOCK_BYTES;
  }
  if (length !== 0) {
    const block = context + BLOCK;
    clearBlock(block);
    copyBytes(block, data, length);
    polyvalBlock(sum, key, block);
  }
}

// The tag, into SUM.
function makeTag(context: usize, data: usize, dataLength: u32, nonce: usize, text: usize, length: u32): void {
  const sum = context + SUM;
  const block = context + BLOCK;
  clearBlock(sum);
  addPadded(context, data, dataLength);
  addPadded(context, text, length);
  store<u32>(block, length >> 29, 12);
  store<u32>(block, length << 3, 8);
  store<u32>(block, dataLength >> 29, 4);
  store<u32>(block, dataLength << 3);
  polyvalBlock(sum, context + HASH_KEY, block);
  xorBytes(sum, nonce, GCM_SIV_NONCE_BYTES);
  store<u8>(sum, load<u8>(sum, 15) & 0x7f, 15);
  aesEncrypt(context + MESSAGE_SCHEDULE, sum, sum);
}

// text = text xor key stream of the tag
function applyKeyStream(context: usize, text: usize, length: u32, tag: usize): void {
  const schedule = context + MESSAGE_SCHEDULE;
  const counter = context + COUNTER;
  const block = context + BLOCK;
  copyBlock(counter, tag);
  store<u8>(counter, load<u8>(counter, 15) | 0x80, 15);
  while (length >= 2 * BLOCK_BYTES && aesLikesPairs()) {
    copyBlock(block, counter);
    store<u32>(counter, load<u32>(counter) + 1);
    aesXorPair(schedule, block, counter, text);
    store<u32>(counter, load<u32>(counter) + 1);
    text += 2 * BLOCK_BYTES;
    length -= 2 * BLOCK_BYTES;
  }
  while (length !== 0) {
    aesEncrypt(schedule, counter, block);
    store<u32>(counter, load<u32>(counter) + 1);
    if (length < BLOCK_BYTES) {
      xorBytes(text, block, length);
      return;
    }
    xorBlock(text, block);
    text += BLOCK_BYTES;
    length -= BLOCK_BYTES;
  }
}

/**
 * Encrypts in place.
 *
 * @param nonce GCM_SIV_NONCE_BYTES
 * @param sealed `length` bytes of plaintext, then room for the tag
 */
export function gcmSivSeal(
  context: usize,
  data: usize,
  dataLength: u32,
  nonce: usize,
  sealed: usize,
  length: u32,
): void {
  deriveKeys(context, nonce);
  makeTag(context, data, dataLength, nonce, sealed, length);
  applyKeyStream(context, sealed, length, context + SUM);
  copyBlock(sealed + length, context + SUM);
}

/**
 * Decrypts in place what `gcmSivSeal` made: the ciphertext becomes plaintext, or zeros when the tag is wrong.
 *
 * @param nonce GCM_SIV_NONCE_BYTES
 * @param sealed `length` bytes of ciphertext, then the tag
 * @returns whether the tag is right
 */
export function gcmSivOpen(
  context: usize,
  data: usize,
  dataLength: u32,
  nonce: usize,
  sealed: usize,
  length: u32,
): bool {
  const tag = sealed + length;
  deriveKeys(context, nonce);
  applyKeyStream(context, sealed, length, tag);
  makeTag(context, data, dataLength, nonce, sealed, length);
  if (equalBytes(context + SUM, tag, GCM_SIV_TAG_BYTES)) return true;
  wipe(sealed, length);
  return false;
}
