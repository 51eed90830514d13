// Tariff programs for tests: one that has all there is, and random ones that a meter takes.
import { ProgramFormat } from '../../as/abi/codes.ts';
import {
  type DatePattern,
  type Day,
  type DayOfMonth,
  type DynamicTariffs,
  type SummerTimeDate,
  type TariffProgram,
  type TariffScript,
  utcText,
  weekdays,
} from '../../host/tariff/model.ts';
import type { SeededRandom } from '../core/random.ts';

export const sampleProgram: TariffProgram = {
  name: 'two-seasons',
  activationUtc: '2026-12-31T23:00:00Z',
  zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
  defaultTariff: 9,
  dynamicFallback: 5,
  tariffs: { 1: 'day', 2: 'night' },
  scripts: [
    { selector: 7, tariff: 2 },
    { logicalName: '0.0.10.0.101.255', selector: 7, tariff: 2 },
  ],
  seasons: [
    { name: 'winter', start: { month: 'summer-end', time: '03:00:01' }, week: 'all' },
    { name: 'summer', start: { year: 2027, month: 4, day: 'last', weekday: 'sunday' }, week: 'all' },
  ],
  weeks: [{ name: 'all', monday: 1, tuesday: 1, wednesday: 1, thursday: 1, friday: 1, saturday: 200, sunday: 200 }],
  days: [
    {
      id: 1,
      actions: [
        { time: '06:00', tariff: 1 },
        { time: '22:00:30', selector: 7, logicalName: '0.0.10.0.101.255' },
      ],
    },
    { id: 200, actions: [{ time: '00:00', tariff: 2 }] },
  ],
  specialDays: [
    { date: '--12-25', day: 200 },
    { date: '2026-04-03', day: 200 },
    { date: { month: 5, day: 'second-last', weekday: 'monday' }, day: 1 },
  ],
};

const zones = [
  ...['Europe/Berlin', 'America/Santiago', 'Australia/Lord_Howe', 'Africa/Casablanca', 'Asia/Kathmandu'],
  ...['IST-1GMT0,M10.5.0,M3.5.0/1', 'AAA-24BBB24,J60/-167:59:59,365/167:59:59'],
];

/** A program that a meter takes, of any size up to the largest. */
export function randomProgram(random: SeededRandom): TariffProgram {
  const { below } = random;
  const pick = <Item>(items: readonly Item[]): Item => items[below(items.length)]!;
  const some = <Item>(most: number, make: (index: number) => Item): Item[] =>
    Array.from({ length: below(most + 1) }, (_, index) => make(index));
  const maybe = <Key extends string, Value>(key: Key, value: Value) =>
    (below(2) === 0 ? {} : { [key]: value }) as { readonly [Name in Key]?: Value };
  const time = (seconds = below(86_400)): string => new Date(seconds * 1000).toISOString().slice(11, 19);
  const days = some(ProgramFormat.DaysMax, (index) => ({ id: (index * 37 + 5) % 256, actions: [] as Day['actions'] }));
  const scripts: TariffScript[] = some(6, (index) => ({
    ...maybe('logicalName', `0.${index}.10.0.100.255`),
    ...{ selector: below(65_536) ^ index, tariff: below(4) },
  }));
  const selectors = scripts.map((script) => `${script.logicalName ?? ''} ${script.selector}`);
  const plain = selectors.every((text, index) => selectors.indexOf(text) === index) ? scripts : [];
  const action = () => {
    const script = plain.length > 0 && below(2) === 0 ? pick(plain) : undefined;
    if (script === undefined) return { tariff: plain.length > 0 ? pick(plain).tariff : below(4) };
    return {
      selector: script.selector,
      ...(script.logicalName === undefined ? {} : { logicalName: script.logicalName }),
    };
  };
  for (const day of days) {
    const times = [...new Set(Array.from({ length: 1 + below(ProgramFormat.ActionsMax) }, () => below(86_400)))];
    day.actions = times.sort((a, b) => a - b).map((seconds) => ({ time: time(seconds), ...action() }));
  }
  const zone = pick(zones);
  const date = (): DatePattern => {
    if (zone !== 'Asia/Kathmandu' && below(8) === 0) {
      return { ...maybe('year', 2026 + below(20)), month: pick<SummerTimeDate>(['summer-begin', 'summer-end']) };
    }
    const day: DayOfMonth = below(4) === 0 ? pick<DayOfMonth>(['last', 'second-last']) : 1 + below(28);
    return { ...maybe('year', 2026 + below(20)), month: 1 + below(12), day, ...maybe('weekday', pick(weekdays)) };
  };
  const weeks =
    days.length === 0
      ? []
      : some(ProgramFormat.WeeksMax, (index) => ({
          name: `w${index}`,
          days: Array.from({ length: 7 }, () => pick(days).id),
        }));
  return {
    name: 'x'.repeat(1 + below(23)),
    ...maybe('activationUtc', utcText(1 + below(2 ** 32 - 1))),
    zone,
    defaultTariff: below(65_536),
    ...maybe('dynamicFallback', pick<'calendar' | 'keep' | number>(['calendar', 'keep', below(65_536)])),
    ...(plain.length === 0 ? {} : { scripts: plain }),
    seasons:
      weeks.length === 0
        ? []
        : some(ProgramFormat.SeasonsMax, (index) => ({
            name: `s${index}`,
            start: { ...date(), month: 1 + below(12), day: 1 + below(28), ...maybe('time', time()) },
            week: pick(weeks).name,
          })),
    weeks,
    days,
    specialDays:
      days.length === 0
        ? []
        : some(ProgramFormat.SpecialDaysMax, () => {
            const { month, day, ...others } = date();
            return {
              date: { ...others, ...maybe('month', month), ...(typeof month === 'string' ? {} : maybe('day', day)) },
              day: pick(days).id,
            };
          }),
  };
}

/** Dynamic tariffs that a meter takes. */
export function randomDynamic({ below }: SeededRandom): DynamicTariffs {
  let at = 1 + below(2 ** 31);
  const entries = Array.from({ length: below(193) }, () => {
    at += 1 + below(86_400);
    return { utc: utcText(at), tariff: below(65_536) };
  });
  return entries.length === 0 ? { entries } : { entries, endUtc: utcText(at + 1 + below(86_400)) };
}
