// The authenticated ciphers of NTS (RFC 8915 5.1) behind one interface: AES-SIV-CMAC-256, 384 and 512 (RFC 5297) and
// AES-128-GCM-SIV (RFC 8452).
//
// What always holds:
// - One key at a time, in the one context; it is set anew for each use and nothing outlives `aeadWipe`.
// - Nothing is sealed without a key, and nothing opened.
// - A plaintext whose tag is wrong never stays in memory.

import { wipe } from './constant-time';
import { GCM_SIV_NONCE_BYTES, gcmSivOpen, gcmSivSeal, gcmSivSetKey } from './gcm-siv';
import { CONTEXT } from './scratch';
import { SIV_CONTEXT_BYTES, sivOpenWithNonce, sivSealWithNonce, sivSetKey, sivWipe } from './siv';

/** Numbers of algorithms in IANA's registry (AEAD Parameters). */
export const AEAD_SIV_CMAC_256: u32 = 15;
export const AEAD_SIV_CMAC_384: u32 = 16;
export const AEAD_SIV_CMAC_512: u32 = 17;
export const AEAD_GCM_SIV_128: u32 = 30;

/** Size of a tag of any of them: what a sealed text is longer than its plaintext. */
export const AEAD_TAG_BYTES: u32 = 16;

/** Size of the largest key. */
export const AEAD_KEY_MAX_BYTES: u32 = 64;

/** The context of the key in use: as much as SIV's, the largest. Storage is sealed with it too, by the functions of siv.ts. */
export const AEAD_CONTEXT: usize = CONTEXT;

// Whose key is in the context; 0 for none.
let current: u32 = 0;

/** Size of a key; 0 for an algorithm that is not known. */
export function aeadKeyBytes(algorithm: u32): u32 {
  switch (algorithm) {
    case AEAD_SIV_CMAC_256:
      return 32;
    case AEAD_SIV_CMAC_384:
      return 48;
    case AEAD_SIV_CMAC_512:
      return 64;
    case AEAD_GCM_SIV_128:
      return 16;
  }
  return 0;
}

/** Size of the nonce that a request has; the one that GCM-SIV takes, one of many for SIV. */
export function aeadNonceBytes(algorithm: u32): u32 {
  return algorithm === AEAD_GCM_SIV_128 ? GCM_SIV_NONCE_BYTES : 16;
}

/** Where a sealed text has its plaintext: behind the tag (RFC 5297 3), or before it (RFC 8452 4). */
export function aeadTextOffset(algorithm: u32): u32 {
  return algorithm === AEAD_GCM_SIV_128 ? 0 : AEAD_TAG_BYTES;
}

/**
 * Sets the key for what is sealed and opened next.
 *
 * @param algorithm one that `aeadKeyBytes` knows; with another there is no key
 * @param key as many bytes as `aeadKeyBytes` says
 */
export function aeadSetKey(algorithm: u32, key: usize): void {
  const keyBytes = aeadKeyBytes(algorithm);
  current = keyBytes === 0 ? 0 : algorithm;
  if (algorithm === AEAD_GCM_SIV_128) gcmSivSetKey(AEAD_CONTEXT, key);
  else if (keyBytes !== 0) sivSetKey(AEAD_CONTEXT, key, keyBytes);
}

/** Erases the key, also one that was set by `sivSetKey`, and what the messages left. */
export function aeadWipe(): void {
  current = 0;
  wipe(AEAD_CONTEXT, SIV_CONTEXT_BYTES);
  sivWipe();
}

// RFC 5297 3 and RFC 8452 4: any nonce of at least a byte, and one of exactly 12 bytes.
function takesNonce(length: u32): bool {
  return current === AEAD_GCM_SIV_128 ? length === GCM_SIV_NONCE_BYTES : current !== 0 && length !== 0;
}

/**
 * Encrypts in place. Without a key, or with a nonce that the algorithm does not take, the core traps.
 *
 * @param data what is authenticated but not encrypted; for an NTP packet (RFC 8915 5.6) from its start to the end of
 *   the field before the authenticator
 * @param nonce `aeadNonceBytes` or, for SIV, at least one
 * @param sealed room for text and tag, the plaintext at `aeadTextOffset`
 * @param textLength of the plaintext, may be 0
 */
export function aeadSeal(
  data: usize,
  dataLength: u32,
  nonce: usize,
  nonceLength: u32,
  sealed: usize,
  textLength: u32,
): void {
  if (!takesNonce(nonceLength)) unreachable();
  if (current === AEAD_GCM_SIV_128) gcmSivSeal(AEAD_CONTEXT, data, dataLength, nonce, sealed, textLength);
  else sivSealWithNonce(AEAD_CONTEXT, data, dataLength, nonce, nonceLength, sealed, textLength);
}

/**
 * Decrypts in place what `aeadSeal` made.
 *
 * @param sealed text and tag; the plaintext is then at `aeadTextOffset`, or zeros when the tag is wrong
 * @param sealedLength of both
 * @returns whether the tag is right; false, with nothing written, for lengths that cannot be
 */
export function aeadOpen(
  data: usize,
  dataLength: u32,
  nonce: usize,
  nonceLength: u32,
  sealed: usize,
  sealedLength: u32,
): bool {
  if (!takesNonce(nonceLength) || sealedLength < AEAD_TAG_BYTES) return false;
  return current === AEAD_GCM_SIV_128
    ? gcmSivOpen(AEAD_CONTEXT, data, dataLength, nonce, sealed, sealedLength - AEAD_TAG_BYTES)
    : sivOpenWithNonce(AEAD_CONTEXT, data, dataLength, nonce, nonceLength, sealed, sealedLength);
}
