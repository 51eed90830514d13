// Entries of the rings: each is bound to the one before by its hash, and sealed with the meter's record key.
// What always holds: the key is derived for each use and wiped before the event ends (`chainOpen`, `chainClose`); an
// entry counts only where its seal holds, so one of which a write left some bytes never counts.

import { copy, isBlank } from '../abi/bytes';
import { ChainField, StorageMap } from '../abi/codes';
import { AEAD_CONTEXT, aeadWipe } from '../aead/aead';
import { AES_KEY_BYTES } from '../aead/aes';
import { CMAC_BYTES, cmacFinish, cmacSetKey, cmacStart, cmacUpdate } from '../aead/cmac';
import { equalBytes } from '../aead/constant-time';
import { DERIVED_KEY, DIGEST } from '../aead/scratch';
import { KeyPurpose, meterKey } from '../meter/keys';
import { sha512Finish, sha512Start, sha512Update } from '../sign/sha512';

/** What is kept of the hash of an entry; its link is the first half of it. */
export const HASH_BYTES: u32 = 32;
/** In front of a mark where an entry has its ring. */
export const LABEL_MARK: u32 = 255;

const LABEL: usize = TARIFF == 0 ? 0 : memory.data(1, 4);

/** Prepares the record key for what is sealed and checked next. */
export function chainOpen(): void {
  meterKey(KeyPurpose.Record, DERIVED_KEY, AES_KEY_BYTES);
  cmacSetKey(AEAD_CONTEXT, DERIVED_KEY, AES_KEY_BYTES);
}

/** Erases it. */
export function chainClose(): void {
  aeadWipe();
}

function tag(label: u32, at: usize): void {
  store<u8>(LABEL, <u8>label);
  cmacStart();
  cmacUpdate(AEAD_CONTEXT, LABEL, 1);
  cmacUpdate(AEAD_CONTEXT, at, ChainField.Seal);
  cmacFinish(AEAD_CONTEXT, DIGEST);
}

/** Seals an entry of the ring `label`, or a mark. */
export function chainSeal(label: u32, at: usize): void {
  tag(label, at);
  copy(at + ChainField.Seal, DIGEST, CMAC_BYTES);
}

/** Whether the seal of one holds. */
export function chainHolds(label: u32, at: usize): bool {
  tag(label, at);
  return equalBytes(at + ChainField.Seal, DIGEST, CMAC_BYTES);
}

/** Whether the place of an entry, or of a mark, was never written, or erased. */
export function chainBlank(at: usize): bool {
  return isBlank(at, ChainField.Bytes);
}

/** The first `length` bytes of SHA-512 of what is at `at`, to `to`. */
export function hashOf(at: usize, bytes: u32, to: usize, length: u32): void {
  sha512Start();
  sha512Update(at, bytes);
  hashEnd(to, length);
}

/** Ends a hash; the first `length` bytes of it to `to`. */
export function hashEnd(to: usize, length: u32): void {
  sha512Finish(DIGEST);
  copy(to, DIGEST, length);
}

/** The hash of an entry, `HASH_BYTES`, to `to`. */
export function chainHash(at: usize, to: usize): void {
  hashOf(at, StorageMap.EntryBytes, to, HASH_BYTES);
}
