// The calendar: seasons, weeks, days, special days and actions, at the right second, once, across the steps of local time.
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCoreModule } from './load-core.ts';
import {
  type BlockAction,
  type BlockProgram,
  lastDay,
  secondLastDay,
  summerBegin,
  summerEnd,
} from './tariff-blocks.ts';
import { isoOf, TariffCore, unix } from './tariff-core.ts';

let core: TariffCore;
beforeAll(async () => {
  core = new TariffCore(await loadCoreModule());
});

const berlin = 'CET-1CEST,M3.5.0,M10.5.0/3';
const [monday, tuesday, thursday, saturday, sunday] = [1, 2, 4, 6, 7];
const everyDay = [0, 0, 0, 0, 0, 0, 0];

/** Scripts stand for tariffs 10, 20, 30 and so on; one season of one week of the first day, where nothing is said. */
function calendar(change: Partial<BlockProgram> & { days: BlockAction[][] }): BlockProgram {
  return {
    zone: berlin,
    defaultTariff: 99,
    scripts: [10, 20, 30, 40, 50],
    seasons: [{ month: 1, day: 1, week: 0 }],
    weeks: [everyDay],
    specialDays: [],
    ...change,
  };
}

function switches(from: string, until: string): [string, number][] {
  return core.switches(from, until).map(({ unixSeconds, tariff }) => [isoOf(unixSeconds), tariff]);
}

