// Test programs in C on any emulated board: with its start-up and no other part of the firmware. What they find out lies
// in an array of theirs, which is read from outside.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileImage } from '../../host/build/compile.ts';
import { parseElf, symbolAddress } from '../../host/build/elf.ts';
import { abiHeader, boardHeader, memoryHeader } from '../../host/build/headers.ts';
import { type Board, startEmulator } from '../../host/build/index.ts';
import { linkerScript } from '../../host/build/linker-script.ts';
import { requireTool } from '../../host/build/tools.ts';
import { until } from '../../host/setup/until.ts';
import { root } from '../../scripts/lib/project.mjs';

/** What to compile beside the start-up, and the array of 32-bit words that it writes. */
export interface BareProgram {
  readonly sources: readonly string[];
  readonly log: string;
  readonly words: number;
}

/** Runs a program in a new folder until its log is whole, and returns that. */
export async function runBare(
  board: Board,
  folder: string,
  program: BareProgram,
  isWhole: (log: readonly number[]) => boolean,
): Promise<number[]> {
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
  const own = ['firmware/runtime/memory.c', ...program.sources];
  const sources = [...startUp, ...drivers.map((driver) => `firmware/drivers/${driver}.c`), ...own];
  const gcc = requireTool(`${board.toolchain.prefix}gcc`);
  const elfPath = join(folder, 'program.elf');
  await compileImage({ root, folder, board, gcc, sources, elfPath });
  const at = symbolAddress(parseElf(readFileSync(elfPath)), program.log);
  const emulator = await startEmulator({
    board,
    image: elfPath,
    link: join(folder, 'link'),
    storageFile: join(folder, 'storage'),
  });
  try {
    const read = async () => {
      const bytes = await emulator.readMemory(at, 4 * program.words);
      return Array.from({ length: program.words }, (_, index) => bytes.readUInt32LE(4 * index));
    };
    await until(`${program.log} whole`, async () => isWhole(await read()));
    return await read();
  } finally {
    await emulator.kill();
  }
}
