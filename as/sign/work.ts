// The memory in which a signature is made or checked.
// What always holds: it is erased when a signature or a public key is done; a signature is made or checked, never both at
// once. A core that only checks them borrows it from the link (`datagramLend`), as all of them do for what else a check needs.
//
//   while a point is multiplied and encoded    while numbers modulo the group order are made
//     0  X, Y, Z, T of the sum so far            0  limbs of a number: 44 words
//   160  P, Q, R, intermediate values          176  challenge k                              34
//   280  product of two field elements         212  hash of the seed: scalar s, then prefix  64, and 2 of zeros
//        (80)                                  280  another hash                             64, and 2 of zeros
//
// Field elements are of 40 bytes (field.ts), scalars of 34 (scalar.ts).

import { wipe } from '../aead/constant-time';
import { LENT } from '../link/datagram';

const WORK_BYTES: u32 = 360;
const WORK: usize = TARIFF != 0 ? memory.data(360, 4) : UPDATE != 0 ? LENT : 0;

/** What lies behind it in the memory that the link lends: 676 bytes. */
export const BEHIND_WORK: usize = LENT + WORK_BYTES;

export const POINT_X: usize = WORK;
export const POINT_Y: usize = WORK + 40;
export const POINT_Z: usize = WORK + 80;
export const POINT_T: usize = WORK + 120;
export const VALUE_P: usize = WORK + 160;
export const VALUE_Q: usize = WORK + 200;
export const VALUE_R: usize = WORK + 240;
export const PRODUCT: usize = WORK + 280;

export const LIMBS: usize = WORK;
export const CHALLENGE: usize = WORK + 176;
export const SEED_HASH: usize = WORK + 212;
export const HASH: usize = WORK + 280;

/** Overwrites all of it with zeros. */
export function wipeWork(): void {
  wipe(WORK, WORK_BYTES);
}
