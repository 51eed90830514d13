// AES encryption (FIPS 197) with keys of 128, 192 and 256 bits, in one of two ways: with a table (aes-table.ts), or
// bitsliced (aes-bitsliced.ts), three times slower and for processors with a data cache. Decryption does not exist
// here: CMAC, CTR and the modes on top of them only ever encrypt.
//
// What always holds:
// - An instance of the core has one way for all of its life; the table's, if nothing else was said before the first
//   event. What comes out is the same.
// - A schedule belongs to its caller, changes only in `aesExpandKey`, and is good for the way that made it.
// - Where the image has the table only, `bitsliced` is the constant 0 and all behind it is left out (host/build/wasm-to-c.ts).

import { slicedEncryptSum, slicedStart, slicedSubstitute, slicedTransposeKeys, slicedXorPair } from './aes-bitsliced';
import { AES_KEY_BYTES, double, ROUND_KEYS } from './aes-schedule';
import { tableEncryptSum, tableExpandShortKey, tableSubstitute } from './aes-table';

export { AES_128_SCHEDULE_BYTES, AES_KEY_BYTES, AES_KEY_MAX_BYTES, AES_SCHEDULE_BYTES } from './aes-schedule';

const ZERO_BLOCK: usize = memory.data(16, 4);

let bitsliced: bool = false;

/** Leaves the table for the bitsliced way. No key may be set. */
export function aesBitslice(): void {
  slicedStart();
  bitsliced = true;
}

/** Whether two blocks at once take less than one after the other. */
export function aesLikesPairs(): bool {
  return bitsliced;
}

function substitute(word: u32): u32 {
  return bitsliced ? slicedSubstitute(word) : tableSubstitute(word);
}

/**
 * Expands a key (FIPS 197 5.2).
 *
 * @param schedule AES_128_SCHEDULE_BYTES for a key of 16 bytes, else AES_SCHEDULE_BYTES, written
 * @param keyBytes 16, 24 or 32
 */
export function aesExpandKey(schedule: usize, key: usize, keyBytes: u32): void {
  if (keyBytes === AES_KEY_BYTES && !bitsliced) {
    tableExpandShortKey(schedule, key);
    return;
  }
  // As many rounds as the key has words, and 6 more.
  const beforeLast = (keyBytes << 2) + 80;
  store<u32>(schedule, beforeLast);
  let at = schedule;
  const end = schedule + beforeLast + 32;
  const expanded = schedule + keyBytes;
  let word: u32 = 0;
  for (; at < expanded; at += 4, key += 4) {
    word = load<u32>(key);
    store<u32>(at, word, ROUND_KEYS);
  }
  let constant: u32 = 1;
  let place: u32 = 0;
  for (; at < end; at += 4, place += 4) {
    if (place === keyBytes) place = 0;
    if (place === 0) {
      word = rotr<u32>(substitute(word), 8) ^ constant;
      constant = double(constant);
    } else if (place === 16 && keyBytes === 32) {
      word = substitute(word);
    }
    word ^= load<u32>(at - keyBytes, ROUND_KEYS);
    store<u32>(at, word, ROUND_KEYS);
  }
  if (bitsliced) slicedTransposeKeys(schedule);
}

/**
 * target = AES(left xor right). The sum of two blocks is what CMAC encrypts, so taking both saves a
 * walk through memory for each block.
 *
 * @param schedule from `aesExpandKey`
 * @param left a block
 * @param right a block
 * @param target a block, may be one of the inputs
 */
export function aesEncryptSum(schedule: usize, left: usize, right: usize, target: usize): void {
  if (bitsliced) slicedEncryptSum(schedule, left, right, target);
  else tableEncryptSum(schedule, left, right, target);
}

/** target = AES(source); `target` may be `source`. */
export function aesEncrypt(schedule: usize, source: usize, target: usize): void {
  aesEncryptSum(schedule, source, ZERO_BLOCK, target);
}

/** text = text xor AES(first) || AES(second), two blocks; only where `aesLikesPairs`. */
export function aesXorPair(schedule: usize, first: usize, second: usize, text: usize): void {
  if (bitsliced) slicedXorPair(schedule, first, second, text);
}
