// Leap seconds: announced and not, inserted and deleted, by servers that step, are late, smear or lie.
// What must hold: the bound covers the error, no instant is shown twice, and a minority has no say.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, SourceFlag } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { day, type Leap, LeapLab, type LeapServer, monthStart, Timeline } from './leap-lab.ts';
import { millisecond, type SimulatedMeterOptions, second } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const end = monthStart(2027, 1);
const insertion: Leap = { end, kind: 'insert' };
const deletion: Leap = { end, kind: 'delete' };
const kinds = [insertion, deletion];
const unixEnd = end / second;
const hour = 3600n * second;

/** A meter that starts so long before the month's end. */
function lab(
  leaps: readonly Leap[],
  options: SimulatedMeterOptions & { says?: LeapServer[]; before?: bigint } = {},
): LeapLab {
  const lab = new LeapLab({
    servers: 3,
    frequencyPpb: 500,
    ...options,
    startUtcNs: end - (options.before ?? 3n * hour),
    leaps,
  });
  lab.sim.meter.start();
  return lab;
}

const told = ({ sim }: LeapLab, code: MeterEvent) => sim.events.filter((event) => event.code === code);
const disagrees = ({ sim }: LeapLab) => sim.sources.map(({ flags }) => (flags & SourceFlag.Disagrees) !== 0);
const isRight = (error: bigint, within = 2n * millisecond) => error < within && error > -within;

/** Watches from 10 s before the month's end to 10 s after, at a step that hits every part of it. */
function watchEnd(lab: LeapLab, at: bigint = end): ReturnType<LeapLab['check']>[] {
  lab.runTo(at, -10n * second);
  const seen = [];
  for (let i = 0; i < 20_000 / 7; i++) {
    lab.sim.run(0.007);
    seen.push(lab.check());
  }
  return seen;
}

describe('a timeline', () => {
  it.each(kinds)('shows each instant once, and finds it again: $kind', (leap) => {
    const line = new Timeline([{ ...leap, end: monthStart(2026, 7) }, leap]);
    const shown = new Set<string>();
    for (let ms = -5000n; ms < 5000n; ms += 10n) {
      const even = end + ms * millisecond;
      const { utcNs, leapSecond } = line.at(even);
      expect(line.evenOf(utcNs, leapSecond)).toBe(even);
      shown.add(`${utcNs} ${leapSecond}`);
    }
    expect(shown.size).toBe(1000);
  });
});

describe('a leap second that the servers announce', () => {
  it.each(kinds)('takes place to the millisecond, in the UTC of POSIX: $kind', (leap) => {
    const meter = lab([leap]);
    const seen = watchEnd(meter);
    expect(seen.every(({ errorNs }) => isRight(errorNs))).toBe(true);
    expect(
      seen.every(({ boundNs, status }) => boundNs < 60n * millisecond && status === ClockStatus.Synchronised),
    ).toBe(true);
    const shown = seen.map(({ utcNs, leapSecond }) => `${utcNs} ${leapSecond}`);
    expect(new Set(shown).size).toBe(shown.length);
    const leapSeconds = seen.filter(({ leapSecond }) => leapSecond);
    if (leap.kind === 'insert') {
      expect(leapSeconds.length).toBeGreaterThan(141);
      expect(leapSeconds.every(({ utcNs }) => utcNs >= end - second && utcNs < end)).toBe(true);
    } else {
      expect(leapSeconds).toEqual([]);
      // 23:59:59 is not.
      expect(seen.filter(({ utcNs }) => utcNs >= end - second && utcNs < end)).toEqual([]);
    }
    meter.watch(3 * 3600, 61);
    const delta = leap.kind === 'insert' ? -second : second;
    expect(told(meter, MeterEvent.LeapAnnounced)).toMatchObject([{ a: delta, b: unixEnd }]);
    expect(told(meter, MeterEvent.LeapSecond)).toMatchObject([{ a: delta, b: unixEnd }]);
    expect(told(meter, MeterEvent.ClockSet)).toHaveLength(1);
    expect(told(meter, MeterEvent.SourceDisagrees)).toEqual([]);
    expect(told(meter, MeterEvent.LeapDisagrees)).toEqual([]);
    expect(told(meter, MeterEvent.AnswerRefused)).toEqual([]);
    expect(isRight(meter.look().errorNs)).toBe(true);
  });
});

