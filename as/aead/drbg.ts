// Random bytes: CTR_DRBG with AES-128, without a derivation function, without prediction resistance
// (NIST SP 800-90A r1, 10.2.1). A seed must have full entropy; the core has one generator.
//
//   update(data)   temp = AES(Key, V + 1) || AES(Key, V + 2); Key || V = temp xor data
//   instantiate    Key = V = 0; update(entropy xor personalization)
//   reseed         update(entropy)
//   generate       output = AES(Key, V + 1) || AES(Key, V + 2) || …; update(0)
//
// What always holds:
// - Each output ends with an update, so that the state tells nothing about what was output before.
// - Nothing is output before `drbgInstantiate`, nor after DRBG_RESEED_INTERVAL requests without a seed.
//
//   state    0  Key              16
//           16  V                16
//           32  reseed counter   u32: 1 after a seed, 0 before the first

import { AES_KEY_BYTES, aesEncrypt, aesExpandKey } from './aes';
import { BLOCK_BYTES, copyBytes, incrementBlock, xorBytes } from './block';
import { wipe } from './constant-time';
import { KEY_SCRATCH, KEY_SCRATCH_BLOCK, wipeKeyScratch } from './scratch';

/** Size of a seed, and the most that a personalization can have (table 3: seedlen). */
export const DRBG_SEED_BYTES: u32 = AES_KEY_BYTES + BLOCK_BYTES;

/** Requests that one seed serves; table 3 allows 2^48. */
export const DRBG_RESEED_INTERVAL: u32 = 0x8000_0000;

/** The most bytes of one request (table 3: 2^19 bits). */
export const DRBG_REQUEST_BYTES: u32 = 0x1_0000;

/** Why a request was refused; the output is then untouched. */
export const DRBG_OK: u32 = 0;
export const DRBG_SEED_NEEDED: u32 = 1;
export const DRBG_REQUEST_TOO_LONG: u32 = 2;

/** The generator's state, for tests. */
export const DRBG_STATE: usize = memory.data(36, 4);

const VALUE: usize = DRBG_STATE + AES_KEY_BYTES;
const COUNTER: usize = VALUE + BLOCK_BYTES;

// update(0); the schedule of Key is in KEY_SCRATCH.
function replaceState(): void {
  incrementBlock(VALUE);
  aesEncrypt(KEY_SCRATCH, VALUE, DRBG_STATE);
  incrementBlock(VALUE);
  aesEncrypt(KEY_SCRATCH, VALUE, VALUE);
}

/**
 * Starts the generator.
 *
 * @param entropy DRBG_SEED_BYTES, never used before
 * @param personalization tells generators with the same seed apart
 * @param personalizationLength at most DRBG_SEED_BYTES, 0 for none
 */
export function drbgInstantiate(entropy: usize, personalization: usize, personalizationLength: u32): void {
  wipe(DRBG_STATE, DRBG_SEED_BYTES);
  drbgReseed(entropy);
  xorBytes(DRBG_STATE, personalization, min<u32>(personalizationLength, DRBG_SEED_BYTES));
}

/**
 * Adds fresh entropy.
 *
 * @param entropy DRBG_SEED_BYTES
 */
export function drbgReseed(entropy: usize): void {
  aesExpandKey(KEY_SCRATCH, DRBG_STATE, AES_KEY_BYTES);
  replaceState();
  xorBytes(DRBG_STATE, entropy, DRBG_SEED_BYTES);
  store<u32>(COUNTER, 1);
  wipeKeyScratch();
}

/**
 * Outputs random bytes.
 *
 * @param output `length` bytes, written
 * @returns DRBG_OK, or why nothing was written
 */
export function drbgGenerate(output: usize, length: u32): u32 {
  const counter = load<u32>(COUNTER);
  if (counter === 0 || counter > DRBG_RESEED_INTERVAL) return DRBG_SEED_NEEDED;
  if (length > DRBG_REQUEST_BYTES) return DRBG_REQUEST_TOO_LONG;
  aesExpandKey(KEY_SCRATCH, DRBG_STATE, AES_KEY_BYTES);
  while (length !== 0) {
    const taken = min<u32>(length, BLOCK_BYTES);
    incrementBlock(VALUE);
    aesEncrypt(KEY_SCRATCH, VALUE, KEY_SCRATCH_BLOCK);
    copyBytes(output, KEY_SCRATCH_BLOCK, taken);
    output += taken;
    length -= taken;
  }
  replaceState();
  store<u32>(COUNTER, counter + 1);
  wipeKeyScratch();
  return DRBG_OK;
}