describe('a day', () => {
  it('switches at local seconds', () => {
    core.useProgram(
      calendar({
        days: [
          [
            ['00:00:00', 0],
            ['06:00:00', 1],
            ['21:59:59', 2],
          ],
        ],
      }),
    );
    expect(switches('2026-07-01T00:00:00Z', '2026-07-02T04:00:00Z')).toEqual([
      ['2026-07-01T04:00:00Z', 20],
      ['2026-07-01T19:59:59Z', 30],
      ['2026-07-01T22:00:00Z', 10],
      ['2026-07-02T04:00:00Z', 20],
    ]);
    expect(core.tariff('2026-07-01T03:59:59Z')).toBe(10);
    expect(core.tariff('2026-07-01T04:00:00Z')).toBe(20);
    expect(core.origin('2026-07-01T04:00:00Z')).toBe('calendar');
  });

  it('goes on with the last action of the day before until its first', () => {
    core.useProgram(
      calendar({
        days: [
          [
            ['06:00:00', 0],
            ['22:00:00', 1],
          ],
          [
            ['08:00:00', 2],
            ['20:00:00', 3],
          ],
        ],
        weeks: [[0, 0, 0, 0, 0, 1, 1]],
      }),
    );
    // Friday, 2026-07-03, to Monday.
    expect(switches('2026-07-03T10:00:00Z', '2026-07-06T05:00:00Z')).toEqual([
      ['2026-07-03T20:00:00Z', 20],
      ['2026-07-04T06:00:00Z', 30],
      ['2026-07-04T18:00:00Z', 40],
      ['2026-07-05T06:00:00Z', 30],
      ['2026-07-05T18:00:00Z', 40],
      ['2026-07-06T04:00:00Z', 10],
    ]);
  });

  it('takes place right after the hour that spring leaves out, where it is inside, at once with what follows', () => {
    core.useProgram(
      calendar({
        days: [
          [
            ['00:00:00', 0],
            ['02:15:00', 1],
            ['02:30:00', 2],
            ['03:10:00', 3],
          ],
        ],
      }),
    );
    expect(switches('2026-03-28T23:30:00Z', '2026-03-29T12:00:00Z')).toEqual([
      ['2026-03-29T01:00:00Z', 30],
      ['2026-03-29T01:10:00Z', 40],
    ]);
  });

  it('takes place once in the hour that autumn repeats: the first time, and nothing is switched back', () => {
    core.useProgram(
      calendar({
        days: [
          [
            ['00:00:00', 0],
            ['02:30:00', 1],
            ['03:00:00', 2],
          ],
        ],
      }),
    );
    expect(switches('2026-10-24T22:30:00Z', '2026-10-25T12:00:00Z')).toEqual([
      ['2026-10-25T00:30:00Z', 20],
      ['2026-10-25T02:00:00Z', 30],
    ]);
  });

  it('begins once where summer time ends at midnight, at the first', () => {
    core.useProgram(
      calendar({
        zone: 'AAA0BBB,J100/0,J300/0',
        days: [
          [
            ['00:00:00', 0],
            ['23:30:00', 1],
          ],
        ],
      }),
    );
    // 23:59:59 on the 26th, then 23:00 again.
    expect(switches('2027-10-26T12:00:00Z', '2027-10-27T12:00:00Z')).toEqual([
      ['2027-10-26T22:30:00Z', 20],
      ['2027-10-27T00:00:00Z', 10],
    ]);
  });

  it('is not left again where summer time ends after midnight', () => {
    core.useProgram(
      calendar({
        zone: 'AAA0BBB,J100/0,J300/0:30',
        days: [
          [
            ['00:00:00', 0],
            ['00:15:00', 1],
            ['23:45:00', 2],
          ],
        ],
      }),
    );
    // 00:29:59 on the 27th, then 23:30 on the 26th again.
    expect(switches('2027-10-26T12:00:00Z', '2027-10-27T12:00:00Z')).toEqual([
      ['2027-10-26T22:45:00Z', 30],
      ['2027-10-26T23:00:00Z', 10],
      ['2027-10-26T23:15:00Z', 20],
    ]);
  });

  it('begins at one, where summer time begins at midnight, as in Santiago', () => {
    core.useProgram(
      calendar({
        zone: '<-04>4<-03>,M9.1.6/24,M4.1.6/24',
        days: [
          [
            ['00:00:00', 0],
            ['00:30:00', 1],
            ['22:00:00', 2],
          ],
        ],
      }),
    );
    expect(switches('2026-09-05T12:00:00Z', '2026-09-06T12:00:00Z')).toEqual([
      ['2026-09-06T02:00:00Z', 30],
      ['2026-09-06T04:00:00Z', 20],
    ]);
    // Saturday has its last hour twice.
    expect(switches('2026-04-04T12:00:00Z', '2026-04-05T12:00:00Z')).toEqual([
      ['2026-04-05T01:00:00Z', 30],
      ['2026-04-05T04:00:00Z', 10],
      ['2026-04-05T04:30:00Z', 20],
    ]);
  });

  it('switches around the half hour of Lord Howe', () => {
    core.useProgram(
      calendar({
        zone: '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0',
        days: [
          [
            ['00:00:00', 0],
            ['01:40:00', 1],
            ['02:00:00', 2],
            ['02:20:00', 3],
          ],
        ],
      }),
    );
    expect(switches('2026-04-04T14:00:00Z', '2026-04-05T00:00:00Z')).toEqual([
      ['2026-04-04T14:40:00Z', 20],
      ['2026-04-04T15:30:00Z', 30],
      ['2026-04-04T15:50:00Z', 40],
    ]);
    expect(switches('2026-10-03T14:00:00Z', '2026-10-04T00:00:00Z')).toEqual([
      ['2026-10-03T15:10:00Z', 20],
      ['2026-10-03T15:30:00Z', 40],
    ]);
  });

  it.each(['2036-02-07', '2038-01-19', '2046-12-31', '2099-07-01', '2104-02-29'])('switches on %s', (date) => {
    core.useProgram(
      calendar({
        zone: 'UTC0',
        days: [
          [
            ['03:14:07', 0],
            ['06:28:16', 1],
          ],
        ],
      }),
    );
    expect(switches(`${date}T00:00:00Z`, `${date}T12:00:00Z`)).toEqual([
      [`${date}T03:14:07Z`, 10],
      [`${date}T06:28:16Z`, 20],
    ]);
  });
});

describe('a week', () => {
  it('has its days from Monday on', () => {
    core.useProgram(
      calendar({
        zone: 'UTC0',
        scripts: [1, 2, 3, 4, 5, 6, 7],
        days: [0, 1, 2, 3, 4, 5, 6].map((script) => [['00:00:00', script]]),
        weeks: [[0, 1, 2, 3, 4, 5, 6]],
      }),
    );
    // 2026-11-23 is a Monday.
    expect([0, 1, 2, 3, 4, 5, 6].map((day) => core.tariff(unix('2026-11-23T12:00:00Z') + day * 86_400))).toEqual([
      1, 2, 3, 4, 5, 6, 7,
    ]);
  });
});

/** Days 0 to 4 have tariffs 10 to 50 all day, and weeks 0 to 4 are of them. */
const plain = {
  days: [0, 1, 2, 3, 4].map((script): BlockAction[] => [['00:00:00', script]]),
  weeks: [0, 1, 2, 3, 4].map((day) => Array(7).fill(day) as number[]),
};

