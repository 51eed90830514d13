// Several servers at once: each with state of its own, limits on what a server may be, and what becomes of one that fails.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message, MeterEvent, Reject, SourceFlag, SourceState } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import type { AnswerParts } from './nts-reference.ts';
import { SimulatedMeter, second, started } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const status = (sim: SimulatedMeter) => sim.meter.time().status;
const rejected = (sim: SimulatedMeter, index: number, reason: Reject) => sim.counts[index]!.rejected[reason - 1]!;
const absolute = (value: bigint) => (value < 0n ? -value : value);

describe('four servers at once', () => {
  it('each has its own AEAD, keys, cookies, port and counters', () => {
    const aeads = [30, 15, 16, 17];
    const sim = started({ servers: 4 }, ({ servers }) => {
      for (const [i, { behaviour }] of servers.entries()) {
        Object.assign(behaviour, { aeads: [aeads[i]], cookieBytes: [64 + 52 * i] });
      }
    });
    sim.run(600);
    expect(sim.sources.map(({ aead }) => aead)).toEqual(aeads);
    expect(sim.sources.map(({ cookieBytes }) => cookieBytes)).toEqual([64, 116, 168, 220]);
    expect(sim.sources.map(({ keHost }) => keHost)).toEqual(['a.test', 'b.test', 'c.test', 'd.test']);
    expect(sim.sources.every(({ state, reach }) => state === SourceState.Serving && reach === 0xff)).toBe(true);
    expect(sim.sources.filter(({ flags }) => (flags & SourceFlag.Reference) !== 0).length).toBeGreaterThan(0);
    for (const server of sim.servers) {
      expect(server.requests.length).toBeGreaterThan(8);
      expect(server.requests.every(({ keys }) => keys === server.keys)).toBe(true);
    }
    const sum = (field: 'sent' | 'authenticated' | 'keAttempts') =>
      sim.counts.reduce((total, counts) => total + counts[field], 0);
    sim.runUntil('a report', () => sim.report!.sent === sum('sent'), 60);
    expect(sim.report).toMatchObject({ servers: 4, agreeing: 4, needed: 3, keAttempts: 4 });
    expect(sim.report!.authenticated).toBe(sum('authenticated'));
  });

  it('has one request in flight with each at most', () => {
    const sim = started({ servers: 4, settings: { poll: { minSeconds: 1, maxSeconds: 2 } } }, ({ servers }) => {
      for (const { behaviour } of servers) behaviour.backNs = () => 1_700_000_000n;
    });
    const open = new Set<object>();
    for (const server of sim.servers) {
      server.behaviour.onRequest = (request) => {
        expect(open.has(server)).toBe(false);
        open.add(server);
        sim.time.schedule(sim.time.nowNs + 1_690_000_000n, () => open.delete(server));
        return [sim.answer(request)];
      };
    }
    sim.run(300);
    expect(sim.requests.length).toBeGreaterThan(200);
  });

  it('the failure of one touches none of the others, and its next attempt is told', () => {
    const sim = started({ servers: 3 }, ({ servers }) => servers[1]!.fails(Failure.Untrusted));
    sim.run(300);
    expect(sim.sources[1]).toMatchObject({ state: SourceState.Waiting, aead: 0, cookies: 0 });
    expect(sim.sources[1]!.retrySeconds).toBeGreaterThan(0);
    expect(sim.counts[1]!.keFailures).toBe(sim.servers[1]!.opened.length);
    expect(sim.counts.map(({ keAttempts }) => keAttempts).filter((attempts) => attempts === 1).length).toBe(2);
    expect(status(sim)).toBe(ClockStatus.Synchronised);
    sim.servers[1]!.fails();
    sim.runUntil('all three', () => sim.report!.agreeing === 3, 1200);
  });

  it('answers under the number of another server are refused, and change nothing', () => {
    const sim = started({ servers: 3 });
    sim.run(60);
    const [first] = sim.servers;
    const sockets = sim.sentOf(Message.UdpOpen);
    const of = (host: string) => sockets.findLast((open) => open.host === host)!.socket;
    first!.behaviour.onRequest = (request, exchange) => {
      const payload = sim.answer(request);
      const residences = { forwardResidenceNs: 0, backResidenceNs: 0 };
      for (const socket of [of('b.test'), of('c.test'), 200, 3]) {
        sim.deliver({ type: Message.UdpReceived, socket, exchange, ...residences, payload });
      }
      return [payload];
    };
    sim.run(600);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, agreeing: 3, keAttempts: 3 });
    expect(sim.report!.rejected).toBeGreaterThan(20);
    expect(absolute(sim.errorNs)).toBeLessThan(1_000_000n);
  });
});

