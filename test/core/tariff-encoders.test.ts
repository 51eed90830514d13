// Blocks as `metertime` makes them are those of these tests, byte for byte: two encoders that have nothing in common.
import { beforeAll, describe, expect, it } from 'vitest';
import { DynamicFallback, ProgramError } from '../../as/abi/codes.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import {
  type DatePattern,
  type DayOfMonth,
  type SeasonStart,
  type TariffProgram,
  weekdays,
} from '../../host/tariff/model.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { loadCoreModule } from './load-core.ts';
import { randomFrom, seededRandom } from './random.ts';
import {
  any,
  type BlockDate,
  type BlockProgram,
  dynamicBlock,
  lastDay,
  programBlock,
  secondLastDay,
  summerBegin,
  summerEnd,
} from './tariff-blocks.ts';
import { isoOf, TariffCore } from './tariff-core.ts';
import { drawCalendar } from './tariff-draw.ts';
import { checkedZones } from './tariff-zones.ts';

let core: TariffCore;
beforeAll(async () => {
  core = new TariffCore(await loadCoreModule());
});

function dateOf({ year, month = any, day = any, weekday = any }: BlockDate): DatePattern {
  const summer = new Map([
    [summerBegin, 'summer-begin' as const],
    [summerEnd, 'summer-end' as const],
  ]);
  const last = new Map<number, DayOfMonth>([
    [lastDay, 'last'],
    [secondLastDay, 'second-last'],
  ]);
  return {
    ...(year === undefined ? {} : { year }),
    ...(month === any ? {} : { month: summer.get(month) ?? month }),
    ...(day === any ? {} : { day: last.get(day) ?? day }),
    ...(weekday === any ? {} : { weekday: weekdays[weekday - 1]! }),
  };
}

/** The same, as people write it. */
function modelOf(program: BlockProgram): TariffProgram {
  const { zone, scripts, fallback = 0, fallbackTariff = 0 } = program;
  const offset = ({ minutes, summer }: { minutes: number; summer: boolean }) => ({ offsetMinutes: minutes, summer });
  return {
    name: 'test',
    zone:
      typeof zone === 'string'
        ? zone
        : {
            initial: offset(zone.initial),
            transitions: zone.transitions.map((each) => ({ utc: isoOf(each.unixSeconds), ...offset(each) })),
          },
    defaultTariff: program.defaultTariff,
    dynamicFallback: ([DynamicFallback.Calendar, DynamicFallback.Keep] as number[]).includes(fallback)
      ? (['calendar', 'keep'] as const)[fallback]!
      : fallbackTariff,
    scripts: scripts.map((tariff, i) => ({ selector: i + 1, tariff })),
    seasons: program.seasons.map(({ time, week, ...date }, i) => ({
      name: `season ${i}`,
      // Its month is always said.
      start: { ...(dateOf(date) as SeasonStart), ...(time === undefined ? {} : { time }) },
      week: `week ${week}`,
    })),
    weeks: program.weeks.map((days, i) => ({ name: `week ${i}`, days: days.map((day) => day + 1) })),
    days: program.days.map((actions, i) => ({
      id: i + 1,
      actions: actions.map(([time, script]) => ({ time, selector: script + 1 })),
    })),
    specialDays: program.specialDays.map(({ to, ...date }) => ({ date: dateOf(date), day: to + 1 })),
  };
}

/** What both can say: no day beside the begin of summer time, and no such begin where there is no summer time. */
function sayable(program: BlockProgram): BlockProgram {
  const isSummer = ({ month }: BlockDate) => month === summerBegin || month === summerEnd;
  const without = <T extends BlockDate>(dates: T[]) =>
    dates
      .filter((date) => !isSummer(date) || typeof program.zone !== 'string' || program.zone.includes(','))
      .map((date) => (isSummer(date) ? { ...date, day: any } : date));
  return {
    ...program,
    fallbackTariff: program.fallback === DynamicFallback.Tariff ? program.fallbackTariff! : 0,
    seasons: without(program.seasons),
    specialDays: without(program.specialDays),
  };
}

describe('blocks of metertime', () => {
  it('are those of the tests, and the core takes them', { timeout: 120_000 }, () => {
    const random = seededRandom('two encoders');
    for (let i = 0; i < 100; i++) {
      const { program: drawn, dynamic } = drawCalendar(randomFrom(random.below(2 ** 32)), new Set());
      const program = sayable(drawn);
      const block = encodeProgram(modelOf(program));
      expect(Buffer.from(block).toString('hex')).toBe(Buffer.from(programBlock(program)).toString('hex'));
      expect(core.useProgramBytes(block)).toBe(ProgramError.None);
      if (dynamic === undefined) continue;
      const entries = dynamic.entries.map(({ unixSeconds, tariff }) => ({ utc: isoOf(unixSeconds), tariff }));
      const bytes = encodeDynamic({ entries, endUtc: isoOf(dynamic.endUnixSeconds) });
      expect(Buffer.from(bytes).toString('hex')).toBe(Buffer.from(dynamicBlock(dynamic)).toString('hex'));
      expect(core.useDynamicBytes(bytes)).toBe(ProgramError.None);
    }
  });

  it.each(checkedZones.filter(({ rule }) => rule !== undefined))(
    'have the rule of $name by its name',
    ({ name, rule }) => {
      const base = { name: 'test', defaultTariff: 0 };
      expect(encodeProgram({ ...base, zone: name })).toEqual(encodeProgram({ ...base, zone: rule! }));
    },
  );
});
