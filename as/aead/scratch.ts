// The memory that ciphers, hashes and the making of keys use one after the other.
// What always holds:
// - Nothing in it lasts beyond the event: whoever puts something there has used and wiped it, or given it up, when it
//   returns to its caller's caller.
// - While a key is set, from `aeadSetKey`, `sivSetKey` or `cmacSetKey` at `CONTEXT` to `aeadWipe`, no key is derived, no
//   random byte is drawn and nothing is hashed.
// - `deriveKey` and the functions of the DRBG never call each other, and each wipes `KEY_SCRATCH` before it returns.
//
//   while a key is set                            while none is
//     0  its context, as long as that key's         0  SHA-512: state and block         192
//        is: of a CMAC of 128 bits 196, of SIV    240  `KEY_SCRATCH`: a key of 128 bits, expanded: 196
//        with two such keys 456, at most 520      436  a block made with it             16
//   200  of CMAC and SHA-512: what came out, 64   456  a key derived for a context that is made next: 32
//                                                 200  of SHA-512: what came out, gone with the next key that is derived

import { BLOCK_BYTES } from './block';
import { CMAC_128_CONTEXT_BYTES } from './cmac';
import { wipe } from './constant-time';

const SCRATCH: usize = memory.data(520, 8);

/** The context of the key in use. */
export const CONTEXT: usize = SCRATCH;

/** State and block of SHA-512. */
export const HASH_STATE: usize = SCRATCH;

/** A tag or a hash of up to 64 bytes, to be copied from here at once. */
export const DIGEST: usize = SCRATCH + 200;

/** A key of up to 32 bytes on its way into a context of at most 456 bytes; wiped by `aeadWipe` too. */
export const DERIVED_KEY: usize = SCRATCH + 456;

/** Key material that lives no longer than a single call of `deriveKey` or of a function of the DRBG. */
export const KEY_SCRATCH: usize = SCRATCH + 240;

export const KEY_SCRATCH_BLOCK: usize = KEY_SCRATCH + CMAC_128_CONTEXT_BYTES;

/** Erases `KEY_SCRATCH`; to be the last step of each function that uses it. */
export function wipeKeyScratch(): void {
  wipe(KEY_SCRATCH, CMAC_128_CONTEXT_BYTES + BLOCK_BYTES);
}
