// The arithmetic below Ed25519: modulo the order of the base point, beside integers without bounds, up to the edges.
import { describe, expect, test } from 'vitest';
import { SignCore } from '../../host/selftest/sign-core.ts';
import { loadCore } from './load-core.ts';
import { type SeededRandom, seededRandom } from './random.ts';

const core = new SignCore(await loadCore());
const { exports } = core;
const room = exports.testScratch();

const c = 27_742_317_777_372_353_535_851_937_790_883_648_493n;
const order = 2n ** 252n + c;

const toBytes = (value: bigint, length: number) =>
  Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
const toValue = (bytes: Uint8Array) => bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
const randomValue = (random: SeededRandom, bytes: number) => toValue(random.bytes(bytes));

/** What was written behind the 32 bytes: a zero, the zero that is written with it, and nothing more. */
const readScalar = (at: number) => {
  expect([...core.memory.subarray(at + 32, at + 35)]).toEqual([0, 0, 0xa5]);
  return toValue(core.memory.slice(at, at + 32));
};

function fromHash(hash: bigint): bigint {
  core.memory.fill(0xa5, room, room + 128);
  core.memory.set(toBytes(hash, 64), room + 64);
  exports.testScalarFromHash(room, room + 64);
  return readScalar(room);
}

function answer(k: bigint, s: bigint, r: bigint): bigint {
  const at = room + 128;
  core.memory.fill(0xa5, room, at);
  core.memory.set(toBytes(k, 32), at);
  core.memory.set(toBytes(s, 32), at + 32);
  core.memory.set(toBytes(r, 34), at + 64);
  exports.testScalarAnswer(room, at, at + 32, at + 64);
  return readScalar(room);
}

/** Where another reduction would end one L too high or too low, or negative. */
const edges = [0n, 1n, 2n, c - 1n, c, c + 1n, 2n ** 252n - 1n, 2n ** 252n, order - 1n, order, order + 1n].flatMap(
  (edge) => [edge, edge + order, 2n ** 253n - 1n - edge],
);

describe('a hash modulo the order', () => {
  test('is right around multiples of it', () => {
    const random = seededRandom('scalars around multiples');
    const most = (2n ** 512n - 1n) / order;
    const multiples = [0n, 1n, 2n, 15n, 16n, 2n ** 252n, 2n ** 259n, most - 2n, most - 1n, most];
    for (const multiple of [...multiples, ...Array.from({ length: 500 }, () => randomValue(random, 32))]) {
      for (const edge of [-c, -2n, -1n, 0n, 1n, c - 1n, c, 2n ** 252n - 1n, 2n ** 252n, 2n ** 252n + 1n]) {
        const hash = (multiple % (most + 1n)) * order + edge;
        if (hash >= 0n && hash < 2n ** 512n) expect(fromHash(hash), `${hash}`).toBe(hash % order);
      }
    }
  });

  test('is right for all ones, single bits, and runs of ones', () => {
    for (let bit = 0n; bit <= 512n; bit++) {
      for (const hash of [1n << bit, (1n << bit) - 1n, 2n ** 512n - (1n << bit)]) {
        if (hash < 2n ** 512n) expect(fromHash(hash), `${hash}`).toBe(hash % order);
      }
    }
  });

  test('is right for 2,000 random hashes', () => {
    const random = seededRandom('scalars from hashes');
    for (let i = 0; i < 2_000; i++) {
      const hash = randomValue(random, 64);
      expect(fromHash(hash), `${hash}`).toBe(hash % order);
    }
  });
});

describe('an answer k · s + r', () => {
  const wanted = (k: bigint, s: bigint, r: bigint) => (k * s + r) % order;

  test('is right at the edges of k, s and r', () => {
    const scalars = edges.filter((edge) => edge < order);
    const secrets = [2n ** 254n, 2n ** 254n + 8n, 2n ** 255n - 8n, 2n ** 255n - 1n];
    for (const k of scalars) {
      for (const s of secrets) {
        for (const r of scalars) expect(answer(k, s, r), `${k} ${s} ${r}`).toBe(wanted(k, s, r));
      }
    }
  });

  test('is right where all limbs are the largest', () => {
    const ones = 2n ** 256n - 1n;
    expect(answer(ones, ones, ones)).toBe(wanted(ones, ones, ones));
  });

  test('is right where it is a multiple of the order, or just beside', () => {
    const random = seededRandom('answers beside multiples');
    for (let i = 0; i < 500; i++) {
      const k = randomValue(random, 32) % order;
      const s = randomValue(random, 32);
      for (const difference of [0n, 1n, c - 1n, c, order - 1n]) {
        const r = (((difference - k * s) % order) + order) % order;
        expect(answer(k, s, r), `${k} ${s} ${r}`).toBe(difference);
      }
    }
  });

  test('is right for 2,000 random numbers', () => {
    const random = seededRandom('answers');
    for (let i = 0; i < 2_000; i++) {
      const [k, s, r] = [randomValue(random, 32), randomValue(random, 32), randomValue(random, 32)];
      expect(answer(k, s, r), `${k} ${s} ${r}`).toBe(wanted(k, s, r));
    }
  });
});
