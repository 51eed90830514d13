// Ed25519 as the firmware has it, on the emulated board: right, in slices as short as promised, and each slice taking as
// many instructions for one seed and message as for another; checks in slices as short.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requireTool, runTool } from '../../host/build/tools.ts';
import { convertWasm } from '../../host/build/wasm-to-c.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { ed25519 } from '../core/ed25519-reference.ts';
import { loadCore } from '../core/load-core.ts';
import { temporaryFolder } from './echo-meter.ts';
import { prepareProbe, runOnBoard } from './probe.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

// As in sign/sign.c.
const cases = 4;
const messageBytes = 256;
const seedBytes = 32;
const inputByte = (i: number, number: number) => (number < 2 ? -number : i * i * 37 + i * number * 101 + number) & 0xff;
const input = (number: number) => {
  const bytes = Uint8Array.from({ length: seedBytes + messageBytes }, (_, i) => inputByte(i, number));
  return { seed: bytes.subarray(0, seedBytes), message: bytes.subarray(seedBytes) };
};

const sliceAtMost = 60_000;
const totalAtMost = 25_000_000;
const checkAtMost = 40_000_000;

interface Line {
  readonly letter: string;
  readonly number: number;
  readonly values: readonly number[];
}

const folder = join(temporary.path, 'sign');
let lines: Line[];
beforeAll(async () => {
  const core = await loadCore<{ testScratch(): number }>();
  prepareProbe(folder, core.testScratch() + seedBytes + messageBytes);
  mkdirSync(join(folder, 'obj'), { recursive: true });
  await convertWasm((await buildCore()).path, folder, 'core');
  const sources = ['memory.c', 'wasm_runtime.c'].map((name) => join('firmware', 'runtime', name));
  const { code, output } = await runOnBoard(folder, [...sources, 'test/firmware/sign/sign.c'], ['-icount', 'shift=7']);
  expect(code, output).toBe(0);
  lines = [...output.matchAll(/^([KPGSVH]) (\d[\d ]*)$/gm)].map(([, letter, numbers]) => {
    const [number, ...values] = numbers!.trim().split(' ').map(Number);
    return { letter: letter!, number: number!, values };
  });
}, 120_000);

const find = (letter: string) => {
  const found = lines.filter((line) => line.letter === letter);
  expect(found).toHaveLength(cases);
  return found;
};
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

describe('the longest message', () => {
  it('is signed as another implementation does', () => {
    for (const { number, values } of find('P')) {
      expect(values).toEqual([...ed25519(input(number).seed).publicKey]);
    }
    for (const { number, values } of find('S')) {
      const { seed, message } = input(number);
      expect(values).toEqual([...ed25519(seed).sign(message)]);
    }
  });

  it.each(['K', 'G'])('takes the same number of instructions in each slice for any seed and message (%s)', (letter) => {
    const [first, ...others] = find(letter);
    expect(first!.values.length).toBeGreaterThan(300);
    for (const { values } of others) expect(values).toEqual(first!.values);
  });

  it.each(['K', 'G'])('takes slices as short as promised (%s)', (letter) => {
    const { values } = find(letter)[0]!;
    const most = Math.max(...values);
    const what = letter === 'K' ? 'a public key' : 'a signature';
    console.log(`${what}: ${sum(values)} instructions in ${values.length} slices of at most ${most}`);
    expect(most).toBeLessThanOrEqual(sliceAtMost);
    expect(sum(values)).toBeLessThanOrEqual(totalAtMost);
  });

  it('is checked in slices as short as promised', () => {
    expect(find('H').map(({ values }) => values)).toEqual(Array(cases).fill([1]));
    const checks = find('V').map(({ values }) => values);
    const most = Math.max(...checks.flat());
    console.log(`a check: up to ${Math.max(...checks.map(sum))} instructions in slices of at most ${most}`);
    expect(most).toBeLessThanOrEqual(sliceAtMost);
    for (const values of checks) expect(sum(values)).toBeLessThanOrEqual(checkAtMost);
  });
});

// On a Cortex-M3 these take a number of cycles that depends on their operands; a MUL, MLA or MLS of 32 bits does not.
const uneven = /^(umull|smull|umlal|smlal|umaal|udiv|sdiv)/;
// The compiler's own functions for what the processor does not have.
const libraryCall = /^__aeabi_/;

it('neither multiplies to 64 bits nor divides, in all that a slice calls', async () => {
  const objdump = requireTool('arm-none-eabi-objdump');
  const text = await runTool(objdump, ['-dr', '--no-show-raw-insn', join('obj', 'core', 'core.o')], folder);
  const functions = new Map(
    [...text.matchAll(/^[0-9a-f]{8} <(.+)>:\n((?:.+\n)+)/gm)].map(([, name, body]) => [name!, body!] as const),
  );
  const calls = (body: string) => [...body.matchAll(/R_ARM_THM_(?:CALL|JUMP24)\t(\S+)/g)].map(([, name]) => name!);
  const instructions = (body: string) => [...body.matchAll(/^ +[0-9a-f]+:\t([a-z]\S*)/gm)].map(([, name]) => name!);
  const reached = new Set(['w2c_core_testSignStep']);
  for (const name of reached) for (const called of calls(functions.get(name) ?? '')) reached.add(called);
  expect([...reached].filter((name) => libraryCall.test(name))).toEqual([]);
  const done = [...reached].flatMap((name) => instructions(functions.get(name) ?? ''));
  // Those of field elements, scalars and hash are among them.
  expect(done.length).toBeGreaterThan(1_000);
  expect(done).toContain('mla');
  expect(done).toContain('mls');
  expect(done.filter((name) => uneven.test(name))).toEqual([]);
  // What the pattern is for is found where it is.
  expect([...functions.values()].flatMap(instructions).some((name) => uneven.test(name))).toBe(true);
});
