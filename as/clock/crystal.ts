// What was learned of the local oscillator, as the state keeps it from one start to the next.
// What always holds: nothing is learned yet, and a record of zeros says so.

import { clear } from '../abi/bytes';

export const CRYSTAL_BYTES: u32 = 160;

/** Writes what was learned, `CRYSTAL_BYTES`. */
export function crystalSave(to: usize): void {
  clear(to, CRYSTAL_BYTES);
}

/** Reads what an earlier start learned. */
export function crystalLoad(_from: usize): void {}
