// Memory checks of the compiled core: a module with every load and store goes through the product's own pipeline and
// runtime, and is driven over both ends of its memory and past 4 GiB, on the emulated board and on this machine.
import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadBoard } from '../../host/build/board.ts';
import { compileImage } from '../../host/build/compile.ts';
import { abiHeader, boardHeader, memoryHeader } from '../../host/build/headers.ts';
import { linkerScript } from '../../host/build/linker-script.ts';
import { requireTool, requireWabt, runTool } from '../../host/build/tools.ts';
import { convertWasm, insertChecks } from '../../host/build/wasm-to-c.ts';
import { root } from '../../scripts/lib/project.mjs';
import { type Case, cases, memoryBytes, probeSource, probeText } from './bounds/cases.ts';
import { boardName, temporaryFolder } from './echo-meter.ts';

const board = loadBoard(boardName);
const temporary = temporaryFolder();
afterAll(() => temporary.remove());

/** Generates headers, table and compiled module in a new folder. */
async function generate(name: string, table: readonly Case[] = cases): Promise<string> {
  const folder = join(temporary.path, name);
  mkdirSync(folder);
  const files = {
    'core_abi.h': abiHeader(),
    'board_config.h': boardHeader(board),
    'wasm_config.h': memoryHeader(memoryBytes),
    'link.ld': linkerScript(board),
    'cases.c': probeSource(table),
    'probe.wat': probeText(table),
  };
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  for (const file of ['probe.h', 'probe.c', 'target.c', 'native.c']) {
    copyFileSync(join(root, 'test', 'firmware', 'bounds', file), join(folder, file));
  }
  await runTool(requireWabt('wat2wasm'), ['probe.wat', '-o', 'probe.wasm'], folder);
  await convertWasm(join(folder, 'probe.wasm'), folder, 'core');
  return folder;
}

interface Outcome {
  readonly code: number;
  readonly output: string;
}

async function run(command: string, args: string[], env: Record<string, string> = {}): Promise<Outcome> {
  const options = { env: { ...process.env, ...env }, timeout: 60_000 };
  try {
    // What the emulated board prints by semihosting comes out of the emulator's standard error.
    const { stdout, stderr } = await promisify(execFile)(command, args, options);
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}

async function runEmulated(folder: string): Promise<Outcome> {
  const elfPath = join(folder, 'probe.elf');
  const sources = [
    'firmware/platform/cortex_m/startup.c',
    'firmware/runtime/memory.c',
    'firmware/runtime/wasm_runtime.c',
    ...['cases.c', 'probe.c', 'target.c'].map((file) => join(folder, file)),
  ];
  await compileImage({ root, folder, board, gcc: requireTool('arm-none-eabi-gcc'), sources, elfPath });
  const qemu = requireTool('qemu-system-arm');
  const args = ['-machine', boardName, '-nodefaults', '-display', 'none', '-no-reboot'];
  const console = ['-semihosting-config', 'enable=on,target=native', '-kernel', elfPath];
  return run(qemu.path, [...qemu.args, ...args, ...console], qemu.env);
}

async function runNative(folder: string): Promise<Outcome> {
  const runtime = join(root, 'firmware', 'runtime');
  const program = join(folder, 'probe');
  const files = ['core.c', 'cases.c', 'probe.c', 'native.c'].map((file) => join(folder, file));
  const includes = [`-I${folder}`, `-I${runtime}`];
  const flags = ['-O2', '-w', '-fno-strict-aliasing', '-fwrapv', ...includes];
  const build = await run('gcc', [...flags, ...files, join(runtime, 'wasm_runtime.c'), '-lm', '-o', program]);
  if (build.code !== 0) return build;
  return run(program, []);
}

const native = await run('gcc', ['--version']).then(({ code }) => code === 0);
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
    const { code, output } = await runEmulated(folder);
    expect(output).toContain(summary);
    expect(code).toBe(0);
  });

  it.runIf(native)('is reached inside and traps outside, on this machine', async () => {
    expect(await runNative(folder)).toEqual({ code: 0, output: summary });
  });

  it.each([
    [
      'one byte too many is let through',
      /> WASM_MEMORY_BYTES - \(bytes\) - \(offset\)/,
      '> WASM_MEMORY_BYTES - (bytes) - (offset) + 1',
    ],
    ['a sum past 2^32 is let through', /\(offset\) > WASM_MEMORY_BYTES - \(bytes\) \|\|/, ''],
    ['nothing is checked', /TRAP\(OOB\);/, ';'],
  ])('would fail here if %s', async (fault, what, by) => {
    const few = cases.filter(({ access }) => ['i64.load', 'i32.store16'].includes(access.op));
    const broken = await generate(fault.replaceAll(/\W/g, '-'), few);
    const header = readFileSync(join(root, 'firmware', 'runtime', 'wasm_memory.h'), 'utf8');
    expect(header).toMatch(what);
    writeFileSync(join(broken, 'wasm_memory.h'), header.replace(what, by));
    const { code, output } = await runEmulated(broken);
    expect(code).not.toBe(0);
    expect(output).toMatch(/case|fault/);
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