describe('seasons', () => {
  const seasons = (...list: BlockProgram['seasons']) => core.useProgram(calendar({ ...plain, seasons: list }));

  it('begin on their days of each year, and last over the new year', () => {
    seasons({ month: 4, day: 1, week: 0 }, { month: 10, day: 1, week: 1 });
    expect(switches('2026-01-01T00:00:00Z', '2027-12-31T00:00:00Z')).toEqual([
      ['2026-03-31T22:00:00Z', 10],
      ['2026-09-30T22:00:00Z', 20],
      ['2027-03-31T22:00:00Z', 10],
      ['2027-09-30T22:00:00Z', 20],
    ]);
    expect(core.tariff('2026-01-01T00:00:00Z')).toBe(20);
  });

  it('may stand in any order, and begin at a time of day', () => {
    seasons({ month: 10, day: 1, time: '06:00:00', week: 1 }, { month: 4, day: 1, time: '12:30:15', week: 0 });
    expect(switches('2026-01-01T00:00:00Z', '2026-12-31T00:00:00Z')).toEqual([
      ['2026-04-01T10:30:15Z', 10],
      ['2026-10-01T04:00:00Z', 20],
    ]);
  });

  it('may be of one year, and then last until another begins', () => {
    seasons({ month: 1, day: 1, week: 0 }, { year: 2028, month: 7, day: 1, week: 1 });
    expect(switches('2026-02-01T00:00:00Z', '2031-01-01T00:00:00Z')).toEqual([
      ['2028-06-30T22:00:00Z', 20],
      ['2028-12-31T23:00:00Z', 10],
    ]);
    seasons({ year: 2028, month: 7, day: 1, week: 1 }, { year: 2040, month: 7, day: 1, week: 2 });
    expect(switches('2026-01-01T00:00:00Z', '2046-12-31T00:00:00Z')).toEqual([
      ['2028-06-30T22:00:00Z', 20],
      ['2040-06-30T22:00:00Z', 30],
    ]);
    expect(core.tariff('2026-01-01T00:00:00Z')).toBe(99);
  });

  it('begin on the last and the second last day of a month', () => {
    seasons(
      { month: 2, day: lastDay, week: 0 },
      { month: 2, day: secondLastDay, week: 1 },
      { month: 6, day: 1, week: 2 },
    );
    expect(switches('2027-01-01T00:00:00Z', '2028-05-01T00:00:00Z')).toEqual([
      ['2027-02-26T23:00:00Z', 20],
      ['2027-02-27T23:00:00Z', 10],
      ['2027-05-31T22:00:00Z', 30],
      ['2028-02-27T23:00:00Z', 20],
      ['2028-02-28T23:00:00Z', 10],
    ]);
  });

  it('begin on a day of the week at or after a day, also in the next month and year', () => {
    seasons({ month: 5, day: 1, weekday: monday, week: 0 }, { month: 12, day: 30, weekday: thursday, week: 1 });
    expect(switches('2026-01-05T00:00:00Z', '2028-06-01T00:00:00Z')).toEqual([
      ['2026-05-03T22:00:00Z', 10],
      ['2026-12-30T23:00:00Z', 20],
      ['2027-05-02T22:00:00Z', 10],
      ['2027-12-29T23:00:00Z', 20],
      ['2028-04-30T22:00:00Z', 10],
    ]);
    // 2028-12-30 is a Saturday.
    expect(switches('2028-12-01T00:00:00Z', '2029-02-01T00:00:00Z')).toEqual([['2029-01-03T23:00:00Z', 20]]);
  });

  it('go on from the year before the last, where their day of the week led out of it', () => {
    seasons({ month: 12, day: 31, weekday: tuesday, week: 0 });
    // Begins on 2026-01-06, 2027-01-05.
    expect(core.tariff('2027-01-03T12:00:00Z')).toBe(10);
  });

  it('begin on the last and second last such day of a month', () => {
    seasons(
      { month: 3, day: lastDay, weekday: sunday, week: 0 },
      { month: 10, day: secondLastDay, weekday: saturday, week: 1 },
    );
    expect(switches('2026-01-01T00:00:00Z', '2026-12-31T00:00:00Z')).toEqual([
      ['2026-03-28T23:00:00Z', 10],
      ['2026-10-23T22:00:00Z', 20],
    ]);
  });

  it('begin with summer time and end with it, on its local date', () => {
    seasons({ month: summerBegin, week: 0 }, { month: summerEnd, time: '12:00:00', week: 1 });
    expect(switches('2026-01-01T00:00:00Z', '2026-12-31T00:00:00Z')).toEqual([
      ['2026-03-28T23:00:00Z', 10],
      ['2026-10-25T11:00:00Z', 20],
    ]);
  });

  it('do so south of the equator', () => {
    core.useProgram(
      calendar({
        ...plain,
        zone: 'AEST-10AEDT,M10.1.0,M4.1.0/3',
        seasons: [
          { month: summerBegin, week: 0 },
          { month: summerEnd, week: 1 },
        ],
      }),
    );
    expect(switches('2026-01-01T00:00:00Z', '2026-12-31T00:00:00Z')).toEqual([
      ['2026-04-04T13:00:00Z', 20],
      ['2026-10-03T14:00:00Z', 10],
    ]);
    expect(core.tariff('2026-01-01T00:00:00Z')).toBe(10);
  });

  it('do so on the date before, where summer time ends at midnight, as in Santiago', () => {
    core.useProgram(
      calendar({
        ...plain,
        zone: '<-04>4<-03>,M9.1.6/24,M4.1.6/24',
        seasons: [
          { month: summerBegin, week: 0 },
          { month: summerEnd, week: 1 },
        ],
      }),
    );
    // It begins on Sunday at 01:00; it ends on Saturday, whose last hour comes twice.
    expect(switches('2026-01-01T00:00:00Z', '2026-12-31T00:00:00Z')).toEqual([
      ['2026-04-04T03:00:00Z', 20],
      ['2026-09-06T04:00:00Z', 10],
    ]);
  });

  it('never begin with a summer time that there is not', () => {
    core.useProgram(calendar({ ...plain, zone: '<+0530>-5:30', seasons: [{ month: summerBegin, week: 0 }] }));
    expect(core.tariff('2026-07-01T00:00:00Z')).toBe(99);
    expect(core.next('2026-07-01T00:00:00Z', '2027-07-01T00:00:00Z')).toBeUndefined();
  });

  it('count in their order, where two begin at once', () => {
    seasons({ year: 2027, month: 1, day: 1, week: 1 }, { month: 1, day: 1, week: 0 });
    expect([2026, 2027, 2028].map((year) => core.tariff(`${year}-06-01T00:00:00Z`))).toEqual([10, 20, 10]);
    seasons({ month: 1, day: 1, week: 0 }, { year: 2027, month: 1, day: 1, week: 1 });
    expect([2026, 2027, 2028].map((year) => core.tariff(`${year}-06-01T00:00:00Z`))).toEqual([10, 10, 10]);
    // Also in the year after.
    seasons({ month: 7, day: 1, week: 0 }, { year: 2027, month: 7, day: 1, week: 1 });
    expect(core.tariff('2028-03-01T00:00:00Z')).toBe(10);
    seasons({ year: 2027, month: 7, day: 1, week: 1 }, { month: 7, day: 1, week: 0 });
    expect(core.tariff('2028-03-01T00:00:00Z')).toBe(20);
  });

  it('leave the default where there are none', () => {
    core.useProgram(calendar({ ...plain, seasons: [] }));
    expect(core.tariff('2026-07-01T00:00:00Z')).toBe(99);
  });

  it('give the day before its own season, where a day begins without an action', () => {
    core.useProgram(
      calendar({
        days: [[['06:00:00', 0]], [['06:00:00', 1]]],
        weeks: [everyDay, [1, 1, 1, 1, 1, 1, 1]],
        seasons: [
          { month: 4, day: 1, week: 0 },
          { month: 10, day: 1, week: 1 },
        ],
      }),
    );
    expect(switches('2026-03-01T06:00:00Z', '2026-05-01T00:00:00Z')).toEqual([['2026-04-01T04:00:00Z', 10]]);
  });
});

