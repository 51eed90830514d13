// The firmware's square root against this machine's, bit for bit, on the emulated board.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { temporaryFolder } from './echo-meter.ts';
import { prepareProbe, runOnBoard } from './probe.ts';
import { randomNumbers } from './random.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const drawn = 1000;

function toBits(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  return view.getBigUint64(0);
}

function fromBits(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

/** Zeros, the ends of each range, what has no root, powers of two, and squares with what lies beside them. */
function special(): bigint[] {
  const ends = [0, Number.MIN_VALUE, 2 ** -1022 - 2 ** -1074, 2 ** -1022, Number.MAX_VALUE, Number.POSITIVE_INFINITY];
  const signed = [...ends, 1, 2].flatMap((value) => [value, -value]);
  const powers = Array.from({ length: 60 }, (_, i) => 2 ** (36 * i - 1074));
  // A root of 26 or 27 bits has a square that a double holds just so.
  const roots = [1, 3, 10, 2 ** 26 - 1, 2 ** 26 + 1, 94_906_265, 1e-9];
  const squares = roots.flatMap((root) => [-1n, 0n, 1n].map((ulp) => toBits(root * root) + ulp));
  return [...[...signed, ...powers, Number.NaN].map(toBits), ...squares];
}

it('is what Math.sqrt says', { timeout: 60_000 }, async () => {
  const random = randomNumbers();
  const word = () => BigInt(random(2 ** 32));
  const any = () => (word() << 32n) | word();
  const positive = 2n ** 63n - 1n;
  const inputs = special();
  for (let i = 0; i < drawn; i++) {
    inputs.push(any() & positive, any());
    // From 1 up to 4, and below the least normal number.
    inputs.push(toBits(1) + (any() % 2n ** 53n), any() >> BigInt(12 + random(50)));
  }
  const folder = join(temporary.path, 'roots');
  prepareProbe(folder, 8);
  const list = inputs.map((bits) => `0x${bits.toString(16)}ull,`).join('\n');
  const numbers = `const uint64_t numbers[] = {\n${list}\n};\nconst uint32_t numbers_count = ${inputs.length};\n`;
  writeFileSync(join(folder, 'core.c'), `#include <stdint.h>\n${numbers}`);
  const sources = ['memory.c', 'square_root.c'].map((name) => join('firmware', 'runtime', name));
  const { code, output } = await runOnBoard(folder, [...sources, 'test/firmware/square-root/roots.c']);
  expect(code, output.slice(-200)).toBe(0);
  const roots = output.split('\n').filter((line) => /^\d+ \d+ $/.test(line));
  expect(roots).toHaveLength(inputs.length);
  const wrong = roots.flatMap((line, i) => {
    const [high, low] = line.trim().split(' ').map(BigInt) as [bigint, bigint];
    const root = fromBits((high << 32n) | low);
    const expected = Math.sqrt(fromBits(inputs[i]!));
    // A NaN is one whatever its bits.
    return Object.is(root, expected) ? [] : [`${inputs[i]!.toString(16)}: ${root}, not ${expected}`];
  });
  expect(wrong).toEqual([]);
});
