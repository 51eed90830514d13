// The arithmetic below Ed25519: modulo 2^255 - 19, beside integers without bounds, up to the largest limbs.
import { describe, expect, test } from 'vitest';
import { SignCore } from '../../host/selftest/sign-core.ts';
import { loadCore } from './load-core.ts';
import { type SeededRandom, seededRandom } from './random.ts';

const core = new SignCore(await loadCore());
const { exports } = core;
const room = exports.testScratch();
const view = new DataView(core.memory.buffer);

const p = 2n ** 255n - 19n;
const limbs = 20;
const elementBytes = 40;

/** The largest limb that a number may have at each place (as/sign/field.ts). */
const largest = Array.from({ length: limbs }, (_, i) => (i === 1 ? 0x2000 : i === limbs - 1 ? 0xff : 0x1fff));

type Limbs = readonly number[];

const toValue = (number: Limbs) => number.reduce((sum, limb, i) => sum + (BigInt(limb) << BigInt(13 * i)), 0n);
const toLimbs = (value: bigint) => Array.from({ length: limbs }, (_, i) => Number((value >> BigInt(13 * i)) & 0x1fffn));
const modulo = (value: bigint) => ((value % p) + p) % p;

const at = (slot: number) => room + slot * elementBytes;
const write = (slot: number, number: Limbs) => {
  for (const [i, limb] of number.entries()) view.setUint16(at(slot) + 2 * i, limb, true);
};
const read = (slot: number) => Array.from({ length: limbs }, (_, i) => view.getUint16(at(slot) + 2 * i, true));

const operations = [
  { name: 'testFieldAdd', wanted: (x: bigint, y: bigint) => x + y },
  { name: 'testFieldSubtract', wanted: (x: bigint, y: bigint) => x - y },
  { name: 'testFieldMultiply', wanted: (x: bigint, y: bigint) => x * y },
] as const;

/** Does it in a place of its own and over both inputs; returns the one result. */
function operate(name: (typeof operations)[number]['name'], x: Limbs, y: Limbs): Limbs {
  const results = [2, 0, 1].map((target) => {
    write(0, x);
    write(1, y);
    exports[name](at(target), at(0), at(1));
    return read(target);
  });
  expect(results[1]).toEqual(results[0]);
  expect(results[2]).toEqual(results[0]);
  return results[0]!;
}

function check(name: (typeof operations)[number]['name'], wanted: bigint, x: Limbs, y: Limbs): void {
  const result = operate(name, x, y);
  expect(modulo(toValue(result)), `${name} of ${x} and ${y}`).toBe(modulo(wanted));
  for (const [i, limb] of result.entries()) expect(limb, `limb ${i}`).toBeLessThanOrEqual(largest[i]!);
  expect(toValue(result)).toBeLessThan(2n ** 255n + 2n ** 26n);
}

/** Each limb zero, the largest, or anything: where carries run far, and where none is. */
const anyLimbs = (random: SeededRandom): Limbs => {
  const kind = random.below(4);
  return largest.map((most) => {
    if (kind === 3 || random.below(8) === 0) return random.below(most + 1);
    return kind === 2 ? most * random.below(2) : most * kind;
  });
};

const edges: readonly Limbs[] = [
  toLimbs(0n),
  toLimbs(1n),
  toLimbs(p - 1n),
  toLimbs(p),
  toLimbs(p + 1n),
  toLimbs(2n ** 255n - 1n),
  largest,
  largest.map((most, i) => (i === 1 ? 0x1fff : most)),
  largest.map((most, i) => (i === 0 ? 0 : most)),
  largest.map((most, i) => (i === limbs - 1 ? 0 : most)),
  ...largest.map((most, place) => largest.map((_, i) => (i === place ? most : 0))),
];

describe.each(operations)('$name', ({ name, wanted }) => {
  test('is right for the largest and the smallest limbs', () => {
    for (const x of edges) {
      for (const y of edges) check(name, wanted(toValue(x), toValue(y)), x, y);
    }
  });

  test('is right for 2,000 random numbers', () => {
    const random = seededRandom(name);
    for (let i = 0; i < 2_000; i++) {
      const [x, y] = [anyLimbs(random), anyLimbs(random)];
      check(name, wanted(toValue(x), toValue(y)), x, y);
    }
  });
});

test('no sum of products passes 31 bits', () => {
  let carry = 0n;
  for (let column = 0; column <= 2 * (limbs - 1); column++) {
    let sum = carry;
    for (let i = Math.max(0, column - limbs + 1); i <= Math.min(column, limbs - 1); i++) {
      sum += BigInt(largest[i]! * largest[column - i]!);
    }
    expect(sum).toBeLessThan(2n ** 31n);
    carry = sum >> 13n;
  }
  expect(carry).toBeLessThanOrEqual(8n);
});

test('an encoding is the one number from 0 to p - 1', () => {
  const random = seededRandom('encodings');
  const near = [-40n, -20n, -19n, -18n, -2n, -1n, 0n, 1n, 2n, 18n, 19n, 20n].flatMap((difference) => [
    toLimbs(modulo(difference)),
    toLimbs(p + (difference < 0n ? difference : 0n)),
    // As large as a number may be: limb 1 takes what is above 2^255.
    ...(difference > 0n && difference < 19n ? [toLimbs(p + difference)] : []),
  ]);
  for (const number of [...near, ...edges, ...Array.from({ length: 2_000 }, () => anyLimbs(random))]) {
    write(0, number);
    core.memory.fill(0xa5, at(1), at(2));
    exports.testFieldEncode(at(1), at(0));
    const bytes = core.memory.slice(at(1), at(1) + 33);
    const value = bytes.subarray(0, 32).reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    expect(value, `${number}`).toBe(modulo(toValue(number)));
    expect(bytes[32]).toBe(0xa5);
  }
});
