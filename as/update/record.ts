// What the meter remembers of updates across restarts: the lowest version that it takes, and the image that comes or came.
// What always holds: the record is sealed with the storage key; of two slots the valid one with the higher count is in force,
// and the other is written, so a cut write leaves the one before.
//
//   slot     0  count     u32   higher is newer; authenticated
//            4  tag       16    AES-SIV
//           20  record    40    encrypted
//   record   0  floor     u32   no version below it is taken; it never goes back
//            4  state     u8    `UpdateState`
//            5  target    u8    `Slot` that the image is for
//            6  zero      u16
//            8  version   u32   of the image
//           12  its floor u32   what the floor becomes once it is confirmed
//           16  length    u32   bytes of the image
//           20  offset    u32   bytes of it that are in the slot for good: a multiple of a step, or all
//           24  hash      16    the first of SHA-512 of its manifest

import { actionWrite } from '../abi/buffers';
import { clear, copy, isSecondNewer } from '../abi/bytes';
import { StorageMap } from '../abi/codes';
import { AEAD_CONTEXT, aeadWipe } from '../aead/aead';
import { SIV_TAG_BYTES, sivAd, sivOpen, sivSeal, sivStart } from '../aead/siv';
import { meterUseStorageKey } from '../meter/keys';

const SEALED: u32 = 4;
const BODY: u32 = SEALED + SIV_TAG_BYTES;
const BODY_BYTES: u32 = 40;

/** The record: where its parts are. */
export const RECORD: usize = UPDATE == 0 ? 0 : memory.data(40, 4);
export const FLOOR: usize = 0;
export const STATE: usize = 4;
export const TARGET: usize = 5;
export const VERSION: usize = 8;
export const ITS_FLOOR: usize = 12;
export const LENGTH: usize = 16;
export const OFFSET: usize = 20;
export const HASH: usize = 24;
export const HASH_BYTES: u32 = 16;

let count: u32 = 0;
let slot: u32 = 1;

/** Takes both slots as they were read, whole. */
export function recordRead(slots: usize): void {
  const b = slots + StorageMap.UpdateSlotBytes;
  meterUseStorageKey();
  const validA = openSlot(slots);
  const validB = openSlot(b);
  aeadWipe();
  if (!validA && !validB) return;
  slot = isSecondNewer(validA, validB, slots, b) ? 1 : 0;
  const at = slot == 1 ? b : slots;
  count = load<u32>(at);
  copy(RECORD, at + BODY, BODY_BYTES);
}

function openSlot(at: usize): bool {
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, at, SEALED);
  return sivOpen(AEAD_CONTEXT, at + BODY, BODY_BYTES, at + SEALED);
}

/** Writes the record to the older slot. */
export function recordWrite(): void {
  count += 1;
  slot = 1 - slot;
  const target = actionWrite(slot == 1 ? StorageMap.UpdateB : StorageMap.UpdateA, StorageMap.UpdateSlotBytes);
  clear(target, StorageMap.UpdateSlotBytes);
  store<u32>(target, count);
  copy(target + BODY, RECORD, BODY_BYTES);
  meterUseStorageKey();
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, target, SEALED);
  sivSeal(AEAD_CONTEXT, target + BODY, BODY_BYTES, target + SEALED);
  aeadWipe();
}

/** The write failed: the other slot is in force and stays so. */
export function recordUnwritten(): void {
  slot = 1 - slot;
}
