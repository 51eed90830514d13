// Checks of Ed25519 signatures by the core: RFC 8032, OpenSSL beside it, keys and signatures that are none.
import { verify } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { hex, toHex } from '../../host/selftest/hex.ts';
import { SignCore } from '../../host/selftest/sign-core.ts';
import { signatures } from '../../host/selftest/vectors/rfc8032.ts';
import { ed25519, verifyingKey } from './ed25519-reference.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';

let core: SignCore;
beforeAll(async () => {
  core = new SignCore(await loadCore());
});

const order = 2n ** 252n + 27742317777372353535851937790883648493n;
const prime = 2n ** 255n - 19n;
const fromLittle = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
const toLittle = (number: bigint) => Buffer.from(number.toString(16).padStart(64, '0'), 'hex').reverse();
const withS = (signature: Uint8Array, s: bigint) => Buffer.concat([signature.subarray(0, 32), toLittle(s)]);
const flipped = (bytes: Uint8Array, bit: number) => {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3]! ^= 1 << (bit & 7);
  return copy;
};

test.each(signatures)(
  '$name: holds, and not with any bit of one of its bytes changed',
  ({ publicKey, message, signature }) => {
    expect(core.verifies(publicKey, message, signature)).toBe(true);
    for (const bit of [0, 100, 255, 256, 300, 507, 508, 511]) {
      expect(core.verifies(publicKey, message, flipped(signature, bit)), `bit ${bit}`).toBe(false);
    }
    expect(core.verifies(publicKey, Buffer.concat([message, Buffer.of(0)]), signature)).toBe(false);
    expect(core.verifies(flipped(publicKey, 255), message, signature)).toBe(false);
  },
);

describe('beside OpenSSL', () => {
  test('60 random keys, messages and signatures, whole or changed in one bit', () => {
    const random = seededRandom('Ed25519 checks');
    for (let i = 0; i < 60; i++) {
      const seed = random.bytes(32);
      const message = random.bytes(random.below(257));
      const reference = ed25519(seed);
      const made = reference.sign(message);
      const signature = i % 2 === 0 ? made : flipped(made, random.below(512));
      const about = `seed ${toHex(seed)}, message ${toHex(message)}, signature ${toHex(signature)}`;
      expect(core.verifies(reference.publicKey, message, signature), about).toBe(i % 2 === 0);
      expect(reference.verify(message, signature), about).toBe(i % 2 === 0);
    }
  });

  test('random bytes as keys: many are no point, and no signature holds', () => {
    const random = seededRandom('Ed25519 keys');
    for (let i = 0; i < 30; i++) {
      const [key, message, signature] = [random.bytes(32), random.bytes(20), random.bytes(64)];
      signature[63]! &= 0x0f;
      expect(core.verifies(key, message, signature)).toBe(false);
      expect(verify(null, message, verifyingKey(key), signature)).toBe(false);
    }
  });
});

describe('what is no signature', () => {
  const { publicKey, message, signature } = signatures[2]!;

  test('S not less than L', () => {
    const s = fromLittle(signature.subarray(32));
    expect(core.verifies(publicKey, message, withS(signature, s))).toBe(true);
    for (let times = 1n; s + times * order < 2n ** 256n; times++) {
      expect(core.verifies(publicKey, message, withS(signature, s + times * order)), `${times} L more`).toBe(false);
    }
  });

  // With a key of small order, R = S·B and any S, the equation holds for one message in eight at least.
  const small = [
    `01${'00'.repeat(31)}`,
    `ec${'ff'.repeat(30)}7f`,
    '00'.repeat(32),
    `${'00'.repeat(31)}80`,
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
    'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85',
  ];
  test.each(small)('a key of small order: %s', (key) => {
    const forged = Buffer.concat([toLittle(1n), toLittle(0n)]);
    let accepted = 0;
    for (let i = 0; i < 24; i++) {
      const message = Buffer.from(`message ${i}`);
      expect(core.verifies(hex(key), message, forged)).toBe(false);
      if (verify(null, message, verifyingKey(hex(key)), forged)) accepted++;
    }
    // OpenSSL, which does not look for them, takes some.
    expect(accepted).toBeGreaterThan(0);
  });

  test('keys whose y is not less than p, or whose x is a negative zero', () => {
    const forged = Buffer.concat([toLittle(1n), toLittle(0n)]);
    for (const y of [prime, prime + 1n, prime + 18n, 2n ** 255n - 1n]) {
      for (const sign of [0n, 2n ** 255n]) {
        expect(core.verifies(toLittle(y + sign), message, forged)).toBe(false);
      }
    }
    expect(core.verifies(toLittle(1n + 2n ** 255n), message, forged)).toBe(false);
  });

  test('an R that is not canonical, where the canonical one would hold', () => {
    // y = 1 + p would be the neutral element, which R = S·B - k·A is for S = k·a.
    const seed = new Uint8Array(32).fill(7);
    const { publicKey } = ed25519(seed);
    expect(core.verifies(publicKey, message, Buffer.concat([toLittle(1n + prime), toLittle(5n)]))).toBe(false);
  });
});

test('a check goes on beside other hashes, and a signature after it is right', async () => {
  const { seed, publicKey, message, signature } = signatures[3]!;
  const own = new SignCore(await loadCore());
  const at = own.exports.testScratch();
  own.memory.set(Buffer.concat([publicKey, signature, message]), at);
  own.exports.testVerifyBegin(at, at + 32, at + 96, message.length);
  own.memory.fill(0, at, at + 400);
  let slices = 1;
  for (; own.exports.testVerifyStep() === 0; slices++) own.sha512(new Uint8Array(130).fill(slices));
  expect(own.exports.testVerifyHolds()).toBe(1);
  expect(slices).toBeGreaterThan(600);
  own.publicKey(seed);
  expect(toHex(own.sign(message))).toBe(toHex(signature));
});
