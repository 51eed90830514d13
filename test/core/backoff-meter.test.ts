// Waits before the next key establishment (RFC 8915 4.2) as a meter keeps them: by server and kind of failure, growing until
// keys led to an authenticated answer.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, MeterEvent } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { endOfMessage, record } from './nts-reference.ts';
import { SimulatedMeter, type SimulatedMeterOptions } from './simulated-meter.ts';
import type { SimulatedServer } from './simulated-server.ts';

beforeAll(async () => {
  await buildCore();
});

const quiet = { reportSeconds: 65_535 };

function started(change: (server: SimulatedServer) => void, options: SimulatedMeterOptions = {}): SimulatedMeter {
  const sim = new SimulatedMeter({ settings: quiet, ...options });
  for (const server of sim.servers) change(server);
  sim.meter.start();
  return sim;
}

/** Seconds between the attempts at a server, from the `first` on. */
function waits({ opened }: SimulatedServer, first = 0): number[] {
  return opened.slice(first + 1).map((at, i) => Number(at - opened[first + i]!) / 1e9);
}

const [server, attempts] = [
  (sim: SimulatedMeter) => sim.servers[0]!,
  (sim: SimulatedMeter) => sim.servers[0]!.opened.length,
];

/** RFC 8915 4.2: the least wait before the n-th retry, from 1. */
const least = (n: number, mostSeconds = 432_000) => Math.min(10 * 1.5 ** (n - 1), mostSeconds);

const kinds: [string, (server: SimulatedServer) => void, number, number][] = [
  ['DNS', (server) => server.fails(Failure.Dns), 1.5, 2],
  ['TCP, refused', (server) => server.fails(Failure.Connect), 1.5, 2],
  ['TCP, silent', (server) => server.fails(Failure.Timeout), 1.5, 2],
  ['TLS', (server) => server.fails(Failure.Tls), 2, 3],
  ['a certificate', (server) => server.fails(Failure.Untrusted), 2, 3],
  ['ALPN', (server) => server.fails(Failure.Alpn), 2, 3],
  ['NTS-KE, no cookie', ({ behaviour }) => (behaviour.onKe = () => [endOfMessage()]), 2, 3],
  ['NTS-KE, error 2', ({ behaviour }) => (behaviour.onKe = () => [record(2, [0, 2]), endOfMessage()]), 2, 3],
];

describe('each kind of failure', () => {
  it.each(kinds)('%s: first 10 to 15 s, then times %3$s to %4$s', (_, fail, from, to) => {
    const sim = started(fail);
    sim.runUntil('nine attempts', () => attempts(sim) >= 9, 200_000);
    const all = waits(server(sim));
    expect(all[0]).toBeLessThanOrEqual(15.1);
    for (const [i, wait] of all.entries()) {
      expect(wait).toBeGreaterThanOrEqual(least(i + 1, from === 1.5 ? 3600 : undefined));
      // Some milliseconds pass before the failure.
      if (i === 0 || wait > 3599) continue;
      expect(wait / all[i - 1]!).toBeGreaterThanOrEqual(from - 0.01);
      expect(wait / all[i - 1]!).toBeLessThanOrEqual(to + 0.01);
    }
  });

  it('grows apart from the others: the first of another kind waits no longer than a first one', () => {
    const sim = started((server) => server.fails(Failure.Dns));
    sim.runUntil('six attempts', () => attempts(sim) === 6, 10_000);
    server(sim).fails(Failure.Untrusted);
    sim.runUntil('two more', () => attempts(sim) === 8, 10_000);
    const all = waits(server(sim));
    expect(all[4]).toBeGreaterThan(50);
    expect(all[6]).toBeLessThanOrEqual(15.1);
  });

  it('of one server says nothing about another', () => {
    const sim = started(() => {}, { servers: 3, settings: quiet });
    sim.run(60);
    for (const { behaviour } of sim.servers) behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
    sim.servers[0]!.fails(Failure.Connect);
    sim.servers[1]!.fails(Failure.Untrusted);
    sim.run(3600);
    expect(sim.servers.every(({ opened }) => opened.length > 3)).toBe(true);
    const [tcp, tls] = sim.servers.map((one) => waits(one, 1)[0]!);
    for (const first of [tcp, tls]) expect(first).toBeLessThanOrEqual(15.1);
  });
});