describe('how it is told', () => {
  const announcers = (count: number): LeapServer[] =>
    [0, 1, 2, 3].map((i) => ({ announces: i < count ? [insertion] : [] }));

  it.each([
    [3, 2],
    [4, 3],
    [1, 1],
  ])('of %i servers %i announce it: it takes place, and the others are told of', (servers, count) => {
    const meter = lab([insertion], { servers, says: announcers(count) });
    expect(watchEnd(meter).every(({ errorNs }) => isRight(errorNs))).toBe(true);
    const others = told(meter, MeterEvent.LeapDisagrees).map(({ text, a }) => [text, a]);
    expect(others).toEqual(['a', 'b', 'c', 'd'].slice(count, servers).map((name) => [`${name}.test`, 0n]));
  });

  it.each([
    [3, 1],
    [4, 1],
  ])('of %i servers %i announces it, wrongly: nothing happens but that it is told of, once', (servers, count) => {
    const meter = lab([], { servers, says: announcers(count) });
    const seen = watchEnd(meter);
    expect(seen.every(({ errorNs, boundNs }) => isRight(errorNs) && boundNs < 60n * millisecond)).toBe(true);
    meter.watch(day, 601);
    expect(told(meter, MeterEvent.LeapDisagrees)).toMatchObject([{ text: 'a.test', a: 1n, b: unixEnd }]);
    expect(told(meter, MeterEvent.LeapAnnounced)).toEqual([]);
    expect(told(meter, MeterEvent.LeapSecond)).toEqual([]);
  });

  it.each(['insert', undefined] as const)(
    'of four servers two announce it: nobody knows (truth: %s), and the bound says so',
    (truth) => {
      const meter = lab(truth === undefined ? [] : [insertion], {
        servers: 4,
        says: announcers(2),
      });
      const seen = watchEnd(meter);
      expect(seen[0]!.boundNs).toBeLessThan(60n * millisecond);
      expect(seen.at(-1)!.boundNs).toBeGreaterThan(second);
      expect(told(meter, MeterEvent.LeapSecond)).toEqual([]);
      // All have been asked again.
      meter.watch(1100, 7);
      expect(meter.look().boundNs).toBeLessThan(60n * millisecond);
      expect(isRight(meter.look().errorNs)).toBe(true);
    },
  );

  it('an announcement before the last day is none; one that is taken back is none', () => {
    // All announce at once, a day before the truth: for a month's end that is 25 hours away.
    const early = { end: end - BigInt(day) * second, kind: 'insert' } as const;
    const first = lab([], { before: 26n * hour, says: [0, 1, 2].map(() => ({ announces: [early] })) });
    watchEnd(first);
    expect(told(first, MeterEvent.LeapAnnounced)).toEqual([]);
    expect(isRight(first.look().errorNs)).toBe(true);

    const announced: Leap[] = [insertion];
    const later = lab([], { says: [0, 1, 2].map(() => ({ announces: announced })) });
    later.sim.run(3600);
    announced.length = 0;
    const seen = watchEnd(later);
    expect(told(later, MeterEvent.LeapAnnounced).map(({ a }) => a)).toEqual([-1_000_000_000n, 0n]);
    expect(seen.every(({ errorNs, boundNs }) => isRight(errorNs) && boundNs < 60n * millisecond)).toBe(true);
  });

  it('servers that announce it too late for the last samples: the bound covers it, and the time is right a poll later', () => {
    for (const leap of kinds) {
      // Last asked half a day and more before.
      const meter = lab([leap], {
        before: 20n * hour,
        maxFrequencyErrorPpb: 1000,
        says: [0, 1, 2].map(() => ({ announces: [] })),
      });
      meter.sim.run(3600);
      meter.lost = true;
      watchEnd(meter);
      meter.lost = false;
      expect(meter.look().boundNs).toBeGreaterThan(second);
      meter.watch(3600, 1);
      expect(isRight(meter.look().errorNs)).toBe(true);
      expect(meter.look().boundNs).toBeLessThan(60n * millisecond);
    }
  });
});

describe('in holdover', () => {
  it.each(kinds)('announced within the last day: it takes place, $kind', (leap) => {
    const meter = lab([leap], { before: 20n * hour });
    meter.sim.run(3600);
    meter.lost = true;
    const seen = watchEnd(meter);
    expect(seen[0]!.status).toBe(ClockStatus.Holdover);
    expect(seen.every(({ errorNs }) => isRight(errorNs, 60n * millisecond))).toBe(true);
    expect(told(meter, MeterEvent.LeapSecond)).toHaveLength(1);
    // 50 ppm in 20 h.
    expect(meter.look().boundNs).toBeLessThan(3_700n * millisecond);
  });

  it('over months: a second for each end of a month, taken back by the next samples', () => {
    const ends = [monthStart(2027, 1), monthStart(2027, 2), monthStart(2027, 3)];
    const leaps: Leap[] = [insertion, { end: ends[2]!, kind: 'insert' }];
    const meter = lab(leaps, {
      before: 40n * hour,
      maxFrequencyErrorPpb: 1000,
      settings: { poll: { minSeconds: 4096, maxSeconds: 4096 } },
    });
    meter.sim.run(3600);
    meter.lost = true;
    const since = meter.even;
    for (const [i, at] of ends.entries()) {
      watchEnd(meter, at);
      const { boundNs, status } = meter.look();
      expect(status).toBe(ClockStatus.Holdover);
      // What the oscillator may have erred, twice where the clock follows a rate that it has learned to an end of that.
      const erred = (meter.even - since) / 1_000_000n;
      const leapsNs = boundNs - erred;
      expect(leapsNs).toBeGreaterThan(BigInt(i + 1) * second - 20n * millisecond);
      expect(leapsNs).toBeLessThan(BigInt(i + 1) * second + erred + 20n * millisecond);
    }
    meter.lost = false;
    meter.watch(3 * 3600, 61);
    expect(meter.look().status).toBe(ClockStatus.Synchronised);
    expect(isRight(meter.look().errorNs)).toBe(true);
  });
});

