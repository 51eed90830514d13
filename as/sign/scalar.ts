// Numbers modulo the order of the base point, L = 2^252 + c (RFC 8032 5.1), in constant time, also on a Cortex-M3.
//
// What always holds:
// - No branch and no address depends on a number; multiplications have operands of at most 14 bits, and results of 32.
// - A scalar is 33 bytes, least significant first, of which the last is zero, and a byte that is written with it.
//
// Limbs have 12 bits, so that the 21 lower ones are what is below 2^252. As 2^252 is -c modulo L, a limb h above them is
// taken off, and h·c from those 21 places below it. c has 11 limbs.
//
// The bounds, for words of 32 bits with a sign:
// - A column of a product has at most 22 terms of less than 2^24, and less than 2^17 beside: less than 2^29.
// - Each step leaves the limbs that it changes between 0 and 4095, but the one behind, which gets a carry from -22 to 1,
//   as the last limb of c is 20. A limb gets one such carry, after all steps that change it and before its own: h is
//   between -22 and 4096, and h·c_j between -2^17 and 2^24.
// - After all limbs from 43 down to 21 the number lies between -2^245 and 2^252 + 2^245: what stands above 2^252 is -1, 0
//   or 1. Once that is taken off, the number lies between -c and L - 1.
// - Where it is negative then, L is added.

import { CHALLENGE, HASH, LIMBS, SEED_HASH } from './work';

/** Size of a scalar with the zeros behind it. */
export const SCALAR_BYTES: u32 = 34;

const LIMB_BITS: i32 = 12;
const LIMB_MASK: i32 = 0xfff;

/** Limbs below 2^252, of a scalar, and of a hash with the carry behind. */
const LOW_LIMBS: u32 = 21;
const SCALAR_LIMBS: u32 = 22;
const ALL_LIMBS: u32 = 44;
const ORDER_LIMBS: u32 = 11;

// A limb of c.
function orderLimb(which: u32): i32 {
  switch (which) {
    case 0:
      return 0x3ed;
    case 1:
      return 0xf5d;
    case 2:
      return 0xa5c;
    case 3:
      return 0x631;
    case 4:
      return 0x812;
    case 5:
      return 0xd65;
    case 6:
      return 0x79c;
    case 7:
      return 0xa2f;
    case 8:
      return 0x9de;
    case 9:
      return 0xdef;
    case 10:
      return 0x14;
    default:
      return unreachable();
  }
}

// A limb of bytes behind which there is one more.
function limbOf(bytes: usize, which: u32): i32 {
  return (load<u16>(bytes + ((which * 3) >> 1)) >> ((which & 1) << 2)) & LIMB_MASK;
}

/** scalar = HASH modulo L */
export function scalarFromHash(scalar: usize): void {
  for (let i: u32 = 0; i < ALL_LIMBS - 1; i++) store<i32>(LIMBS + (i << 2), limbOf(HASH, i));
  store<i32>(LIMBS + ((ALL_LIMBS - 1) << 2), 0);
  reduce(scalar);
}

/** scalar = CHALLENGE · s + r modulo L, where s are the first 32 bytes of SEED_HASH, with a zero behind. */
export function scalarAnswer(scalar: usize, r: usize): void {
  let sum: i32 = 0;
  for (let column: u32 = 0; column < ALL_LIMBS; column++) {
    if (column < SCALAR_LIMBS) sum += limbOf(r, column);
    const first: u32 = column < SCALAR_LIMBS ? 0 : column - (SCALAR_LIMBS - 1);
    for (let i = first; i <= column - first; i++) sum += limbOf(CHALLENGE, i) * limbOf(SEED_HASH, column - i);
    store<i32>(LIMBS + (column << 2), sum & LIMB_MASK);
    sum >>= LIMB_BITS;
  }
  reduce(scalar);
}

// Takes h off limb `place`, and h·c off the number 21 places below.
function takeOff(place: u32, h: i32): void {
  let limb = LIMBS + ((place - LOW_LIMBS) << 2);
  let carry: i32 = 0;
  for (let i: u32 = 0; i < ORDER_LIMBS; i++, limb += 4) {
    const sum = load<i32>(limb) - h * orderLimb(i) + carry;
    store<i32>(limb, sum & LIMB_MASK);
    carry = sum >> LIMB_BITS;
  }
  store<i32>(limb, load<i32>(limb) + carry);
  limb = LIMBS + (place << 2);
  store<i32>(limb, load<i32>(limb) - h);
}

// Brings the limbs below 2^252 between 0 and 4095; the carry goes into the next one.
function settle(): void {
  let carry: i32 = 0;
  const last = LIMBS + (LOW_LIMBS << 2);
  for (let limb = LIMBS; limb < last; limb += 4) {
    const sum = load<i32>(limb) + carry;
    store<i32>(limb, sum & LIMB_MASK);
    carry = sum >> LIMB_BITS;
  }
  store<i32>(last, load<i32>(last) + carry);
}

// scalar = LIMBS modulo L
function reduce(scalar: usize): void {
  for (let place = ALL_LIMBS - 1; place >= LOW_LIMBS; place--) takeOff(place, load<i32>(LIMBS + (place << 2)));
  settle();
  takeOff(LOW_LIMBS, load<i32>(LIMBS + (LOW_LIMBS << 2)));
  settle();
  takeOff(LOW_LIMBS, load<i32>(LIMBS + (LOW_LIMBS << 2)) >> 31);
  settle();
  for (let i: u32 = 0; i < SCALAR_LIMBS; i += 2, scalar += 3) {
    const limb = LIMBS + (i << 2);
    store<u32>(scalar, load<u32>(limb) | (load<u32>(limb, 4) << LIMB_BITS));
  }
}
