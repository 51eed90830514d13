// Tariff programs as objects of DLMS/COSEM and back.
import { beforeAll, describe, expect, it } from 'vitest';
import { DlmsError } from '../../host/dlms/error.ts';
import { exportProgram } from '../../host/dlms/from-program.ts';
import { nameBytes, nameText } from '../../host/dlms/names.ts';
import { type ObjectFile, parseObjectFile } from '../../host/dlms/object-file.ts';
import { importProgram } from '../../host/dlms/to-program.ts';
import type { TariffProgram } from '../../host/tariff/model.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from '../core/random.ts';
import { readHex } from './dlms-reader.ts';
import { household, randomProgram } from './dlms-samples.ts';

beforeAll(async () => {
  await buildCore();
});

const deviation = 'dlms';
const exported = (program: TariffProgram, passive?: TariffProgram) => exportProgram(program, { deviation, passive });
const fileOf = (program: TariffProgram, passive?: TariffProgram) => exported(program, passive).file;
const attributesOf = (file: ObjectFile, classId: number) =>
  file.objects.find((object) => object.classId === classId)!.attributes;
const text = (value: string) => Buffer.from(value).toString('hex');

/** The file with attributes of a class changed. */
function changed(file: ObjectFile, classId: number, attributes: Record<string, string>): ObjectFile {
  const objects = file.objects.map(({ decoded: _, ...object }) =>
    object.classId === classId ? { ...object, attributes: { ...object.attributes, ...attributes } } : object,
  );
  return { ...file, objects };
}

describe('a household', () => {
  const file = fileOf(household);
  const calendar = attributesOf(file, 20);

  it('has an activity calendar of these bytes', () => {
    const script = '09060000 0a0064ff'.replace(' ', '');
    expect(calendar[1]).toBe('090600000d0000ff');
    expect(calendar[2]).toBe(`0909${text('household')}`);
    expect(calendar[3]).toBe(
      ['0102', '0203', `0906${text('winter')}`, '090cffff0a01ff000000008000ff', `0903${text('all')}`]
        .concat(['0203', `0906${text('summer')}`, '090cfffffeffff060000008000ff', `0903${text('all')}`])
        .join(''),
    );
    expect(calendar[4]).toBe(`01010208${`0903${text('all')}`}${'1101'.repeat(5)}11021102`);
    const action = (time: string, selector: string) => `0203090 4${time}0000${script}12${selector}`.replace(' ', '');
    expect(calendar[5]).toBe(
      ['0102', '02021101', '0103', action('0000', '0002'), action('0600', '0001'), action('1600', '0002')]
        .concat(['02021102', '0101', action('0000', '0002')])
        .join(''),
    );
    expect([6, 7, 8, 9, 10].map((number) => calendar[number])).toEqual([
      ...['0900', '0100', '0100', '0100', '090cffffffffffffffffff8000ff'],
    ]);
  });

  it('has special days of these bytes', () => {
    expect(attributesOf(file, 11)).toEqual({
      1: '090600000b0000ff',
      2: ['0102', '0203', '120001', '0905ffff0c19ff', '1102', '0203', '120002', '0905ffff05fe01', '1102'].join(''),
    });
  });

  it('says in plain words what its attributes say', () => {
    expect(file.objects.map(({ decoded }) => decoded)).toMatchObject([
      { timeZone: '+01:00', summerTimeEnd: '*-10-last sunday 03:00:00.00 +02:00 (summer time)' },
      {
        active: {
          name: 'household',
          seasons: [{ start: '*-10-01 00:00:00.00' }, { name: 'summer', start: '*-summer-begin-* 06:00:00.00' }],
          days: [
            { id: 1, actions: [{ time: '00:00:00.00', logicalName: '0.0.10.0.100.255', selector: 2 }, {}, {}] },
            {},
          ],
        },
      },
      { entries: [{ index: 1, date: '*-12-25', day: 2 }, { date: '*-05-last monday' }] },
    ]);
  });

  it('comes back as it was', () => {
    const back = importProgram(parseObjectFile(JSON.stringify(file), 'file'));
    expect(back).toEqual({ program: household, passive: undefined, warnings: [] });
  });

  it('comes back from the objects alone, but for what they do not say', () => {
    const { program: _, ...objects } = file;
    const { program, warnings } = importProgram(objects);
    const { scripts: __, ...rest } = household;
    expect(program).toEqual({ ...rest, zone: '<+01>-1<+02>,M3.5.0,M10.5.0/3', defaultTariff: 0 });
    expect(warnings).toEqual(['defaultTariff: DLMS/COSEM has none; 0 is taken']);
    expect(importProgram(objects, { zone: 'Europe/Berlin', defaultTariff: 7 })).toMatchObject({
      ...{ program: { zone: 'Europe/Berlin', defaultTariff: 7 }, warnings: [] },
    });
    expect(() => importProgram(file, { zone: 'UTC0' })).toThrow(
      'zone: the file says it ("CET-1CEST,M3.5.0,M10.5.0/3")',
    );
    expect(() => importProgram(file, { defaultTariff: 2 })).toThrow('defaultTariff: the file says it (1), came 2 too');
  });
});

