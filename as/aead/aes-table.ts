// AES encryption (FIPS 197) with one table: the way of microcontrollers, chosen in aes.ts.
//
// What always holds:
// - The table is complete before any other code of the module runs, and stays until another way is chosen.
// - No branch depends on a key or on data. Addresses within the table do: on parts without a data
//   cache, where the table lies in RAM, the time does not; parts with caches need aes-bitsliced.ts.
//
// A state is four columns of four bytes, each held in one little-endian word, as FIPS 197 3.4
// numbers them. A round is, for each column, four look-ups and their sum with the round key: entry
// x of the table is the column that SubBytes and MixColumns make of the byte x in row 0, and rows
// 1 to 3 rotate it.
//
//   table entry x      byte 0      byte 1    byte 2    byte 3
//                      2·S(x)      S(x)      S(x)      3·S(x)
//
// The last round has no MixColumns and takes S(x) from byte 1. The round keys are words as FIPS 197 5.2 has them.
//
// A byte is taken out of a word by two shifts instead of a shift and a mask: gcc makes one bit-field
// instruction and a scaled load of it on ARM, a tenth less work for the whole cipher. The round is
// written out because neither asc at shrink level 2 nor gcc would inline a function for a column.

import { double, ROUND_KEYS } from './aes-schedule';

/** Where the table is. Other ways to compute AES do not need it and may use its memory. */
export const AES_TABLE: usize = memory.data(1024, 4);

/** Size of the table. */
export const AES_TABLE_BYTES: u32 = 1024;

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
  store<u32>(AES_TABLE + (x << 2), twice | (s << 8) | (s << 16) | ((s ^ twice) << 24));
}

fillTable();

// One column of ShiftRows and SubBytes.
function substituteColumn(a: u32, b: u32, c: u32, d: u32): u32 {
  return (
    load<u8>(AES_TABLE + (((a << 24) >> 24) << 2), 1) |
    (load<u8>(AES_TABLE + (((b << 16) >> 24) << 2), 1) << 8) |
    (load<u8>(AES_TABLE + (((c << 8) >> 24) << 2), 1) << 16) |
    (load<u8>(AES_TABLE + ((d >> 24) << 2), 1) << 24)
  );
}

/** SubWord of FIPS 197 5.2. */
export function tableSubstitute(word: u32): u32 {
  return substituteColumn(word, word, word, word);
}

/** Expands a key of 128 bits: each round key stays in registers until it has become the next, which halves the work. */
export function tableExpandShortKey(schedule: usize, key: usize): void {
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
    a ^= rotr<u32>(tableSubstitute(d), 8) ^ constant;
    b ^= a;
    c ^= b;
    d ^= c;
    constant = double(constant);
    schedule += 16;
  }
}

/** target = AES(left xor right), as `aesEncryptSum`. */
export function tableEncryptSum(schedule: usize, left: usize, right: usize, target: usize): void {
  let d = load<u32>(left, 12) ^ load<u32>(right, 12) ^ load<u32>(schedule, ROUND_KEYS + 12);
  let c = load<u32>(left, 8) ^ load<u32>(right, 8) ^ load<u32>(schedule, ROUND_KEYS + 8);
  let b = load<u32>(left, 4) ^ load<u32>(right, 4) ^ load<u32>(schedule, ROUND_KEYS + 4);
  let a = load<u32>(left) ^ load<u32>(right) ^ load<u32>(schedule, ROUND_KEYS);
  const last = schedule + load<u32>(schedule);
  do {
    schedule += 16;
    const w =
      load<u32>(AES_TABLE + (((d << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(AES_TABLE + (((a << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(AES_TABLE + (((b << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(AES_TABLE + ((c >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS + 12);
    const z =
      load<u32>(AES_TABLE + (((c << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(AES_TABLE + (((d << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(AES_TABLE + (((a << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(AES_TABLE + ((b >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS + 8);
    const y =
      load<u32>(AES_TABLE + (((b << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(AES_TABLE + (((c << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(AES_TABLE + (((d << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(AES_TABLE + ((a >> 24) << 2)), 24) ^
      load<u32>(schedule, ROUND_KEYS + 4);
    a =
      load<u32>(AES_TABLE + (((a << 24) >> 24) << 2)) ^
      rotl<u32>(load<u32>(AES_TABLE + (((b << 16) >> 24) << 2)), 8) ^
      rotl<u32>(load<u32>(AES_TABLE + (((c << 8) >> 24) << 2)), 16) ^
      rotl<u32>(load<u32>(AES_TABLE + ((d >> 24) << 2)), 24) ^
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