describe('special days', () => {
  const specials = (...list: BlockProgram['specialDays']) =>
    core.useProgram(calendar({ ...plain, zone: 'UTC0', specialDays: list }));
  /** Dates of a year with another tariff than 10. */
  function found(year: number): string[] {
    const dates: string[] = [];
    for (let at = unix(`${year}-01-01T12:00:00Z`); at < unix(`${year + 1}-01-01T00:00:00Z`); at += 86_400) {
      if (core.tariff(at) !== 10) dates.push(isoOf(at).slice(0, 10));
    }
    return dates;
  }

  it('are one date of one year, or of each', () => {
    specials({ year: 2027, month: 4, day: 5, to: 1 }, { month: 12, day: 25, to: 2 });
    expect(found(2026)).toEqual(['2026-12-25']);
    expect(found(2027)).toEqual(['2027-04-05', '2027-12-25']);
  });

  it('may be 29 February', () => {
    specials({ month: 2, day: 29, to: 1 });
    expect([2027, 2028, 2100].map(found)).toEqual([[], ['2028-02-29'], []]);
  });

  it('may be the same day of each month', () => {
    specials({ day: 31, to: 1 }, { day: 30, year: 2027, to: 1 });
    expect(found(2026)).toEqual(['01', '03', '05', '07', '08', '10', '12'].map((month) => `2026-${month}-31`));
    expect(found(2027)).toHaveLength(7 + 11);
  });

  it('may be the last or the second last day', () => {
    specials({ month: 2, day: lastDay, to: 1 }, { month: 4, day: secondLastDay, to: 1 });
    expect(found(2028)).toEqual(['2028-02-29', '2028-04-29']);
  });

  it('may be each such day of the week, of a month, and of each month', () => {
    specials({ month: 2, weekday: sunday, to: 1 });
    expect(found(2026)).toEqual(['2026-02-01', '2026-02-08', '2026-02-15', '2026-02-22']);
    specials({ day: lastDay, weekday: monday, to: 1 });
    expect(found(2026).slice(0, 3)).toEqual(['2026-01-26', '2026-02-23', '2026-03-30']);
    specials({ year: 2026, day: secondLastDay, weekday: monday, to: 1 });
    expect(found(2026).slice(0, 3)).toEqual(['2026-01-19', '2026-02-16', '2026-03-23']);
    expect(found(2027)).toEqual([]);
  });

  it('may be the first such day of the week at or after a day, also in the next month and year', () => {
    specials({ month: 11, day: 22, weekday: thursday, to: 1 });
    expect([2026, 2027, 2028].flatMap(found)).toEqual(['2026-11-26', '2027-11-25', '2028-11-23']);
    specials({ year: 2026, month: 12, day: 31, weekday: monday, to: 1 });
    expect([2026, 2027].flatMap(found)).toEqual(['2027-01-04']);
    specials({ month: 6, day: 28, weekday: sunday, to: 1 });
    expect([2026, 2027].flatMap(found)).toEqual(['2026-06-28', '2027-07-04']);
    // A month without a 31st has no day at or after it.
    specials({ day: 31, weekday: monday, to: 1 });
    expect(found(2026).slice(0, 4)).toEqual(['2026-01-05', '2026-02-02', '2026-04-06', '2026-06-01']);
  });

  it('may be the dates on which summer time begins and ends', () => {
    core.useProgram(
      calendar({
        ...plain,
        specialDays: [
          { month: summerBegin, to: 1 },
          { year: 2026, month: summerEnd, to: 2 },
        ],
      }),
    );
    expect(switches('2026-01-01T00:00:00Z', '2027-12-31T00:00:00Z')).toEqual([
      ['2026-03-28T23:00:00Z', 20],
      ['2026-03-29T22:00:00Z', 10],
      ['2026-10-24T22:00:00Z', 30],
      ['2026-10-25T23:00:00Z', 10],
      ['2027-03-27T23:00:00Z', 20],
      ['2027-03-28T22:00:00Z', 10],
    ]);
  });

  it('are those of the zone in use, after another one was', () => {
    const specialDays = [{ month: summerBegin, to: 1 }];
    core.useProgram(calendar({ ...plain, specialDays }));
    expect(core.tariff('2026-03-29T12:00:00Z')).toBe(20);
    core.useProgram(calendar({ ...plain, zone: 'EST5EDT,M3.2.0,M11.1.0', specialDays }));
    expect(core.tariff('2026-03-29T12:00:00Z')).toBe(10);
    expect(core.tariff('2026-03-08T12:00:00Z')).toBe(20);
  });

  it('count in their order', () => {
    specials({ month: 12, day: 25, to: 1 }, { month: 12, weekday: 5, to: 2 });
    // A Friday.
    expect(core.tariff('2026-12-25T12:00:00Z')).toBe(20);
    expect(core.tariff('2026-12-18T12:00:00Z')).toBe(30);
  });

  it('need no season', () => {
    core.useProgram(calendar({ ...plain, seasons: [], specialDays: [{ month: 12, day: 25, to: 1 }] }));
    expect(core.tariff('2026-12-25T12:00:00Z')).toBe(20);
    expect(core.tariff('2026-12-26T12:00:00Z')).toBe(99);
  });

  it('go on until the first action of the day after', () => {
    core.useProgram(
      calendar({ days: [[['06:00:00', 0]], [['08:00:00', 1]]], specialDays: [{ month: 12, day: 25, to: 1 }] }),
    );
    expect(switches('2026-12-24T12:00:00Z', '2026-12-31T00:00:00Z')).toEqual([
      ['2026-12-25T07:00:00Z', 20],
      ['2026-12-26T05:00:00Z', 10],
    ]);
  });
});
