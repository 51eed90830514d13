// What an export takes of a Cortex-M3: flash, RAM and stack, measured by compiling it.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BuildError } from '../build/errors.ts';
import { measureStack } from '../build/stack-depth.ts';
import { requireTool, runTool, type Tool } from '../build/tools.ts';
import { type ExportFiles, writeFolder } from './folder.ts';

/** Bytes, without the port's own functions and the C library. */
export interface PortNeeds {
  readonly flashBytes: number;
  readonly ramBytes: number;
  /** Deepest use of the stack by what metertime.h offers; undefined when it has no bound. */
  readonly stackBytes: number | undefined;
}

const cpu = ['-mcpu=cortex-m3', '-mthumb'];
const roots = [
  'metertime_start',
  'metertime_run_until',
  'metertime_ask_time',
  'metertime_accept_byte',
  'metertime_next_byte',
];
/** An exception's frame, and what the compiler's helpers take at most, on a Cortex-M. */
const rules = { frameBytes: 36, helperBytes: 48 };

/** Undefined where there is no compiler for it. */
export async function measurePort(
  root: string,
  files: ExportFiles,
  signal?: AbortSignal,
): Promise<PortNeeds | undefined> {
  const gcc = findTool('arm-none-eabi-gcc');
  const size = findTool('arm-none-eabi-size');
  if (gcc === undefined || size === undefined) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'metertime-export-'));
  try {
    writeFolder(folder, files);
    mkdirSync(join(folder, 'obj'));
    const names = readdirSync(join(folder, 'src')).filter((name) => name.endsWith('.c'));
    // In the place of a C library's, which the compiler need not have with it.
    const headers = ['string.h', 'math.h'].map(
      (name) => [name, readFileSync(join(root, 'firmware/runtime/include', name))] as const,
    );
    writeFolder(join(folder, 'libc'), new Map(headers));
    const shared = [
      ...cpu,
      '-std=c11',
      '-Os',
      '-ffreestanding',
      '-ffunction-sections',
      '-fdata-sections',
      '-fcallgraph-info=su',
    ];
    const includes = ['-Isrc', '-Iinclude', '-Iexample', '-idirafter', 'libc'];
    for (const name of names) {
      const flags = name === 'core.c' ? ['-w', '-ffp-contract=off', '-fno-strict-aliasing', '-fwrapv'] : [];
      await runTool(
        gcc,
        [...shared, ...flags, ...includes, '-c', `src/${name}`, '-o', `obj/${name.replace(/c$/, 'o')}`],
        folder,
        signal,
      );
    }
    const objects = names.map((name) => `obj/${name.replace(/c$/, 'o')}`).sort();
    const keep = roots.map((name) => `-Wl,-u,${name}`);
    const link = [
      '-nostdlib',
      '-Wl,--gc-sections',
      `-Wl,-e,${roots[0]}`,
      '-Wl,--unresolved-symbols=ignore-all',
      '-Wl,--wrap=__aeabi_dadd',
      '-Wl,--wrap=__aeabi_dsub',
    ];
    await runTool(gcc, [...cpu, ...link, ...keep, ...objects, '-lgcc', '-o', 'measured.elf'], folder, signal);
    const [, line = ''] = (await runTool(size, ['measured.elf'], folder, signal)).split('\n');
    const [text = 0, data = 0, bss = 0] = line.trim().split(/\s+/).map(Number);
    return { flashBytes: text + data, ramBytes: data + bss, stackBytes: stackOf(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function stackOf(folder: string): number | undefined {
  const graphs = readdirSync(join(folder, 'obj')).filter((name) => name.endsWith('.ci'));
  const texts = graphs.map((name) => readFileSync(join(folder, 'obj', name), 'utf8'));
  const depths = roots.map((entry) => measureStack(rules, texts, entry, [], undefined, () => false).mainBytes);
  return depths.includes(undefined) ? undefined : Math.max(...depths.map((bytes) => bytes!));
}

function findTool(name: string): Tool | undefined {
  try {
    return requireTool(name);
  } catch (error) {
    if (error instanceof BuildError) return undefined;
    throw error;
  }
}
