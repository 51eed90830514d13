// Kiss codes (RFC 5905 7.4, RFC 8915 5.7): what a server says with its authenticator counts, what anybody can say does not.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, Reject, SourceState } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { SimulatedMeter, type SimulatedMeterOptions, second } from './simulated-meter.ts';
import type { ServedRequest } from './simulated-server.ts';

beforeAll(async () => {
  await buildCore();
});

function synchronised(options: SimulatedMeterOptions = {}): SimulatedMeter {
  const sim = new SimulatedMeter(options);
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(60);
  return sim;
}

const sealed = (code: string) => (request: ServedRequest) => [request.server.sealedKiss(request, code)];
const unsealed = (code: string) => (request: ServedRequest) => [request.server.kiss(request, code)];
const codeNumber = (code: string) => BigInt(Buffer.from(code).readUInt32BE(0));

describe.each(['DENY', 'RSTR'])('%s with authenticator (RFC 5905 7.4)', (code) => {
  it('stops the only server for good: no request and no key establishment follows', () => {
    const sim = synchronised();
    sim.behaviour.onRequest = sealed(code);
    sim.runUntil('it stops', () => sim.eventCodes().includes(MeterEvent.SourceStopped));
    expect(sim.events.find((event) => event.code === MeterEvent.SourceStopped)).toMatchObject({
      a: codeNumber(code),
      text: 'time.test',
    });
    const before = [sim.requests.length, sim.servers[0]!.opened.length];
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.run(3 * 86_400);
    expect([sim.requests.length, sim.servers[0]!.opened.length]).toEqual(before);
    expect(sim.sources[0]).toMatchObject({ state: SourceState.Stopped, cookies: 0, aead: 0 });
    expect(sim.counts[0]!.kissCode).toBe(code);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
  });

  it('stops one of three; the others go on', () => {
    const sim = synchronised({ servers: 3 });
    sim.servers[1]!.behaviour.onRequest = sealed(code);
    sim.runUntil('it stops', () => sim.sources[1]?.state === SourceState.Stopped);
    const before = sim.servers.map(({ requests }) => requests.length);
    sim.run(3600);
    expect(sim.servers[1]!.requests.length).toBe(before[1]);
    expect(sim.servers[2]!.requests.length).toBeGreaterThan(before[2]! + 40);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, agreeing: 2, needed: 2 });
  });
});

