// Ed25519 by OpenSSL, in node, beside which the core's is tested.
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';

/** PKCS #8 around a seed (RFC 8410 7). */
const pkcs8 = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A key from its seed of 32 bytes. */
export function ed25519(seed: Uint8Array) {
  const key = createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: 'der', type: 'pkcs8' });
  const publicKey = createPublicKey(key);
  return {
    publicKey: publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
    sign: (message: Uint8Array): Buffer => sign(null, message, key),
    verify: (message: Uint8Array, signature: Uint8Array): boolean => verify(null, message, publicKey, signature),
  };
}
