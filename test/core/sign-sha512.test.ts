// SHA-512 of the core: the examples of FIPS 180-4, any length in any pieces beside OpenSSL's, nothing left behind.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { toHex } from '../../host/selftest/hex.ts';
import { SignCore } from '../../host/selftest/sign-core.ts';
import { hashes } from '../../host/selftest/vectors/fips180.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';

const core = new SignCore(await loadCore());

const openSsl = (...pieces: Uint8Array[]) => {
  const hash = createHash('sha512');
  for (const piece of pieces) hash.update(piece);
  return hash.digest('hex');
};

describe('standards', () => {
  test.each(hashes)('$name', ({ message, hash }) => {
    expect(toHex(core.sha512(message))).toBe(toHex(hash));
  });

  test('FIPS 180-4, one million times the letter a', () => {
    const pieces = Array.from({ length: 1000 }, () => new Uint8Array(1000).fill(0x61));
    expect(toHex(core.sha512(...pieces))).toBe(
      'e718483d0ce769644e2e42c7bc15b4638e1f98b13b2044285632a803afa973ebde0ff244877ea60a4cb0432ce577c31beb009c5c2c49aa2e4eadb217ad8cc09b',
    );
  });
});

test('every length from 0 to 300 agrees with OpenSSL', () => {
  const random = seededRandom('SHA-512 lengths');
  for (let length = 0; length <= 300; length++) {
    const message = random.bytes(length);
    expect(toHex(core.sha512(message)), `${length} bytes`).toBe(openSsl(message));
  }
});

test('long messages agree with OpenSSL', () => {
  const random = seededRandom('SHA-512 long messages');
  for (let i = 0; i < 20; i++) {
    const message = random.bytes(1 + random.below(40_000));
    expect(toHex(core.sha512(message)), `${message.length} bytes`).toBe(openSsl(message));
  }
});

test('bytes of all ones or all zeros agree with OpenSSL', () => {
  for (const byte of [0, 0xff]) {
    for (const length of [111, 112, 127, 128, 1000]) {
      const message = new Uint8Array(length).fill(byte);
      expect(toHex(core.sha512(message))).toBe(openSsl(message));
    }
  }
});

test('a message in two pieces has the hash of the whole, wherever it is cut', () => {
  const random = seededRandom('SHA-512 cuts');
  const message = random.bytes(260);
  for (let cut = 0; cut <= message.length; cut++) {
    expect(toHex(core.sha512(message.subarray(0, cut), message.subarray(cut)))).toBe(openSsl(message));
  }
});

test('a message in many random pieces, empty ones too, has the hash of the whole', () => {
  const random = seededRandom('SHA-512 pieces');
  for (let i = 0; i < 300; i++) {
    const pieces = Array.from({ length: random.below(8) }, () => random.bytes(random.below(200)));
    expect(toHex(core.sha512(...pieces))).toBe(openSsl(...pieces));
  }
});

test('a hash that was broken off has no part in the next one', () => {
  core.exports.testSha512Start();
  core.exports.testSha512Update(core.exports.testScratch(), 200);
  expect(toHex(core.sha512(new Uint8Array(3)))).toBe(openSsl(new Uint8Array(3)));
});

test('a hash changes nothing in memory but its result', () => {
  const before = core.memory.slice();
  const message = seededRandom('SHA-512 memory').bytes(500);
  const scratch = core.exports.testScratch();
  core.sha512(message);
  expect(Buffer.compare(core.memory.subarray(0, scratch), before.subarray(0, scratch))).toBe(0);
  // While it is under way there is something to be wiped.
  core.exports.testSha512Start();
  core.exports.testSha512Update(scratch, 200);
  expect(Buffer.compare(core.memory.subarray(0, scratch), before.subarray(0, scratch))).not.toBe(0);
  core.exports.testSha512Finish(scratch);
});
