// One static area for key material that lives no longer than a single call of `deriveKey` or of a
// function of the DRBG. These never call each other, and each wipes the area before it returns.
//
//     0  an expanded key of 128 bits: a CMAC context, or a schedule alone
//   196  a block made with it

import { BLOCK_BYTES } from './block';
import { CMAC_128_CONTEXT_BYTES } from './cmac';
import { wipe } from './constant-time';

export const KEY_SCRATCH: usize = memory.data(212, 4);

export const KEY_SCRATCH_BLOCK: usize = KEY_SCRATCH + CMAC_128_CONTEXT_BYTES;

/** Erases the area; to be the last step of each function that uses it. */
export function wipeKeyScratch(): void {
  wipe(KEY_SCRATCH, CMAC_128_CONTEXT_BYTES + BLOCK_BYTES);
}
