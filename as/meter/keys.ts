// The meter's keys, all from its root key: K = KDF(root, label, meter id) (NIST SP 800-108r1 4.1, CMAC-AES-128).
// What always holds: each purpose has a label of its own, so no key says anything about another, and the same root key
// in two meters gives different keys.

import { AEAD_CONTEXT } from '../aead/aead';
import { wipe } from '../aead/constant-time';
import { deriveKey } from '../aead/kdf';
import { DERIVED_KEY } from '../aead/scratch';
import { sivSetKey } from '../aead/siv';
import { METER_ID, ROOT_KEY } from './settings';

/** What a key is for. */
export enum KeyPurpose {
  /** Seals what the meter keeps in its storage. */
  Storage = 0,
  /** Seals the link to the gateway. */
  Link = 1,
  /** Authenticates records. */
  Record = 2,
  /** Signs heads of records: the seed of RFC 8032 5.1.5, 32 bytes. */
  Sign = 3,
}

// The texts "storage", "link", "record", "sign", and where each begins and the last one ends, a byte for each.
const LABELS: usize = memory.data<u8>(
  [
    0x73, 0x74, 0x6f, 0x72, 0x61, 0x67, 0x65, 0x6c, 0x69, 0x6e, 0x6b, 0x72, 0x65, 0x63, 0x6f, 0x72, 0x64, 0x73, 0x69,
    0x67, 0x6e,
  ],
  4,
);
const LABELS_BEGIN: u64 = 0x15_11_0b_07_00;

function labelBegin(purpose: u32): u32 {
  return <u32>(LABELS_BEGIN >> (purpose << 3)) & 0xff;
}

function derive(purpose: u32, root: usize, id: usize, idLength: u32, target: usize, length: u32): void {
  const begin = labelBegin(purpose);
  deriveKey(root, LABELS + begin, labelBegin(purpose + 1) - begin, id, idLength, target, length);
}

/** Derives the key of a purpose, `length` bytes, from the root key and id of the settings. */
export function meterKey(purpose: u32, target: usize, length: u32): void {
  derive(purpose, ROOT_KEY, METER_ID + 1, load<u8>(METER_ID), target, length);
}

const STORAGE_KEY_BYTES: u32 = 32;

/** Prepares the context of the ciphers for what the storage keeps; to be wiped after use. */
export function meterUseStorageKey(): void {
  meterKey(KeyPurpose.Storage, DERIVED_KEY, STORAGE_KEY_BYTES);
  sivSetKey(AEAD_CONTEXT, DERIVED_KEY, STORAGE_KEY_BYTES);
  wipe(DERIVED_KEY, STORAGE_KEY_BYTES);
}

/** The same from a root key (16 bytes) and an id of the caller's: for known-answer tests. */
export function testMeterKey(purpose: u32, root: usize, id: usize, idLength: u32, target: usize, length: u32): void {
  derive(purpose, root, id, idLength, target, length);
}
