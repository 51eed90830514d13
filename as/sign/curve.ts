// Two constants of edwards25519 (RFC 8032 5.1) as field elements: d, and a square root of -1.
// What always holds: they are code, not data, as in base-points.ts: 80 bytes of flash and none of RAM. A word holds two
// limbs of 13 bits (field.ts), the lower one in its lower half.

import { FIELD_BYTES } from './field';

/** d = -121665 / 121666 */
export const CURVE_D: u32 = 0;

/** 2^((p - 1) / 4) */
export const CURVE_ROOT: u32 = 10;

/** Writes one of them. */
export function curveTake(target: usize, which: u32): void {
  for (let at: u32 = 0; at < FIELD_BYTES; at += 4, which++) store<u32>(target + at, curveWord(which));
}

function curveWord(which: u32): u32 {
  switch (which) {
    case 0:
      return 0x1acb18a3;
    case 1:
      return 0x169b1284;
    case 2:
      return 0x0c55175e;
    case 3:
      return 0x09a80507;
    case 4:
      return 0x0003100a;
    case 5:
      return 0x0ef31a26;
    case 6:
      return 0x03a00797;
    case 7:
      return 0x1fce0e33;
    case 8:
      return 0x07710b6f;
    case 9:
      return 0x00a400db;
    case 10:
      return 0x107500b0;
    case 11:
      return 0x1c3609d2;
    case 12:
      return 0x123c0c4e;
    case 13:
      return 0x00d514bf;
    case 14:
      return 0x197a0318;
    case 15:
      return 0x1bf715e9;
    case 16:
      return 0x06800993;
    case 17:
      return 0x1be10cad;
    case 18:
      return 0x04020fc1;
    case 19:
      return 0x005700c9;
    default:
      return unreachable();
  }
}
