// Random calendars of 21 years in the zones of the world: the core's switches and periods are those of a reference that is
// built on Temporal and the IANA data. `npm run check:tariff` compares more of them.
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCoreModule } from './load-core.ts';
import { randomFrom, seededRandom } from './random.ts';
import { type BlockProgram, secondLastDay, summerBegin, summerEnd } from './tariff-blocks.ts';
import { compare, useCalendar } from './tariff-compare.ts';
import { TariffCore } from './tariff-core.ts';
import { type DrawnCalendar, drawCalendar } from './tariff-draw.ts';
import { referenceSwitches } from './tariff-reference.ts';
import { checkedZones, zoneDifferences } from './tariff-zones.ts';

let core: TariffCore;
beforeAll(async () => {
  core = new TariffCore(await loadCoreModule());
});

describe('the core', () => {
  it('has the switches and periods of the reference on 200 random calendars', { timeout: 400_000 }, () => {
    const random = seededRandom('200 random calendars');
    const differences = zoneDifferences();
    for (const [name, said] of differences) console.log(`${name} is given as a list: ${said}`);
    const asList = new Set(differences.keys());
    const zones = new Set<string>();
    let switches = 0;
    let boundaries = 0;
    for (let i = 0; i < 200; i++) {
      const calendar = drawCalendar(random, asList);
      useCalendar(core, calendar);
      const result = compare(core, calendar, random);
      if (result.difference !== undefined) expect.fail(`${result.difference}\n${JSON.stringify(calendar)}`);
      switches += result.switches;
      boundaries += result.boundaries;
      zones.add(calendar.zone);
    }
    // So much of everything was looked at.
    expect(switches).toBeGreaterThan(1_000_000);
    expect(boundaries).toBeGreaterThan(30_000);
    expect(zones.size).toBeGreaterThan(checkedZones.length - 3);
  });
});

const calendar: DrawnCalendar = {
  zone: 'Europe/Berlin',
  program: {
    zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
    defaultTariff: 9,
    fallback: 1,
    scripts: [1, 2, 3, 4],
    seasons: [
      { month: summerBegin, week: 0 },
      { month: summerEnd, week: 1 },
    ],
    weeks: [
      [0, 0, 0, 0, 0, 0, 1],
      [2, 2, 2, 2, 2, 2, 2],
    ],
    days: [
      [
        ['02:30:00', 0],
        ['20:00:00', 1],
      ],
      [['00:00:00', 2]],
      [['00:00:00', 3]],
    ],
    specialDays: [{ month: 10, day: secondLastDay, weekday: 4, to: 1 }],
  },
  dynamic: { entries: [{ unixSeconds: 1_900_000_000, tariff: 7 }], endUnixSeconds: 1_900_003_600 },
  periodMinutes: 15,
};

describe('the check', () => {
  const differenceWith = (change: Partial<BlockProgram>, of: DrawnCalendar = calendar) => {
    useCalendar(core, { ...of, program: { ...calendar.program, ...change } });
    return compare(core, calendar, randomFrom(1)).difference;
  };

  it('finds nothing where there is nothing', () => {
    expect(differenceWith({})).toBeUndefined();
  });

  it.each<[string, Partial<BlockProgram>]>([
    ['another zone', { zone: 'GMT0BST,M3.5.0/1,M10.5.0' }],
    ['a zone that is an hour off for the summer', { zone: 'CET-1CEST-3,M3.5.0,M10.5.0/3' }],
    [
      'a season that begins a day later',
      {
        seasons: [
          { month: summerBegin, week: 0 },
          { month: 11, day: 1, week: 1 },
        ],
      },
    ],
    ['another day of the week', { weeks: [[0, 0, 0, 0, 0, 1, 0], calendar.program.weeks[1]!] }],
    ['a special day a week later', { specialDays: [{ month: 10, day: 0xfe, weekday: 4, to: 1 }] }],
    ['what follows dynamic tariffs', { fallback: 0 }],
    [
      'an action a second later',
      {
        days: [
          [
            ['02:30:01', 0],
            ['20:00:00', 1],
          ],
          ...calendar.program.days.slice(1),
        ],
      },
    ],
  ])('finds %s', (_, change) => {
    expect(differenceWith(change)).toMatch(/expected .*, got /);
  });

  it('finds other dynamic tariffs', () => {
    const dynamic = { ...calendar.dynamic!, endUnixSeconds: 1_900_003_601 };
    expect(differenceWith({}, { ...calendar, dynamic })).toMatch(/expected .*, got /);
  });

  it('finds a zone whose rule is not what ICU says', () => {
    expect([...zoneDifferences([{ name: 'Europe/Berlin', rule: 'CET-1' }]).keys()]).toEqual(['Europe/Berlin']);
    expect(zoneDifferences([{ name: 'Europe/Berlin', rule: 'CET-1CEST,M3.5.0,M10.5.0/3' }]).size).toBe(0);
  });

  it('has a reference that knows the switches of a day of 23 and of 25 hours', () => {
    const switchesOn = (date: string) =>
      referenceSwitches(calendar.program, calendar.zone)
        .map(({ unixSeconds, tariff }) => `${new Date(unixSeconds * 1000).toISOString()} ${tariff}`)
        .filter((text) => text.startsWith(date));
    // Summer time begins: Sunday has its own day from midnight on, which is Saturday at 23:00.
    expect(switchesOn('2026-03-28')).toEqual(['2026-03-28T23:00:00.000Z 3']);
    expect(switchesOn('2026-03-30')).toEqual(['2026-03-30T00:30:00.000Z 1', '2026-03-30T18:00:00.000Z 2']);
    expect(switchesOn('2026-10-24')).toEqual([
      '2026-10-24T00:30:00.000Z 1',
      '2026-10-24T18:00:00.000Z 2',
      '2026-10-24T22:00:00.000Z 4',
    ]);
  });
});
