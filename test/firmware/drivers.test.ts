// Drivers of bus, clock, thermometer and EEPROM against parts that fail as real ones can (drivers/*.c), run on the emulated board.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadBoard } from '../../host/build/index.ts';
import { runBare } from './bare.ts';
import { boardName, temporaryFolder } from './echo-meter.ts';
import { prepareProbe, runOnBoard } from './probe.ts';

const board = loadBoard(boardName);
const temporary = temporaryFolder();
afterAll(() => temporary.remove());

it('clock, thermometer and EEPROM are read and written right, or said to have failed', async () => {
  const folder = join(temporary.path, 'parts');
  prepareProbe(folder, 8);
  writeFileSync(join(folder, 'core.c'), '');
  const { code, output } = await runOnBoard(folder, [
    'firmware/runtime/memory.c',
    'firmware/drivers/ds1338.c',
    'firmware/drivers/at24c.c',
    'firmware/drivers/tmp105.c',
    'test/firmware/drivers/parts.c',
  ]);
  expect(output).not.toContain('fails: ');
  expect(output).toMatch(/^[12]\d\d 0 $/m);
  expect(code).toBe(0);
});

it('a reset in the midst of a byte leaves the clock as it was', async () => {
  const folder = join(temporary.path, 'recovery');
  prepareProbe(folder, 8);
  writeFileSync(join(folder, 'core.c'), '');
  const sources = ['firmware/runtime/memory.c', 'firmware/drivers/ds1338.c', 'test/firmware/drivers/recovery.c'];
  const { code, output } = await runOnBoard(folder, sources, ['-device', `ds1338,address=${board.rtc!.address}`]);
  expect(output).not.toContain('fails: ');
  expect(output).toMatch(/^ends$/m);
  expect(code).toBe(0);
});

it('NOR flash is ready and unchanged after a start, whatever was begun before', async () => {
  const sources = ['firmware/drivers/cfi_nor.c', 'test/firmware/drivers/nor.c'];
  const program = { sources, log: 'nor_log', words: 6 };
  const log = await runBare(loadBoard('riscv-virt'), join(temporary.path, 'nor'), program, ([done]) => done === 1);
  expect(log).toEqual([1, 1, 1, 1, 1, 1]);
});
