// Multiples of the base point of edwards25519 (RFC 8032 5.1), step by step, in constant time.
//
// What always holds: each step of a multiplication takes the same time whatever the scalar is; of the table every entry is
// read. What `verify.ts` adds up is not secret, and says in its time what it is.
//
// 1. The scalar's 256 bits are taken as two rows of 128, the comb's two teeth: bit i and bit 128 + i together choose one
//    of 0, B, 2^128·B, and their sum (base-points.ts).
// 2. From the last column to the first: the sum is doubled, and what the column chooses is added.
// 3. 1 / Z is Z^(p - 2). x = X / Z and y = Y / Z give the encoding (RFC 8032 5.1.2).
//
// The sum is (X, Y, Z, T) with x = X / Z, y = Y / Z, x·y = T / Z. Doubling and addition are those of RFC 8032 5.1.4,
// with its names for what they have in common:
//
//   E, F, G, H  →  X = E·F, Y = G·H, T = E·H, Z = F·G

import { copyBytes } from '../aead/block';
import { BASE_ELEMENT_WORDS, BASE_POINT_WORDS, baseWord } from './base-points';
import { FIELD_BYTES, fieldAdd, fieldEncode, fieldMultiply, fieldSubtract } from './field';
import { POINT_T, POINT_X, POINT_Y, POINT_Z, VALUE_P, VALUE_Q, VALUE_R, wipeWork } from './work';

const COLUMNS: u32 = 128;

/** Steps of a multiplication: a doubling and an addition for each column. */
export const POINT_STEPS: u32 = COLUMNS * 2;

/** Steps of an inversion, of which each takes so many bits of the exponent; the highest of its 255 is there already. */
export const INVERT_STEPS: u32 = 64;
const POWER_BITS: u32 = 4;

/** Begins with the neutral element: x = 0, y = 1. */
export function pointStart(): void {
  wipeWork();
  store<u16>(POINT_Y, 1);
  store<u16>(POINT_Z, 1);
}

/** One step of a multiplication by a scalar of 32 bytes, for each `step` from 0 to POINT_STEPS - 1. */
export function pointStep(scalar: usize, step: u32): void {
  if ((step & 1) == 0) {
    double();
  } else {
    const column = COLUMNS - 1 - (step >> 1);
    add(bitOf(scalar, column) | (bitOf(scalar, COLUMNS + column) << 1), 0);
  }
  finish();
}

/** Doubles the sum: one slice. */
export function pointDouble(): void {
  double();
  finish();
}

/** Adds B to the sum, or the point whose three elements, as in base-points.ts, lie at `point`: one slice. */
export function pointAdd(point: usize): void {
  add(1, point);
  finish();
}

// E, F, G, H are in P, Q, R, X.
function finish(): void {
  fieldMultiply(POINT_T, VALUE_P, POINT_X);
  fieldMultiply(POINT_Y, VALUE_R, POINT_X);
  fieldMultiply(POINT_X, VALUE_P, VALUE_Q);
  fieldMultiply(POINT_Z, VALUE_Q, VALUE_R);
}

/** A bit of a scalar. */
export function bitOf(scalar: usize, place: u32): u32 {
  return (load<u8>(scalar + (place >> 3)) >> (place & 7)) & 1;
}

// A = X², B = Y², C = 2·Z², H = A + B, E = H - (X + Y)², G = A - B, F = C + G.
function double(): void {
  fieldAdd(VALUE_P, POINT_X, POINT_Y);
  fieldMultiply(VALUE_P, VALUE_P, VALUE_P);
  fieldMultiply(VALUE_Q, POINT_X, POINT_X);
  fieldMultiply(VALUE_R, POINT_Y, POINT_Y);
  fieldMultiply(POINT_Z, POINT_Z, POINT_Z);
  fieldAdd(POINT_Z, POINT_Z, POINT_Z);
  fieldAdd(POINT_X, VALUE_Q, VALUE_R);
  fieldSubtract(VALUE_P, POINT_X, VALUE_P);
  fieldSubtract(VALUE_R, VALUE_Q, VALUE_R);
  fieldAdd(VALUE_Q, POINT_Z, VALUE_R);
}

