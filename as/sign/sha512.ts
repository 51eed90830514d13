// SHA-512 (FIPS 180-4), for signatures and images.
//
// What always holds:
// - One hash at a time: it is begun, or resumed, and finished, or suspended, within one event, and nothing of it is left
//   behind.
// - No branch and no address depends on what is hashed; only its length does show in the time taken.
//
//   1. The message is taken in blocks of 128 bytes (5.2.2), words of 64 bits, big-endian.
//   2. Of its 16 words the schedule makes 80, the older ones giving their place to the newer ones (6.4.2, step 1).
//   3. Each goes through a round over the state of eight words (6.4.2, step 3).
//   4. The last block ends with a bit 1, zeros, and the length in bits (5.1.2).

import { copyBytes } from '../aead/block';
import { wipe } from '../aead/constant-time';
import { HASH_STATE } from '../aead/scratch';
import { INITIAL_STATE, sha512Constant } from './sha512-constants';

/** Size of a hash. */
export const SHA512_BYTES: u32 = 64;

const BLOCK_BYTES: u32 = 128;
const ROUNDS: u32 = 80;

/** Where the length in bits begins in the last block: 16 bytes, of which the first eight are zero here. */
const LENGTH_AT: u32 = 112;
const LENGTH_LOW_AT: u32 = 120;

// The state of eight words, then the block: shared with the ciphers, so no key is set while a hash is made.
const STATE: usize = HASH_STATE;
const BLOCK: usize = STATE + SHA512_BYTES;

let messageBytes: u32 = 0;

/** Begins a hash. */
export function sha512Start(): void {
  if (TARIFF == 0 && UPDATE == 0) return;
  messageBytes = 0;
  for (let i: u32 = 0; i < 8; i++) store<u64>(STATE + (i << 3), sha512Constant(INITIAL_STATE + i));
}

/** Adds bytes to it. */
export function sha512Update(at: usize, length: u32): void {
  if (TARIFF == 0 && UPDATE == 0) return;
  for (let i: u32 = 0; i < length; i++) addByte(load<u8>(at + i));
}

/**
 * Ends it.
 *
 * @param to SHA512_BYTES, written; anything but the hash's own memory
 */
export function sha512Finish(to: usize): void {
  if (TARIFF == 0 && UPDATE == 0) return;
  const bits = (<u64>messageBytes) << 3;
  addByte(0x80);
  while (messageBytes % BLOCK_BYTES != LENGTH_AT) addByte(0);
  while (messageBytes % BLOCK_BYTES != LENGTH_LOW_AT) addByte(0);
  for (let shift: i32 = 56; shift >= 0; shift -= 8) addByte(<u32>(bits >> shift) & 0xff);
  for (let i: u32 = 0; i < SHA512_BYTES; i += 8) store<u64>(to + i, bswap<u64>(load<u64>(STATE + i)));
  wipe(STATE, SHA512_BYTES + BLOCK_BYTES);
}

/** Takes a hash of whole blocks so far to SHA512_BYTES at `to`; what else is hashed meanwhile changes nothing in it. */
export function sha512Suspend(to: usize): void {
  if (UPDATE == 0) return;
  copyBytes(to, STATE, SHA512_BYTES);
  wipe(STATE, SHA512_BYTES + BLOCK_BYTES);
}

/** Goes on with a hash of `length` bytes so far. */
export function sha512Resume(from: usize, length: u32): void {
  if (UPDATE == 0) return;
  copyBytes(STATE, from, SHA512_BYTES);
  messageBytes = length;
}

function addByte(byte: u32): void {
  const place = messageBytes++ % BLOCK_BYTES;
  store<u8>(BLOCK + place, byte);
  if (place == BLOCK_BYTES - 1) compress();
}

// One block (6.4.2).
function compress(): void {
  let a = load<u64>(STATE);
  let b = load<u64>(STATE, 8);
  let c = load<u64>(STATE, 16);
  let d = load<u64>(STATE, 24);
  let e = load<u64>(STATE, 32);
  let f = load<u64>(STATE, 40);
  let g = load<u64>(STATE, 48);
  let h = load<u64>(STATE, 56);
  for (let round: u32 = 0; round < ROUNDS; round++) {
    const one = h + (rotr<u64>(e, 14) ^ rotr<u64>(e, 18) ^ rotr<u64>(e, 41)) + (g ^ (e & (f ^ g)));
    h = g;
    g = f;
    f = e;
    const next = one + sha512Constant(round) + schedule(round);
    e = d + next;
    d = c;
    const majority = (a & b) | (c & (a | b));
    c = b;
    b = a;
    a = next + (rotr<u64>(a, 28) ^ rotr<u64>(a, 34) ^ rotr<u64>(a, 39)) + majority;
  }
  addState(0, a);
  addState(8, b);
  addState(16, c);
  addState(24, d);
  addState(32, e);
  addState(40, f);
  addState(48, g);
  addState(56, h);
}

function addState(offset: u32, word: u64): void {
  store<u64>(STATE + offset, load<u64>(STATE + offset) + word);
}

// The word of a round; it replaces the one of 16 rounds before.
function schedule(round: u32): u64 {
  const at = scheduled(round);
  let word = load<u64>(at);
  if (round < 16) {
    word = bswap<u64>(word);
  } else {
    const before2 = load<u64>(scheduled(round - 2));
    const before15 = load<u64>(scheduled(round - 15));
    word +=
      (rotr<u64>(before2, 19) ^ rotr<u64>(before2, 61) ^ (before2 >> 6)) +
      load<u64>(scheduled(round - 7)) +
      (rotr<u64>(before15, 1) ^ rotr<u64>(before15, 8) ^ (before15 >> 7));
  }
  store<u64>(at, word);
  return word;
}

function scheduled(round: u32): usize {
  return BLOCK + ((round & 15) << 3);
}
