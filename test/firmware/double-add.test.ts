// Sums of doubles on the emulated board against this machine's, bit for bit: the core decides alike on both.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { temporaryFolder } from './echo-meter.ts';
import { prepareProbe, runOnBoard } from './probe.ts';
import { randomNumbers } from './random.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

/** Pairs for each difference of exponents. */
const drawn = 40;

function fromBits(bits: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, bits);
  return view.getFloat64(0);
}

it('is what JavaScript says, however far the exponents are apart', { timeout: 60_000 }, async () => {
  const random = randomNumbers();
  const word = () => BigInt(random(2 ** 32));
  const exponentOnes = 0x7ffn;
  // The least and the most of a mantissa are drawn often, as only near them a sum moves to another exponent.
  const mantissa = () => [0n, word() & 3n, 2n ** 52n - 1n, (word() << 20n) | (word() >> 12n)][random(4)]!;
  const number = (exponent: bigint) => ((word() >> 31n) << 63n) | (exponent << 52n) | mantissa();
  const pairs: [bigint, bigint][] = [];
  for (let apart = 0n; apart < 60n; apart++) {
    for (let i = 0; i < drawn; i++) {
      const least = [0n, 1n, BigInt(1 + random(1900)), exponentOnes - apart][random(8)] ?? BigInt(900 + random(200));
      const both: [bigint, bigint] = [number(least + apart), number(least)];
      pairs.push(i % 2 === 0 ? both : [both[1], both[0]]);
    }
  }
  const folder = join(temporary.path, 'sums');
  prepareProbe(folder, 8);
  const list = pairs.map(([a, b]) => `0x${a.toString(16)}ull, 0x${b.toString(16)}ull,`).join('\n');
  const numbers = `const uint64_t numbers[] = {\n${list}\n};\nconst uint32_t numbers_count = ${2 * pairs.length};\n`;
  writeFileSync(join(folder, 'core.c'), `#include <stdint.h>\n${numbers}`);
  const sources = ['memory.c', 'double_add.c'].map((name) => join('firmware', 'runtime', name));
  const { code, output } = await runOnBoard(folder, [...sources, 'test/firmware/double-add/sums.c']);
  expect(code, output.slice(-200)).toBe(0);
  const lines = output.split('\n').filter((line) => /^(?:\d+ ){4}$/.test(line));
  expect(lines).toHaveLength(pairs.length);
  const wrong = lines.flatMap((line, i) => {
    const [a, b, c, d] = line.trim().split(' ').map(BigInt) as [bigint, bigint, bigint, bigint];
    const came = [fromBits((a << 32n) | b), fromBits((c << 32n) | d)];
    const [left, right] = pairs[i]!.map(fromBits) as [number, number];
    const expected = [left + right, left - right];
    return came.every((value, k) => Object.is(value, expected[k])) ? [] : [{ left, right, came, expected }];
  });
  expect(wrong).toEqual([]);
});
