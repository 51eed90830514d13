// The simulation behind `npm run bench:blackout`: what its figures stand on.
import { beforeAll, describe, expect, it } from 'vitest';
import {
  type Backoff,
  type Clients,
  doubling,
  doublingAtPolls,
  everySecond,
  meters,
  type Return,
  regular,
  seededBits,
  simulate,
  type World,
} from '../../bench/blackout-fleet.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';

const { seed } = seededRandom('blackout');
const world: World = { servers: 4, capacity: 20, upAtMs: 120_000, timeoutMs: 10_000, horizonSeconds: 86_400 };
const fleet = (): Return => {
  return { clients: 20_000, withinMs: 60_000, servers: 4, choice: 'drawn', random: seededBits(seed) };
};
const makers: Record<string, (core: Backoff) => Clients> = {
  meters: (core) => meters(fleet(), 300, core),
  'retry after 1 s': () => regular(fleet(), everySecond),
  chrony: () => regular(fleet(), doubling(4)),
  'chrony at its polls': () => doublingAtPolls(fleet(), 4, world.timeoutMs),
};

let core: Backoff;

beforeAll(async () => {
  core = await loadCore<Backoff>();
});

const sum = (counts: Uint32Array) => counts.reduce((a, b) => a + b, 0);

const bytesOf = (words: Uint32Array) => new Uint8Array(words.buffer, words.byteOffset, words.byteLength);

/** One client alone: when it asks, ms. */
async function attemptsOf(one: Clients, upAtMs: number, timeoutMs: number): Promise<number[]> {
  const asked: number[] = [];
  const { failed } = one;
  asked.push(one.startMs[one.size.indexOf(1)]!);
  one.failed = (group, nowMs) => {
    asked.push(failed.call(one, group, nowMs));
    return asked.at(-1)!;
  };
  await simulate({ servers: 1, capacity: 1, upAtMs, timeoutMs, horizonSeconds: 40 * 86_400 }, one);
  return asked;
}

const alone = (): Return => {
  return { clients: 1, withinMs: 60_000, servers: 1, choice: 'first', random: seededBits(seed) };
};

/** Times between attempts, from the end of one to the next, s. */
const pauses = (asked: readonly number[], timeoutMs: number) =>
  asked.slice(1).map((atMs, n) => (atMs - asked[n]! - timeoutMs) / 1000);

describe.each(Object.entries(makers))('a fleet: %s', (_, make) => {
  it('gets keys once each, never from a server that is down, never more than the servers can do', async () => {
    const load = await simulate(world, make(core));
    expect(load.clients).toBe(20_000);
    expect(load.keyed.length).toBeLessThan(world.horizonSeconds);
    expect(sum(load.keyed)).toBe(20_000);
    expect(load.attempts.reduce((all, attempts) => all + sum(attempts), 0)).toBe(load.attemptsInAll);
    let keyed = 0;
    load.keyed.forEach((count, second) => {
      keyed += count;
      // One second's worth is in reserve.
      const upSeconds = second + 1 - world.upAtMs / 1000;
      const possible = upSeconds > 0 ? (upSeconds + 1) * world.capacity * world.servers : 0;
      if (keyed > possible) expect.fail(`${keyed} have keys after ${second + 1} s, ${possible} are possible`);
    });
  });

  it('the same seed gives the same run', async () => {
    const [one, other] = [await simulate(world, make(core)), await simulate(world, make(core))];
    expect(one.attemptsInAll).toBe(other.attemptsInAll);
    expect(Buffer.compare(bytesOf(one.keyed), bytesOf(other.keyed))).toBe(0);
    one.attempts.forEach((attempts, n) => {
      expect(Buffer.compare(bytesOf(attempts), bytesOf(other.attempts[n]!))).toBe(0);
    });
  });
});

describe('a client alone, whose server is down', () => {
  it('a meter waits as the core says', async () => {
    const asked = await attemptsOf(meters(alone(), 300, core), 86_400_000, 10_000);
    expect(asked[0]).toBeLessThan(360_000);
    const waits = pauses(asked, 10_000);
    expect(waits[0]).toBeGreaterThanOrEqual(10);
    expect(waits[0]).toBeLessThan(15);
    for (let n = 1; n < waits.length; n++) {
      expect(waits[n]! / waits[n - 1]!).toBeGreaterThanOrEqual(1.5);
      expect(waits[n]! / waits[n - 1]!).toBeLessThan(2.001);
    }
    expect(waits.length).toBeGreaterThan(10);
  });

  it('a meter with several servers asks each of them before it waits, and each no sooner than the core says', async () => {
    const one = meters({ ...alone(), servers: 4 }, 0, core);
    const servers = Array.from({ length: 4 }, (_, n) => {
      const askedMs = n * 10_000;
      expect(one.server(0)).toBe(n);
      return { askedMs, nextMs: one.failed(0, askedMs + 10_000) };
    });
    expect(servers.slice(0, 3).map(({ nextMs }) => nextMs)).toEqual([10_000, 20_000, 30_000]);
    // The first may be asked again 10 to 15 s after its failure, when the last has just failed.
    expect(one.server(0)).toBe(0);
    expect(servers[3]!.nextMs).toBe(40_000);
  });

  it('the retry after a second comes each second', async () => {
    const asked = await attemptsOf(regular(alone(), everySecond), 600_000, 1_000);
    expect(new Set(pauses(asked, 1_000))).toEqual(new Set([1]));
  });

  it("chrony's wait doubles from 16 s to 2^19 s, or from 1024 s", async () => {
    const powers = (from: number) => Array.from({ length: 40 }, (_, n) => 2 ** Math.min(from + n, 19));
    for (const from of [4, 10]) {
      const waits = pauses(await attemptsOf(regular(alone(), doubling(from)), 30 * 86_400_000, 10_000), 10_000);
      expect(waits).toEqual(powers(from).slice(0, waits.length));
      expect(waits.at(-1)).toBe(2 ** 19);
    }
  });

  it('chrony looks at its polls only, 64 s to 65.28 s apart', async () => {
    const asked = await attemptsOf(doublingAtPolls(alone(), 4, 10_000), 86_400_000, 10_000);
    // Waits of 16 s, 32 s and 64 s end with the second, the second and the second poll; 128 s with the third.
    const gaps = asked.slice(1).map((atMs, n) => (atMs - asked[n]!) / 1000);
    [2, 2, 2, 3].forEach((polls, n) => {
      expect(gaps[n]).toBeGreaterThanOrEqual(polls * 64);
      expect(gaps[n]).toBeLessThanOrEqual(polls * 65.28);
    });
  });
});
