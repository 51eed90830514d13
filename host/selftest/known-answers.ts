// The known answers that every core carries with it: one check for each printed example of a standard.
import { type AeadCore, algorithms, type Opened } from './aead-core.ts';
import { toHex } from './hex.ts';
import type { SignCore } from './sign-core.ts';
import { hashes } from './vectors/fips180.ts';
import { encryptions } from './vectors/fips197.ts';
import { macs } from './vectors/rfc4493.ts';
import { messages } from './vectors/rfc5297.ts';
import { longMessageKey, signatures } from './vectors/rfc8032.ts';
import * as rfc8452 from './vectors/rfc8452.ts';
import { outputs } from './vectors/sp800-90a.ts';
import { derivations } from './vectors/sp800-108.ts';

/** One check. */
export interface KnownAnswer<T = AeadCore> {
  /** Standard and example. */
  readonly name: string;
  /** Runs it; returns what is wrong, or undefined when all is right. */
  run(core: T): string | undefined;
}

/** What differs, or undefined. */
export function difference(what: string, expected: Uint8Array, actual: Uint8Array): string | undefined {
  return toHex(expected) === toHex(actual) ? undefined : `${what}: expected ${toHex(expected)}, got ${toHex(actual)}`;
}

export const knownAnswers: readonly KnownAnswer[] = [
  ...encryptions.map(({ name, key, plaintext, ciphertext }) => ({
    name: `AES-${key.length * 8}, ${name}`,
    run: (core: AeadCore) => difference('ciphertext', ciphertext, core.aes(key, plaintext)),
  })),
  ...macs.map(({ name, key, message, tag }) => ({
    name: `AES-CMAC, ${name}`,
    run: (core: AeadCore) => difference('tag', tag, core.cmac(key, message)),
  })),
  ...messages.flatMap(({ name, key, strings, plaintext, sealed }) =>
    sealedAnswers('RFC 5297 AES-SIV', name, plaintext, sealed, {
      seal: (core) => core.seal(key, strings, plaintext),
      open: (core, forged) => core.open(key, strings, forged),
    }),
  ),
  {
    name: 'RFC 8452 POLYVAL, appendix A',
    run: (core) => difference('sum', rfc8452.polyval.sum, core.polyval(rfc8452.polyval.key, rfc8452.polyval.blocks)),
  },
  ...rfc8452.messages.flatMap(({ name, key, nonce, data, plaintext, sealed }) =>
    sealedAnswers('RFC 8452 AES-GCM-SIV', name, plaintext, sealed, {
      seal: (core) => core.aeadSeal(algorithms.gcmSiv128, key, data, nonce, plaintext),
      open: (core, forged) => core.aeadOpen(algorithms.gcmSiv128, key, data, nonce, forged),
    }),
  ),
  ...derivations.map(({ name, root, label, context, output }) => ({
    name: `SP 800-108 CMAC counter mode, ${name}`,
    run: (core: AeadCore) => difference('key', output, core.deriveKey(root, label, context, output.length)),
  })),
  ...outputs.map(({ name, entropy, personalization, output }) => ({
    name: `SP 800-90A CTR_DRBG, ${name}`,
    run: (core: AeadCore) => {
      core.drbgInstantiate(entropy, personalization);
      core.drbgGenerate(output.length);
      return difference('output', output, core.drbgGenerate(output.length));
    },
  })),
];

export const signAnswers: readonly KnownAnswer<SignCore>[] = [
  ...hashes.map(({ name, message, hash }) => ({
    name: `SHA-512, ${name}`,
    run: (core: SignCore) => difference('hash', hash, core.sha512(message)),
  })),
  ...[...signatures, longMessageKey].map(({ name, seed, publicKey }) => ({
    name: `Ed25519 public key, ${name}`,
    run: (core: SignCore) => difference('public key', publicKey, core.publicKey(seed)),
  })),
  ...signatures.map(({ name, seed, message, signature }) => ({
    name: `Ed25519 signature, ${name}`,
    run: (core: SignCore) => {
      core.publicKey(seed);
      return difference('signature', signature, core.sign(message));
    },
  })),
  ...signatures.map(({ name, publicKey, message, signature }) => ({
    name: `Ed25519 check, ${name}`,
    run: (core: SignCore) => {
      if (!core.verifies(publicKey, message, signature)) return 'the right signature was refused';
      const changed = signature.map((byte, at) => (at === 33 ? byte ^ 1 : byte));
      return core.verifies(publicKey, message, changed) ? 'a changed signature was accepted' : undefined;
    },
  })),
];

// What a sealed message is good for: it comes out of its plaintext, opens to it, and does not with a bit changed.
function sealedAnswers(
  standard: string,
  name: string,
  plaintext: Uint8Array,
  sealed: Uint8Array,
  cipher: {
    seal: (core: AeadCore) => Uint8Array;
    open: (core: AeadCore, sealed: Uint8Array) => Opened;
  },
): KnownAnswer[] {
  return [
    {
      name: `${standard} seal, ${name}`,
      run: (core) => difference('tag and ciphertext', sealed, cipher.seal(core)),
    },
    {
      name: `${standard} open, ${name}`,
      run: (core) => {
        const opened = cipher.open(core, sealed).plaintext;
        return opened ? difference('plaintext', plaintext, opened) : 'the right tag was refused';
      },
    },
    {
      name: `${standard} open, ${name} with one bit changed`,
      run: (core) => refusal(cipher.open(core, withBitChanged(sealed))),
    },
  ];
}

/** What is wrong when a forgery was not refused, or left plaintext behind. */
export function refusal(opened: Opened): string | undefined {
  if (opened.plaintext) return 'a forgery was accepted';
  return opened.left.some((byte) => byte !== 0)
    ? 'a forgery was refused, but its plaintext was left behind'
    : undefined;
}

function withBitChanged(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  changed[0]! ^= 1;
  return changed;
}
