// SHA-256 as the firmware has it, on the emulated board.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadBoard } from '../../host/build/index.ts';
import { runBare } from './bare.ts';
import { boardName, temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const sha256 = (...parts: Uint8Array[]) =>
  parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

it('is right for every length, and takes less than six million instructions for 96 KiB', async () => {
  const board = loadBoard(boardName);
  // 2^7 ns an instruction, 40 ns a tick.
  const args = [...board.emulation!.arguments, '-icount', 'shift=7'];
  const counting = { ...board, emulation: { ...board.emulation!, arguments: args } };
  const program = { sources: ['test/firmware/sha256/hashes.c'], log: 'hashes_log', words: 10 };
  const log = await runBare(counting, join(temporary.path, 'hashes'), program, ([done]) => done === 1);
  const data = Uint8Array.from({ length: 160 }, (_, index) => 7 * index);
  let chained: Uint8Array = new Uint8Array(32);
  for (let length = 0; length < data.length; length++) chained = sha256(chained, data.subarray(0, length));
  expect(log.slice(1, 9)).toEqual([...new Uint32Array(Uint8Array.from(chained).buffer)]);
  const instructions = (log[9]! * 40) / 128;
  expect(instructions).toBeGreaterThan(1_000_000);
  expect(instructions).toBeLessThan(6_000_000);
});
