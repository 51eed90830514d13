// Key derivation of the core (NIST SP 800-108r1, counter mode, AES-CMAC), and what may be done with the keys.
import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { AeadCore } from '../../host/selftest/aead-core.ts';
import { hex, toHex } from '../../host/selftest/hex.ts';
import { derivations } from '../../host/selftest/vectors/sp800-108.ts';
import { loadCore } from './load-core.ts';
import { deriveKey } from './openssl-reference.ts';
import { seededRandom } from './random.ts';

const core = new AeadCore(await loadCore());

/** OpenSSL's own KBKDF; undefined where the machine has no OpenSSL 3. */
function openSslKbkdf(root: Uint8Array, label: Uint8Array, context: Uint8Array, length: number): string | undefined {
  const options = {
    mac: 'CMAC',
    cipher: 'AES-128-CBC',
    mode: 'COUNTER',
    hexkey: toHex(root),
    hexsalt: toHex(label),
    hexinfo: toHex(context),
  };
  const args = Object.entries(options).flatMap(([name, value]) => ['-kdfopt', `${name}:${value}`]);
  try {
    const output = execFileSync('openssl', ['kdf', '-keylen', String(length), ...args, 'KBKDF'], { stdio: 'pipe' });
    return toHex(hex(output.toString().replaceAll(':', '')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

describe('SP 800-108', () => {
  test.each(derivations)('$name', ({ root, label, context, output }) => {
    expect(toHex(core.deriveKey(root, label, context, output.length))).toBe(toHex(output));
  });

  test('random labels, contexts and lengths agree with the standard written on node’s ciphers', () => {
    const random = seededRandom('SP 800-108');
    for (let i = 0; i < 300; i++) {
      const root = random.bytes(16);
      const label = random.bytes(random.below(30));
      const context = random.bytes(random.below(40));
      const length = random.below(100);
      expect(toHex(core.deriveKey(root, label, context, length))).toBe(toHex(deriveKey(root, label, context, length)));
    }
  });

  test('OpenSSL’s KBKDF derives the same', ({ skip }) => {
    const random = seededRandom('KBKDF');
    for (const length of [1, 16, 32, 48]) {
      const root = random.bytes(16);
      const label = random.bytes(1 + random.below(20));
      const context = random.bytes(1 + random.below(20));
      const expected = openSslKbkdf(root, label, context, length);
      if (expected === undefined) skip('the openssl command is not on this machine');
      expect(toHex(core.deriveKey(root, label, context, length))).toBe(expected);
    }
  });

  test('the key material used for it is wiped', () => {
    const random = seededRandom('SP 800-108 wiping');
    const root = random.bytes(16);
    core.deriveKey(root, random.bytes(8), random.bytes(8), 32);
    const own = new Uint8Array(core.exports.memory.buffer, 0, core.exports.testScratch());
    const schedule = core.aesSchedule(root);
    for (let at = 0; at < schedule.length; at += 16) {
      expect(Buffer.from(own).indexOf(schedule.subarray(at, at + 16))).toBe(-1);
    }
  });
});

describe('secrets', () => {
  test('are equal only when every bit is', () => {
    const random = seededRandom('equalBytes');
    for (let length = 0; length <= 20; length++) {
      const secret = random.bytes(length);
      expect(core.equalBytes(secret, secret.slice())).toBe(true);
      for (let bit = 0; bit < length * 8; bit++) {
        const other = secret.slice();
        other[bit >> 3]! ^= 1 << (bit & 7);
        expect(core.equalBytes(secret, other)).toBe(false);
      }
    }
  });

  test('are wiped to their last byte and no further', () => {
    const memory = new Uint8Array(core.exports.memory.buffer);
    const at = core.exports.testScratch() + 10_000;
    for (let length = 0; length <= 20; length++) {
      memory.fill(0xaa, at, at + 32);
      core.exports.testWipe(at + 5, length);
      const expected = new Uint8Array(32).fill(0xaa).fill(0, 5, 5 + length);
      expect(toHex(memory.slice(at, at + 32))).toBe(toHex(expected));
    }
  });
});