describe('RATE with authenticator (RFC 5905 7.4)', () => {
  it('lengthens the poll interval at once, and again each time, beyond the longest of the settings, up to ten hours', () => {
    const sim = synchronised({ settings: { poll: { minSeconds: 16, maxSeconds: 64 } } });
    sim.behaviour.onRequest = sealed('RATE');
    sim.run(48 * 3600);
    const told = sim.events.filter(({ code }) => code === MeterEvent.RateLimited).map(({ a }) => Number(a));
    expect(told[0]).toBeGreaterThanOrEqual(32);
    for (const [i, seconds] of told.slice(1).entries()) expect(seconds).toBe(Math.min(2 * told[i]!, 36_000));
    expect(told.at(-1)).toBe(36_000);
    expect(sim.sources[0]!.state).toBe(SourceState.Serving);
    const polls = sim.requests.length;
    sim.run(360_000);
    expect(sim.requests.length - polls).toBeLessThanOrEqual(12);
    expect(sim.report!.keAttempts).toBe(1);
  });

  it('holds when no answers come, and when new keys follow', () => {
    const sim = synchronised({ settings: { poll: { minSeconds: 16, maxSeconds: 1024 }, keyAgeHours: 1 } });
    let rated = 0;
    sim.behaviour.onRequest = (request) => (rated++ < 3 ? sealed('RATE')(request) : []);
    sim.runUntil('told three times', () => rated === 3, 3600);
    sim.run(1);
    const least = sim.sources[0]!.pollSeconds;
    expect(least).toBeGreaterThanOrEqual(128);
    const sentAt: number[] = [];
    const note = () => sentAt.push(Number(sim.utcNs / second));
    sim.behaviour.onRequest = () => {
      note();
      return [];
    };
    sim.run(4 * least);
    sim.behaviour.onRequest = (request) => {
      note();
      return [sim.answer(request)];
    };
    sim.runUntil('new keys', () => sim.report!.keAttempts > 1, 7200);
    const rekeyed = sentAt.length;
    sim.run(6 * least);
    expect(sentAt.length).toBeGreaterThan(rekeyed + 3);
    const gaps = sentAt.slice(1).map((at, i) => at - sentAt[i]!);
    // Each poll comes up to an eighth earlier; the first one under new keys at once.
    expect(gaps.filter((gap) => gap < (least * 7) / 8 - 1).length).toBeLessThan(sim.report!.keAttempts);
  });

  it('is forgotten by halves after 64 answers at what it asked for, as a few in years are not to add up', () => {
    const sim = synchronised({ settings: { poll: { minSeconds: 16, maxSeconds: 64 } } });
    sim.runUntil('the longest interval', () => sim.sources[0]!.pollSeconds === 64, 1200);
    let rated = 0;
    sim.behaviour.onRequest = (request) => (rated++ < 2 ? sealed('RATE')(request) : [sim.answer(request)]);
    sim.runUntil('rated twice', () => sim.sources[0]!.pollSeconds === 256, 600);
    const answers = sim.requests.length;
    sim.runUntil('a half', () => sim.sources[0]!.pollSeconds === 128, 70 * 256);
    expect(sim.requests.length - answers).toBeGreaterThanOrEqual(63);
    sim.runUntil('the longest of the settings', () => sim.sources[0]!.pollSeconds === 64, 70 * 128);
    sim.run(70 * 64);
    expect(sim.sources[0]!.pollSeconds).toBe(64);
  });

  it('ends the burst at the start of a synchronisation', () => {
    const sim = new SimulatedMeter();
    sim.behaviour.onRequest = sealed('RATE');
    sim.meter.start();
    sim.run(30);
    expect(sim.requests.length).toBe(1);
  });
});

describe.each(['DENY', 'RSTR', 'RATE'])('%s without authenticator', (code) => {
  it('is counted and told, and has no effect', () => {
    const sim = synchronised({ settings: { poll: { minSeconds: 16, maxSeconds: 16 } } });
    const before = sim.requests.length;
    sim.behaviour.onRequest = (request) => [...unsealed(code)(request), sim.answer(request)];
    sim.run(600);
    expect(sim.requests.length - before).toBeGreaterThanOrEqual(600 / 17);
    expect(sim.counts[0]!.rejected[Reject.Kiss - 1]).toBe(sim.requests.length - before);
    expect(sim.counts[0]!.kissCode).toBe(code);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, pollSeconds: 16, keAttempts: 1 });
    expect(sim.eventCodes()).not.toContain(MeterEvent.SourceStopped);
    expect(sim.eventCodes()).not.toContain(MeterEvent.RateLimited);
  });

  it('instead of the answer is no more than silence', () => {
    const sim = synchronised();
    sim.behaviour.onRequest = unsealed(code);
    sim.runUntil('new keys are asked for', () => sim.report!.keAttempts > 1, 900);
    expect(sim.sources[0]!.state).not.toBe(SourceState.Stopped);
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.run(120);
    expect(sim.report!.reach & 1).toBe(1);
  });
});

it('a code that is not known, authenticated, is counted and has no effect (RFC 5905 7.4)', () => {
  const sim = synchronised();
  sim.behaviour.onRequest = sealed('XYZW');
  sim.runUntil('it is counted', () => sim.counts[0]?.kissCode === 'XYZW');
  expect(sim.counts[0]!.rejected[Reject.Kiss - 1]).toBeGreaterThan(0);
  sim.behaviour.onRequest = (request) => [sim.answer(request)];
  sim.run(200);
  expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, keAttempts: 1, pollSeconds: 64 });
});