describe('limits of the settings', () => {
  const shortFormat = (seconds: number) => Math.ceil(seconds * 65_536);
  const limits = { stratum: 3, rootDelayMs: 100, rootDispersionMs: 50 };
  const cases: [string, (parts: AnswerParts) => void, boolean][] = [
    ['stratum 3', (parts) => (parts.stratum = 3), true],
    ['stratum 4', (parts) => (parts.stratum = 4), false],
    ['root delay of 99 ms', (parts) => (parts.rootDelay = shortFormat(0.099)), true],
    ['root delay of 101 ms', (parts) => (parts.rootDelay = shortFormat(0.101)), false],
    ['root dispersion of 49 ms', (parts) => (parts.rootDispersion = shortFormat(0.049)), true],
    ['root dispersion of 51 ms', (parts) => (parts.rootDispersion = shortFormat(0.051)), false],
  ];
  it.each(cases)('%s', (_, change, allowed) => {
    const sim = started({ settings: { limits } }, ({ behaviour }) => (behaviour.change = change));
    sim.run(60);
    expect(status(sim)).toBe(allowed ? ClockStatus.Synchronised : ClockStatus.Unsynchronised);
    expect(rejected(sim, 0, Reject.Limits) > 0).toBe(!allowed);
  });

  it('a server beyond them does not count; the others do', () => {
    const sim = started({ servers: 3, settings: { limits } }, ({ servers }) => {
      servers[0]!.behaviour.change = (parts) => {
        parts.stratum = 9;
      };
    });
    sim.run(120);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, agreeing: 2, stratum: 1 });
    expect(sim.sources[0]!.stratum).toBe(9);
    expect(sim.sources[0]!.flags & SourceFlag.Agrees).toBe(0);
  });
});

describe('a server whose time goes backwards', () => {
  it('is counted, and has no effect on the time of the others', () => {
    const sim = started({ servers: 3 });
    sim.run(300);
    sim.servers[2]!.behaviour.serverErrorNs = -3n * second;
    sim.runUntil('it is noticed', () => rejected(sim, 2, Reject.Backwards) > 0, 120);
    sim.run(300);
    expect(rejected(sim, 2, Reject.Backwards)).toBe(1);
    expect(absolute(sim.errorNs)).toBeLessThan(1_000_000n);
  });

  it('and is the only one: the clock is not set back before it insists', () => {
    const sim = started({ settings: { poll: { minSeconds: 16, maxSeconds: 16 } } });
    sim.run(300);
    sim.behaviour.serverErrorNs = -3n * second;
    sim.run(45);
    expect(rejected(sim, 0, Reject.Backwards)).toBe(1);
    expect(absolute(sim.errorNs)).toBeLessThan(1_000_000n);
    sim.run(120);
    expect(absolute(sim.errorNs + 3n * second)).toBeLessThan(50_000_000n);
    expect(sim.eventCodes()).toContain(MeterEvent.BoundsDisagree);
  });
});

