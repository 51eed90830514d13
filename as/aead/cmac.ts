// AES-CMAC (RFC 4493, NIST SP 800-38B), a message in any number of pieces.
//
//   1. L = AES(K, 0); K1 = dbl(L); K2 = dbl(K1)
//   2. X = 0; for each block but the last: X = AES(K, X xor block)
//   3. a full last block is masked with K1; a shorter one (also that of an empty message) is padded
//      with 0x80 00 … and masked with K2
//   4. tag = AES(K, X xor masked last block)
//
// What always holds:
// - One message at a time: `cmacStart`, any number of `cmacUpdate`, `cmacFinish`, all with the
//   same context; a `cmacStart` abandons what came before.
// - The last block seen waits in the state until more comes or the message ends, since only the end
//   tells which mask it gets.
//
//   context       0  K1                16 (K2 is made from it when it is needed)
//                16  schedule          AES_128_SCHEDULE_BYTES or AES_SCHEDULE_BYTES

import { AES_128_SCHEDULE_BYTES, AES_SCHEDULE_BYTES, aesEncrypt, aesEncryptSum, aesExpandKey } from './aes';
import { BLOCK_BYTES, clearBlock, copyBlock, doubleBlock, xorBlock } from './block';

const SCHEDULE: u32 = BLOCK_BYTES;

/** Size of the context of a key of 128 bits, and of a key of any size; it may lie at any address. */
export const CMAC_128_CONTEXT_BYTES: u32 = SCHEDULE + AES_128_SCHEDULE_BYTES;
export const CMAC_CONTEXT_BYTES: u32 = SCHEDULE + AES_SCHEDULE_BYTES;

/** Size of a tag. */
export const CMAC_BYTES: u32 = BLOCK_BYTES;

// X, with the bytes of the block that waits already added to it, and how many these are: 0 only at
// the start of a message, then 1 to 16.
const STATE: usize = memory.data(16, 4);
let waiting: u32 = 0;

/**
 * Prepares a key.
 *
 * @param context CMAC_128_CONTEXT_BYTES for a key of 16 bytes, else CMAC_CONTEXT_BYTES, written
 * @param keyBytes 16, 24 or 32
 */
export function cmacSetKey(context: usize, key: usize, keyBytes: u32): void {
  aesExpandKey(context + SCHEDULE, key, keyBytes);
  clearBlock(context);
  aesEncrypt(context + SCHEDULE, context, context);
  doubleBlock(context, context);
}

/** Begins a message. */
export function cmacStart(): void {
  clearBlock(STATE);
  waiting = 0;
}

/** Adds `length` bytes to the message. */
export function cmacUpdate(context: usize, data: usize, length: u32): void {
  const schedule = context + SCHEDULE;
  const end = data + length;
  if (waiting === 0 || waiting === BLOCK_BYTES) {
    if (length === 0) return;
    if (waiting !== 0) aesEncrypt(schedule, STATE, STATE);
    waiting = 0;
    while (end - data > BLOCK_BYTES) {
      aesEncryptSum(schedule, STATE, data, STATE);
      data += BLOCK_BYTES;
    }
    if (end - data === BLOCK_BYTES) {
      xorBlock(STATE, data);
      waiting = BLOCK_BYTES;
      return;
    }
  }
  for (; data < end; data++) {
    if (waiting === BLOCK_BYTES) {
      aesEncrypt(schedule, STATE, STATE);
      waiting = 0;
    }
    store<u8>(STATE + waiting, load<u8>(STATE + waiting) ^ load<u8>(data));
    waiting++;
  }
}

/**
 * Ends the message.
 *
 * @param tag CMAC_BYTES, written
 */
export function cmacFinish(context: usize, tag: usize): void {
  copyBlock(tag, context);
  if (waiting !== BLOCK_BYTES) {
    store<u8>(STATE + waiting, load<u8>(STATE + waiting) ^ 0x80);
    doubleBlock(tag, tag);
  }
  aesEncryptSum(context + SCHEDULE, STATE, tag, tag);
}