// A = (Y - X)·(y - x), B = (Y + X)·(y + x), C = T·2·d·x·y, D = 2·Z, E = B - A, F = D - C, G = D + C, H = B + A.
function add(chosen: u32, point: usize): void {
  take(chosen, point, 2);
  fieldMultiply(VALUE_Q, POINT_T, VALUE_R);
  fieldSubtract(VALUE_P, POINT_Y, POINT_X);
  take(chosen, point, 0);
  fieldMultiply(VALUE_P, VALUE_P, VALUE_R);
  fieldAdd(POINT_X, POINT_Y, POINT_X);
  take(chosen, point, 1);
  fieldMultiply(VALUE_R, POINT_X, VALUE_R);
  fieldAdd(POINT_X, VALUE_R, VALUE_P);
  fieldSubtract(VALUE_P, VALUE_R, VALUE_P);
  fieldAdd(POINT_Z, POINT_Z, POINT_Z);
  fieldAdd(VALUE_R, POINT_Z, VALUE_Q);
  fieldSubtract(VALUE_Q, POINT_Z, VALUE_Q);
}

// An element of what is added, into R.
function take(chosen: u32, point: usize, element: u32): void {
  if (UPDATE != 0 && point != 0) copyBytes(VALUE_R, point + element * FIELD_BYTES, FIELD_BYTES);
  else choose(VALUE_R, chosen, element);
}

// An element of the table's point 1 to 3, or of the neutral one for 0, whose elements are 1, 1, 0.
function choose(target: usize, chosen: u32, element: u32): void {
  const first = maskOf(chosen ^ 1);
  const second = maskOf(chosen ^ 2);
  const both = maskOf(chosen ^ 3);
  let neutral = maskOf(chosen) & u32(element < 2);
  let word = element * BASE_ELEMENT_WORDS;
  for (let at: u32 = 0; at < FIELD_BYTES; at += 4, word++) {
    store<u32>(
      target + at,
      neutral |
        (first & baseWord(word)) |
        (second & baseWord(BASE_POINT_WORDS + word)) |
        (both & baseWord(2 * BASE_POINT_WORDS + word)),
    );
    neutral = 0;
  }
}

// All ones for 0, none for 1 to 3.
function maskOf(difference: u32): u32 {
  return 0 - ((difference - 1) >> 31);
}

/** To be called before the first step of an inversion. */
export function invertStart(): void {
  copyBytes(VALUE_P, POINT_Z, FIELD_BYTES);
}

/** One step, for each `step` from 0 to INVERT_STEPS - 1. The exponent 2^255 - 21 has zeros at bits 2 and 4 alone. */
export function invertStep(step: u32): void {
  powerStep(step, 253, 0x14);
}

/**
 * One step of P = Z^e, from P = Z on.
 *
 * @param highest the second highest bit of e; the steps are as many as it takes to get from there below 0, four bits each
 * @param zeros those of the lowest 32 bits of e that are 0; all others are 1
 */
export function powerStep(step: u32, highest: u32, zeros: u32): void {
  let place = highest - step * POWER_BITS;
  for (let i: u32 = 0; i < POWER_BITS; i++, place--) {
    if (<i32>place < 0) return;
    fieldMultiply(VALUE_P, VALUE_P, VALUE_P);
    if (place >= 32 || ((zeros >> place) & 1) == 0) fieldMultiply(VALUE_P, VALUE_P, POINT_Z);
  }
}

/** Writes the sum's encoding, 32 bytes, after an inversion. */
export function pointEncode(to: usize): void {
  fieldMultiply(POINT_X, POINT_X, VALUE_P);
  fieldMultiply(POINT_Y, POINT_Y, VALUE_P);
  fieldEncode(VALUE_Q, POINT_X);
  fieldEncode(to, POINT_Y);
  store<u8>(to, load<u8>(to, 31) | (load<u8>(VALUE_Q) << 7), 31);
}
