// Compares the core with the reference on one calendar: all switches from 2026 to 2046, tariffs at random instants, and the
// boundaries of registration periods.
import type { SeededRandom } from './random.ts';
import type { Switch, TariffCore } from './tariff-core.ts';
import { isoOf } from './tariff-core.ts';
import { checkedFrom, checkedUntil, type DrawnCalendar } from './tariff-draw.ts';
import { referencePeriods, referenceSwitches, tariffOf } from './tariff-reference.ts';
import { zoneData } from './tariff-zones.ts';

export interface Comparison {
  readonly switches: number;
  readonly boundaries: number;
  /** What differs first, in words; undefined where nothing does. */
  readonly difference?: string | undefined;
}

const probes = 100;
/** Far enough around a probed instant for its boundaries. */
const spanSeconds = 5 * 86_400;

/** Gives the core a calendar. */
export function useCalendar(core: TariffCore, { program, dynamic }: DrawnCalendar): void {
  core.useProgram(program);
  if (dynamic === undefined) core.exports.testDynamicDrop();
  else core.useDynamic(dynamic);
}

/**
 * Compares what the core has in use with the reference's view of a calendar.
 *
 * @param random chooses the instants that are looked at
 */
export function compare(core: TariffCore, calendar: DrawnCalendar, random: SeededRandom): Comparison {
  const { zone, program, dynamic, periodMinutes } = calendar;
  const all = referenceSwitches(program, zone, dynamic);
  const expected = all.filter(({ unixSeconds }) => unixSeconds > checkedFrom && unixSeconds <= checkedUntil);
  const found = core.switches(checkedFrom, checkedUntil);
  const from = probed(zone, random, 0) - spanSeconds / 2;
  const boundaries = referencePeriods(zone, from, from + spanSeconds, periodMinutes);
  const difference =
    firstDifference(expected, found) ??
    probeTariffs(core, calendar, all, random) ??
    comparePeriods(core, boundaries, from, periodMinutes);
  return { switches: expected.length, boundaries: boundaries.length, difference };
}

function firstDifference(expected: readonly Switch[], found: readonly Switch[]): string | undefined {
  const n = Array.from({ length: Math.max(expected.length, found.length) }).findIndex(
    (_, i) => expected[i]?.unixSeconds !== found[i]?.unixSeconds || expected[i]?.tariff !== found[i]?.tariff,
  );
  if (n < 0) return undefined;
  const said = (each: Switch | undefined) =>
    each === undefined ? 'none' : `${isoOf(each.unixSeconds)} to tariff ${each.tariff}`;
  return `switch ${n + 1}: expected ${said(expected[n])}, got ${said(found[n])}`;
}

/** An instant within what is checked, often near a transition or around `near`. */
function probed(zone: string, random: SeededRandom, near: number): number {
  const { transitions } = zoneData(zone);
  const kind = random.below(3);
  let at = checkedFrom + random.below(checkedUntil - checkedFrom);
  if (kind === 0 && transitions.length > 0) {
    at = transitions[random.below(transitions.length)]!.unixSeconds + random.below(9000) - 4500;
  } else if (kind === 1 && near !== 0) {
    at = near + random.below(3) - 1;
  }
  return Math.min(Math.max(at, checkedFrom + spanSeconds), checkedUntil - 2 * spanSeconds);
}

// In no order, as a meter whose clock is set may ask.
function probeTariffs(
  core: TariffCore,
  { zone, dynamic }: DrawnCalendar,
  all: readonly Switch[],
  random: SeededRandom,
): string | undefined {
  for (let i = 0; i < probes; i++) {
    const at = probed(zone, random, all[random.below(all.length)]!.unixSeconds);
    const tariff = core.tariff(at);
    if (tariff !== tariffOf(all, at)) return `tariff at ${isoOf(at)}: expected ${tariffOf(all, at)}, got ${tariff}`;
    const origin = core.origin(at);
    const expectedOrigin = originOf(dynamic, at);
    if (origin !== expectedOrigin) return `origin at ${isoOf(at)}: expected ${expectedOrigin}, got ${origin}`;
    const next = all.find(({ unixSeconds }) => unixSeconds > at)?.unixSeconds;
    const expected = next === undefined || next > at + spanSeconds ? undefined : isoOf(next);
    const found = core.next(at, at + spanSeconds);
    if (found !== expected) return `next switch after ${isoOf(at)}: expected ${expected}, got ${found}`;
    const action = core.nextAction(at);
    const last = isoOf(Math.min(next ?? Number.POSITIVE_INFINITY, at + 90_000));
    if (action <= isoOf(at) || action > last) {
      return `next action after ${isoOf(at)}: expected at most ${last}, got ${action}`;
    }
  }
  return undefined;
}

function originOf(dynamic: DrawnCalendar['dynamic'], at: number): ReturnType<TariffCore['origin']> {
  if (dynamic === undefined || at < dynamic.entries[0]!.unixSeconds) return 'calendar';
  if (at < dynamic.endUnixSeconds) return 'dynamic';
  return at < dynamic.endUnixSeconds + 7 * 86_400 ? 'ended' : 'calendar';
}

function comparePeriods(core: TariffCore, expected: readonly number[], from: number, minutes: number) {
  const found = core.periodEnds(from, from + spanSeconds, minutes);
  const n = Array.from({ length: Math.max(expected.length, found.length) }).findIndex(
    (_, i) => expected[i] !== found[i],
  );
  const said = (at: number | undefined) => (at === undefined ? 'none' : isoOf(at));
  if (n >= 0) return `end of a period of ${minutes} minutes: expected ${said(expected[n])}, got ${said(found[n])}`;
  for (const [i, begin] of expected.slice(0, -1).entries()) {
    for (const at of [begin, expected[i + 1]! - 1]) {
      const got = core.periodBegin(at, minutes);
      if (got !== isoOf(begin))
        return `period of ${minutes} minutes at ${isoOf(at)}: expected ${isoOf(begin)}, got ${got}`;
    }
  }
  return undefined;
}
