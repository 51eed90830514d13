// Ed25519 by OpenSSL, in node, beside which the core's is tested, and with which tests sign as a meter does.
import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** PKCS #8 around a seed (RFC 8410 7). */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The private key of a seed of 32 bytes. */
export function signingKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' });
}

/** The 32 bytes of a key's public half. */
export function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** A key from its seed of 32 bytes. */
export function ed25519(seed: Uint8Array) {
  const key = signingKey(seed);
  const publicKey = createPublicKey(key);
  return {
    publicKey: publicKeyOf(key),
    sign: (message: Uint8Array): Buffer => sign(null, message, key),
    verify: (message: Uint8Array, signature: Uint8Array): boolean => verify(null, message, publicKey, signature),
  };
}

/** SubjectPublicKeyInfo around a public key (RFC 8410 4). */
const spki = Buffer.from('302a300506032b6570032100', 'hex');

/** The public key of 32 bytes, which may be none. */
export function verifyingKey(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([spki, bytes]), format: 'der', type: 'spki' });
}
