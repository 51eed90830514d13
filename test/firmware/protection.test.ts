// Memory protection of the boards that have it: what it forbids ends in a restart that reports a fault of the processor.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ResetCause, TrapCode } from '../../as/abi/codes.ts';
import { compileImage } from '../../host/build/compile.ts';
import { parseElf, symbolAddress } from '../../host/build/elf.ts';
import { abiHeader, boardHeader, memoryHeader } from '../../host/build/headers.ts';
import { type Board, listBoards, loadBoard, startEmulator } from '../../host/build/index.ts';
import { linkerScript } from '../../host/build/linker-script.ts';
import { requireTool } from '../../host/build/tools.ts';
import { until } from '../../host/setup/until.ts';
import { root } from '../../scripts/lib/project.mjs';
import { temporaryFolder } from './echo-meter.ts';

const temporary = temporaryFolder();
afterAll(() => temporary.remove());

const notRefused = 'not refused';
const tries = [
  'code written',
  'data executed',
  'stack executed',
  'stack overrun',
  'null read',
  'null written',
] as const;
type Outcomes = Record<(typeof tries)[number], number | typeof notRefused>;

/** Compiles faults.c with the board's start-up, runs it, and returns how each of its tries was reported. */
async function runFaults(board: Board, name: string): Promise<Outcomes> {
  const folder = join(temporary.path, name);
  mkdirSync(folder);
  const files = {
    'core_abi.h': abiHeader(),
    'board_config.h': boardHeader(board),
    'wasm_config.h': memoryHeader(8),
    'link.ld': linkerScript(board),
    'core.c': '',
  };
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  const drivers = [board.interruptController, board.reset].flatMap((device) => device?.driver ?? []);
  const startUp = [...board.sources, 'firmware/platform'].flatMap((path) =>
    readdirSync(join(root, path))
      .filter((file) => file.endsWith('.c'))
      .map((file) => join(path, file)),
  );
  const own = ['firmware/runtime/memory.c', 'test/firmware/protection/faults.c'];
  const sources = [...startUp, ...drivers.map((driver) => `firmware/drivers/${driver}.c`), ...own];
  const gcc = requireTool(`${board.toolchain.prefix}gcc`);
  const elfPath = join(folder, 'faults.elf');
  await compileImage({ root, folder, board, gcc, sources, elfPath });
  const log = symbolAddress(parseElf(readFileSync(elfPath)), 'faults_log');
  const emulator = await startEmulator({
    board,
    image: elfPath,
    link: join(folder, 'link'),
    storageFile: join(folder, 'storage'),
  });
  try {
    const words = async () =>
      new Uint32Array(new Uint8Array(await emulator.readMemory(log, 4 + 8 * tries.length)).buffer);
    await until('all things tried', async () => (await words())[0] === tries.length);
    const [, ...noted] = await words();
    const reported = tries.map((what, index) => {
      const refused = noted[index] === ResetCause.Trap;
      return [what, refused ? noted[index + tries.length]! - TrapCode.Fault : notRefused];
    });
    return Object.fromEntries(reported) as Outcomes;
  } finally {
    await emulator.kill();
  }
}

/** Numbers of the exceptions. */
const expected: Record<NonNullable<Board['protection']>, Outcomes> = {
  // RISC-V, mcause: access fault of an instruction, a load, a store.
  pmp: {
    'code written': 7,
    'data executed': 1,
    'stack executed': 1,
    'stack overrun': 7,
    'null read': 5,
    'null written': 7,
  },
};

describe('memory protection', () => {
  const boards = listBoards()
    .map(({ name }) => loadBoard(name))
    .filter(({ protection, emulation }) => protection !== undefined && emulation !== undefined);

  it.each(boards.map((board) => [board.name, board] as const))('of %s refuses what it must', async (name, board) => {
    expect(await runFaults(board, name)).toEqual(expected[board.protection!]);
    const { protection: _, ...bare } = board;
    const without = await runFaults(bare, `${name}-without`);
    expect(without).toMatchObject({ 'data executed': notRefused, 'stack executed': notRefused });
  });
});
