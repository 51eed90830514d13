// AES-SIV (RFC 5297) with two keys of 128, 192 or 256 bits each: AEAD_AES_SIV_CMAC_256, 384 and 512.
//
//   S2V (2.4)   D = CMAC(K1, 0)
//               for each string of associated data: D = dbl(D) xor CMAC(K1, string)
//               plaintext of at least 16 bytes: T = plaintext with its last 16 bytes xor D
//               shorter: T = dbl(D) xor pad(plaintext)
//               V = CMAC(K1, T)
//   CTR (2.5)   Q = V with bits 31 and 63 cleared; the plaintext xor AES(K2, Q), AES(K2, Q + 1), …
//
// What always holds:
// - One message at a time: `sivStart`, `sivAd` for each string in order, then `sivSeal` or `sivOpen`,
//   all with the same context. No other function that computes a CMAC may come between.
// - A plaintext whose tag is wrong never stays in memory.
// - No branch depends on a key, a plaintext or the place where two tags differ.
//
//   context       0  CMAC(K1, 0)                 16
//                16  K1: CMAC context            CMAC_CONTEXT_BYTES
//               276  K2: schedule of CTR         AES_SCHEDULE_BYTES
//               520

import { AES_SCHEDULE_BYTES, aesEncrypt, aesExpandKey, aesLikesPairs, aesXorPair } from './aes';
import { BLOCK_BYTES, clearBlock, copyBlock, doubleBlock, incrementBlock, xorBlock, xorBytes } from './block';
import { CMAC_CONTEXT_BYTES, cmacFinish, cmacSetKey, cmacStart, cmacUpdate } from './cmac';
import { equalBytes, wipe } from './constant-time';

/** Size of a tag, the synthetic initialisation vector V. */
export const SIV_TAG_BYTES: u32 = BLOCK_BYTES;

const MAC_CONTEXT: u32 = BLOCK_BYTES;
const CTR_SCHEDULE: u32 = MAC_CONTEXT + CMAC_CONTEXT_BYTES;

/** Size of a key's context; it may lie at any address. */
export const SIV_CONTEXT_BYTES: u32 = CTR_SCHEDULE + AES_SCHEDULE_BYTES;

// D of S2V.
const ACCUMULATOR: usize = memory.data(16, 4);

// A MAC, the counter Q or the end of T, whatever comes last.
const BLOCK: usize = memory.data(16, 4);

// The tag that belongs to a message being opened, or a block of the key stream.
const SCRATCH: usize = memory.data(16, 4);

/**
 * Prepares a key.
 *
 * @param context SIV_CONTEXT_BYTES, written
 * @param keyBytes 32, 48 or 64 for AES with 128, 192 or 256 bits
 */
export function sivSetKey(context: usize, key: usize, keyBytes: u32): void {
  const half = keyBytes >> 1;
  const macContext = context + MAC_CONTEXT;
  cmacSetKey(macContext, key, half);
  aesExpandKey(context + CTR_SCHEDULE, key + half, half);
  clearBlock(context);
  cmacStart();
  cmacUpdate(macContext, context, BLOCK_BYTES);
  cmacFinish(macContext, context);
}

/** Begins a message. */
export function sivStart(context: usize): void {
  copyBlock(ACCUMULATOR, context);
}

/** Adds one string of associated data, at most 126 times (RFC 5297 2.6); a nonce is the last of them (3). It may be empty. */
export function sivAd(context: usize, data: usize, length: u32): void {
  const macContext = context + MAC_CONTEXT;
  cmacStart();
  cmacUpdate(macContext, data, length);
  cmacFinish(macContext, BLOCK);
  doubleBlock(ACCUMULATOR, ACCUMULATOR);
  xorBlock(ACCUMULATOR, BLOCK);
}

// tag = CMAC(K1, T)
function finishVector(context: usize, text: usize, length: u32, tag: usize): void {
  const macContext = context + MAC_CONTEXT;
  cmacStart();
  if (length >= BLOCK_BYTES) {
    const head = length - BLOCK_BYTES;
    cmacUpdate(macContext, text, head);
    xorBlock(ACCUMULATOR, text + head);
  } else {
    doubleBlock(ACCUMULATOR, ACCUMULATOR);
    xorBytes(ACCUMULATOR, text, length);
    store<u8>(ACCUMULATOR + length, load<u8>(ACCUMULATOR + length) ^ 0x80);
  }
  cmacUpdate(macContext, ACCUMULATOR, BLOCK_BYTES);
  cmacFinish(macContext, tag);
}

