// Memory checks of the compiled core: a module with every load and store goes through the product's own pipeline and
// runtime, and is driven over both ends of its memory and past 4 GiB, on the emulated board and on this machine.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { memoryHeader } from '../../host/build/headers.ts';
import { requireWabt, runTool } from '../../host/build/tools.ts';
import { convertWasm, insertChecks } from '../../host/build/wasm-to-c.ts';
import { root } from '../../scripts/lib/project.mjs';
import { type Case, cases, memoryBytes, probeSource, probeText } from './bounds/cases.ts';
import { temporaryFolder } from './echo-meter.ts';
import { prepareProbe, runHere, runOnBoard, runProgram } from './probe.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

// As in a memory so large that limits are rounded by more than the room behind it.
const largeStep = 128;

/** Generates table and compiled module in a new folder. */
async function generate(name: string, table: readonly Case[] = cases, step?: number): Promise<string> {
  const folder = join(temporary.path, name);
  const config = memoryHeader(memoryBytes).replace(
    /(WASM_MEMORY_STEP) (\d+)/,
    (_, what, by) => `${what} ${step ?? by}`,
  );
  const files = { 'cases.c': probeSource(table), 'probe.wat': probeText(table), 'wasm_config.h': config };
  prepareProbe(folder, memoryBytes, files);
  await runTool(requireWabt('wat2wasm'), ['probe.wat', '-o', 'probe.wasm'], folder);
  await convertWasm(join(folder, 'probe.wasm'), folder, 'core');
  return folder;
}

const sourcesOf = (folder: string) => [
  'firmware/runtime/wasm_runtime.c',
  'test/firmware/bounds/bounds.c',
  join(folder, 'cases.c'),
];

const native = await runProgram('gcc', ['--version']).then(({ code }) => code === 0);
const expectedTraps = cases.filter((one) => one.traps).length + 4;
const summary = `${cases.length + 6} 0 ${expectedTraps} \n`;

describe('memory of the compiled core', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await generate('right');
  });

  it('covers 23 accesses with offsets up to 2^32 - 1, inside and outside', () => {
    expect(new Set(cases.map((one) => one.access.op)).size).toBe(23);
    expect(cases.filter((one) => !one.traps).length).toBeGreaterThan(500);
    expect(cases.filter((one) => one.traps && one.base + one.offset >= 2 ** 32).length).toBeGreaterThan(500);
  });

  it('is reached inside and traps outside, on the emulated board', async () => {
    const { code, output } = await runOnBoard(folder, ['firmware/runtime/memory.c', ...sourcesOf(folder)]);
    expect(output).toContain(summary);
    expect(code).toBe(0);
  });

  it('is reached inside where limits are rounded far', async () => {
    const rounded = await generate('rounded', cases, largeStep);
    const { code, output } = await runOnBoard(rounded, ['firmware/runtime/memory.c', ...sourcesOf(rounded)]);
    expect(output).toContain(summary);
    expect(code).toBe(0);
  });

  it.runIf(native)('is reached inside and traps outside, on this machine', async () => {
    expect(await runHere(folder, sourcesOf(folder))).toEqual({ code: 0, output: summary });
  });

  it.each([
    [
      'one byte too many is let through',
      /\(WASM_MEMORY_ROOM - \(bytes\) - \(offset\)\)/,
      '(WASM_MEMORY_ROOM + 1 - (bytes) - (offset))',
    ],
    [
      'a small offset reaches out of the room',
      /\(offset\) <= WASM_MEMORY_ROOM - WASM_MEMORY_LIMIT - \(bytes\)/,
      '(offset) <= WASM_MEMORY_ROOM - WASM_MEMORY_LIMIT',
    ],
    ['a limit is too low', / >= WASM_MEMORY_BYTES \? WASM_ROUND/, ' >= WASM_MEMORY_BYTES - 8u ? WASM_ROUND'],
    ['a sum past 2^32 is let through', /\(offset\) > WASM_MEMORY_ROOM - \(bytes\) \|\|/, ''],
    ['nothing is checked', /wasm_refuse_access\(\);/, ';'],
  ])('would fail here if %s', async (fault, what, by) => {
    const few = cases.filter(({ access }) => ['i64.load', 'i32.store16'].includes(access.op));
    const broken = await generate(fault.replaceAll(/\W/g, '-'), few, largeStep);
    const header = readFileSync(join(root, 'firmware', 'runtime', 'wasm_memory.h'), 'utf8');
    expect(header).toMatch(what);
    // Found before the firmware's own, being beside the file that includes it.
    writeFileSync(join(broken, 'wasm_memory.h'), header.replace(what, by));
    const { code, output } = await runOnBoard(broken, ['firmware/runtime/memory.c', ...sourcesOf(broken)]);
    expect(code).not.toBe(0);
    expect(output).toMatch(/^case|fault/m);
  });
});

describe("wasm2c's output", () => {
  it('is refused when an access has a form that is not known', () => {
    const output = `DEFINE_LOAD(a, b)\n#if WASM_RT_STACK_DEPTH_COUNT\nx\n#endif\n i32_load_default32(&instance->w2c_memory, f(1));\n`;
    expect(() => insertChecks(output)).toThrow(/form not known/);
  });

  it('is refused when its definitions are not where they were', () => {
    expect(() => insertChecks('int main;')).toThrow(/expected once/);
  });
});
