// Builds the storage lab (test/firmware/storage-lab) for a memory, with clang's sanitizers, and runs it.
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { abiHeader } from '../../host/build/headers.ts';
import { requireNative, sanitizerEnvironment } from '../../host/build/native.ts';
import { sanitizerFlags } from '../../host/build/sanitizers.ts';
import { runTool } from '../../host/build/tools.ts';
import { root } from '../../scripts/lib/project.mjs';

/** A flash behind flash_store.c. */
export interface FlashMemory {
  readonly storageBytes: number;
  readonly units: number;
  readonly unitBytes: number;
  readonly programBytes: number;
  /** Bytes that a power cut may leave torn at once: power fails before, in and after each of them. */
  readonly stepBytes: number;
  /** Whether it overwrites, as an SD card does, and is not erased. */
  readonly overwrites?: boolean;
}

/** EEPROMs behind at24c.c. */
export interface EepromMemory {
  readonly storageBytes: number;
  readonly pageBytes: number;
}

export interface LabProgram {
  readonly path: string;
}

function boardConfig(memory: FlashMemory | EepromMemory): string {
  const numbers: Record<string, number> =
    'units' in memory
      ? {
          BOARD_STORAGE_UNITS: memory.units,
          BOARD_STORAGE_UNIT_BYTES: memory.unitBytes,
          BOARD_STORAGE_PROGRAM_BYTES: memory.programBytes,
          LAB_STEP: memory.stepBytes,
          LAB_OVERWRITES: memory.overwrites === true ? 1 : 0,
        }
      : {
          BOARD_STORAGE_ADDRESS: 0x50,
          BOARD_STORAGE_PAGE_BYTES: memory.pageBytes,
          BOARD_STORAGE_WRITE_CYCLE_MS: 10,
          BOARD_TICK_HZ: 1_000_000,
        };
  const lines = Object.entries({ ...numbers, BOARD_STORAGE_BYTES: memory.storageBytes });
  return `#pragma once\n${lines.map(([name, value]) => `#define ${name} ${value}u\n`).join('')}`;
}

/** A change of the driver's source: what stands there once, and what is put in its place. */
export interface Change {
  readonly what: string;
  readonly by: string;
}

export interface LabOptions {
  /** File of the main function in test/firmware/storage-lab, without .c; default the lab of power cuts. */
  readonly main?: string;
  /** Default: clang's sanitizers. */
  readonly flags?: readonly string[];
  /** A mistake in the driver. */
  readonly change?: Change;
}

/** Compiles a program of the lab into a new folder. */
export async function buildLab(
  folder: string,
  memory: FlashMemory | EepromMemory,
  { main = 'lab', flags = [...sanitizerFlags(['address', 'undefined']), '-O1', '-g'], change }: LabOptions = {},
): Promise<LabProgram> {
  mkdirSync(folder);
  if (change !== undefined) {
    const driver = join('firmware', 'drivers', 'units' in memory ? 'flash_store.c' : 'at24c.c');
    const text = readFileSync(join(root, driver), 'utf8');
    if (text.split(change.what).length !== 2) throw new Error(`${driver} does not have once: ${change.what}`);
    mkdirSync(join(folder, 'firmware', 'drivers'), { recursive: true });
    writeFileSync(
      join(folder, driver),
      text.replace(change.what, () => change.by),
    );
  }
  writeFileSync(join(folder, 'board_config.h'), boardConfig(memory));
  writeFileSync(join(folder, 'core_abi.h'), abiHeader());
  const lab = join('test', 'firmware', 'storage-lab');
  const includes = [folder, lab, 'firmware/platform', 'firmware/drivers', '.'].map((path) => `-I${path}`);
  const sources = [main, 'units' in memory ? 'flash' : 'eeprom'].map((name) => join(lab, `${name}.c`));
  const path = join(folder, 'lab');
  const warnings = ['-std=gnu11', '-Wall', '-Wextra', '-Werror', ...(change === undefined ? [] : ['-w'])];
  await runTool(requireNative('clang-14'), [...flags, ...warnings, ...includes, ...sources, '-o', path], root);
  return { path };
}

/** Runs it; what it printed as JSON. Rejects with what it found. */
export async function runLab(
  { path }: LabProgram,
  args: readonly (string | number)[],
): Promise<Readonly<Record<string, number>>> {
  const env = { ...process.env, ...sanitizerEnvironment() };
  try {
    const { stdout } = await promisify(execFile)(path, args.map(String), { env, maxBuffer: 1 << 20 });
    return JSON.parse(stdout) as Record<string, number>;
  } catch (error) {
    const { stderr, message } = error as Error & { stderr?: string };
    throw new Error(`${path} ${args.join(' ')}: ${stderr?.trim().slice(0, 2000) || message}`);
  }
}