describe('the longest wait', () => {
  it('is an hour where names are not resolved: no time server is asked for anything', () => {
    const sim = started((server) => server.fails(Failure.Dns));
    sim.run(2 * 86_400);
    const all = waits(server(sim));
    expect(Math.max(...all)).toBeLessThanOrEqual(3600.1);
    expect(all.at(-1)).toBeGreaterThanOrEqual(3600);
  });

  it.each([
    ['TCP', Failure.Connect],
    ['TLS', Failure.Tls],
  ])('is five days for %s', (_, reason) => {
    const sim = started((server) => server.fails(reason));
    for (let days = 0; days < 60; days++) sim.run(86_400);
    const all = waits(server(sim));
    expect(Math.max(...all)).toBeLessThanOrEqual(432_000.1);
    expect(all.at(-1)).toBeGreaterThanOrEqual(432_000);
  });
});

describe('waits are forgotten (RFC 8915 4.2)', () => {
  it('not by a key establishment that succeeds, as long as NTP never answers', () => {
    const sim = started(({ behaviour }) => (behaviour.onRequest = () => []));
    sim.run(2 * 86_400);
    const all = waits(server(sim));
    expect(all.length).toBeGreaterThan(5);
    for (const [i, wait] of all.entries()) expect(wait).toBeGreaterThanOrEqual(least(i + 1));
    expect(sim.eventCodes().filter((code) => code === MeterEvent.KeysEstablished).length).toBe(all.length + 1);
    expect(all.at(-1)).toBeGreaterThan(1000);
  });

  it('not by NAKs or forged answers', () => {
    const sim = started(({ behaviour }) => {
      behaviour.onRequest = (request) => {
        const forged = sim.answer(request);
        forged[forged.length - 1]! ^= 1;
        return [forged, request.server.kiss(request, 'NTSN')];
      };
    });
    sim.run(86_400);
    const all = waits(server(sim));
    for (const [i, wait] of all.entries()) expect(wait).toBeGreaterThanOrEqual(least(i + 1));
    // No fast loop between NTS-KE and NTP.
    expect(all.length).toBeLessThan(16);
    expect(sim.requests.length).toBeLessThan(16 * 16);
  });

  it('by the first authenticated answer', () => {
    const sim = started(({ behaviour }) => (behaviour.onKe = () => [endOfMessage()]));
    sim.runUntil('six attempts', () => attempts(sim) === 6, 10_000);
    server(sim).behaviour.onKe = (request) => [server(sim).keAnswer(request)];
    sim.runUntil('synchronised', () => sim.meter.time().status === ClockStatus.Synchronised, 10_000);
    sim.run(3_700);
    server(sim).behaviour.onKe = () => [endOfMessage()];
    server(sim).behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
    const before = attempts(sim);
    sim.runUntil('three more', () => attempts(sim) === before + 3, 1000);
    const [first, second] = waits(server(sim), before);
    // Up to 3 s more where an answer under the old keys is waited for first.
    expect(first).toBeLessThanOrEqual(18.1);
    expect(first).toBeGreaterThanOrEqual(10);
    expect(second).toBeGreaterThanOrEqual(20);
    expect(second).toBeLessThanOrEqual(48.1);
  });
});

it('two meters that failed together drift apart, by more each time', () => {
  const [one, other] = [1, 2].map((seed) => {
    const sim = started((server) => server.fails(Failure.Connect), {
      seed: Uint8Array.from({ length: 32 }, (_, i) => i * seed),
    });
    sim.runUntil('ten attempts', () => attempts(sim) >= 10, 100_000);
    return server(sim).opened;
  });
  const apart = one!.map((at, i) => Math.abs(Number(at - other![i]!)) / 1e9);
  expect(apart[0]).toBe(0);
  expect(apart[1]).toBeGreaterThan(0);
  expect(Math.max(...apart.slice(5))).toBeGreaterThan(apart[1]!);
});
