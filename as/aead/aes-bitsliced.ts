// AES encryption (FIPS 197) bitsliced, two blocks at once: the way of processors with a data cache, chosen in aes.ts.
//
// What always holds:
// - No branch and no address depends on a key or on data: there is no table.
// - Nothing of a key or a block stays in `WORDS` beyond a call from outside.
// - It takes no memory of its own: `WORDS` lies where the other way has its table.
//
// The state of two blocks is eight planes, the bits 0 of all 32 bytes to the bits 7, each byte's place being
//
//   plane        bits 0 to 7      8 to 15      16 to 23      24 to 31
//                row 0            row 1        row 2         row 3
//                each: column 0 of the first block, of the second, column 1 of the first, …
//
// So SubBytes is a circuit of gates over planes, ShiftRows turns the bytes of a plane, and MixColumns turns planes by
// 8 and 16 bits. Outside of the rounds a block is four words: its columns, or, transposed, pairs of its planes:
//
//   word k       bits of each byte 0, 2, 4, 6: plane 2·k      1, 3, 5, 7: plane 2·k + 1
//
// which are sorted into planes of two blocks with a mask and a shift. A single block is the first, beside zeros. The round
// keys but the first and the last are kept transposed.

import { ROUND_KEYS } from './aes-schedule';
import { AES_TABLE, AES_TABLE_BYTES } from './aes-table';
import { BLOCK_BYTES, clearBlock, copyBlock, xorBlock } from './block';
import { wipe } from './constant-time';

// Two blocks, as above; zeros when nothing is worked on.
const WORDS: usize = AES_TABLE;
const SECOND_WORDS: usize = WORDS + 16;

// The places of the first block in a plane, and of the second.
const FIRST: u32 = 0x5555_5555;
const SECOND: u32 = 0xaaaa_aaaa;

/** Takes the table's memory; the table is gone. */
export function slicedStart(): void {
  wipe(AES_TABLE, AES_TABLE_BYTES);
}

// Columns to pairs of planes, and back: bits 2·i and 2·i + 1 of the bytes of word j change places with bits 2·j and
// 2·j + 1 of those of word i.
function transpose(words: usize): void {
  let a = load<u32>(words);
  let b = load<u32>(words, 4);
  let c = load<u32>(words, 8);
  let d = load<u32>(words, 12);
  const ab = ((a >> 2) ^ b) & 0x3333_3333;
  a ^= ab << 2;
  b ^= ab;
  const cd = ((c >> 2) ^ d) & 0x3333_3333;
  c ^= cd << 2;
  d ^= cd;
  const ac = ((a >> 4) ^ c) & 0x0f0f_0f0f;
  const bd = ((b >> 4) ^ d) & 0x0f0f_0f0f;
  store<u32>(words, a ^ (ac << 4));
  store<u32>(words, b ^ (bd << 4), 4);
  store<u32>(words, c ^ ac, 8);
  store<u32>(words, d ^ bd, 12);
}

