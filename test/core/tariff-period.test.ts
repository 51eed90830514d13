// Registration periods: aligned to legal time, on days of 23, 24 and 25 hours, across steps of half an hour.
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCoreModule } from './load-core.ts';
import { seededRandom } from './random.ts';
import type { BlockList } from './tariff-blocks.ts';
import { isoOf, TariffCore, unix } from './tariff-core.ts';

let core: TariffCore;
beforeAll(async () => {
  core = new TariffCore(await loadCoreModule());
});

const berlin = 'CET-1CEST,M3.5.0,M10.5.0/3';
const lordHowe = '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0';
const kathmandu = '<+0545>-5:45';
const divisors = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60];

/** Lengths of the periods of a local day, min. */
function lengths(begin: string, end: string, minutes: number): number[] {
  const ends = core.periodEnds(unix(begin) - 1, end, minutes);
  return ends.slice(1).map((at, i) => (at - ends[i]!) / 60);
}

describe.each(divisors)('a period of %i minutes', (minutes) => {
  it('divides each day of Berlin, whatever its hours', () => {
    core.useZone(berlin);
    expect(lengths('2026-07-01T22:00:00Z', '2026-07-02T22:00:00Z', minutes)).toEqual(
      Array(1440 / minutes).fill(minutes),
    );
    expect(lengths('2026-03-28T23:00:00Z', '2026-03-29T22:00:00Z', minutes)).toEqual(
      Array(1380 / minutes).fill(minutes),
    );
    expect(lengths('2026-10-24T22:00:00Z', '2026-10-25T23:00:00Z', minutes)).toEqual(
      Array(1500 / minutes).fill(minutes),
    );
  });

  it('begins with local hours in Kathmandu', () => {
    core.useZone(kathmandu);
    expect(core.periodBegin('2026-07-01T18:15:00Z', minutes)).toBe('2026-07-01T18:15:00Z');
    const end = unix('2026-07-01T18:15:00Z') + 60 * minutes;
    expect(core.periodEnd('2026-07-01T18:15:00Z', minutes)).toBe(isoOf(end));
    expect(core.periodEnd(end - 1, minutes)).toBe(isoOf(end));
    expect(core.periodBegin(end - 1, minutes)).toBe('2026-07-01T18:15:00Z');
  });

  it('is cut short on Lord Howe where it does not divide half an hour', () => {
    core.useZone(lordHowe);
    const whole = 30 % minutes === 0;
    // 01:59:59 is followed by 01:30, and then by 02:30 in spring.
    const autumn = lengths('2026-04-04T13:00:00Z', '2026-04-04T17:30:00Z', minutes);
    const spring = lengths('2026-10-03T13:30:00Z', '2026-10-03T17:00:00Z', minutes);
    expect(autumn.reduce((sum, each) => sum + each)).toBe(270);
    expect(spring.reduce((sum, each) => sum + each)).toBe(210);
    if (whole) expect(new Set([...autumn, ...spring])).toEqual(new Set([minutes]));
    // It is 01:30 again.
    expect(core.periodBegin('2026-04-04T15:00:00Z', minutes)).toBe('2026-04-04T15:00:00Z');
    const end = unix('2026-04-04T15:00:00Z') + 60 * (minutes - (90 % minutes));
    expect(core.periodEnd('2026-04-04T15:00:00Z', minutes)).toBe(isoOf(end));
  });
});

describe('periods of 60 minutes on Lord Howe', () => {
  it('are half as long around transitions', () => {
    core.useZone(lordHowe);
    expect(lengths('2026-04-04T13:00:00Z', '2026-04-04T17:30:00Z', 60)).toEqual([60, 60, 30, 60, 60]);
    expect(lengths('2026-10-03T13:30:00Z', '2026-10-03T17:00:00Z', 60)).toEqual([60, 60, 30, 60]);
  });
});

describe('a period', () => {
  it('has none where it is 0', () => {
    core.useZone(berlin);
    expect(core.exports.testPeriodEnd(1_800_000_000n, 0)).toBe(2n ** 63n - 1n);
    expect(core.exports.testPeriodBegin(1_800_000_000n, 0)).toBe(-(2n ** 63n));
  });

  it('is cut short by midnight where it does not divide the day', () => {
    core.useZone(berlin);
    expect(core.periodBegin('2026-07-01T21:59:59Z', 7)).toBe('2026-07-01T21:55:00Z');
    expect(core.periodEnd('2026-07-01T21:59:59Z', 7)).toBe('2026-07-01T22:00:00Z');
    expect(core.periodEnd('2026-07-01T22:00:00Z', 7)).toBe('2026-07-01T22:07:00Z');
  });

  it.each(['2036-02-07T06:30:00Z', '2038-01-19T03:15:00Z', '2046-12-31T23:00:00Z', '2099-12-31T23:00:00Z'])(
    'begins at %s',
    (at) => {
      core.useZone(berlin);
      expect(core.periodBegin(at, 15)).toBe(at);
      expect(core.periodEnd(unix(at) - 1, 15)).toBe(at);
    },
  );

  it('follows transitions by a minute, by a day and by none, in any order', () => {
    const random = seededRandom('periods of random lists');
    for (let turn = 0; turn < 20; turn++) {
      let at = unix('2026-06-01T00:00:00Z');
      const zone: BlockList = { initial: offset(), transitions: [] };
      for (let i = random.below(12); i > 0; i--) {
        at += 1 + random.below(random.below(2) === 0 ? 7200 : 86_400);
        zone.transitions.push({ unixSeconds: at, ...offset() });
      }
      core.useZone(zone);
      const minutes = 1 + random.below(60);
      const { from, until } = { from: unix('2026-05-31T00:00:00Z'), until: at + 90_000 };
      expect(core.periodEnds(from, until, minutes)).toEqual(boundaries(zone, from, until, minutes));
      for (let probe = 0; probe < 20; probe++) {
        const t = from + 3 * 86_400 + random.below(until - from - 3 * 86_400);
        const begin = boundaries(zone, t - 3600, t, minutes).at(-1);
        expect(core.periodBegin(t, minutes)).toBe(isoOf(begin!));
      }
    }

    function offset() {
      const minutes = random.below(3) === 0 ? random.below(2881) - 1440 : 15 * (random.below(9) - 4);
      return { minutes, summer: random.below(2) === 0 };
    }
  });
});

// Second by second, as the rule says it.
function boundaries(zone: BlockList, from: number, until: number, minutes: number): number[] {
  const found: number[] = [];
  const offsets = [{ unixSeconds: -Infinity, ...zone.initial }, ...zone.transitions];
  let n = 0;
  for (let t = from + 1; t <= until; t++) {
    while (n + 1 < offsets.length && offsets[n + 1]!.unixSeconds <= t) n++;
    const local = t + 60 * offsets[n]!.minutes;
    const jumps = offsets[n]!.unixSeconds === t && (offsets[n]!.minutes - offsets[n - 1]!.minutes) % minutes !== 0;
    if ((local % 86_400) % (60 * minutes) === 0 || jumps) found.push(t);
  }
  return found;
}
