// AES encryption (FIPS 197) with keys of 128, 192 and 256 bits and one table. Decryption does not exist here: CMAC, CTR
// and the modes on top of them only ever encrypt.
//
// What always holds:
// - The table is complete before any other code of the module runs.
// - No branch depends on a key or on data. Addresses within the table do: on parts without a data
//   cache, where the table lies in RAM, the time does not; parts with caches need another AES.
// - A schedule belongs to its caller and changes only in `aesExpandKey`.
//
// A state is four columns of four bytes, each held in one little-endian word, as FIPS 197 3.4
// numbers them. A round is, for each column, four look-ups and their sum with the round key: entry
// x of the table is the column that SubBytes and MixColumns make of the byte x in row 0, and rows
// 1 to 3 rotate it.
//
//   table entry x      byte 0      byte 1    byte 2    byte 3
//                      2·S(x)      S(x)      S(x)      3·S(x)
//
// The last round has no MixColumns and takes S(x) from byte 1.
//
//   schedule     0  u32: where the round before the last has its key, counted from that of round 0
//                4  round keys        16 for each round, and 16 before the first
//
// A byte is taken out of a word by two shifts instead of a shift and a mask: gcc makes one bit-field
// instruction and a scaled load of it on ARM, a tenth less work for the whole cipher. The round is
// written out because neither asc at shrink level 2 nor gcc would inline a function for a column.

/** Size of a key where nothing else is said: the core's own have 128 bits, as those of key derivation and generator. */
export const AES_KEY_BYTES: u32 = 16;

/** Size of the largest key. */
export const AES_KEY_MAX_BYTES: u32 = 32;

const ROUND_KEYS: u32 = 4;

/** Size of an expanded key of 128 bits: 10 rounds (FIPS 197, table 3). */
export const AES_128_SCHEDULE_BYTES: u32 = ROUND_KEYS + 11 * 16;

/** Size of an expanded key of any size: 14 rounds at most. */
export const AES_SCHEDULE_BYTES: u32 = ROUND_KEYS + 15 * 16;

const TABLE: usize = memory.data(1024, 4);
const ZERO_BLOCK: usize = memory.data(16, 4);

/** x·2 in GF(2^8) (FIPS 197 4.3). */
function double(x: u32): u32 {
  return ((x << 1) ^ ((0 - (x >> 7)) & 0x11b)) & 0xff;
}

// Walks through all non-zero bytes as powers of 3, with the inverse beside, so that the S-box
// (FIPS 197 5.1.1: the inverse, then an affine map) needs neither a table nor a division.
function fillTable(): void {
  let power: u32 = 1;
  let inverse: u32 = 1;
  fillEntry(0, 0);
  do {
    fillEntry(power, inverse);
    power ^= double(power);
    // inverse / 3 = inverse · 0xf6
    inverse ^= inverse << 1;
    inverse ^= inverse << 2;
    inverse ^= inverse << 4;
    inverse = (inverse ^ ((0 - ((inverse >> 7) & 1)) & 0x09)) & 0xff;
  } while (power !== 1);
}

function fillEntry(x: u32, inverse: u32): void {
  const repeated = inverse * 0x0101;
  const s = (inverse ^ (repeated >> 4) ^ (repeated >> 5) ^ (repeated >> 6) ^ (repeated >> 7) ^ 0x63) & 0xff;
  const twice = double(s);
  store<u32>(TABLE + (x << 2), twice | (s << 8) | (s << 16) | ((s ^ twice) << 24));
}

fillTable();

// One column of ShiftRows and SubBytes.
function substituteColumn(a: u32, b: u32, c: u32, d: u32): u32 {
  return (
    load<u8>(TABLE + (((a << 24) >> 24) << 2), 1) |
    (load<u8>(TABLE + (((b << 16) >> 24) << 2), 1) << 8) |
    (load<u8>(TABLE + (((c << 8) >> 24) << 2), 1) << 16) |
    (load<u8>(TABLE + ((d >> 24) << 2), 1) << 24)
  );
}