// text = text xor key stream of the vector `tag`
function applyKeyStream(context: usize, text: usize, length: u32, tag: usize): void {
  const schedule = context + CTR_SCHEDULE;
  copyBlock(BLOCK, tag);
  store<u8>(BLOCK, load<u8>(BLOCK, 8) & 0x7f, 8);
  store<u8>(BLOCK, load<u8>(BLOCK, 12) & 0x7f, 12);
  while (length >= 2 * BLOCK_BYTES && aesLikesPairs()) {
    copyBlock(SCRATCH, BLOCK);
    incrementBlock(BLOCK);
    aesXorPair(schedule, SCRATCH, BLOCK, text);
    incrementBlock(BLOCK);
    text += 2 * BLOCK_BYTES;
    length -= 2 * BLOCK_BYTES;
  }
  while (length >= BLOCK_BYTES) {
    aesEncrypt(schedule, BLOCK, SCRATCH);
    xorBlock(text, SCRATCH);
    incrementBlock(BLOCK);
    text += BLOCK_BYTES;
    length -= BLOCK_BYTES;
  }
  if (length !== 0) {
    aesEncrypt(schedule, BLOCK, SCRATCH);
    xorBytes(text, SCRATCH, length);
  }
}

/** Erases what the last message left beside its context. */
export function sivWipe(): void {
  clearBlock(ACCUMULATOR);
  clearBlock(BLOCK);
  clearBlock(SCRATCH);
  cmacStart();
}

/**
 * Encrypts in place and ends the message.
 *
 * @param text `length` bytes of plaintext, become ciphertext
 * @param tag SIV_TAG_BYTES, written; outside `text`
 */
export function sivSeal(context: usize, text: usize, length: u32, tag: usize): void {
  finishVector(context, text, length, tag);
  applyKeyStream(context, text, length, tag);
}

/**
 * Decrypts in place and ends the message.
 *
 * @param text `length` bytes of ciphertext, become plaintext, or zeros when the tag is wrong
 * @param tag SIV_TAG_BYTES; outside `text`
 * @returns whether the tag is right
 */
export function sivOpen(context: usize, text: usize, length: u32, tag: usize): bool {
  applyKeyStream(context, text, length, tag);
  finishVector(context, text, length, SCRATCH);
  if (equalBytes(SCRATCH, tag, SIV_TAG_BYTES)) return true;
  wipe(text, length);
  return false;
}

/**
 * Seals as RFC 5297 3 does for an AEAD with a nonce: the tag comes first, the ciphertext behind it.
 * For an NTP packet (RFC 8915 5.6) the associated data runs from the packet's start to the end of
 * the field before the authenticator.
 *
 * @param sealed room for the tag, then `length` bytes of plaintext
 */
export function sivSealWithNonce(
  context: usize,
  data: usize,
  dataLength: u32,
  nonce: usize,
  nonceLength: u32,
  sealed: usize,
  length: u32,
): void {
  sivStart(context);
  sivAd(context, data, dataLength);
  sivAd(context, nonce, nonceLength);
  sivSeal(context, sealed + SIV_TAG_BYTES, length, sealed);
}

/**
 * Opens what `sivSealWithNonce` made; the plaintext is then at `sealed + SIV_TAG_BYTES`.
 *
 * @param sealed tag and ciphertext
 * @param sealedLength of both; less than a tag is refused
 * @returns whether the tag is right
 */
export function sivOpenWithNonce(
  context: usize,
  data: usize,
  dataLength: u32,
  nonce: usize,
  nonceLength: u32,
  sealed: usize,
  sealedLength: u32,
): bool {
  if (sealedLength < SIV_TAG_BYTES) return false;
  sivStart(context);
  sivAd(context, data, dataLength);
  sivAd(context, nonce, nonceLength);
  return sivOpen(context, sealed + SIV_TAG_BYTES, sealedLength - SIV_TAG_BYTES, sealed);
}
