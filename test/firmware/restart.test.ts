// The delays between restarts of a meter that fails again and again, in the emulator's own time: where the processor
// sleeps, that time does not pass but is skipped, so minutes take moments.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { buildFirmware, loadBoard, startEmulator } from '../../host/build/index.ts';
import { root } from '../../scripts/lib/project.mjs';
import { boardName, compileTestCore, Line, temporaryFolder, tickHz } from './echo-meter.ts';

const board = loadBoard(boardName);
const temporary = temporaryFolder();
afterAll(() => temporary.remove());

/** The board in time of its own: 32 ns an instruction. It is halted until it is resumed. */
const skipping = {
  ...board,
  emulation: {
    ...board.emulation!,
    arguments: [...board.emulation!.arguments, '-icount', 'shift=5,sleep=off', '-S'],
  },
};

/** Starts a meter that lives so many seconds each time; returns for how many each start was delayed. */
async function delaysOf(lifetimes: readonly number[]): Promise<number[]> {
  const outDir = join(root, 'build', 'test', `failing-${boardName}`);
  const { elfPath } = await buildFirmware({ board: boardName, corePath: await compileTestCore('failing'), outDir });
  const storageFile = join(temporary.path, 'storage');
  writeFileSync(storageFile, Buffer.concat([Buffer.from([0, ...lifetimes])], board.storage.bytes));
  const link = join(temporary.path, 'link');
  const emulator = await startEmulator({ board: skipping, image: elfPath, link, storageFile });
  try {
    const line = await Line.open(link);
    await emulator.resume();
    const delays: number[] = [];
    for (const [index] of lifetimes.entries()) {
      const { text } = await line.receive(20_000);
      expect(Number.parseInt(text.slice(0, 2), 16)).toBe(index + 1);
      delays.push(Number(BigInt(`0x${text.slice(2)}`)) / tickHz);
    }
    line.close();
    return delays.map(Math.round);
  } finally {
    await emulator.kill();
  }
}

it('grow to 64 s and stay there, until a start lives for a minute', { timeout: 120_000 }, async () => {
  const short = Array<number>(10).fill(2);
  const delays = await delaysOf([...short, 50, 2, 61, 2, 2, 2, 2]);
  expect(delays).toEqual([0, 0, 1, 2, 4, 8, 16, 32, 64, 64, 64, 64, 64, 0, 1, 2, 4]);
});