describe('a single server that contradicts the clock', () => {
  it('is believed the fourth time only, and told once', () => {
    const sim = started({ settings: { poll: { minSeconds: 16, maxSeconds: 16 } } });
    sim.run(120);
    const before = sim.requests.length;
    sim.behaviour.serverErrorNs = 10n * second;
    sim.runUntil('it is believed', () => sim.eventCodes().includes(MeterEvent.BoundsDisagree), 200);
    expect(sim.requests.length - before).toBe(4);
    expect(sim.eventCodes().filter((code) => code === MeterEvent.SourceDisagrees).length).toBe(1);
    // Until more is known the truth may be on either side.
    expect(sim.meter.time().boundNs).toBeGreaterThan(9_900_000_000n);
    sim.run(120);
    expect(absolute(sim.errorNs - 10n * second)).toBeLessThan(50_000_000n);
  });

  it('three times does not move clock, bound or time floor', () => {
    const year = 365n * 86_400n * second;
    const sim = started({ settings: { poll: { minSeconds: 16, maxSeconds: 16 } } });
    sim.run(120);
    for (let round = 0; round < 12; round++) {
      const before = sim.requests.length;
      sim.behaviour.serverErrorNs = (round % 2 === 0 ? 20n : 1n) * year;
      sim.runUntil('three answers', () => sim.requests.length >= before + 3, 100);
      sim.run(1);
      expect(absolute(sim.errorNs)).toBeLessThan(1_000_000n);
      sim.behaviour.serverErrorNs = 0n;
      sim.runUntil('a true one', () => sim.requests.length >= before + 4, 60);
      sim.run(1);
      expect(sim.meter.time().boundNs).toBeLessThan(100_000_000n);
    }
    // Past the day at which the floor is stored, and after a restart.
    sim.run(86_400);
    sim.meter.stop();
    sim.meter.start();
    sim.runUntil('synchronised', () => status(sim) === ClockStatus.Synchronised, 1200);
    expect(absolute(sim.errorNs)).toBeLessThan(10_000_000n);
    expect(rejected(sim, 0, Reject.BehindFloor)).toBe(0);
  });
});

describe('polls', () => {
  const polls = (sim: SimulatedMeter) => sim.requests.map(({ packet }) => packet);

  it('of two meters that start together are not in step', () => {
    const times = [1, 2].map((seed) => {
      const sim = new SimulatedMeter({ seed: Uint8Array.from({ length: 32 }, (_, i) => i * seed) });
      const at: number[] = [];
      sim.behaviour.onRequest = (request) => {
        at.push(Number(sim.time.nowNs) / 1e9);
        return [sim.answer(request)];
      };
      sim.meter.start();
      sim.run(3 * 3600);
      return at;
    });
    const later = times.map((at) => at.slice(40));
    const together = later[0]!.filter((at) => later[1]!.some((other) => Math.abs(at - other) < 0.5));
    expect(later[0]!.length).toBeGreaterThan(100);
    expect(together.length).toBeLessThan(later[0]!.length / 8);
  });

  it('come at most an eighth before their interval, which grows with the answers up to the longest', () => {
    const sim = new SimulatedMeter({ settings: { poll: { minSeconds: 16, maxSeconds: 128 } } });
    const at: number[] = [];
    sim.behaviour.onRequest = (request) => {
      at.push(Number(sim.time.nowNs) / 1e9);
      return [sim.answer(request)];
    };
    sim.meter.start();
    sim.run(3600);
    const gaps = at.slice(1).map((time, i) => time - at[i]!);
    expect(polls(sim).length).toBe(at.length);
    for (const gap of gaps.slice(0, 3)) expect(gap).toBeCloseTo(2, 0);
    for (const gap of gaps.slice(3, 7)) expect(gap).toBeCloseTo(16 / 5, 0);
    expect(gaps[7]).toBeGreaterThan((48 * 31) / 32 - 0.5);
    expect(gaps[7]).toBeLessThan(48.5);
    for (const gap of gaps.slice(8)) {
      expect(gap).toBeGreaterThan((128 * 7) / 8 - 0.5);
      expect(gap).toBeLessThan(128.5);
    }
    expect(sim.sources[0]!.pollSeconds).toBe(128);
  });
});
