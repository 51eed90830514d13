// Test programs in C: on the emulated board with the firmware's own start-up, memory layout and compiler, or on the
// machine that runs the tests.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadBoard } from '../../host/build/board.ts';
import { compileImage } from '../../host/build/compile.ts';
import { abiHeader, boardHeader, memoryHeader } from '../../host/build/headers.ts';
import { linkerScript } from '../../host/build/linker-script.ts';
import { requireTool } from '../../host/build/tools.ts';
import { root } from '../../scripts/lib/project.mjs';
import { boardName } from './echo-meter.ts';

// Without memory protection: probes have no part of the firmware but its start-up, and data beside the board's RAM.
const { protection: _, ...board } = loadBoard(boardName);

/** How a program ended, and all that it printed. */
export interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Makes a folder with the headers that the firmware's C files need; `files` are added. */
export function prepareProbe(folder: string, memoryBytes: number, files: Record<string, string> = {}): void {
  mkdirSync(folder);
  const all = {
    'core_abi.h': abiHeader(),
    'board_config.h': boardHeader(board),
    'wasm_config.h': memoryHeader(memoryBytes),
    'link.ld': linkerScript(board),
    ...files,
  };
  for (const [file, text] of Object.entries(all)) writeFileSync(join(folder, file), text);
}

/**
 * Compiles C files (relative to the checkout, or absolute) with core.c of the folder, and runs them on the board.
 * `devices` are the emulator's arguments for parts beside it.
 */
export async function runOnBoard(
  folder: string,
  sources: readonly string[],
  devices: readonly string[] = [],
): Promise<Outcome> {
  const elfPath = join(folder, 'probe.elf');
  const own = ['test/firmware/probe/target.c', 'test/firmware/probe/number.c', 'firmware/platform/cortex_m/startup.c'];
  const included = { ...board, sources: [...board.sources, 'test/firmware/probe', 'test/firmware/bounds'] };
  const gcc = requireTool('arm-none-eabi-gcc');
  await compileImage({ root, folder, board: included, gcc, sources: [...own, ...sources], elfPath });
  const qemu = requireTool('qemu-system-arm');
  const machine = ['-machine', boardName, '-nodefaults', '-display', 'none', '-no-reboot'];
  const image = ['-semihosting-config', 'enable=on,target=native', '-kernel', elfPath];
  return runProgram(qemu.path, [...qemu.args, ...machine, ...devices, ...image], qemu.env);
}

/** Compiles C files with this machine's gcc and runs them. */
export async function runHere(folder: string, sources: readonly string[]): Promise<Outcome> {
  const program = join(folder, 'probe');
  const includes = [folder, 'firmware/runtime', 'test/firmware/probe', 'test/firmware/bounds'].map(
    (path) => `-I${path}`,
  );
  const flags = ['-O2', '-w', '-fno-strict-aliasing', '-fwrapv', ...includes];
  const own = ['test/firmware/probe/native.c', 'test/firmware/probe/number.c', join(folder, 'core.c')];
  const built = await runProgram('gcc', [...flags, ...own, ...sources, '-lm', '-o', program]);
  return built.code === 0 ? runProgram(program, []) : built;
}

/** Runs a program in the checkout's folder. */
export async function runProgram(
  command: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  try {
    // What the emulated board prints by semihosting comes out of the emulator's standard error.
    const { stdout, stderr } = await promisify(execFile)(command, args, {
      cwd: root,
      env: { ...process.env, ...env },
      timeout: 60_000,
    });
    return { code: 0, output: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, output: stdout + stderr };
  }
}
