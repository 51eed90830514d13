// What may be done with secrets outside the ciphers: compare and erase.
//
// The time taken depends on the length alone.

import { clear } from '../abi/bytes';

/** Whether two strings of `length` bytes are equal. */
export function equalBytes(left: usize, right: usize, length: u32): bool {
  let difference: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    difference |= load<u8>(left + i) ^ load<u8>(right + i);
  }
  return difference === 0;
}

/** Overwrites `length` bytes with zeros. */
export function wipe(target: usize, length: u32): void {
  clear(target, length);
}