// A key of 128 bits: each round key stays in registers until it has become the next, which halves the work.
function expandShortKey(schedule: usize, key: usize): void {
  let d = load<u32>(key, 12);
  let c = load<u32>(key, 8);
  let b = load<u32>(key, 4);
  let a = load<u32>(key);
  let constant: u32 = 1;
  const last = schedule + 160;
  store<u32>(schedule, 144);
  while (true) {
    store<u32>(schedule, d, ROUND_KEYS + 12);
    store<u32>(schedule, c, ROUND_KEYS + 8);
    store<u32>(schedule, b, ROUND_KEYS + 4);
    store<u32>(schedule, a, ROUND_KEYS);
    if (schedule === last) break;
    a ^= rotr<u32>(substituteColumn(d, d, d, d), 8) ^ constant;
    b ^= a;
    c ^= b;
    d ^= c;
    constant = double(constant);
    schedule += 16;
  }
}

/**
 * Expands a key (FIPS 197 5.2).
 *
 * @param schedule AES_128_SCHEDULE_BYTES for a key of 16 bytes, else AES_SCHEDULE_BYTES, written
 * @param keyBytes 16, 24 or 32
 */
export function aesExpandKey(schedule: usize, key: usize, keyBytes: u32): void {
  if (keyBytes === AES_KEY_BYTES) {
    expandShortKey(schedule, key);
    return;
  }
  // As many rounds as the key has words, and 6 more.
  const beforeLast = (keyBytes << 2) + 80;
  store<u32>(schedule, beforeLast);
  const end = schedule + beforeLast + 32;
  const expanded = schedule + keyBytes;
  let word: u32 = 0;
  for (; schedule < expanded; schedule += 4, key += 4) {
    word = load<u32>(key);
    store<u32>(schedule, word, ROUND_KEYS);
  }
  let constant: u32 = 1;
  let place: u32 = 0;
  for (; schedule < end; schedule += 4, place += 4) {
    if (place === keyBytes) place = 0;
    if (place === 0) {
      word = rotr<u32>(substituteColumn(word, word, word, word), 8) ^ constant;
      constant = double(constant);
    } else if (place === 16 && keyBytes === 32) {
      word = substituteColumn(word, word, word, word);
    }
    word ^= load<u32>(schedule - keyBytes, ROUND_KEYS);
    store<u32>(schedule, word, ROUND_KEYS);
  }
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
  let d = load<u32>(left, 12) ^ load<u32>(right, 12) ^ load<u32>(schedule, ROUND_KEYS + 12);
  let c = load<u32>(left, 8) ^ load<u32>(right, 8) ^ load<u32>(schedule, ROUND_KEYS + 8);
  let b = load<u32>(left, 4) ^ load<u32>(right, 4) ^ load<u32>(schedule, ROUND_KEYS + 4);
  let a = load<u32>(left) ^ load<u32>(right) ^ load<u32>(schedule, ROUND_KEYS);
  const last = schedule + load<u32>(schedule);
  do {
    schedule += 16;
    const w =
      load<u32>(TABLE + (((d << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(TABLE + (((a << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(TABLE + (((b << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(TABLE + ((c >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS + 12);
    const z =
      load<u32>(TABLE + (((c << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(TABLE + (((d << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(TABLE + (((a << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(TABLE + ((b >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS + 8);
    const y =
      load<u32>(TABLE + (((b << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(TABLE + (((c << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(TABLE + (((d << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(TABLE + ((a >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS + 4);
    a =
      load<u32>(TABLE + (((a << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(TABLE + (((b << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(TABLE + (((c << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(TABLE + ((d >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS);
    b = y;
    c = z;
    d = w;
  } while (schedule !== last);
  store<u32>(target, substituteColumn(d, a, b, c) ^ load<u32>(schedule, ROUND_KEYS + 28), 12);
  store<u32>(target, substituteColumn(c, d, a, b) ^ load<u32>(schedule, ROUND_KEYS + 24), 8);
  store<u32>(target, substituteColumn(b, c, d, a) ^ load<u32>(schedule, ROUND_KEYS + 20), 4);
  store<u32>(target, substituteColumn(a, b, c, d) ^ load<u32>(schedule, ROUND_KEYS + 16));
}

/** target = AES(source); `target` may be `source`. */
export function aesEncrypt(schedule: usize, source: usize, target: usize): void {
  aesEncryptSum(schedule, source, ZERO_BLOCK, target);
}