describe('servers that count it otherwise', () => {
  const truth = (leap: Leap) => new Timeline([leap]);

  it.each(kinds)(
    'a minority that smears disagrees once it is out of its interval, and is believed again after: $kind',
    (leap) => {
      const meter = lab([leap], {
        before: 14n * hour,
        says: [{ utcNs: (even) => truth(leap).smeared(leap, even), announces: [] }],
      });
      meter.watch(3600, 61);
      expect(disagrees(meter)).toEqual([false, false, false]);
      meter.watch(4 * 3600, 61);
      expect(disagrees(meter)).toEqual([true, false, false]);
      expect(watchEnd(meter).every(({ errorNs }) => isRight(errorNs))).toBe(true);
      meter.watch(8 * 3600, 61);
      expect(disagrees(meter)).toEqual([true, false, false]);
      meter.watch(5 * 3600, 61);
      expect(disagrees(meter)).toEqual([false, false, false]);
      expect(told(meter, MeterEvent.SourceDisagrees).every(({ text }) => text === 'a.test')).toBe(true);
      expect(isRight(meter.look().errorNs)).toBe(true);
    },
  );

  it('a meter whose servers all smear follows them', () => {
    const line = truth(insertion);
    const smeared = (even: bigint) => line.smeared(insertion, even);
    const smears = { utcNs: smeared, announces: [] };
    // A second in a day, for a poll interval.
    const perPoll = (1024n * second) / BigInt(day);
    // Which polls meet the begin and the end of the smear follows from the seed.
    for (let seed = 1; seed <= 16; seed++) {
      const options = {
        before: 14n * hour,
        says: [smears, smears, smears],
        seed: Uint8Array.from({ length: 32 }, (_, i) => 8 * seed + i),
      };
      const meter = lab([insertion], options);
      for (let minute = 1; minute <= 28 * 60; minute++) {
        meter.sim.run(60);
        const behind = meter.sim.meter.time().utcNs - smeared(meter.even);
        // The meter goes on as before until the third poll of a server insists, and a poll more with the rate that it
        // then has: it is fast when the smear begins, slow when it is over, and hardly the other way.
        const late = meter.even < end ? behind : -behind;
        expect(late, `seed ${seed}, minute ${minute}`).toBeLessThan(3n * perPoll + millisecond);
        expect(late, `seed ${seed}, minute ${minute}`).toBeGreaterThan(-perPoll);
        // An hour is more than three polls.
        if (minute % 60 === 0) expect(isRight(behind, perPoll), `seed ${seed}, minute ${minute}`).toBe(true);
      }
      expect(told(meter, MeterEvent.LeapSecond)).toEqual([]);
      expect(told(meter, MeterEvent.ClockSet)).toHaveLength(1);
    }
  });

  it.each(kinds)(
    'a server that is late by minutes is outvoted until it has leapt, and believed then: $kind',
    (leap) => {
      for (const minutes of [1n, 20n, 60n]) {
        const late = truth(leap).late(60n * minutes * second);
        const meter = lab([leap], { says: [{ utcNs: (even) => late.at(even).utcNs }] });
        expect(watchEnd(meter).every(({ errorNs }) => isRight(errorNs))).toBe(true);
        meter.watch(3 * 3600, 61);
        expect(isRight(meter.look().errorNs)).toBe(true);
        expect(disagrees(meter)).toEqual([false, false, false]);
        expect(told(meter, MeterEvent.AnswerRefused)).toEqual([]);
        expect(told(meter, MeterEvent.ClockSet)).toHaveLength(1);
        if (minutes > 18n) expect(told(meter, MeterEvent.SourceDisagrees).map(({ text }) => text)).toEqual(['a.test']);
      }
    },
  );

  it.each(kinds)('a server alone that is late: within the bound all the time, and right when it is: $kind', (leap) => {
    const late = truth(leap).late(1800n * second);
    const meter = lab([leap], { servers: 1, says: [{ utcNs: (even) => late.at(even).utcNs }] });
    watchEnd(meter);
    meter.watch(3 * 3600, 7);
    expect(isRight(meter.look().errorNs)).toBe(true);
  });

  it('a minority that leaps where the others do not is outvoted', () => {
    for (const leap of kinds) {
      const meter = lab([], { says: [{ utcNs: (even) => truth(leap).at(even).utcNs, announces: [leap] }] });
      expect(watchEnd(meter).every(({ errorNs }) => isRight(errorNs))).toBe(true);
      meter.watch(7200, 61);
      expect(disagrees(meter)).toEqual([true, false, false]);
      expect(isRight(meter.look().errorNs)).toBe(true);
    }
  });
});
