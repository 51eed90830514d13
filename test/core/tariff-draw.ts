// Random calendars: all that a tariff program and dynamic tariffs can say, more often where it is hard.
import type { SeededRandom } from './random.ts';
import {
  any,
  type BlockAction,
  type BlockDate,
  type BlockDynamic,
  type BlockProgram,
  lastDay,
  secondLastDay,
  summerBegin,
  summerEnd,
} from './tariff-blocks.ts';
import { checkedZones, zoneData, zoneList } from './tariff-zones.ts';

/** What one comparison is about. */
export interface DrawnCalendar {
  /** IANA name. */
  readonly zone: string;
  readonly program: BlockProgram;
  readonly dynamic?: BlockDynamic | undefined;
  readonly periodMinutes: number;
}

export const checkedFrom = Date.UTC(2026, 0, 1) / 1000;
export const checkedUntil = Date.UTC(2047, 0, 1) / 1000 - 1;

const dayMost = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** @param asList names of zones whose rule does not hold: they are given as lists */
export function drawCalendar(random: SeededRandom, asList: ReadonlySet<string>): DrawnCalendar {
  const { below } = random;
  const among = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const chance = (percent: number) => below(100) < percent;
  const list = <T>(count: number, item: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => item(i));

  const { name, rule } = among(checkedZones);
  const zone = rule === undefined || asList.has(name) || chance(15) ? zoneList(zoneData(name)) : rule;
  const scripts = list(1 + below(16), () => (chance(70) ? 1 + below(6) : below(65_536)));
  const days = list(1 + below(16), () => drawDay());
  const weeks = list(1 + below(12), () => {
    const usual = below(days.length);
    return list(7, () => (chance(60) ? usual : below(days.length)));
  });
  const starts: (BlockDate & { time: string })[] = [];
  const program: BlockProgram = {
    zone,
    defaultTariff: below(8),
    fallback: below(3),
    fallbackTariff: 100 + below(3),
    scripts,
    seasons: list(chance(10) ? 0 : 1 + below(12), () => drawSeason()),
    weeks,
    days,
    specialDays: list(chance(20) ? 0 : below(chance(20) ? 65 : 12), () => drawSpecialDay()),
  };
  return { zone: name, program, dynamic: chance(40) ? drawDynamic() : undefined, periodMinutes: 1 + below(60) };

  function drawTime(): number {
    // The first hours are those of transitions.
    const within = chance(50) ? 4 * 3600 : 86_400;
    const step = among([1, 60, 900, 1800, 3600]);
    return step * below(within / step);
  }

  function drawDay(): BlockAction[] {
    const times = new Set(list(1 + below(8), drawTime));
    if (chance(60)) times.add(0);
    return [...times]
      .sort((a, b) => a - b)
      .slice(0, 8)
      .map((time) => [timeText(time), below(scripts.length)]);
  }

  /** A date that is in each year, or in the one that is said. */
  function drawDate(): { month: number; day: number } {
    const month = 1 + below(12);
    return { month, day: chance(20) ? dayMost[month - 1]! : 1 + below(dayMost[month - 1]!) };
  }

  function drawStart(): BlockDate {
    const kind = below(10);
    if (kind < 5) return drawDate();
    if (kind < 6) return { month: 1 + below(12), day: among([lastDay, secondLastDay]) };
    if (kind < 7) return { month: 1 + below(12), day: among([lastDay, secondLastDay]), weekday: 1 + below(7) };
    if (kind < 8) return { ...drawDate(), weekday: 1 + below(7) };
    return { month: among([summerBegin, summerEnd]), day: among([any, 1]) };
  }

  function drawSeason(): BlockProgram['seasons'][number] {
    const own = chance(25) ? { year: 2024 + below(24) } : {};
    const time = chance(70) ? '00:00:00' : timeText(drawTime());
    // Some begin together with another one.
    const start = starts.length > 0 && chance(20) ? among(starts) : { ...drawStart(), time };
    starts.push(start);
    return { ...own, ...start, week: below(weeks.length) };
  }

  function drawSpecialDay(): BlockProgram['specialDays'][number] {
    const own = chance(40) ? { year: 2025 + below(23) } : {};
    const to = below(days.length);
    const kind = below(20);
    if (kind < 2) return { ...own, month: 2, day: own.year === undefined || own.year % 4 === 0 ? 29 : 28, to };
    if (kind < 3) return { ...own, day: 1 + below(31), to };
    if (kind < 4) return { ...own, day: 29 + below(3), weekday: 1 + below(7), to };
    if (kind < 5) return { ...own, month: 1 + below(12), weekday: 1 + below(7), to };
    if (kind < 6) return { ...own, day: among([lastDay, secondLastDay]), weekday: among([any, 1 + below(7)]), to };
    return { ...own, ...drawStart(), to };
  }

  function drawDynamic(): BlockDynamic {
    const { transitions } = zoneData(name);
    const near = chance(50) && transitions.length > 0 ? among(transitions).unixSeconds - below(2 * 86_400) : 0;
    let at = Math.max(near, checkedFrom - 86_400 + (near === 0 ? below(checkedUntil - checkedFrom) : 0));
    const step = among([900, 3600, 1 + below(20_000)]);
    const entries = list(1 + below(192), () => {
      at += chance(80) ? step : 1 + below(step);
      return { unixSeconds: at, tariff: 1 + below(9) };
    });
    return { entries, endUnixSeconds: at + 1 + below(2 * step) };
  }
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().slice(11, 19);
}
