// Tariff programs and dynamic tariffs as a meter keeps them: the layout, that nothing is lost, and what is refused.
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { ProgramField, StorageMap } from '../../as/abi/codes.ts';
import { decodeDynamic, encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { TariffError } from '../../host/tariff/errors.ts';
import type { TariffProgram } from '../../host/tariff/model.ts';
import { decodeProgram, encodeProgram } from '../../host/tariff/program-block.ts';
import { seededRandom } from '../core/random.ts';
import { randomDynamic, randomProgram, sampleProgram } from './tariff-samples.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** A block with its CRC-32 made to hold. */
function sealed(block: Uint8Array): Uint8Array {
  const bytes = Buffer.from(block);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
  return bytes;
}

function errorOf(work: () => unknown): TariffError {
  try {
    work();
  } catch (error) {
    if (error instanceof TariffError) return error;
    throw error;
  }
  throw new Error('expected a TariffError, came none');
}

describe('a program', () => {
  it('has the layout that the core reads', () => {
    const block = encodeProgram(sampleProgram, 3);
    const items = [
      // Zone: +3600, +7200; begin M3.5.0 at 2:00, end M10.5.0 at 3:00.
      '100e0000' + '201c0000' + '00030500201c0000' + '000a0500302a0000',
      // Scripts: those that are said, and tariff 1 that an action needs.
      '00000a0064ff' + '0700' + '0200' + '00000a0065ff' + '0700' + '0200' + '00000a0064ff' + '0100' + '0100',
      // Seasons: each year, end of summer time, 03:00:01; 2027, the last Sunday of April.
      'ffff' + 'fd' + 'ff' + 'ff' + '030001' + '00' + '00' + 'eb07' + '04' + 'fe' + '07' + '000000' + '00' + '00',
      '00000000000101' + '00',
      '01' + '02' + '06000002' + '16001e01' + 'c8' + '01' + '00000000',
      'ffff' + '0c' + '19' + 'ff' + '01' + 'ea07' + '04' + '03' + 'ff' + '01' + 'ffff' + '05' + 'fd' + '01' + '00',
    ].join('');
    const header = [
      '4d545031' + 'ae00' + '0100' + '03000000' + '00000000' + 'f0f3366a' + '00000000',
      `0b${Buffer.from('two-seasons').toString('hex')}`.padEnd(48, '0'),
      '0900' + '02' + '02' + '01' + '02' + '03' + '03' + '0500' + '00' + '00' + '00000000',
    ].join('');
    const length = (header.length + items.length) / 2 + 4;
    const expected = Buffer.from(`${header}${items}00000000`, 'hex');
    expected.writeUInt16LE(length, ProgramField.Length);
    expected.writeBigInt64LE(BigInt(Date.parse('2026-12-31T23:00:00Z') / 1000), ProgramField.Activation);
    expect(hex(block)).toBe(hex(sealed(expected)));
  });

  it('is read back, without the names', () => {
    const { program, count, crc32: crc, bytes } = decodeProgram(encodeProgram(sampleProgram, 3));
    const { tariffs: _, ...expected } = sampleProgram;
    const table = '0.0.10.0.100.255';
    expect(program).toEqual({
      ...expected,
      zone: '<+01>-1<+02>,M3.5.0,M10.5.0/3',
      scripts: [
        { logicalName: table, selector: 7, tariff: 2 },
        { logicalName: '0.0.10.0.101.255', selector: 7, tariff: 2 },
        { logicalName: table, selector: 1, tariff: 1 },
      ],
      seasons: expected.seasons!.map((season, index) => ({ ...season, name: `season ${index + 1}`, week: 'week 1' })),
      weeks: [{ name: 'week 1', days: [1, 1, 1, 1, 1, 200, 200] }],
      specialDays: [
        { date: { month: 12, day: 25 }, day: 200 },
        { date: { year: 2026, month: 4, day: 3 }, day: 200 },
        expected.specialDays![2],
      ],
    });
    expect(count).toBe(3);
    const block = Buffer.from(encodeProgram(sampleProgram, 3));
    expect([crc, bytes]).toEqual([block.readUInt32LE(block.length - 4), block.length]);
    expect(decodeProgram(Buffer.concat([block, Buffer.alloc(100, 0xff)])).program).toEqual(program);
  });

  it('of any kind is read to what is written to the same', () => {
    const random = seededRandom('tariff-block');
    for (let round = 0; round < 300; round++) {
      const program = randomProgram(random);
      const block = encodeProgram(program, random.below(2 ** 32));
      expect(block.length).toBeLessThanOrEqual(StorageMap.ProgramSlotBytes);
      const decoded = decodeProgram(block);
      expect(hex(encodeProgram(decoded.program, decoded.count))).toBe(hex(block));
    }
  });

  it('of the largest size fits its slot', () => {
    const actions = Array.from({ length: 8 }, (_, index) => ({ time: `0${index}:00`, tariff: index }));
    const days = Array.from({ length: 16 }, (_, id) => ({ id, actions }));
    const weeks = Array.from({ length: 12 }, (_, index) => ({ name: `w${index}`, days: Array(7).fill(index) }));
    const seasons = weeks.map(({ name }, index) => ({ name, start: { month: index + 1, day: 1 }, week: name }));
    const transitions = Array.from({ length: 64 }, (_, index) => ({
      ...{ utc: new Date(Date.UTC(2026, index, 1)).toISOString().replace('.000', '') },
      ...{ offsetMinutes: index, summer: index % 2 === 1 },
    }));
    const program: TariffProgram = {
      ...{ name: 'largest', zone: { initial: { offsetMinutes: -1440, summer: false }, transitions }, defaultTariff: 0 },
      scripts: Array.from({ length: 16 }, (_, selector) => ({ selector, tariff: selector })),
      ...{ seasons, weeks, days },
      specialDays: Array.from({ length: 64 }, (_, index) => ({
        date: `2026-01-${String((index % 28) + 1).padStart(2, '0')}`,
        day: 3,
      })),
    };
    const block = encodeProgram(program);
    expect(block.length).toBe(64 + 4 + 64 * 8 + 16 * 10 + 12 * 10 + 12 * 8 + 16 * (2 + 8 * 4) + 64 * 6 + 4);
    expect(block.length).toBeLessThanOrEqual(StorageMap.ProgramSlotBytes);
    expect(decodeProgram(block).program.zone).toEqual(program.zone);
  });

  const day = (...actions: object[]) => ({ days: [sampleProgram.days![1], { id: 1, actions }] });
  it.each<[string, object, RegExp, (string | number)[]]>([
    [
      'a week that is none',
      { seasons: [{ name: 'a', start: { month: 1, day: 1 }, week: 'b' }] },
      /^season 1 \(a\): expected one of all, came "b"$/,
      ['seasons', 0, 'week'],
    ],
    [
      'a week where there are none',
      { weeks: [] },
      /^season 1 \(winter\): expected one of weeks, of which there are none, came "all"$/,
      ['seasons', 0, 'week'],
    ],
    [
      'a season without a day',
      { seasons: [{ name: 'a', start: { month: 1 }, week: 'all' }] },
      /^season 1 \(a\): expected the day on which it starts, came none$/,
      ['seasons', 0, 'start', 'day'],
    ],
    [
      'a season of 31 April',
      { seasons: [{ name: 'a', start: { month: 4, day: 31 }, week: 'all' }] },
      /^season 1 \(a\): expected a day from 1 to 30 in month 4, came 31$/,
      ['seasons', 0, 'start', 'day'],
    ],
    [
      'a season of 29 February',
      { seasons: [{ name: 'a', start: { month: 2, day: 29 }, week: 'all' }] },
      /^season 1 \(a\): expected a day from 1 to 28 in month 2, came 29$/,
      ['seasons', 0, 'start', 'day'],
    ],
    [
      'a season of 29 February 2027',
      { seasons: [{ name: 'a', start: { year: 2027, month: 2, day: 29 }, week: 'all' }] },
      /from 1 to 28 in month 2 of 2027/,
      ['seasons', 0, 'start', 'day'],
    ],
    [
      'a day beside summer time',
      { seasons: [{ name: 'a', start: { month: 'summer-begin', day: 1 }, week: 'all' }] },
      /^season 1 \(a\): expected no day beside summer-begin/,
      ['seasons', 0, 'start', 'day'],
    ],
    [
      'summer time in a zone without',
      { zone: 'UTC' },
      /^season 1 \(winter\): expected a month from 1 to 12, as this zone has no summer time, came summer-end$/,
      ['seasons', 0, 'start', 'month'],
    ],
    [
      'two seasons of one name',
      { seasons: [sampleProgram.seasons![0], sampleProgram.seasons![0]] },
      /^seasons: expected each name once, "winter" came as number 1 and 2$/,
      ['seasons', 1, 'name'],
    ],
    [
      'a week of six',
      { weeks: [{ name: 'all', monday: 1 }] },
      /^week 1 \(all\): expected the id of a day for tuesday, came none$/,
      ['weeks', 0, 'tuesday'],
    ],
    ['a week said twice', { weeks: [{ name: 'all', monday: 1, days: Array(7).fill(1) }] }, /not both/, ['weeks', 0]],
    [
      'a day that is none',
      { weeks: [{ name: 'all', days: [1, 1, 1, 1, 1, 1, 2] }] },
      /^week 1 \(all\), sunday: expected the id of a day, one of 1, 200, came 2$/,
      ['weeks', 0, 'days', 6],
    ],
    [
      'two days of one id',
      { days: [sampleProgram.days![0], sampleProgram.days![0]] },
      /^days: expected each id once, 1 came as number 1 and 2$/,
      ['days', 1, 'id'],
    ],
    [
      'actions out of order',
      day({ time: '06:00', tariff: 1 }, { time: '06:00:00', tariff: 2 }),
      /^day 1, action 2 \(06:00:00\): expected a time after 06:00/,
      ['days', 1, 'actions', 1, 'time'],
    ],
    [
      'an action that says nothing',
      day({ time: '06:00' }),
      /^day 1, action 1 \(06:00\): expected either tariff or selector, came neither$/,
      ['days', 1, 'actions', 0],
    ],
    [
      'an action that says both',
      day({ time: '06:00', tariff: 1, selector: 7 }),
      /came both$/,
      ['days', 1, 'actions', 0],
    ],
    [
      'a selector that is none',
      day({ time: '06:00', selector: 8 }),
      /^day 1, action 1 \(06:00\): expected a selector of 0.0.10.0.100.255, one of 7, came 8$/,
      ['days', 1, 'actions', 0, 'selector'],
    ],
    [
      'a tariff whose selector is taken',
      day({ time: '06:00', tariff: 7 }),
      /came 7, and selector 7 of 0.0.10.0.100.255 stands for tariff 2; add one to scripts$/,
      ['days', 1, 'actions', 0, 'tariff'],
    ],
    [
      'two scripts of one selector',
      {
        scripts: [
          { selector: 7, tariff: 1 },
          { selector: 7, tariff: 2 },
        ],
      },
      /^scripts: expected each selector once/,
      ['scripts', 1, 'selector'],
    ],
    [
      'a special day that is none',
      { specialDays: [{ date: '2027-02-29', day: 1 }] },
      /^special day 1: expected a day from 1 to 28 in month 2 of 2027, came 29$/,
      ['specialDays', 0, 'date', 'day'],
    ],
    [
      'month 13',
      { specialDays: [{ date: '--13-01', day: 1 }] },
      /^special day 1: expected a month from 01 to 12/,
      ['specialDays', 0, 'date'],
    ],
    [
      'a special day without a day',
      { specialDays: [{ date: '--12-24', day: 7 }] },
      /^special day 1: expected the id of a day, one of 1, 200, came 7$/,
      ['specialDays', 0, 'day'],
    ],
    [
      'transitions out of order',
      {
        zone: {
          initial: { offsetMinutes: 0, summer: false },
          transitions: [
            { utc: '2026-03-01T00:00:00Z', offsetMinutes: 60, summer: true },
            { utc: '2026-03-01T00:00:00Z', offsetMinutes: 0, summer: false },
          ],
        },
      },
      /^zone, transition 2: expected a time after that of the one before/,
      ['zone', 'transitions', 1, 'utc'],
    ],
    [
      'an activation in 2200',
      { activationUtc: '2200-01-01T00:00:00Z' },
      /^activationUtc: expected a time from 1970 to 2106/,
      ['activationUtc'],
    ],
    [
      '17 tariffs',
      {
        days: [1, 200].map((id) => ({
          id,
          actions: Array.from({ length: 8 }, (_, index) => ({ time: `0${index}:00`, tariff: 20 + id + index })),
        })),
      },
      /at most 16 tariffs and scripts/,
      ['days', 1, 'actions', 6],
    ],
    [
      'a shape that is none',
      { defaultTariff: -1 },
      /^defaultTariff: expected a whole number from 0 to 65535$/,
      ['defaultTariff'],
    ],
  ])('with %s is refused', (_, change, message, path) => {
    const error = errorOf(() => encodeProgram({ ...sampleProgram, ...change } as TariffProgram));
    expect(error.message).toMatch(message);
    expect(error.path).toEqual(path);
  });

  it('may have a special day that only leap years have', () => {
    const specialDays = [{ date: '--02-29', day: 1 }];
    expect(decodeProgram(encodeProgram({ ...sampleProgram, specialDays })).program.specialDays).toEqual([
      { date: { month: 2, day: 29 }, day: 1 },
    ]);
  });

  it('may leave scripts out: selectors stand for tariffs of their number', () => {
    const { scripts: _, ...plain } = sampleProgram;
    const { program } = decodeProgram(encodeProgram({ ...plain, ...(day({ time: '06:00', selector: 3 }) as object) }));
    expect(program.scripts).toEqual(
      [2, 3].map((tariff) => ({ logicalName: '0.0.10.0.100.255', selector: tariff, tariff })),
    );
  });

  it('is not read where it is damaged, of another version, or none', () => {
    const block = encodeProgram(sampleProgram);
    for (let bit = 0; bit < block.length * 8; bit++) {
      const changed = block.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(errorOf(() => decodeProgram(changed)).code).toMatch(/^tariff-(damaged|absent|version)$/);
    }
    for (let length = 0; length < block.length; length++) {
      expect(errorOf(() => decodeProgram(block.subarray(0, length))).code).toMatch(/^tariff-(damaged|absent)$/);
    }
    expect(errorOf(() => decodeProgram(new Uint8Array(2048))).message).toBe('there is no tariff program');
  });
});

describe('dynamic tariffs', () => {
  const dynamic = {
    entries: [
      { utc: '2026-11-22T23:00:00Z', tariff: 0x0102 },
      { utc: '2026-11-22T23:15:00Z', tariff: 3 },
    ],
    endUtc: '2026-11-23T00:00:00Z',
  };

  it('have the layout that the core reads', () => {
    const at = (utc: string) => Buffer.from(Uint32Array.of(Date.parse(utc) / 1000).buffer).toString('hex');
    const [first, second] = dynamic.entries.map(({ utc }) => at(utc));
    const text = `4d54443120000200${'07000000'}${at(dynamic.endUtc)}${first}0201${second}030000000000`;
    expect(hex(encodeDynamic(dynamic, 7))).toBe(hex(sealed(Buffer.from(text, 'hex'))));
  });

  it('of any kind are read to what they were', () => {
    const random = seededRandom('dynamic-block');
    for (let round = 0; round < 300; round++) {
      const sample = randomDynamic(random);
      const count = random.below(2 ** 32);
      const block = encodeDynamic(sample, count);
      expect(block.length).toBeLessThanOrEqual(StorageMap.DynamicSlotBytes);
      expect(decodeDynamic(Buffer.concat([block, Buffer.alloc(9)]))).toMatchObject({ dynamic: sample, count });
    }
  });

  it.each<[string, object, RegExp]>([
    [
      'the same time twice',
      { entries: [dynamic.entries[0], dynamic.entries[0]] },
      /^entry 2: expected a time after 2026-11-22T23:00:00Z/,
    ],
    ['no end', { endUtc: undefined }, /^endUtc: expected the end of the last entry, came none$/],
    [
      'an end before the last',
      { endUtc: dynamic.entries[1]!.utc },
      /^endUtc: expected a time after 2026-11-22T23:15:00Z/,
    ],
    ['a time in 2200', { endUtc: '2200-01-01T00:00:00Z' }, /^endUtc: expected a time from 1970 to 2106/],
    ['a shape that is none', { entries: [{ utc: 'now', tariff: 1 }] }, /^entries.0.utc: expected a time in UTC/],
  ])('with %s are refused', (_, change, message) => {
    expect(errorOf(() => encodeDynamic({ ...dynamic, ...change })).message).toMatch(message);
  });

  it('are not read where they are damaged', () => {
    const block = encodeDynamic(dynamic);
    for (let bit = 0; bit < block.length * 8; bit++) {
      const changed = block.slice();
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(errorOf(() => decodeDynamic(changed)).code).toMatch(/^tariff-(damaged|absent)$/);
    }
    const disordered = Buffer.from(block);
    disordered.copyWithin(22, 16, 20);
    expect(errorOf(() => decodeDynamic(sealed(disordered))).message).toMatch(/damaged: entry 2: expected a time after/);
  });
});