describe('a passive program', () => {
  const passive: TariffProgram = { ...household, name: 'next', activationUtc: '2026-10-25T00:30:00Z' };

  it('takes the place of the active one at a time that is legal time with its deviation', () => {
    // The first 2:30 of that night.
    const { file, warnings } = exported(household, passive);
    expect(attributesOf(file, 20)[10]).toBe('090c07ea0a1907021e0000ff8880');
    expect(attributesOf(file, 20)[6]).toBe(`0904${text('next')}`);
    expect(warnings).toEqual([]);
    expect(importProgram(file)).toEqual({ program: household, passive, warnings: [] });
  });

  it.each([
    // 2:30 comes twice: the first is meant; the day after, normal time.
    ['090c07ea0a1907021e00008000ff', '2026-10-25T00:30:00Z'],
    ['090c07ea0a1a01021e0000ffc400', '2026-10-26T01:30:00Z'],
    ['090c07ea0a1a01021effff8000ff', '2026-10-26T01:30:00Z'],
    // 2:30 is left out: by the clock before.
    ['090c07ea031d07021e00008000ff', '2026-03-29T01:30:00Z'],
  ])('is activated by %s at %s', (hex, expected) => {
    const file = changed(fileOf(household, passive), 20, { 10: hex });
    expect(importProgram(file).passive?.activationUtc).toBe(expected);
  });

  it('needs to say when', () => {
    expect(() => exported(household, { ...household, name: 'next' })).toThrow(
      'passive program: expected activationUtc, when it takes the place of the active one, came none',
    );
    const file = changed(fileOf(household, passive), 20, { 10: '090cffffffffffffffffff8000ff' });
    const { passive: back, warnings } = importProgram(file);
    expect(back).not.toHaveProperty('activationUtc');
    expect(warnings.join()).toMatch(/^passive calendar: it has no activation time/);
    const partly = changed(fileOf(household, passive), 20, { 10: '090cffff0a19ff021e00008000ff' });
    expect(() => importProgram(partly)).toThrow(
      'passive calendar, activation time: expected a date and a time, came *-10-25 02:30:00.00',
    );
  });

  it('has zone and special days of its own beside the objects, which is told', () => {
    const other: TariffProgram = {
      ...passive,
      zone: 'EST5EDT,M3.2.0,M11.1.0',
      specialDays: [{ date: '--01-01', day: 1 }],
    };
    const { file, warnings } = exported(household, other);
    expect(warnings.map((warning) => warning.split(':')[0])).toEqual([
      ...['zone of the passive program', 'special days of the passive program'],
    ]);
    expect(importProgram(file).passive).toEqual(other);
  });
});

describe('a zone', () => {
  it('that is a list of transitions has no rule for the clock, which is told', () => {
    const zone = {
      initial: { offsetMinutes: 60, summer: false },
      transitions: [{ utc: '2026-02-15T02:00:00Z', offsetMinutes: 0, summer: false }],
    };
    const utcNs = BigInt(Date.UTC(2026, 1, 20)) * 1_000_000n;
    const { file, warnings } = exportProgram(
      { ...household, seasons: [], zone },
      { deviation, reading: { utcNs, status: 0 } },
    );
    expect(warnings.join()).toMatch(/^zone: it is a list of transitions/);
    expect(attributesOf(file, 8)).toMatchObject({
      2: '090c07ea021405000000000000 00'.replace(' ', ''),
      3: '100000',
      8: '0300',
    });
    expect(importProgram(file).program.zone).toEqual(zone);
  });

  it('by name has to have the rules of the clock beside it', () => {
    const file = fileOf({ ...household, zone: 'Europe/Berlin' });
    expect(importProgram(file).program.zone).toBe('Europe/Berlin');
    const moved = changed(file, 8, { 3: '10ff88' });
    expect(() => importProgram(moved)).toThrow('clock: expected the rules of Europe/Berlin, came <+02>-2<+03>,M3.5.0');
    const later = changed(file, 8, { 6: '090cffff0afe0702000000ff8880' });
    expect(() => importProgram(later)).toThrow('clock: expected the rules of Europe/Berlin');
  });

  it('has to be said where there is no clock', () => {
    const { program: _, ...file } = fileOf(household);
    const objects = file.objects.filter(({ classId }) => classId !== 8);
    expect(() => importProgram({ ...file, objects })).toThrow(
      'objects: expected a clock (class 8), which says the zone',
    );
    expect(importProgram({ ...file, objects }, { zone: 'EET-2EEST,J1,J2' }).program.zone).toBe('EET-2EEST,J1,J2');
  });
});

