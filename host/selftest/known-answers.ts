// The known answers that every core carries with it: one check for each printed example of a standard.
import type { AeadCore } from './aead-core.ts';
import { toHex } from './hex.ts';
import { encryptions } from './vectors/fips197.ts';
import * as rfc4493 from './vectors/rfc4493.ts';
import { messages } from './vectors/rfc5297.ts';
import { outputs } from './vectors/sp800-90a.ts';
import { derivations } from './vectors/sp800-108.ts';

/** One check. */
export interface KnownAnswer {
  /** Standard and example. */
  readonly name: string;
  /** Runs it; returns what is wrong, or undefined when all is right. */
  run(core: AeadCore): string | undefined;
}

/** What differs, or undefined. */
export function difference(what: string, expected: Uint8Array, actual: Uint8Array): string | undefined {
  return toHex(expected) === toHex(actual) ? undefined : `${what}: expected ${toHex(expected)}, got ${toHex(actual)}`;
}

export const knownAnswers: readonly KnownAnswer[] = [
  ...encryptions.map(({ name, key, plaintext, ciphertext }) => ({
    name: `FIPS 197 AES-128, ${name}`,
    run: (core: AeadCore) => difference('ciphertext', ciphertext, core.aes(key, plaintext)),
  })),
  ...rfc4493.macs.map(({ name, message, tag }) => ({
    name: `RFC 4493 AES-CMAC, ${name}`,
    run: (core: AeadCore) => difference('tag', tag, core.cmac(rfc4493.key, message)),
  })),
  ...messages.flatMap(({ name, key, strings, plaintext, sealed }) => [
    {
      name: `RFC 5297 AES-SIV seal, ${name}`,
      run: (core: AeadCore) => difference('tag and ciphertext', sealed, core.seal(key, strings, plaintext)),
    },
    {
      name: `RFC 5297 AES-SIV open, ${name}`,
      run: (core: AeadCore) => {
        const opened = core.open(key, strings, sealed).plaintext;
        return opened ? difference('plaintext', plaintext, opened) : 'the right tag was refused';
      },
    },
    {
      name: `RFC 5297 AES-SIV open, ${name} with one bit of the tag changed`,
      run: (core: AeadCore) => refusal(core.open(key, strings, withBitChanged(sealed))),
    },
  ]),
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

/** What is wrong when a forgery was not refused, or left plaintext behind. */
export function refusal(opened: { plaintext: Uint8Array | undefined; left: Uint8Array }): string | undefined {
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