// SubBytes of the planes, and for each key from that behind `schedule` to that at `last` the rest of a round, the key's
// sum and SubBytes of the next.
function substituteRounds(schedule: usize, last: usize): void {
  const w0 = load<u32>(WORDS);
  const w1 = load<u32>(WORDS, 4);
  const w2 = load<u32>(WORDS, 8);
  const w3 = load<u32>(WORDS, 12);
  const v0 = load<u32>(SECOND_WORDS);
  const v1 = load<u32>(SECOND_WORDS, 4);
  const v2 = load<u32>(SECOND_WORDS, 8);
  const v3 = load<u32>(SECOND_WORDS, 12);
  // As the circuit numbers them: x0 is the plane of the highest bits.
  let x0 = ((w3 & SECOND) >> 1) | (v3 & SECOND);
  let x1 = (w3 & FIRST) | ((v3 & FIRST) << 1);
  let x2 = ((w2 & SECOND) >> 1) | (v2 & SECOND);
  let x3 = (w2 & FIRST) | ((v2 & FIRST) << 1);
  let x4 = ((w1 & SECOND) >> 1) | (v1 & SECOND);
  let x5 = (w1 & FIRST) | ((v1 & FIRST) << 1);
  let x6 = ((w0 & SECOND) >> 1) | (v0 & SECOND);
  let x7 = (w0 & FIRST) | ((v0 & FIRST) << 1);
  while (true) {
    // The S-box as a circuit: J. Boyar, R. Peralta, "A New Combinational Logic Minimization Technique with Applications to
    // Cryptology", SEA 2010 (IACR ePrint 2009/191), with the names of the 113 gates of its last form in their collection
    // "Circuit Minimization Work". First the linear part that leads into the tower field GF(((2^2)^2)^2),
    const y14 = x3 ^ x5;
    const y13 = x0 ^ x6;
    const y9 = x0 ^ x3;
    const y8 = x0 ^ x5;
    const t0 = x1 ^ x2;
    const y1 = t0 ^ x7;
    const y4 = y1 ^ x3;
    const y12 = y13 ^ y14;
    const y2 = y1 ^ x0;
    const y5 = y1 ^ x6;
    const y3 = y5 ^ y8;
    const t1 = x4 ^ y12;
    const y15 = t1 ^ x5;
    const y20 = t1 ^ x1;
    const y6 = y15 ^ x7;
    const y10 = y15 ^ t0;
    const y11 = y20 ^ y9;
    const y7 = x7 ^ y11;
    const y17 = y10 ^ y11;
    const y19 = y10 ^ y8;
    const y16 = t0 ^ y11;
    const y21 = y13 ^ y16;
    const y18 = x0 ^ y16;
    // then the inversion there,
    const t2 = y12 & y15;
    const t4 = (y3 & y6) ^ t2;
    const t6 = (y4 & x7) ^ t2;
    const t7 = y13 & y16;
    const t9 = (y5 & y1) ^ t7;
    const t11 = (y2 & y7) ^ t7;
    const t12 = y9 & y11;
    const t14 = (y14 & y17) ^ t12;
    const t16 = (y8 & y10) ^ t12;
    const t21 = t4 ^ y20 ^ t14;
    const t22 = t6 ^ t16 ^ y19;
    const t23 = t9 ^ t14 ^ y21;
    const t24 = t11 ^ t16 ^ y18;
    const t25 = t21 ^ t22;
    const t26 = t21 & t23;
    const t27 = t24 ^ t26;
    const t29 = (t25 & t27) ^ t22;
    const t30 = t23 ^ t24;
    const t31 = t22 ^ t26;
    const t33 = (t31 & t30) ^ t24;
    const t34 = t23 ^ t33;
    const t35 = t27 ^ t33;
    const t36 = t24 & t35;
    const t37 = t36 ^ t34;
    const t38 = t27 ^ t36;
    const t40 = t25 ^ (t29 & t38);
    const t41 = t40 ^ t37;
    const t42 = t29 ^ t33;
    const t43 = t29 ^ t40;
    const t44 = t33 ^ t37;
    const t45 = t42 ^ t41;
    const z0 = t44 & y15;
    const z1 = t37 & y6;
    const z2 = t33 & x7;
    const z3 = t43 & y16;
    const z4 = t40 & y1;
    const z5 = t29 & y7;
    const z6 = t42 & y11;
    const z7 = t45 & y17;
    const z8 = t41 & y10;
    const z9 = t44 & y12;
    const z10 = t37 & y3;
    const z11 = t33 & y4;
    const z12 = t43 & y13;
    const z13 = t40 & y5;
    const z14 = t29 & y2;
    const z15 = t42 & y9;
    const z16 = t45 & y14;
    const z17 = t41 & y8;
    // and the linear part that leads back, with the affine map of FIPS 197 5.1.1.
    const tc1 = z15 ^ z16;
    const tc2 = z10 ^ tc1;
    const tc3 = z9 ^ tc2;
    const tc4 = z0 ^ z2;
    const tc6 = z3 ^ z4;
    const tc8 = z7 ^ tc6;
    const tc10 = tc8 ^ z8 ^ z12 ^ tc4;
    const tc11 = tc6 ^ z1 ^ z0;
    const tc14 = tc4 ^ z3 ^ z5;
    const tc16 = z6 ^ tc8;
    const tc17 = z14 ^ tc10;
    const tc18 = z13 ^ tc1 ^ tc14;
    x3 = tc3 ^ tc11;
    x0 = tc3 ^ tc16;
    x1 = ~(x3 ^ tc16);
    x2 = ~(tc17 ^ z15 ^ tc16 ^ z17);
    x4 = tc14 ^ x3;
    x5 = tc2 ^ z11 ^ tc17;
    x6 = ~(tc10 ^ tc18);
    x7 = ~(z12 ^ tc18);
    if (schedule === last) break;
    schedule += 16;

    // ShiftRows: rows 2 and 3 by two columns, then rows 1 and 3 by one.
    const d0 = (x0 ^ (x0 >> 4)) & 0x0f0f_0000;
    const d1 = (x1 ^ (x1 >> 4)) & 0x0f0f_0000;
    const d2 = (x2 ^ (x2 >> 4)) & 0x0f0f_0000;
    const d3 = (x3 ^ (x3 >> 4)) & 0x0f0f_0000;
    const d4 = (x4 ^ (x4 >> 4)) & 0x0f0f_0000;
    const d5 = (x5 ^ (x5 >> 4)) & 0x0f0f_0000;
    const d6 = (x6 ^ (x6 >> 4)) & 0x0f0f_0000;
    const d7 = (x7 ^ (x7 >> 4)) & 0x0f0f_0000;
    x0 ^= d0 ^ (d0 << 4);
    x1 ^= d1 ^ (d1 << 4);
    x2 ^= d2 ^ (d2 << 4);
    x3 ^= d3 ^ (d3 << 4);
    x4 ^= d4 ^ (d4 << 4);
    x5 ^= d5 ^ (d5 << 4);
    x6 ^= d6 ^ (d6 << 4);
    x7 ^= d7 ^ (d7 << 4);
    x0 = (x0 & 0x00ff_00ff) | ((x0 >> 2) & 0x3f00_3f00) | ((x0 << 6) & 0xc000_c000);
    x1 = (x1 & 0x00ff_00ff) | ((x1 >> 2) & 0x3f00_3f00) | ((x1 << 6) & 0xc000_c000);
    x2 = (x2 & 0x00ff_00ff) | ((x2 >> 2) & 0x3f00_3f00) | ((x2 << 6) & 0xc000_c000);
    x3 = (x3 & 0x00ff_00ff) | ((x3 >> 2) & 0x3f00_3f00) | ((x3 << 6) & 0xc000_c000);
    x4 = (x4 & 0x00ff_00ff) | ((x4 >> 2) & 0x3f00_3f00) | ((x4 << 6) & 0xc000_c000);
    x5 = (x5 & 0x00ff_00ff) | ((x5 >> 2) & 0x3f00_3f00) | ((x5 << 6) & 0xc000_c000);
    x6 = (x6 & 0x00ff_00ff) | ((x6 >> 2) & 0x3f00_3f00) | ((x6 << 6) & 0xc000_c000);
    x7 = (x7 & 0x00ff_00ff) | ((x7 >> 2) & 0x3f00_3f00) | ((x7 << 6) & 0xc000_c000);

    // MixColumns (FIPS 197 5.1.3): a row is twice its sum with the next, and the other three.
    const r0 = rotr<u32>(x0, 8);
    const r1 = rotr<u32>(x1, 8);
    const r2 = rotr<u32>(x2, 8);
    const r3 = rotr<u32>(x3, 8);
    const r4 = rotr<u32>(x4, 8);
    const r5 = rotr<u32>(x5, 8);
    const r6 = rotr<u32>(x6, 8);
    const r7 = rotr<u32>(x7, 8);
    x0 ^= r0;
    x1 ^= r1;
    x2 ^= r2;
    x3 ^= r3;
    x4 ^= r4;
    x5 ^= r5;
    x6 ^= r6;
    x7 ^= r7;
    const k0 = load<u32>(schedule, ROUND_KEYS);
    const k1 = load<u32>(schedule, ROUND_KEYS + 4);
    const k2 = load<u32>(schedule, ROUND_KEYS + 8);
    const k3 = load<u32>(schedule, ROUND_KEYS + 12);
    const doubled0 = x1;
    const doubled1 = x2;
    const doubled2 = x3;
    const doubled3 = x4 ^ x0;
    const doubled4 = x5 ^ x0;
    const doubled5 = x6;
    const doubled6 = x7 ^ x0;
    const doubled7 = x0;
    x0 = doubled0 ^ r0 ^ rotr<u32>(x0, 16) ^ (k3 & SECOND) ^ ((k3 & SECOND) >> 1);
    x1 = doubled1 ^ r1 ^ rotr<u32>(x1, 16) ^ (k3 & FIRST) ^ ((k3 & FIRST) << 1);
    x2 = doubled2 ^ r2 ^ rotr<u32>(x2, 16) ^ (k2 & SECOND) ^ ((k2 & SECOND) >> 1);
    x3 = doubled3 ^ r3 ^ rotr<u32>(x3, 16) ^ (k2 & FIRST) ^ ((k2 & FIRST) << 1);
    x4 = doubled4 ^ r4 ^ rotr<u32>(x4, 16) ^ (k1 & SECOND) ^ ((k1 & SECOND) >> 1);
    x5 = doubled5 ^ r5 ^ rotr<u32>(x5, 16) ^ (k1 & FIRST) ^ ((k1 & FIRST) << 1);
    x6 = doubled6 ^ r6 ^ rotr<u32>(x6, 16) ^ (k0 & SECOND) ^ ((k0 & SECOND) >> 1);
    x7 = doubled7 ^ r7 ^ rotr<u32>(x7, 16) ^ (k0 & FIRST) ^ ((k0 & FIRST) << 1);
  }
  store<u32>(WORDS, (x7 & FIRST) | ((x6 & FIRST) << 1));
  store<u32>(WORDS, (x5 & FIRST) | ((x4 & FIRST) << 1), 4);
  store<u32>(WORDS, (x3 & FIRST) | ((x2 & FIRST) << 1), 8);
  store<u32>(WORDS, (x1 & FIRST) | ((x0 & FIRST) << 1), 12);
  store<u32>(SECOND_WORDS, ((x7 & SECOND) >> 1) | (x6 & SECOND));
  store<u32>(SECOND_WORDS, ((x5 & SECOND) >> 1) | (x4 & SECOND), 4);
  store<u32>(SECOND_WORDS, ((x3 & SECOND) >> 1) | (x2 & SECOND), 8);
  store<u32>(SECOND_WORDS, ((x1 & SECOND) >> 1) | (x0 & SECOND), 12);
}