describe('what cannot be said', () => {
  it('by the objects is refused with its place', () => {
    const start = { year: 2026, month: 3, day: 2, weekday: 'sunday' } as const;
    const seasons = [{ name: 'spring', start, week: 'all' }];
    expect(() => exported({ ...household, seasons })).toThrow(
      'season 1 (spring): weekday: expected 1 on 2026-3-2, came 7',
    );
    const specialDays = [
      { date: '--12-25', day: 2 },
      { date: start, day: 1 },
    ];
    expect(() => exported({ ...household, specialDays })).toThrow('special day 2: weekday: expected 1 on 2026-3-2');
  });

  const season = (start: string) => ({ 3: `01010203${`0903${text('any')}`}090c${start}${`0903${text('all')}`}` });

  it.each([
    ['ffffff01ff000000008000ff', 'a month, summer-begin or summer-end, came any month (FF)'],
    ['ffff03ffff000000008000ff', 'a day of the month, came any day (FF)'],
    ['ffff03ff07000000008000ff', 'a day of the month, came any such weekday (day FF)'],
    ['ffff0301ff06ff00008000ff', 'an hour and a minute, came any (FF)'],
    ['ffff0301ff060000328000ff', 'a whole second, came 50 hundredths of one'],
  ])('by a program: a season from %s', (start, message) => {
    const file = changed(fileOf(household), 20, season(start));
    expect(() => importProgram(file)).toThrow(`active calendar, season 1 (any): expected ${message}`);
    expect(() => importProgram(file)).toThrow(DlmsError);
  });

  it('by a program: the deviation of a season, which is told', () => {
    const { program, warnings } = importProgram(changed(fileOf(household), 20, season('ffff0301ffffffffffffc400')));
    expect(program.seasons).toEqual([{ name: 'any', start: { month: 3, day: 1 }, week: 'all' }]);
    expect(warnings).toEqual([
      'active calendar, season 1 (any): its deviation is left out: seasons start by the local time in force',
    ]);
  });

  it('by a program: a week, a day or a special day that there is not', () => {
    const days = changed(fileOf(household), 20, { 5: '0100' });
    expect(() => importProgram(days)).toThrow('week 1 (all), monday: expected the id of a day');
    const special = changed(fileOf(household), 11, { 2: `01010203120001${'0905ffff0c19ff'}1109` });
    expect(() => importProgram(special)).toThrow('special day 1: expected the id of a day, one of 1, 2, came 9');
    const twice = changed(fileOf(household), 11, { 2: `0102${`0203120001${'0905ffff0c19ff'}1101`.repeat(2)}` });
    expect(() => importProgram(twice)).toThrow('special days: expected each index once, came 1 twice');
  });

  it('by anything: attributes that are none', () => {
    const file = fileOf(household);
    const wrong =
      (attributes: Record<string, string>, classId = 20) =>
      () =>
        importProgram(changed(file, classId, attributes));
    expect(wrong({ 3: '01010203090100' })).toThrow(
      'class 20, 0.0.13.0.0.255, attribute 3: A-XDR, byte 7: expected 1 bytes of a tag, came 0',
    );
    expect(wrong({ 3: '010102020900' + '0900' })).toThrow(
      'activity calendar, attribute 3 (seasons), item 1: expected a structure of 3, came one of 2',
    );
    expect(wrong({ 4: '0900' })).toThrow(
      'activity calendar, attribute 4 (weeks): expected an array, came octet-string',
    );
    expect(wrong({ 5: '010102021201000100' })).toThrow(
      'attribute 5 (days), item 1, id: expected a number of the type unsigned',
    );
    expect(wrong({ 1: '090600000d0001ff' })).toThrow(
      'expected the logical name of its attribute 1, which is 0.0.13.0.1.255',
    );
    expect(wrong({ 2: '01010203120001090501' }, 11)).toThrow('class 11, 0.0.11.0.0.255, attribute 2: A-XDR, byte 9');
  });
});

