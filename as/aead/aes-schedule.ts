// What both ways to compute AES (FIPS 197) share: sizes of keys, and where an expanded key has what.
//
//   schedule     0  u32: where the round before the last has its key, counted from that of round 0
//                4  round keys        16 for each round, and 16 before the first

/** Size of a key where nothing else is said: the core's own have 128 bits, as those of key derivation and generator. */
export const AES_KEY_BYTES: u32 = 16;

/** Size of the largest key. */
export const AES_KEY_MAX_BYTES: u32 = 32;

/** Where the round keys begin. */
export const ROUND_KEYS: u32 = 4;

/** Size of an expanded key of 128 bits: 10 rounds (FIPS 197, table 3). */
export const AES_128_SCHEDULE_BYTES: u32 = ROUND_KEYS + 11 * 16;

/** Size of an expanded key of any size: 14 rounds at most. */
export const AES_SCHEDULE_BYTES: u32 = ROUND_KEYS + 15 * 16;

/** x·2 in GF(2^8) (FIPS 197 4.3). */
export function double(x: u32): u32 {
  return ((x << 1) ^ ((0 - (x >> 7)) & 0x11b)) & 0xff;
}
