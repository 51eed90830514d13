// How long the core waits before it asks a server for keys again (RFC 8915 4.2), and after a start.
import { beforeAll, describe, expect, it } from 'vitest';
import { Failure, Message, StorageMap } from '../../as/abi/codes.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';
import { SimulatedMeter } from './simulated-meter.ts';

const random = seededRandom('back-off');
const days5Ms = 5 * 86_400_000;
const hourMs = 3_600_000;

// As in as/nts/backoff.ts. `most` is the largest growth from one wait to the next.
const kinds = [
  { name: 'DNS', kind: 0, least: 1.5, most: 2, longestMs: hourMs },
  { name: 'TCP', kind: 1, least: 1.5, most: 2, longestMs: days5Ms },
  { name: 'TLS', kind: 2, least: 2, most: 3, longestMs: days5Ms },
  { name: 'NTS-KE', kind: 3, least: 2, most: 3, longestMs: days5Ms },
  { name: 'short-lived keys:', kind: 4, least: 2, most: 3, longestMs: days5Ms },
];

let core: {
  backoffNext(kind: number, previousMs: number, random: number): number;
  backoffSpread(spreadSeconds: number, random: number): number;
};

beforeAll(async () => {
  core = await loadCore();
});

const bits16 = () => random.below(2 ** 16);

/** Waits after `count` failures in a row. */
function waits(kind: number, count: number, draw: () => number): number[] {
  const all: number[] = [];
  for (let n = 0; n < count; n++) all.push(core.backoffNext(kind, all.at(-1) ?? 0, draw()));
  return all;
}

describe.each(kinds)('after $name errors', ({ kind, least, most, longestMs }) => {
  it('RFC 8915 4.2: the n-th wait is never below 10 s times 1.5 to the power of n-1, up to the longest', () => {
    for (const draw of [() => 0, () => 0xffff, ...new Array(50).fill(bits16)]) {
      waits(kind, 60, draw).forEach((wait, n) => {
        expect(wait).toBeGreaterThanOrEqual(Math.min(10_000 * 1.5 ** n, longestMs));
      });
    }
  });

  it(`each wait is ${least} to ${most} times the one before, until the longest, which it keeps`, () => {
    for (const draw of [() => 0, () => 0xffff, ...new Array(50).fill(bits16)]) {
      const all = waits(kind, 60, draw);
      for (let n = 1; n < all.length; n++) {
        expect(all[n]).toBeGreaterThanOrEqual(Math.min(all[n - 1]! * least, longestMs));
        // Halves of the one before are rounded up.
        expect(all[n]).toBeLessThanOrEqual(Math.min((all[n - 1]! + 1) * most, longestMs));
      }
      expect(all.slice(-5)).toEqual(new Array(5).fill(longestMs));
    }
  });

  it('reaches from one end of its range to the other, evenly', () => {
    // Each of 16 equal parts of the range: 4000 draws on average, with a standard deviation of 61.
    const draws = 64_000;
    const parts = 16;
    for (const [previousMs, fromMs, toMs] of [
      [0, 10_000, 15_000],
      [20_000, 20_000 * least, 20_000 * most],
    ] as const) {
      expect(core.backoffNext(kind, previousMs, 0)).toBe(fromMs);
      expect(core.backoffNext(kind, previousMs, 0xffff)).toBe(toMs - 1);
      const counts = new Array<number>(parts).fill(0);
      for (let n = 0; n < draws; n++) {
        const wait = core.backoffNext(kind, previousMs, bits16());
        counts[Math.floor(((wait - fromMs) / (toMs - fromMs)) * parts)]! += 1;
      }
      for (const count of counts) expect(Math.abs(count - draws / parts)).toBeLessThan(7 * 61);
    }
  });

  it('counts 16 random bits and no more', () => {
    for (let n = 0; n < 1_000; n++) {
      const bits = bits16();
      const previousMs = random.below(longestMs + 1);
      expect(core.backoffNext(kind, previousMs, bits + 2 ** 16 * random.below(2 ** 16))).toBe(
        core.backoffNext(kind, previousMs, bits),
      );
    }
  });

  it('the same arguments always give the same wait', async () => {
    const other = await loadCore<typeof core>();
    other.backoffNext(kind, 123_456, 7);
    for (let n = 0; n < 1_000; n++) {
      const previousMs = random.below(longestMs + 1);
      const bits = bits16();
      expect(other.backoffNext(kind, previousMs, bits)).toBe(core.backoffNext(kind, previousMs, bits));
    }
  });

  it('meters that failed together are no longer together after a few failures', () => {
    // Of 1000 meters whose first failure was at the same moment, how many ask in the busiest second of the sixth attempt.
    const seconds = new Map<number, number>();
    for (let meter = 0; meter < 1_000; meter++) {
      const second = Math.floor(waits(kind, 5, bits16).reduce((sum, wait) => sum + wait, 0) / 1_000);
      seconds.set(second, (seconds.get(second) ?? 0) + 1);
    }
    expect(Math.max(...seconds.values())).toBeLessThan(50);
  });
});

