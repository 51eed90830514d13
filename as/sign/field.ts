// Numbers modulo p = 2^255 - 19 (RFC 8032 5.1): sums, differences and products in constant time, also on a Cortex-M3,
// where only multiplications of 32 bits with a result of 32 bits take the same time for all operands.
//
// What always holds:
// - No branch and no address depends on a number.
// - A number is 20 limbs of 13 bits, least significant first, each in 16 bits of memory: 40 bytes. It is less than
//   2^255 + 2^26, and its limbs are at most 2^13 - 1, but limb 1 may be 2^13, and limb 19 is at most 2^8 - 1. All
//   functions here take such numbers, and give such numbers; a target may be one of the inputs.
//
// The bounds, for words of 32 bits without sign (test/core/sign-field.test.ts tries the largest limbs):
// - A column of a product has at most 20 terms of at most 2^26, and a carry less than 2^19: less than 2^31.
// - The product has 40 limbs of 13 bits; the last one is at most 8, as limbs 19 are small.
// - 2^260 is 608 modulo p, so limb i + 20 counts 608 times in limb i: with a carry at most 609 · 2^13 < 2^23.
// - In a difference, limbs of 2·p are added, each larger than what is taken off: nothing becomes negative.
// - What is above bit 255 comes back 19 times at the bottom (2^255 is 19): at most 60 · 19, of which limb 1 gets at most
//   a 1. It goes no further.

import { PRODUCT } from './work';

/** Size of a number. */
export const FIELD_BYTES: u32 = 40;

const LIMB_BITS: u32 = 13;
const LIMB_MASK: u32 = 0x1fff;

/** Where the last limb is, and its bits below bit 255. */
const LAST_AT: u32 = 38;
const LAST_BITS: u32 = 8;
const LAST_MASK: u32 = 0xff;

/** target = x + factor · y + multiple · p */
function combine(target: usize, x: usize, y: usize, factor: u32, multiple: u32): void {
  // p has limbs of all ones, but the lowest is 18 less, and the last has 8 bits.
  let carry: u32 = 0 - 18 * multiple;
  const added = LIMB_MASK * multiple;
  for (let at: u32 = 0; at < LAST_AT; at += 2) {
    const sum = load<u16>(x + at) + factor * load<u16>(y + at) + added + carry;
    store<u16>(target + at, sum & LIMB_MASK);
    carry = sum >> LIMB_BITS;
  }
  const last = load<u16>(x, 38) + factor * load<u16>(y, 38) + LAST_MASK * multiple + carry;
  store<u16>(target, last & LAST_MASK, 38);
  const first = load<u16>(target) + 19 * (last >> LAST_BITS);
  store<u16>(target, first & LIMB_MASK);
  store<u16>(target, load<u16>(target, 2) + (first >> LIMB_BITS), 2);
}

/** target = x + y */
export function fieldAdd(target: usize, x: usize, y: usize): void {
  combine(target, x, y, 1, 0);
}

/** target = x - y */
export function fieldSubtract(target: usize, x: usize, y: usize): void {
  combine(target, x, y, 0xffff_ffff, 2);
}

/** target = x · y */
export function fieldMultiply(target: usize, x: usize, y: usize): void {
  let sum: u32 = 0;
  // All pairs of limbs whose places add up to that of the column.
  for (let column: u32 = 0; column <= LAST_AT << 1; column += 2) {
    let left = x;
    let right = y + column;
    let end = right;
    if (column > LAST_AT) {
      left += column - LAST_AT;
      right = y + LAST_AT;
      end = x + LAST_AT;
    } else {
      end = x + column;
    }
    for (; left <= end; left += 2, right -= 2) sum += load<u16>(left) * load<u16>(right);
    store<u16>(PRODUCT + column, sum & LIMB_MASK);
    sum >>= LIMB_BITS;
  }
  store<u16>(PRODUCT, sum, 78);
  combine(target, PRODUCT, PRODUCT + FIELD_BYTES, 608, 0);
}

/** Writes 32 bytes: x from 0 to p - 1, least significant byte first (RFC 8032 5.1.2). */
export function fieldEncode(to: usize, x: usize): void {
  // x is less than 2·p; with 19 more it reaches 2^255 where it is not less than p.
  let held: u32 = 19;
  for (let at: u32 = 0; at < LAST_AT; at += 2) held = (load<u16>(x + at) + held) >> LIMB_BITS;
  held = 19 * ((load<u16>(x, 38) + held) >> LAST_BITS);
  let bits: u32 = 0;
  const end = to + 32;
  for (let limb = x; to < end; limb += 2) {
    held += load<u16>(limb) << bits;
    for (bits += LIMB_BITS; bits >= 8; bits -= 8) {
      store<u8>(to++, held);
      held >>= 8;
    }
  }
  store<u8>(end - 1, load<u8>(end - 1) & 0x7f);
}

/** Reads 32 bytes as `fieldEncode` writes them, without the highest bit; false where that is not less than p. */
export function fieldDecode(target: usize, from: usize): bool {
  let held: u32 = 0;
  let bits: u32 = 0;
  let limb = target;
  // Whether all of it above the lowest byte is that of p or more.
  let most = true;
  for (let i: u32 = 0; i < 32; i++) {
    const byte: u32 = i == 31 ? load<u8>(from + i) & 0x7f : load<u8>(from + i);
    if (i != 0 && byte != (i == 31 ? 0x7f : 0xff)) most = false;
    held |= byte << bits;
    bits += 8;
    if (bits >= LIMB_BITS) {
      store<u16>(limb, held & LIMB_MASK);
      limb += 2;
      held >>= LIMB_BITS;
      bits -= LIMB_BITS;
    }
  }
  store<u16>(limb, held);
  return !most || load<u8>(from) < 0xed;
}
