// Key derivation (NIST SP 800-108r1, 4.1: counter mode) with AES-CMAC as the pseudorandom function.
//
//   K(i) = CMAC(root, [i] || Label || 0x00 || Context || [L])      i = 1, 2, …
//
// [i] is the counter and [L] the length of the output in bits, both in 32 bits, big-endian. Keys of
// different label, context or length are independent of each other.

import { AES_KEY_BYTES } from './aes';
import { copyBytes } from './block';
import { CMAC_BYTES, cmacFinish, cmacSetKey, cmacStart, cmacUpdate } from './cmac';
import { KEY_SCRATCH, KEY_SCRATCH_BLOCK, wipeKeyScratch } from './scratch';

// A 32-bit number in big-endian, and the byte 0 between label and context.
const NUMBER: usize = memory.data(4, 4);
const SEPARATOR: usize = memory.data(1, 4);

function updateNumber(value: u32): void {
  store<u32>(NUMBER, bswap<u32>(value));
  cmacUpdate(KEY_SCRATCH, NUMBER, 4);
}

/**
 * Derives a key.
 *
 * @param root AES_KEY_BYTES
 * @param label what the key is for, without a byte 0
 * @param context whose key it is
 * @param output written; apart from the inputs
 * @param outputLength bytes, below 2^29
 */
export function deriveKey(
  root: usize,
  label: usize,
  labelLength: u32,
  context: usize,
  contextLength: u32,
  output: usize,
  outputLength: u32,
): void {
  const bits = outputLength << 3;
  cmacSetKey(KEY_SCRATCH, root, AES_KEY_BYTES);
  for (let i: u32 = 1; outputLength !== 0; i++) {
    cmacStart();
    updateNumber(i);
    cmacUpdate(KEY_SCRATCH, label, labelLength);
    cmacUpdate(KEY_SCRATCH, SEPARATOR, 1);
    cmacUpdate(KEY_SCRATCH, context, contextLength);
    updateNumber(bits);
    cmacFinish(KEY_SCRATCH, KEY_SCRATCH_BLOCK);
    const taken = min<u32>(outputLength, CMAC_BYTES);
    copyBytes(output, KEY_SCRATCH_BLOCK, taken);
    output += taken;
    outputLength -= taken;
  }
  wipeKeyScratch();
}