describe('NTSN (RFC 8915 5.7)', () => {
  const attempts = (sim: SimulatedMeter) => sim.servers[0]!.opened.length;

  it('counts only when the next poll is due, and then new keys are asked for', () => {
    const sim = synchronised({ settings: { poll: { minSeconds: 64, maxSeconds: 64 } } });
    let askedAt = 0n;
    sim.behaviour.onRequest = (request) => {
      if (askedAt === 0n) askedAt = sim.utcNs - sim.behaviour.outNs();
      return [request.server.kiss(request, 'NTSN')];
    };
    sim.runUntil('a NAK is counted', () => sim.report!.naks > 0, 200);
    expect(sim.eventCodes()).not.toContain(MeterEvent.Nak);
    expect(attempts(sim)).toBe(1);
    sim.runUntil('it is believed', () => attempts(sim) > 1, 200);
    // No answer for 3 s from the request on, then 2 s until the next poll.
    expect(Number(sim.servers[0]!.opened.at(-1)! - askedAt)).toBeGreaterThan(4.999e9);
    expect(sim.eventCodes()).toContain(MeterEvent.Nak);
  });

  it('before or after a valid answer is only counted', () => {
    const sim = synchronised();
    sim.behaviour.onRequest = (request) => [
      request.server.kiss(request, 'NTSN'),
      sim.answer(request),
      request.server.kiss(request, 'NTSN'),
    ];
    sim.run(3600);
    expect(sim.report!.naks).toBeGreaterThan(40);
    expect(attempts(sim)).toBe(1);
    expect(sim.eventCodes()).not.toContain(MeterEvent.Nak);
  });

  it.each([
    ['another unique identifier', 52],
    ['another origin timestamp', 24],
  ])('with %s is not even counted', (_, at) => {
    const sim = synchronised();
    sim.behaviour.onRequest = (request) => {
      const nak = request.server.kiss(request, 'NTSN');
      nak[at]! ^= 1;
      return [nak];
    };
    sim.runUntil('some are refused', () => sim.report!.rejected >= 3, 300);
    expect(sim.report!.naks).toBe(0);
    expect(attempts(sim)).toBe(1);
  });

  it('polls go on with the old keys until new ones are there; a valid answer makes these needless', () => {
    const sim = synchronised();
    const [server] = sim.servers;
    const old = server!.keys;
    sim.behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
    sim.behaviour.onTlsOpen = () => undefined;
    sim.runUntil('it is believed', () => attempts(sim) > 1, 200);
    const before = sim.requests.length;
    sim.run(25);
    expect(sim.requests.length).toBeGreaterThan(before);
    expect(sim.requests.every(({ keys }) => keys === old)).toBe(true);
    sim.runUntil('the attempt fails', () => sim.report!.keFailures > 0, 60);
    const failed = attempts(sim);
    sim.behaviour.onRequest = (request) => [sim.answer(request)];
    sim.run(600);
    expect(attempts(sim)).toBe(failed);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, cookies: 8, reach: 0xff });
  });

  it('new keys replace the old ones and their cookies as a whole', () => {
    const sim = synchronised();
    const old = sim.servers[0]!.keys;
    sim.behaviour.onRequest = (request) => [
      request.keys === old ? request.server.kiss(request, 'NTSN') : sim.answer(request),
    ];
    sim.runUntil('new keys', () => attempts(sim) > 1, 200);
    sim.run(2);
    const before = sim.requests.length;
    sim.run(300);
    expect(sim.requests.length).toBeGreaterThan(before + 4);
    expect(sim.requests.slice(before).some(({ keys }) => keys === old)).toBe(false);
    expect(sim.report).toMatchObject({ keAttempts: 2, cookies: 8 });
    expect(Number(sim.errorNs)).toBeLessThan(Number(second));
  });
});
