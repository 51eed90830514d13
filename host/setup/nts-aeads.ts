// The AEADs of NTS for servers of lab and tests, on an implementation that shares nothing with the core's.
// What always holds: `seal` and `open` give and take what stands in the ciphertext of an authenticator field.
import { aessiv, gcmsiv } from '@noble/ciphers/aes.js';

/** Numbers of IANA's registry of AEAD algorithms. */
export const Aead = { sivCmac256: 15, sivCmac384: 16, sivCmac512: 17, gcmSiv128: 30 } as const;

interface Algorithm {
  readonly keyBytes: number;
  readonly nonceBytes: number;
  readonly cipher: (
    key: Uint8Array,
    nonce: Uint8Array,
    data: Uint8Array,
  ) => { encrypt(text: Uint8Array): Uint8Array; decrypt(sealed: Uint8Array): Uint8Array };
}

// RFC 5297 6: associated data first, the nonce last. RFC 8452: a nonce of 12 bytes.
const sivCmac = (keyBytes: number): Algorithm => ({
  keyBytes,
  nonceBytes: 16,
  cipher: (key, nonce, data) => aessiv(key, data, nonce),
});

const algorithms = new Map<number, Algorithm>([
  [Aead.sivCmac256, sivCmac(32)],
  [Aead.sivCmac384, sivCmac(48)],
  [Aead.sivCmac512, sivCmac(64)],
  [Aead.gcmSiv128, { keyBytes: 16, nonceBytes: 12, cipher: (key, nonce, data) => gcmsiv(key, nonce, data) }],
]);

/** @throws Error for one that is not known here */
export function algorithm(aead: number): Algorithm {
  const found = algorithms.get(aead);
  if (found === undefined) throw new Error(`AEAD ${aead} is not known here`);
  return found;
}

export function seal(aead: number, key: Uint8Array, nonce: Uint8Array, data: Uint8Array, text: Uint8Array): Buffer {
  return Buffer.from(algorithm(aead).cipher(key, nonce, data).encrypt(text));
}

/** The plaintext; undefined when the seal does not hold. */
export function open(
  aead: number,
  key: Uint8Array,
  nonce: Uint8Array,
  data: Uint8Array,
  sealed: Uint8Array,
): Buffer | undefined {
  const cipher = algorithm(aead).cipher(key, nonce, data);
  try {
    return Buffer.from(cipher.decrypt(sealed));
  } catch {
    return undefined;
  }
}
