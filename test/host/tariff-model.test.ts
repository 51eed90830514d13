// Tariff programs as people write them: the shape of the file, before anything is made of it.
import { describe, expect, it } from 'vitest';
import {
  daysOf,
  dynamicTariffsSchema,
  patternOf,
  type TariffProgram,
  tariffProgramSchema,
} from '../../host/tariff/model.ts';

const program: TariffProgram = {
  name: 'two-seasons',
  activationUtc: '2026-12-31T23:00:00Z',
  zone: 'Europe/Berlin',
  defaultTariff: 1,
  dynamicFallback: 'keep',
  tariffs: { 1: 'day', 2: 'night' },
  scripts: [{ selector: 7, tariff: 2 }],
  seasons: [
    { name: 'winter', start: { month: 'summer-end' }, week: 'all' },
    { name: 'summer', start: { month: 4, day: 1, weekday: 'sunday', time: '02:00' }, week: 'all' },
  ],
  weeks: [{ name: 'all', days: [1, 1, 1, 1, 1, 2, 2] }],
  days: [
    {
      id: 1,
      actions: [
        { time: '06:00', tariff: 1 },
        { time: '22:00:30', selector: 7 },
      ],
    },
    { id: 2, actions: [{ time: '00:00', tariff: 2 }] },
  ],
  specialDays: [
    { date: '--12-25', day: 2 },
    { date: '2026-04-03', day: 2 },
    { date: { month: 5, day: 'last', weekday: 'monday' }, day: 2 },
  ],
};

/** Paths of what is wrong with the program when `change` is made to it. */
function wrong(change: object): string[] {
  const result = tariffProgramSchema.safeParse({ ...program, ...change });
  return result.success ? [] : result.error.issues.map(({ path }) => path.join('.'));
}

describe('a program', () => {
  it('is taken as it is written', () => {
    expect(tariffProgramSchema.parse(program)).toEqual(program);
  });

  it.each([
    ['an unknown setting', { zones: 'UTC' }, ''],
    ['a name of 24 bytes', { name: 'x'.repeat(24) }, 'name'],
    ['an activation in local time', { activationUtc: '2026-12-31T23:00:00+01:00' }, 'activationUtc'],
    ['an activation on 31 February', { activationUtc: '2026-02-31T00:00:00Z' }, 'activationUtc'],
    ['a tariff of 17 bits', { defaultTariff: 65_536 }, 'defaultTariff'],
    ['13 weeks', { weeks: Array(13).fill(program.weeks![0]) }, 'weeks'],
    ['six days in a week', { weeks: [{ name: 'a', days: [1, 1, 1, 1, 1, 1] }] }, 'weeks.0.days'],
    ['a day without an action', { days: [{ id: 1, actions: [] }] }, 'days.0.actions'],
    ['24 o’clock', { days: [{ id: 1, actions: [{ time: '24:00', tariff: 1 }] }] }, 'days.0.actions.0.time'],
    ['month 13', { seasons: [{ name: 'a', start: { month: 13, day: 1 }, week: 'a' }] }, 'seasons.0.start.month'],
    [
      'a logical name of five',
      { scripts: [{ logicalName: '0.0.10.0.100', selector: 1, tariff: 1 }] },
      'scripts.0.logicalName',
    ],
    ['a date without a month', { specialDays: [{ date: '25', day: 1 }] }, 'specialDays.0.date'],
  ])('with %s is refused', (_, change, path) => {
    expect(wrong(change)).toEqual([path]);
    expect(wrong({})).toEqual([]);
  });

  it('says dates as texts and as patterns', () => {
    expect(patternOf('2026-04-03')).toEqual({ year: 2026, month: 4, day: 3 });
    expect(patternOf('--12-25')).toEqual({ month: 12, day: 25 });
    expect(patternOf({ day: 'last' })).toEqual({ day: 'last' });
  });

  it('says weeks as seven days and as one', () => {
    expect(daysOf({ name: 'a', days: [1, 2, 3, 4, 5, 6, 7] })).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(daysOf({ name: 'a', monday: 1, sunday: 7 })).toEqual([1, ...Array(5).fill(undefined), 7]);
  });
});

describe('dynamic tariffs', () => {
  const dynamic = { entries: [{ utc: '2026-11-22T23:00:00Z', tariff: 3 }], endUtc: '2026-11-23T23:00:00Z' };

  it('are taken as they are written, also none', () => {
    for (const value of [dynamic, { entries: [] }]) expect(dynamicTariffsSchema.parse(value)).toEqual(value);
  });

  it('are at most 192', () => {
    const entries = (count: number) => ({ ...dynamic, entries: Array(count).fill(dynamic.entries[0]) });
    expect([192, 193].map((count) => dynamicTariffsSchema.safeParse(entries(count)).success)).toEqual([true, false]);
  });
});
