// The ciphers of NTS as the firmware has them, on the emulated board: right, as quick as promised, and taking as many
// instructions for one key and plaintext as for another.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { aessiv, gcmsiv } from '@noble/ciphers/aes.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { convertWasm } from '../../host/build/wasm-to-c.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { loadCore } from '../core/load-core.ts';
import { temporaryFolder } from './echo-meter.ts';
import { prepareProbe, runOnBoard } from './probe.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

// As in ciphers/ciphers.c.
const keys = 4;
const messageBytes = 512;
const dataBytes = 84;
const textBytes = 104;
const tagBytes = 16;
const message = (key: number) => Uint8Array.from({ length: messageBytes }, (_, i) => i * 37 + key * 101 + 11);

interface Case {
  readonly algorithm: number;
  readonly keyBytes: number;
  readonly nonceBytes: number;
  /** The most instructions to set a key, to seal a request, to open an answer with one cookie. */
  readonly limits: readonly [number, number, number];
}

const cases: readonly Case[] = [
  { algorithm: 15, keyBytes: 32, nonceBytes: 16, limits: [3_100, 12_900, 20_700] },
  { algorithm: 16, keyBytes: 48, nonceBytes: 16, limits: [4_900, 14_900, 23_700] },
  { algorithm: 17, keyBytes: 64, nonceBytes: 16, limits: [5_900, 16_900, 26_700] },
  { algorithm: 30, keyBytes: 16, nonceBytes: 12, limits: [700, 26_100, 34_700] },
];

interface Measured {
  readonly algorithm: number;
  /** Instructions to set a key, to seal a request, to open an answer. */
  readonly instructions: readonly number[];
  readonly opened: boolean;
  readonly sealed: Uint8Array;
}

function parse(line: string): Measured {
  const [algorithm, key, request, answer, opened, ...sealed] = line.trim().split(' ').map(Number);
  return {
    algorithm: algorithm!,
    instructions: [key!, request!, answer!],
    opened: opened === 1,
    sealed: Uint8Array.from(sealed),
  };
}

let measured: Measured[];
beforeAll(async () => {
  const folder = join(temporary.path, 'ciphers');
  const core = await loadCore<{ testScratch(): number }>();
  prepareProbe(folder, core.testScratch() + messageBytes);
  mkdirSync(join(folder, 'obj'), { recursive: true });
  await convertWasm((await buildCore()).path, folder, 'core', { leftOut: ['bitsliceAes'] });
  const sources = ['memory.c', 'wasm_runtime.c'].map((name) => join('firmware', 'runtime', name));
  const { code, output } = await runOnBoard(
    folder,
    [...sources, 'test/firmware/ciphers/ciphers.c'],
    // One instruction a nanosecond of the board's time.
    ['-icount', 'shift=0'],
  );
  expect(code, output).toBe(0);
  measured = output
    .split('\n')
    .filter((line) => /^(\d+ ){100,}$/.test(line))
    .map(parse);
}, 60_000);

describe.each(cases)('AEAD $algorithm', ({ algorithm, keyBytes, nonceBytes, limits }) => {
  const lines = () => measured.filter((one) => one.algorithm === algorithm);

  it('seals what another implementation does, and opens it', () => {
    expect(lines()).toHaveLength(keys);
    for (const [key, { sealed, opened }] of lines().entries()) {
      const bytes = message(key);
      const data = bytes.subarray(64, 64 + dataBytes);
      const nonce = bytes.subarray(256, 256 + nonceBytes);
      const textAt = 272 + (algorithm === 30 ? 0 : tagBytes);
      const text = bytes.subarray(textAt, textAt + textBytes);
      const k = bytes.subarray(0, keyBytes);
      const expected = algorithm === 30 ? gcmsiv(k, nonce, data).encrypt(text) : aessiv(k, data, nonce).encrypt(text);
      expect(Buffer.from(sealed).toString('hex')).toBe(Buffer.from(expected).toString('hex'));
      expect(opened).toBe(true);
    }
  });

  it('takes the same number of instructions for any key, data and text', () => {
    const counts = lines().map(({ instructions }) => instructions);
    // The tick in which a count ends is not whole.
    for (const count of counts) {
      for (const [i, instructions] of count.entries()) {
        expect(Math.abs(instructions - counts[0]![i]!), `${count} beside ${counts[0]}`).toBeLessThanOrEqual(2);
      }
    }
  });

  it('is as quick as promised', () => {
    const { instructions } = lines()[0]!;
    const [key, request, answer] = instructions;
    console.log(`AEAD ${algorithm}: ${key} instructions for a key, ${request} for a request, ${answer} for an answer`);
    for (const [i, limit] of limits.entries()) expect(instructions[i]).toBeLessThanOrEqual(limit);
  });
});
