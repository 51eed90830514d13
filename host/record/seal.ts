// What ties a meter's entries together and to the meter: seals (AES-CMAC), links (SHA-512) and signed heads (Ed25519).
// What always holds: what is secret, or is compared with what was made from it, is compared in constant time; nothing
// here throws for bytes of the right length.
import { createHash, createPublicKey, type KeyObject, timingSafeEqual, verify } from 'node:crypto';
import { cmac } from '@noble/ciphers/aes.js';
import { ChainField, type Ring } from '../../as/abi/codes.ts';
import type { Head } from './entry.ts';

export const recordKeyBytes = 16;
export const publicKeyBytes = 32;
const linkBytes = ChainField.Seal - ChainField.Link;

/** SHA-512 of the bytes of an entry. */
export function entryHash(entry: Uint8Array): Uint8Array {
  return createHash('sha512').update(entry).digest();
}

/** What the entry behind one with this hash carries as its link. */
export function linkOf(hash: Uint8Array): Uint8Array {
  return hash.subarray(0, linkBytes);
}

/**
 * Whether an entry of 128 bytes is sealed with this key (RFC 4493, over `Ring` and all before the seal).
 * @param recordKey 16 bytes
 */
export function sealHolds(ring: Ring, entry: Uint8Array, recordKey: Uint8Array): boolean {
  const sealed = new Uint8Array(1 + ChainField.Seal);
  sealed[0] = ring;
  sealed.set(entry.subarray(0, ChainField.Seal), 1);
  return timingSafeEqual(cmac(sealed, recordKey), entry.subarray(ChainField.Seal, ChainField.Bytes));
}

/** Whether the meter with this key signed a head (RFC 8032 5.1). */
export function signatureHolds(head: Head, publicKey: KeyObject): boolean {
  return verify(null, head.signed, publicKey, head.signature);
}

/** A public key of Ed25519 from its 32 bytes (RFC 8037 2). Whether it is a point is seen when it is used. */
export function ed25519Key(bytes: Uint8Array): KeyObject {
  const x = Buffer.from(bytes).toString('base64url');
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
}