describe('after a start that is not the first', () => {
  it('waits less than the spread, from none at all', () => {
    for (const seconds of [1, 300, 65_535]) {
      expect(core.backoffSpread(seconds, 0)).toBe(0);
      expect(core.backoffSpread(seconds, 2 ** 32 - 1)).toBe(seconds * 1000 - 1);
      for (let n = 0; n < 1_000; n++) {
        const wait = core.backoffSpread(seconds, random.below(2 ** 32));
        expect(wait).toBeGreaterThanOrEqual(0);
        expect(wait).toBeLessThan(seconds * 1000);
      }
    }
    expect(core.backoffSpread(0, 2 ** 32 - 1)).toBe(0);
  });

  it('spreads a fleet evenly', () => {
    // Each of 300 seconds: 400 of 120,000 on average, with a standard deviation of 20.
    const counts = new Array<number>(300).fill(0);
    for (let n = 0; n < 120_000; n++) {
      counts[Math.floor(core.backoffSpread(300, random.below(2 ** 32)) / 1000)]! += 1;
    }
    for (const count of counts) expect(Math.abs(count - 400)).toBeLessThan(7 * 20);
  });
});

describe('a meter', () => {
  const rootKey = Uint8Array.from(random.bytes(16));

  /** Starts it; when it asks for keys, s after its start. */
  function firstAttempt(simulated: SimulatedMeter): number {
    simulated.meter.start();
    simulated.runUntil('asks for keys', () => simulated.sentOf(Message.TlsOpen).length > 0, 400);
    return Number(simulated.time.nowNs) / 1e9;
  }

  it('asks at once at its first start, and within the spread at the next one when it has no keys', () => {
    const first = new SimulatedMeter({ rootKey });
    expect(firstAttempt(first)).toBeLessThan(1);
    first.runUntilSynchronised();
    first.run(60);
    const state = first.storage.read(StorageMap.StateA, 2 * StorageMap.StateBytes);
    const askedAt = Array.from({ length: 12 }, () => {
      const next = new SimulatedMeter({ rootKey, settings: { spreadSeconds: 200 } });
      next.storage.write(StorageMap.StateA, state);
      return firstAttempt(next);
    });
    expect(Math.max(...askedAt)).toBeLessThanOrEqual(200.2);
    // Each misses with a chance of 1 in 10 billion.
    expect(Math.max(...askedAt)).toBeGreaterThan(30);
    expect(Math.min(...askedAt)).toBeLessThan(170);
  });

  it('whose server does not answer waits 10 s to 15 s, and each time 1.5 to 2 times as long', () => {
    const simulated = new SimulatedMeter({ rootKey });
    const askedAt: number[] = [];
    simulated.behaviour.onTlsOpen = ({ id }) => {
      askedAt.push(Number(simulated.time.nowNs) / 1e9);
      return { type: Message.TlsClosed, id, reason: Failure.Connect, detail: '' };
    };
    simulated.meter.start();
    simulated.run(86_400);
    const waits = askedAt.slice(1).map((at, n) => at - askedAt[n]!);
    expect(waits.length).toBeGreaterThan(10);
    expect(waits[0]).toBeGreaterThanOrEqual(10);
    expect(waits[0]).toBeLessThan(15.1);
    for (let n = 1; n < waits.length; n++) {
      expect(waits[n]! / waits[n - 1]!).toBeGreaterThan(1.499);
      expect(waits[n]! / waits[n - 1]!).toBeLessThan(2.01);
    }
  });
});
