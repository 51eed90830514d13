// Runs the core on the emulated board and reads how many instructions it took.
// What always holds: the core's C is made, compiled and laid out as in the firmware (host/build), with the same flags;
// a board that takes other decisions than the recording's core, or measures a known loop wrongly, ends the bench.
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadBoard } from '../host/build/board.ts';
import { exportsLeftOut } from '../host/build/firmware.ts';
import { linkerScript } from '../host/build/linker-script.ts';
import { convertWasm } from '../host/build/wasm-to-c.ts';
import { loadCoreModule } from '../host/core/core.ts';
import { root } from '../scripts/lib/project.mjs';
import { prepareProbe, runOnBoard } from '../test/firmware/probe.ts';
import type { Recording } from './mcu-recording.ts';

/** Emulated board; its core may be laid out for another number of servers. */
export const boardName = 'mps2-an385';

// The board's external RAM (PSRAM), which the firmware leaves alone.
const recordingAddress = 0x21000000;

// The emulator lets each instruction take 2^7 ns, the board's counter has 25 MHz: with less than three ticks to an
// instruction, counts would be one off at times.
const icountShift = 7;
const instructionsPerTick = 40 / 2 ** icountShift;

/** Instructions of one cipher. */
export interface CipherCounts {
  readonly setKey: number;
  readonly sealRequest: number;
  readonly openAnswer: number;
}

/** What one event took. */
export interface EventCount {
  readonly instructions: number;
  /** Of the part between the marks, where the core has them; 0 where the event has no such part. */
  readonly update: number;
}

/** Instructions of something that is made in slices. */
export interface SliceCounts {
  readonly slices: number;
  readonly all: number;
  readonly largest: number;
}

export interface BoardCounts {
  readonly ciphers: ReadonlyMap<number, CipherCounts>;
  /** A public key and a signature, or nothing where the core makes none. */
  readonly signing: readonly SliceCounts[];
  /** By index of the event. */
  readonly events: ReadonlyMap<number, EventCount>;
  /** Deepest stack that the core used, bytes. */
  readonly stackBytes: number;
  /** SHA-256 of the core's object file, hex: the firmware links the same one. */
  readonly objectSha256: string;
}

/** Builds the bench's image around a core and runs it. `marked`: the core has the marks of mcu-core.ts. */
export async function countOnBoard(wasmPath: string, recording: Recording, marked: boolean): Promise<BoardCounts> {
  const temporary = mkdtempSync(join(tmpdir(), 'mt-'));
  try {
    const folder = join(temporary, 'image');
    const config = [`#define BENCH_RECORDING_ADDRESS ${recordingAddress}u`, `#define BENCH_MARKED ${marked ? 1 : 0}`];
    prepareProbe(folder, memoryBytes(wasmPath), {
      'bench_config.h': `#pragma once\n${config.join('\n')}\n`,
      // The bench's own frames lie above the core's.
      'link.ld': linkerScript({ ...loadBoard(boardName), stackBytes: 4096 }),
    });
    await convertWasm(wasmPath, folder, 'core', { leftOut: exportsLeftOut(loadBoard(boardName)) });
    const recordingPath = join(folder, 'recording');
    writeFileSync(recordingPath, recording.bytes);
    const { code, output } = await runOnBoard(
      folder,
      [...runtimeSources(), 'firmware/bench/bench.c'],
      [
        '-icount',
        `shift=${icountShift}`,
        '-device',
        `loader,file=${recordingPath},addr=${recordingAddress},force-raw=on`,
      ],
    );
    if (code !== 0) throw new Error(`the board ended with ${code}:\n${output.slice(-2000)}`);
    const object = readFileSync(join(folder, 'obj', 'core', 'core.o'));
    return { ...readCounts(output, recording), objectSha256: createHash('sha256').update(object).digest('hex') };
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function runtimeSources(): string[] {
  const folder = 'firmware/runtime';
  const names = readdirSync(join(root, folder)).filter((name) => name.endsWith('.c'));
  return names.sort().map((name) => `${folder}/${name}`);
}

// As the firmware's build rounds it.
function memoryBytes(wasmPath: string): number {
  const imports = { bench: { mark: () => {} } };
  const { exports } = new WebAssembly.Instance(loadCoreModule(wasmPath).module, imports);
  return ((exports as { memoryEnd: () => number }).memoryEnd() + 7) & ~7;
}

function readCounts(output: string, recording: Recording): Omit<BoardCounts, 'objectSha256'> {
  const lines = (letter: string) =>
    [...output.matchAll(new RegExp(`^${letter} ([\\d ]+)$`, 'gm'))].map((line) =>
      line[1]!.trim().split(' ').map(Number),
    );
  const [overhead] = lines('O')[0]!;
  const count = (ticks: number) =>
    Math.round(ticks * instructionsPerTick) - Math.round(overhead! * instructionsPerTick);
  for (const [turns, ticks] of lines('L')) {
    if (count(ticks!) !== 2 * turns!) throw new Error(`${turns} turns of two instructions count as ${count(ticks!)}`);
  }
  const [events, checksum] = lines('D')[0]!;
  if (events !== recording.events || checksum !== recording.checksum) {
    throw new Error(
      `the board took ${events} events to ${checksum}, node ${recording.events} to ${recording.checksum}: not the same decisions`,
    );
  }
  const ciphers = lines('C').map(([algorithm, setKey, request, answer, opened]) => {
    if (opened !== 1) throw new Error(`AEAD ${algorithm} does not open what it sealed`);
    return [algorithm!, { setKey: count(setKey!), sealRequest: count(request!), openAnswer: count(answer!) }] as const;
  });
  const told = lines('E').map(([index, ticks, , update]) => {
    return [index!, { instructions: count(ticks!), update: update === 0 ? 0 : count(update!) }] as const;
  });
  const signing = lines('G').map(([, ...ticks]) => {
    const counts = ticks.map(count);
    return { slices: counts.length, all: counts.reduce((sum, one) => sum + one, 0), largest: Math.max(...counts) };
  });
  return { ciphers: new Map(ciphers), signing, events: new Map(told), stackBytes: lines('S')[0]![0]! };
}
