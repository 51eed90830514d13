// Storage while power fails: flash_store.c and at24c.c on emulated memories, at each step of each program and erase, and
// again while they recover (storage-lab/lab.c says what has to hold); and that the lab finds mistakes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { requireTool, runTool } from '../../host/build/tools.ts';
import { root } from '../../scripts/lib/project.mjs';
import { randomNumbers } from './random.ts';
import { buildLab, type Change, type EepromMemory, type FlashMemory, runLab } from './storage-lab.ts';

const folder = mkdtempSync(join(tmpdir(), 'metertime-storage-lab-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const random = randomNumbers();

/** 1 KB pages, 32-bit words. */
const nrf51: FlashMemory = { storageBytes: 8192, units: 16, unitBytes: 1024, programBytes: 4, stepBytes: 4 };
/** The same, as small as can be: power fails in much of what it does. */
const smallNrf51: FlashMemory = { ...nrf51, storageBytes: 2048, units: 6 };
/** 4 KB sectors, a byte after the other. */
const spiNor: FlashMemory = { storageBytes: 8192, units: 6, unitBytes: 4096, programBytes: 4, stepBytes: 1 };
const smallNor: FlashMemory = { ...spiNor, storageBytes: 2048, unitBytes: 1024 };
/** Sectors with more records than a byte counts. */
const cfiNor: FlashMemory = { storageBytes: 8192, units: 4, unitBytes: 32_768, programBytes: 4, stepBytes: 4 };
/** Blocks of 512 bytes, overwritten. */
const sdCard: FlashMemory = {
  storageBytes: 2048,
  units: 8,
  unitBytes: 4096,
  programBytes: 512,
  stepBytes: 512,
  overwrites: true,
};
const c64: EepromMemory = { storageBytes: 8192, pageBytes: 32 };
const parts: EepromMemory = { storageBytes: 131_072, pageBytes: 64 };

/** Without clang nothing of this can be compiled. */
const left = process.env.METERTIME_NATIVE_FUZZ === 'skip';

describe.skipIf(left)('with power that fails everywhere', () => {
  it.each<[string, FlashMemory | EepromMemory, number, number, number, number]>([
    ["the nRF51's flash", nrf51, 300, 3, 3, 0],
    ["a little of the nRF51's flash", smallNrf51, 300, 6, 4, 1],
    ['SPI NOR flash', spiNor, 500, 1, 2, 0],
    ['a little NOR flash', smallNor, 300, 4, 3, 0],
    ['CFI NOR flash', cfiNor, 300, 1, 2, 0],
    ['an SD card', sdCard, 300, 80, 8, 0],
    ['a 24C64', c64, 300, 6, 4, 1],
    ['EEPROMs of 64 KB', parts, 100, 2, 1, 0],
  ])('%s keeps what was written', async (name, memory, before, writes, secondCuts, thorough) => {
    const lab = await buildLab(join(folder, name.replaceAll(/\W/g, '-')), memory);
    const counts = await runLab(lab, [random(2 ** 32), before, writes, secondCuts, thorough]);
    console.log(`${name}: ${JSON.stringify(counts)}`);
    expect(counts.cuts).toBeGreaterThan(500);
    expect(counts.starts).toBeGreaterThan(counts.cuts! / 2);
    // Of the writes to words that do not keep what is programmed.
    expect(counts.refused).toBeGreaterThan(0);
    if (!('units' in memory)) return;
    expect(counts.erasesMost! - counts.erasesLeast!).toBeLessThanOrEqual(1);
    expect(counts.erasesToldOff).toBe(0);
    if (memory.overwrites !== true) expect(counts.programsOfWord).toBeLessThanOrEqual(2);
    expect(counts.erasesOfWrite).toBeLessThanOrEqual(2);
  });
});

describe.skipIf(left)('the lab finds that', () => {
  const keeping = 'what is found at a start is not kept';
  it.each<[string, FlashMemory | EepromMemory, Change]>([
    [
      `${keeping}: the newest record is not programmed again`,
      smallNrf51,
      { what: 'newest != NONE && !store_settle_record(newest)', by: 'false' },
    ],
    [
      `${keeping}: the place behind it is not cleared`,
      smallNrf51,
      { what: 'if (slot < SLOTS) store_void_slot(store.head, slot++, false);', by: 'slot += slot < SLOTS;' },
    ],
    [
      `${keeping}: a bit that is read is taken for one that is there`,
      smallNrf51,
      { what: 'if (store_check_record(&record, header.sequence) != NONE &&', by: 'if (' },
    ],
    [
      'no unit is kept to copy to',
      smallNrf51,
      { what: 'if (store_count_free() > 0) return true;', by: 'return true;' },
    ],
    [
      'a unit used up for copies is lost',
      smallNrf51,
      { what: 'if (gave_up || !store_give_up_head()) return false;', by: 'return false;' },
    ],
    [
      'a unit is given up that has more than copies',
      smallNrf51,
      { what: 'same = same && other != NONE && store_compare', by: 'same = true || store_compare' },
    ],
    [
      'a record is taken for one of this turn of its unit',
      sdCard,
      { what: '  record->crc = sequence;', by: '  record->crc = 0;' },
    ],
    [
      'a record is not read back',
      smallNrf51,
      {
        what: 'return flash_program_words(offset, from, length) && store_compare_bytes(offset, from, length);',
        by: 'return flash_program_words(offset, from, length);',
      },
    ],
    ['a page is not read back', c64, { what: 'if (!storage_verify_bytes(offset, from, part)) return false;', by: '' }],
    [
      'a page ends elsewhere',
      c64,
      { what: 'BOARD_STORAGE_PAGE_BYTES - offset % BOARD_STORAGE_PAGE_BYTES', by: 'BOARD_STORAGE_PAGE_BYTES' },
    ],
  ])('%s', async (name, memory, change) => {
    const lab = await buildLab(join(folder, name.replaceAll(/\W/g, '-')), memory, { change });
    let found = '';
    for (let run = 0; run < 20 && found === ''; run++) {
      await runLab(lab, [random(2 ** 32), 300, 5, 3, 1]).catch((error: Error) => {
        found = error.message;
      });
    }
    expect(found).toMatch(/; after \d+ cuts/);
  });
});

describe.skipIf(left).each(['cortex-m0', 'cortex-m3'])('on %s', (cpu) => {
  it('16 KB of flash as 8 KB of storage take little memory', async () => {
    const lab = await buildLab(join(folder, cpu), nrf51);
    const gcc = requireTool('arm-none-eabi-gcc');
    const object = join(folder, `${cpu}.o`);
    const includes = ['firmware/runtime/include', 'firmware/platform', 'firmware/drivers', join(lab.path, '..')];
    const flags = [
      `-mcpu=${cpu}`,
      '-mthumb',
      '-Os',
      '-std=gnu11',
      '-ffreestanding',
      ...includes.map((path) => `-I${path}`),
    ];
    await runTool(gcc, [...flags, '-c', 'firmware/drivers/flash_store.c', '-o', object], root);
    const sizes = await runTool(requireTool('arm-none-eabi-size'), [object], root);
    const [text, data, bss] = sizes.split('\n')[1]!.trim().split(/\s+/).map(Number);
    console.log(`${cpu}: ${text} bytes of flash, ${data! + bss!} of RAM`);
    expect(text).toBeLessThan(2400);
    expect(data! + bss!).toBeLessThan(350);
  });
});
