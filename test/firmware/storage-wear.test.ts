// What 20 years do to a storage: the writes of a day, as the core makes them with tariffs, records and cookies, go to the
// real drivers again and again. The table in docs/storage.md says the same.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { startUtcNs } from '../core/simulated-meter.ts';
import { berlin, day, runningMeter } from '../core/tariff-meter.ts';
import { buildLab, type FlashMemory, runLab } from './storage-lab.ts';

const folder = mkdtempSync(join(tmpdir(), 'metertime-storage-wear-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const lifeDays = 20 * 365.25;
/** How far a figure of the documentation may be off. */
const tolerance = 0.1;

interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** The writes of a day that begins with a start. */
function writesOfDay(storageBytes: number): readonly Write[] {
  const full = storageBytes >= StorageMap.TariffBytes;
  const sim = runningMeter({
    servers: 4,
    storageBytes,
    startUtcNs,
    frequencyPpb: 12_000,
    settings: { poll: { minSeconds: 64, maxSeconds: 1024 }, reportSeconds: 60 },
    ...(full ? { program: berlin } : { registerCount: 0, rules: { periodMinutes: 0 } }),
  });
  // The first day is not like the others.
  sim.run(day);
  sim.meter.powerCut();
  sim.run(60);
  const writes: Write[] = [];
  const write = sim.storage.write.bind(sim.storage);
  sim.storage.write = (offset, bytes) => {
    writes.push({ offset, bytes: bytes.slice() });
    write(offset, bytes);
  };
  sim.meter.start();
  sim.run(day - 60);
  if (full) expect(writes.filter(({ offset }) => offset >= StorageMap.Records).length).toBeGreaterThan(96);
  return writes;
}

const rings = (storageBytes: number) => [
  { from: StorageMap.Logbook, slots: StorageMap.LogbookSlots },
  { from: StorageMap.NetworkLog, slots: StorageMap.NetworkLogSlots },
  { from: StorageMap.Records, slots: Math.floor((storageBytes - StorageMap.Records) / StorageMap.EntryBytes) },
];

/** Writes to the page that has the most, in 20 years. Over them, each slot of a ring has as many. */
function writesOfPage(writes: readonly Write[], storageBytes: number, pageBytes: number): number {
  const pages = new Map<number, number>();
  let most = 0;
  for (const { offset, bytes } of writes) {
    const ring = rings(storageBytes).find(({ from, slots }) => offset >= from && offset < from + slots * 128);
    if (ring !== undefined) continue;
    for (let page = Math.floor(offset / pageBytes); page * pageBytes < offset + bytes.length; page++) {
      pages.set(page, (pages.get(page) ?? 0) + 1);
    }
  }
  for (const count of pages.values()) most = Math.max(most, count);
  for (const { from, slots } of rings(storageBytes)) {
    const entries = writes.filter(({ offset }) => offset >= from && offset < from + slots * 128).length;
    most = Math.max(most, entries / slots);
  }
  return most * lifeDays;
}

/** Erases of a unit in 20 years. */
async function erasesOfUnit(writes: readonly Write[], memory: FlashMemory, days: number): Promise<number> {
  const name = `${memory.storageBytes}-${memory.units}-${memory.unitBytes}`;
  const file = join(folder, `${name}.writes`);
  const entry = (offset: number, bytes: Uint8Array) => {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(offset, 0);
    head.writeUInt32LE(bytes.length, 4);
    return Buffer.concat([head, bytes]);
  };
  const entries = writes.map(({ offset, bytes }) => entry(offset, bytes));
  writeFileSync(file, Buffer.concat([entry(0, Buffer.alloc(0)), ...entries]));
  const program = await buildLab(join(folder, name), memory, { main: 'wear', flags: ['-O2'] });
  const counts = await runLab(program, [file, days]);
  expect(counts.erasesMost! - counts.erasesLeast!).toBeLessThanOrEqual(1);
  expect(counts.erasesToldOff).toBe(0);
  return ((counts.erasesOfDays! / memory.units) * lifeDays) / counts.days!;
}

const nrf51 = (storageBytes: number, units: number): FlashMemory => {
  return { storageBytes, units, unitBytes: 1024, programBytes: 4, stepBytes: 72 };
};
const nor = (storageBytes: number, units: number, unitBytes: number): FlashMemory => {
  return { storageBytes, units, unitBytes, programBytes: 4, stepBytes: 72 };
};

/** Writes or erases that a part bears, by its data sheet. */
const eepromCycles = 1_000_000;
const nrf51Cycles = 20_000;
const norCycles = 100_000;

const eeproms = [
  { part: '24C64, 8 KB', storageBytes: 8192, pageBytes: 32 },
  { part: 'EEPROM of 64 KB', storageBytes: 65_536, pageBytes: 64 },
  { part: 'EEPROMs of 512 KB in all', storageBytes: 524_288, pageBytes: 64 },
];
const flashes = [
  ...[9, 16, 48].map((units) => ({ part: `nRF51, ${units} units of 1 KB`, memory: nrf51(5120, units) })),
  ...[16, 32].map((units) => ({ part: `nRF51, ${units} units of 1 KB`, memory: nrf51(8192, units) })),
  { part: 'SPI NOR, 8 sectors of 4 KB', memory: nor(8192, 8, 4096) },
  { part: 'SPI NOR, 32 sectors of 4 KB', memory: nor(65_536, 32, 4096) },
  { part: 'SPI NOR, 256 sectors of 4 KB', memory: nor(524_288, 256, 4096) },
  { part: 'CFI NOR, 4 sectors of 256 KB', memory: nor(131_072, 4, 262_144) },
];

type Row = readonly [part: string, storage: string, cycles: number, bears: number, share: string];

const kilobytes = (bytes: number) => `${bytes / 1024} KB`;
const grouped = (value: number) => Math.round(value).toLocaleString('en-US');

function row(part: string, storageBytes: number, cycles: number, bears: number): Row {
  return [part, kilobytes(storageBytes), cycles, bears, `${((100 * cycles) / bears).toPrecision(2)} %`];
}

/** Rows of the table as the documentation has them. */
function documentedRows(): Row[] {
  const text = readFileSync(join(root, 'docs', 'storage.md'), 'utf8');
  return [
    ...text.matchAll(
      /^\| ((?:24C64|EEPROM|nRF51|SPI|CFI)[^|]*?) *\| ([\d]+ KB) *\| *([\d,]+) \| *([\d,]+) \| *([\d.]+ %) \|$/gm,
    ),
  ].map(([, part, storage, cycles, bears, share]) => [
    part!,
    storage!,
    Number(cycles!.replaceAll(',', '')),
    Number(bears!.replaceAll(',', '')),
    share!,
  ]);
}

/** Without clang the drivers cannot be compiled. */
const left = process.env.METERTIME_NATIVE_FUZZ === 'skip';

beforeAll(async () => {
  await buildCore();
});

it.skipIf(left)(
  'bears 20 years, as docs/storage.md says',
  async () => {
    // Those of other sizes are the same: in a day no ring of them comes round.
    const traces = new Map(eeproms.map(({ storageBytes }) => [storageBytes, writesOfDay(storageBytes)]));
    const traceFor = (bytes: number) =>
      traces.get(bytes) ?? traces.get(bytes < StorageMap.TariffBytes ? 8192 : 524_288)!;
    const rows: Row[] = eeproms.map(({ part, storageBytes, pageBytes }) =>
      row(part, storageBytes, writesOfPage(traceFor(storageBytes), storageBytes, pageBytes), eepromCycles),
    );
    for (const { part, memory } of flashes) {
      // Enough days for each unit to have its turns.
      const days = memory.units > 100 ? 60 : memory.unitBytes > 4096 ? 400 : 200;
      const erases = await erasesOfUnit(traceFor(memory.storageBytes), memory, days);
      rows.push(row(part, memory.storageBytes, erases, part.startsWith('nRF51') ? nrf51Cycles : norCycles));
    }
    const lines = rows.map(
      ([part, storage, cycles, bears, share]) =>
        `| ${part} | ${storage} | ${grouped(cycles)} | ${grouped(bears)} | ${share} |`,
    );
    const told = `the table of docs/storage.md has to be\n${lines.join('\n')}`;
    console.log(told);
    const documented = documentedRows();
    expect(
      documented.map(([part, storage]) => [part, storage]),
      told,
    ).toEqual(rows.map(([part, storage]) => [part, storage]));
    documented.forEach(([part, , cycles, bears, share], i) => {
      expect(Math.abs(cycles / rows[i]![2] - 1), `${part}: ${told}`).toBeLessThan(tolerance);
      expect(bears).toBe(rows[i]![3]);
      expect(share).toBe(`${((100 * cycles) / bears).toPrecision(2)} %`);
      // None is worn out.
      expect(cycles, part).toBeLessThan(bears);
    });
  },
  120_000,
);