// Puts in a block with the first key.
function putBlock(words: usize, schedule: usize, block: usize): void {
  store<u32>(words, load<u32>(block) ^ load<u32>(schedule, ROUND_KEYS));
  store<u32>(words, load<u32>(block, 4) ^ load<u32>(schedule, ROUND_KEYS + 4), 4);
  store<u32>(words, load<u32>(block, 8) ^ load<u32>(schedule, ROUND_KEYS + 8), 8);
  store<u32>(words, load<u32>(block, 12) ^ load<u32>(schedule, ROUND_KEYS + 12), 12);
}

// Ends the last round: ShiftRows, and the last key.
function endBlock(words: usize, last: usize): void {
  transpose(words);
  const a = load<u32>(words);
  const b = load<u32>(words, 4);
  const c = load<u32>(words, 8);
  const d = load<u32>(words, 12);
  store<u32>(words, rowsOf(a, b, c, d) ^ load<u32>(last, ROUND_KEYS + 16));
  store<u32>(words, rowsOf(b, c, d, a) ^ load<u32>(last, ROUND_KEYS + 20), 4);
  store<u32>(words, rowsOf(c, d, a, b) ^ load<u32>(last, ROUND_KEYS + 24), 8);
  store<u32>(words, rowsOf(d, a, b, c) ^ load<u32>(last, ROUND_KEYS + 28), 12);
}

