// Tariff programs for tests of DLMS/COSEM objects: one that is known to the byte, and random ones.
import {
  type DatePattern,
  type DayAction,
  defaultScriptTable,
  type SeasonStart,
  type SpecialDay,
  type TariffProgram,
  weekdays,
} from '../../host/tariff/model.ts';
import type { SeededRandom } from '../core/random.ts';

export const household: TariffProgram = {
  name: 'household',
  zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
  defaultTariff: 1,
  scripts: [
    { logicalName: defaultScriptTable, selector: 1, tariff: 1 },
    { logicalName: defaultScriptTable, selector: 2, tariff: 2 },
  ],
  seasons: [
    { name: 'winter', start: { month: 10, day: 1 }, week: 'all' },
    { name: 'summer', start: { month: 'summer-begin', time: '06:00' }, week: 'all' },
  ],
  weeks: [{ name: 'all', days: [1, 1, 1, 1, 1, 2, 2] }],
  days: [
    {
      id: 1,
      actions: [
        { time: '00:00', selector: 2 },
        { time: '06:00', selector: 1 },
        { time: '22:00', selector: 2 },
      ],
    },
    { id: 2, actions: [{ time: '00:00', selector: 2 }] },
  ],
  specialDays: [
    { date: '--12-25', day: 2 },
    { date: { month: 5, day: 'last', weekday: 'monday' }, day: 2 },
  ],
};

const zones = [
  'CET-1CEST,M3.5.0,M10.5.0/3',
  'EST5EDT,M3.2.0,M11.1.0',
  'AEST-10AEDT,M10.1.0,M4.1.0/3',
  '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0',
  '<+00>0<+01>,J60/3,J300',
  'IST-5:30',
  'UTC0',
  'Europe/London',
  'America/Santiago',
];

/** As the import gives it: actions by selector, weeks as lists, seconds only where there are any. */
export function randomProgram(random: SeededRandom, withActivation = false): TariffProgram {
  const zone = zones[random.below(zones.length)]!;
  const hasSummer = !/^(IST|UTC)/.test(zone);
  const scripts = listOf(1 + random.below(6), (index) => ({
    logicalName: random.below(3) === 0 ? `0.0.10.${random.below(2)}.${101 + random.below(2)}.255` : defaultScriptTable,
    selector: index * 100 + random.below(100),
    tariff: random.below(65_536),
  }));
  const days = listOf(1 + random.below(6), (index) => ({
    id: index * 10 + random.below(10),
    actions: listOf(1 + random.below(8), (action): DayAction => {
      const { logicalName, selector } = scripts[random.below(scripts.length)]!;
      const table = logicalName === defaultScriptTable ? {} : { logicalName };
      return { time: timeText(action * 10_000 + random.below(10_000), random), selector, ...table };
    }),
  }));
  const dayId = () => days[random.below(days.length)]!.id;
  const weeks = listOf(1 + random.below(4), (index) => ({
    name: name(random, index),
    days: Array.from({ length: 7 }, dayId),
  }));
  const seasons = listOf(random.below(5), (index) => ({
    name: name(random, index),
    start: seasonStart(random, hasSummer),
    week: weeks[random.below(weeks.length)]!.name,
  }));
  const specialDays = listOf(random.below(8), () => ({ date: specialDate(random, hasSummer), day: dayId() }));
  const fallback = random.below(4);
  return {
    name: name(random, 0),
    ...(withActivation ? { activationUtc: activation(random) } : {}),
    zone,
    defaultTariff: random.below(65_536),
    ...(fallback === 0
      ? {}
      : { dynamicFallback: ([random.below(65_536), 'keep', 'calendar'] as const)[fallback - 1]! }),
    ...(random.below(2) === 0 ? {} : { tariffs: { 1: 'day', 2: 'Nacht' } }),
    ...{ scripts, seasons, weeks, days, specialDays },
  };
}

function listOf<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}

function name(random: SeededRandom, index: number): string {
  return [`n${index}`, `Jahr ${index} für`, `hex:0${index}00`, `hex:fe${index}0`][random.below(4)]!;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}

function timeText(seconds: number, random: SeededRandom): string {
  const [hour, minute] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const second = random.below(2) === 0 ? 0 : seconds % 60;
  return [hour, minute, ...(second === 0 ? [] : [second])].map(two).join(':');
}

function activation(random: SeededRandom): string {
  return new Date((1_767_225_600 + random.below(600_000_000)) * 1000).toISOString().replace('.000Z', 'Z');
}

/** With a year, no weekday: it would have to be that of the date. */
function pattern(random: SeededRandom): DatePattern {
  const day = random.below(4) === 0 ? (['last', 'second-last'] as const)[random.below(2)]! : 1 + random.below(28);
  const month = 1 + random.below(12);
  if (random.below(3) === 0) return { year: 2026 + random.below(20), month, day };
  return { month, day, ...(random.below(2) === 0 ? {} : { weekday: weekdays[random.below(7)]! }) };
}

function seasonStart(random: SeededRandom, hasSummer: boolean): SeasonStart {
  const time = random.below(2) === 0 ? {} : { time: timeText(1 + 60 * random.below(1439) + 59, random) };
  if (hasSummer && random.below(3) === 0) {
    return { month: random.below(2) === 0 ? 'summer-begin' : 'summer-end', ...time };
  }
  return { ...(pattern(random) as SeasonStart), ...time };
}

function specialDate(random: SeededRandom, hasSummer: boolean): SpecialDay['date'] {
  const kind = random.below(5);
  if (kind === 0) return `${2026 + random.below(30)}-${two(1 + random.below(12))}-${two(1 + random.below(28))}`;
  if (kind === 1) return `--${two(1 + random.below(12))}-${two(1 + random.below(28))}`;
  if (kind === 2) return { weekday: weekdays[random.below(7)]! };
  if (kind === 3 && hasSummer) return { month: 'summer-end' };
  const { day, ...date } = pattern(random);
  return { ...date, day: typeof day === 'number' && date.weekday === undefined ? 'last' : day! };
}
