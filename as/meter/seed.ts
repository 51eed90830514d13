// Random bytes of the meter: a generator seeded from storage and, where the board has one, from its entropy source.
// What always holds: a stored seed is replaced in storage and the used one erased before a single byte is given out, so
// no two starts share a byte; where that fails, only a board with an entropy source has random bytes and NTS.
//
//   slot   0  count   u32    higher is newer
//          4  seed    32
//         36  zero    24
//         60  CRC-32  u32    over all before it

import { actionWrite } from '../abi/buffers';
import { clear, copy, isZero } from '../abi/bytes';
import { SeedField, StorageMap } from '../abi/codes';
import { DRBG_OK, DRBG_SEED_BYTES, drbgGenerate, drbgInstantiate } from '../aead/drbg';
import { crc32 } from '../link/crc32';

const ENTROPY: usize = memory.data(32, 4);

let ready: bool = false;
let entropic: bool = false;
let count: u32 = 0;
let usedSlot: u32 = 0;

/** Takes what the board's entropy source gave at the start: 32 bytes, all zero where there is none. */
export function seedEntropy(at: usize): void {
  copy(ENTROPY, at, DRBG_SEED_BYTES);
  entropic = !isZero(at, DRBG_SEED_BYTES);
}

/** Whether random bytes are to be had. */
export function randomReady(): bool {
  return ready;
}

/** Starts since provisioning, this one included; 0 where no seed is stored. */
export function seedStarts(): u32 {
  return count;
}

/** Random bytes; false when there are none. */
export function randomBytes(target: usize, length: u32): bool {
  return ready && drbgGenerate(target, length) == DRBG_OK;
}

/** 32 random bits; 0 when there are none. */
export function random32(): u32 {
  return randomBytes(WORD, 4) ? load<u32>(WORD) : 0;
}

const WORD: usize = memory.data(4, 4);

/**
 * Takes both slots as they were read, whole. Returns true when the generator waits for its seed to be replaced
 * (`seedReplace`); false when it is ready or has no seed.
 */
export function seedRead(slots: usize): bool {
  const a = seedValid(slots);
  const b = seedValid(slots + StorageMap.SeedBytes);
  const newerB = <i32>(load<u32>(slots + StorageMap.SeedBytes) - load<u32>(slots)) > 0;
  usedSlot = b && (!a || newerB) ? 1 : 0;
  if (!a && !b) {
    if (entropic) {
      drbgInstantiate(ENTROPY, 0, 0);
      ready = true;
    }
    clear(ENTROPY, DRBG_SEED_BYTES);
    return false;
  }
  const slot = slots + usedSlot * StorageMap.SeedBytes;
  count = load<u32>(slot, SeedField.Count);
  drbgInstantiate(slot + SeedField.Seed, ENTROPY, DRBG_SEED_BYTES);
  clear(ENTROPY, DRBG_SEED_BYTES);
  return true;
}

/** Whether a slot holds a seed. */
export function seedValid(slot: usize): bool {
  return (
    crc32(slot, SeedField.Crc) == load<u32>(slot, SeedField.Crc) && !isZero(slot + SeedField.Seed, DRBG_SEED_BYTES)
  );
}

function slotOffset(slot: u32): u32 {
  return slot == 0 ? StorageMap.SeedA : StorageMap.SeedB;
}

/** Writes the next seed into the slot that is not in use. */
export function seedReplace(): void {
  const slot = actionWrite(slotOffset(1 - usedSlot), StorageMap.SeedBytes);
  clear(slot, StorageMap.SeedBytes);
  store<u32>(slot, count + 1, SeedField.Count);
  drbgGenerate(slot + SeedField.Seed, DRBG_SEED_BYTES);
  store<u32>(slot, crc32(slot, SeedField.Crc), SeedField.Crc);
}

/** The next seed is stored: erases the one in use. */
export function seedErase(): void {
  clear(actionWrite(slotOffset(usedSlot), StorageMap.SeedBytes), StorageMap.SeedBytes);
}

/** The seed could not be replaced. Whether the generator serves all the same: with entropy no two starts share a byte. */
export function seedNotReplaced(): bool {
  ready = entropic;
  return ready;
}

/** The used seed is gone: random bytes may be given out. */
export function seedReady(): void {
  ready = true;
}