function rowsOf(row0: u32, row1: u32, row2: u32, row3: u32): u32 {
  return (row0 & 0x0000_00ff) | (row1 & 0x0000_ff00) | (row2 & 0x00ff_0000) | (row3 & 0xff00_0000);
}

function clearWords(): void {
  clearBlock(WORDS);
  clearBlock(SECOND_WORDS);
}

/** SubWord of FIPS 197 5.2. */
export function slicedSubstitute(word: u32): u32 {
  store<u32>(WORDS, word);
  transpose(WORDS);
  substituteRounds(0, 0);
  transpose(WORDS);
  const substituted = load<u32>(WORDS);
  clearWords();
  return substituted;
}

/** Transposes the round keys but the first and the last. */
export function slicedTransposeKeys(schedule: usize): void {
  const last = schedule + load<u32>(schedule);
  while (schedule !== last) {
    schedule += 16;
    transpose(schedule + ROUND_KEYS);
  }
}

/** target = AES(left xor right), as `aesEncryptSum`. */
export function slicedEncryptSum(schedule: usize, left: usize, right: usize, target: usize): void {
  const last = schedule + load<u32>(schedule);
  putBlock(WORDS, schedule, left);
  xorBlock(WORDS, right);
  transpose(WORDS);
  substituteRounds(schedule, last);
  endBlock(WORDS, last);
  copyBlock(target, WORDS);
  clearWords();
}

/** text = text xor AES(first) || AES(second), as `aesXorPair`. */
export function slicedXorPair(schedule: usize, first: usize, second: usize, text: usize): void {
  const last = schedule + load<u32>(schedule);
  putBlock(WORDS, schedule, first);
  putBlock(SECOND_WORDS, schedule, second);
  transpose(WORDS);
  transpose(SECOND_WORDS);
  substituteRounds(schedule, last);
  endBlock(WORDS, last);
  endBlock(SECOND_WORDS, last);
  xorBlock(text, WORDS);
  xorBlock(text + BLOCK_BYTES, SECOND_WORDS);
  clearWords();
}