describe('a file', () => {
  const file = fileOf(household);

  it('whose decoded form says something else than the attributes is refused', () => {
    const objects = file.objects.map((object) =>
      object.classId === 11 ? { ...object, decoded: { entries: [] } } : object,
    );
    expect(() => importProgram({ ...file, objects })).toThrow(
      'class 11, 0.0.11.0.0.255: expected decoded to say what the attributes say',
    );
  });

  it('has its special days in the order of their index', () => {
    const entry = (index: string, date: string) => `0203${index}0905${date}1102`;
    const hex = `0102${entry('120007', 'ffff0c19ff')}${entry('120003', 'ffff0101ff')}`;
    expect(importProgram(changed(file, 11, { 2: hex })).program.specialDays).toEqual([
      { date: '--01-01', day: 2 },
      { date: '--12-25', day: 2 },
    ]);
  });

  it('may hold other objects, which are not used, but none twice, and needs a calendar', () => {
    const register = { classId: 3, logicalName: '1.0.1.8.0.255', attributes: {} };
    expect(importProgram({ ...file, objects: [...file.objects, register] }).warnings).toEqual([
      'class 3, 1.0.1.8.0.255: not used',
    ]);
    expect(() => importProgram({ ...file, objects: [...file.objects, file.objects[1]!] })).toThrow(
      'objects: expected one of class 20, came 2 (0.0.13.0.0.255, 0.0.13.0.0.255)',
    );
    expect(() => importProgram({ ...file, objects: [] })).toThrow('objects: expected an activity calendar (class 20)');
    const { 4: _, ...attributes } = attributesOf(file, 20);
    const objects = [{ ...file.objects[1]!, decoded: undefined, attributes }];
    expect(() => importProgram({ ...file, objects })).toThrow(
      'class 20, 0.0.13.0.0.255, attribute 4: expected its A-XDR, came none',
    );
  });

  it.each([
    ['{', 'f.json: expected JSON ('],
    ['[]', 'f.json: the file: '],
    ['{"format":"x","deviation":"dlms","objects":[]}', 'f.json: format: expected metertime-dlms-1'],
    [
      JSON.stringify({ ...file, objects: [{ classId: 8, logicalName: '1.2.3', attributes: {} }] }),
      'objects.0.logicalName',
    ],
    [
      JSON.stringify({ ...file, objects: [{ classId: 8, logicalName: '0.0.1.0.0.255', attributes: { 2: '0' } }] }),
      'objects.0.attributes.2: expected bytes as two hexadecimal digits each',
    ],
    [JSON.stringify({ ...file, more: 1 }), 'f.json: the file: '],
  ])('%.60s is none', (content, message) => {
    expect(() => parseObjectFile(content, 'f.json')).toThrow(message);
  });
});

it.each([
  ['summer', text('summer')],
  ['für', text('für')],
  ['hex:', ''],
  ['hex:01', '01'],
  ['hex:ff', 'ff'],
  [`hex:${text('hex:01')}`, text('hex:01')],
  ['hex:0x', text('hex:0x')],
])('the name %s is %s', (name, bytes) => {
  expect(Buffer.from(nameBytes(name)).toString('hex')).toBe(bytes);
  expect(nameText(Buffer.from(bytes, 'hex'))).toBe(name);
});

describe('random programs', () => {
  it('come back as they were, and a second reader finds them in the bytes', () => {
    const random = seededRandom('programs as DLMS objects');
    for (let round = 0; round < 300; round++) {
      const program = randomProgram(random);
      const passive = random.below(2) === 0 ? undefined : randomProgram(random, true);
      const sign = random.below(2) === 0 ? 'dlms' : 'inverted';
      const { file } = exportProgram(program, { deviation: sign, passive });
      const back = importProgram(parseObjectFile(JSON.stringify(file), 'file'));
      expect(back.program).toEqual(program);
      expect(back.passive).toEqual(passive);
      expect(encodeProgram(back.program)).toEqual(encodeProgram(program));
      expect(exportProgram(back.program, { deviation: sign, passive: back.passive }).file).toEqual(file);
      compare(file, program);
    }
  });
});

/** What a second reader finds. */
function compare(file: ObjectFile, program: TariffProgram): void {
  const calendar = attributesOf(file, 20);
  const name = (value: string) => Buffer.from(nameBytes(value)).toString('hex');
  expect(readHex(calendar[2]!)).toBe(name(program.name));
  const seasons = readHex(calendar[3]!) as [string, string, string][];
  expect(seasons.map(([each, , week]) => [each, week])).toEqual(
    program.seasons!.map((season) => [name(season.name), name(season.week)]),
  );
  expect(readHex(calendar[4]!)).toEqual(program.weeks!.map((week) => [name(week.name), ...week.days!]));
  const days = readHex(calendar[5]!) as [number, [string, string, number][]][];
  expect(days.map(([id, actions]) => [id, actions.map(([time, , selector]) => [time.slice(0, 6), selector])])).toEqual(
    program.days!.map(({ id, actions }) => [
      id,
      actions.map(({ time, selector }) => [
        [...time.split(':'), '00']
          .slice(0, 3)
          .map((part) => Number(part).toString(16).padStart(2, '0'))
          .join(''),
        selector,
      ]),
    ]),
  );
  const special = readHex(attributesOf(file, 11)[2]!) as [number, string, number][];
  expect(special.map(([index, , day]) => [index, day])).toEqual(
    program.specialDays!.map(({ day }, index) => [index + 1, day]),
  );
}
