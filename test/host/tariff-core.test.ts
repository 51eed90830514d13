// What this host takes for a program or for dynamic tariffs the core takes as well, and says of them what people wrote.
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { ProgramField } from '../../as/abi/codes.ts';
import { Core, loadCoreModule } from '../../host/core/core.ts';
import { decodeDynamic, encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { TariffEngine } from '../../host/tariff/engine.ts';
import { TariffError } from '../../host/tariff/errors.ts';
import { utcSeconds, utcText } from '../../host/tariff/model.ts';
import { decodeProgram, encodeProgram } from '../../host/tariff/program-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from '../core/random.ts';
import { randomDynamic, randomProgram, sampleProgram } from './tariff-samples.ts';

let engine: TariffEngine;
beforeAll(async () => {
  engine = new TariffEngine(loadCoreModule((await buildCore()).path));
});

/** Whether it is taken, where the only other way is a TariffError. */
function takes(work: () => unknown): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if (error instanceof TariffError) return false;
    throw error;
  }
}

/** A block with one to three bytes behind its magic changed, and a CRC-32 that holds. */
function changed(block: Uint8Array, { below }: SeededRandom): Uint8Array {
  const bytes = Buffer.from(block);
  for (let left = 1 + below(3); left > 0; left--) {
    const at = 4 + below(bytes.length - 8);
    // Values that mean something, more often than chance would have them.
    bytes[at] = [0, 1, 12, 13, 31, 32, 0xfd, 0xfe, 0xff, below(256)][below(10)]!;
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

/** How many of the changed blocks neither of both takes; fails where only the host does. */
function refusedByBoth(
  block: Uint8Array,
  random: SeededRandom,
  host: (bytes: Uint8Array) => unknown,
  core: (bytes: Uint8Array) => unknown,
): number {
  let refused = 0;
  for (let round = 0; round < 20; round++) {
    const bytes = changed(block, random);
    const inCore = takes(() => core(bytes));
    if (!inCore) refused++;
    if (takes(() => host(bytes))) expect(inCore, Buffer.from(bytes).toString('hex')).toBe(true);
  }
  return refused;
}

describe('the core takes', () => {
  it('each program that this host encodes, and what this host decodes of programs that were changed', () => {
    const random = seededRandom('tariff-core');
    let refused = 0;
    for (let round = 0; round < 150; round++) {
      const block = encodeProgram(randomProgram(random));
      engine.useProgram(block);
      refused += refusedByBoth(block, random, decodeProgram, (bytes) => engine.useProgram(bytes));
    }
    expect(refused).toBeGreaterThan(300);
  });

  it('each list of dynamic tariffs that this host encodes, and what it decodes of lists that were changed', () => {
    const random = seededRandom('dynamic-core');
    let refused = 0;
    for (let round = 0; round < 150; round++) {
      const block = encodeDynamic(randomDynamic(random));
      engine.useDynamic(block);
      refused += refusedByBoth(block, random, decodeDynamic, (bytes) => engine.useDynamic(bytes));
    }
    expect(refused).toBeGreaterThan(300);
  });
});

describe('the engine', () => {
  const fresh = async () => {
    const made = new TariffEngine(loadCoreModule((await buildCore()).path));
    made.useProgram(encodeProgram({ ...sampleProgram, zone: 'Europe/Berlin' }));
    return made;
  };

  it('says tariff, offset and summer time of an instant', async () => {
    const made = await fresh();
    expect(made.at(utcSeconds('2028-07-03T04:00:00Z'))).toEqual({
      ...{ tariff: 1, origin: 'calendar', offsetSeconds: 7200, summer: true },
    });
    expect(made.at(utcSeconds('2028-01-03T04:59:59Z'))).toMatchObject({
      tariff: 2,
      offsetSeconds: 3600,
      summer: false,
    });
  });

  it('finds the switches of a calendar, as many as are asked for', async () => {
    const made = await fresh();
    const from = utcSeconds('2028-10-26T12:00:00Z');
    const found = made.switches(from, from + 7 * 86_400, 4);
    expect(found.map(({ utc, tariff, offsetSeconds }) => [utcText(utc), tariff, offsetSeconds])).toEqual([
      ['2028-10-26T20:00:30Z', 2, 7200],
      ['2028-10-27T04:00:00Z', 1, 7200],
      ['2028-10-27T20:00:30Z', 2, 7200],
      ['2028-10-30T05:00:00Z', 1, 3600],
    ]);
    expect(made.switches(from, from + 86_400, 9).map(({ utc }) => utc)).toEqual(
      found.slice(0, 2).map(({ utc }) => utc),
    );
  });

  it('looks further than a year', async () => {
    const made = await fresh();
    const days = [{ id: 1, actions: [{ time: '00:00', tariff: 3 }] }];
    const seasons = [{ name: 'a', start: { year: 2040, month: 5, day: 1 }, week: 'a' }];
    const program = {
      name: 'late',
      zone: 'UTC',
      defaultTariff: 0,
      days,
      seasons,
      weeks: [{ name: 'a', days: Array(7).fill(1) }],
    };
    made.useProgram(encodeProgram(program));
    const found = made.switches(utcSeconds('2027-01-01T00:00:00Z'), utcSeconds('2045-01-01T00:00:00Z'), 5);
    expect(found.map(({ utc, tariff }) => [utcText(utc), tariff])).toEqual([['2040-05-01T00:00:00Z', 3]]);
  });

  it('puts dynamic tariffs before the calendar, and says what follows them', async () => {
    const made = await fresh();
    const from = utcSeconds('2028-07-03T12:00:00Z');
    made.useDynamic(encodeDynamic({ entries: [{ utc: utcText(from), tariff: 77 }], endUtc: utcText(from + 900) }));
    const origins = [-1, 0, 899, 900].map((after) => made.at(from + after));
    expect(origins.map(({ origin, tariff }) => [origin, tariff])).toEqual([
      ['calendar', 1],
      ['dynamic', 77],
      ['dynamic', 77],
      ['dynamic-ended', 5],
    ]);
  });

  it('says why the core refuses a block', async () => {
    const made = await fresh();
    const block = Buffer.from(encodeProgram(sampleProgram));
    block[ProgramField.Seasons] = 13;
    block.writeUInt32LE(crc32(block.subarray(0, -4)), block.length - 4);
    expect(() => made.useProgram(block)).toThrow('the tariff program is refused: it has more of something than fits');
  });

  it('is the core of this program where none is given', () => {
    expect(new Core().source).toBe(loadCoreModule());
    expect(new TariffEngine().at(0)).toMatchObject({ tariff: 0, offsetSeconds: 0 });
  });
});
