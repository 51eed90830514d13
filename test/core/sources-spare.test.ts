// More servers in the settings than the core uses at once: one that fails gives its place to one that is free.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, MeterEvent, SourceState } from '../../as/abi/codes.ts';
import { type CoreModule, loadCoreModule } from '../../host/core/core.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { SimulatedMeter } from './simulated-meter.ts';

let one: CoreModule;
let two: CoreModule;
beforeAll(async () => {
  one = loadCoreModule((await buildCore({ servers: 1 })).path);
  two = loadCoreModule((await buildCore({ servers: 2 })).path);
}, 120_000);

function started(core: CoreModule, servers: number, change: (sim: SimulatedMeter) => void = () => {}): SimulatedMeter {
  const sim = new SimulatedMeter({ core, servers });
  change(sim);
  sim.meter.start();
  return sim;
}

const status = (sim: SimulatedMeter) => sim.meter.time().status;
const attempts = (sim: SimulatedMeter) => sim.servers.map(({ opened }) => opened.length);
const hosts = (sim: SimulatedMeter) => sim.sources.map(({ keHost }) => keHost);

describe('one at once, of three', () => {
  it('uses the first, and asks no other', () => {
    const sim = started(one, 3);
    sim.run(3600);
    expect(attempts(sim)).toEqual([1, 0, 0]);
    expect(sim.report).toMatchObject({ servers: 1, needed: 1, keHost: 'a.test' });
    expect(sim.info!.serversMax).toBe(1);
  });

  it.each([Failure.Connect, Failure.Dns, Failure.Untrusted])('moves on at once from one that fails (%i)', (reason) => {
    const sim = started(one, 3, ({ servers }) => {
      servers[0]!.fails(reason);
      servers[1]!.fails(reason);
    });
    sim.run(3);
    expect(status(sim)).toBe(ClockStatus.Synchronised);
    expect(attempts(sim)).toEqual([1, 1, 1]);
    expect(hosts(sim)).toEqual(['c.test']);
  });

  it('asks all in turn while all fail, each with waits of its own', () => {
    const sim = started(one, 3, ({ servers }) => {
      for (const server of servers) server.fails(Failure.Untrusted);
    });
    sim.run(86_400);
    for (const { opened } of sim.servers) {
      const waits = opened.slice(1).map((at, i) => Number(at - opened[i]!) / 1e9);
      expect(waits.length).toBeGreaterThan(5);
      for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(10 * 1.5 ** i);
    }
  });

  it('leaves one whose NTP never answers, and one whose certificate does not hold', () => {
    const sim = started(one, 3, ({ servers }) => {
      servers[0]!.behaviour.onRequest = () => [];
      servers[1]!.behaviour.notAfter = sim0NotAfter;
    });
    sim.runUntil('synchronised', () => status(sim) === ClockStatus.Synchronised, 1200);
    expect(hosts(sim)).toEqual(['c.test']);
    expect(sim.events.find(({ code }) => code === MeterEvent.CertificateRefused)!.text).toBe('b.test');
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
  });

  it.each([
    ['in leap', 1, Buffer.from('GPS\0')],
    ['as chronyd does', 0, Buffer.alloc(4)],
    ['by INIT (RFC 5905 7.4)', 0, Buffer.from('INIT')],
  ])('leaves one that says only that it is not synchronised, %s, and stays with one that serves', (_, stratum, id) => {
    const sim = started(one, 2, ({ servers }) => {
      servers[0]!.behaviour.change = (parts) => {
        Object.assign(parts, { first: 0xe4, stratum, referenceId: id });
      };
    });
    sim.runUntil('synchronised', () => status(sim) === ClockStatus.Synchronised, 1200);
    sim.run(86_400);
    expect(attempts(sim)).toEqual([1, 1]);
  });

  it('leaves one that answers RATE to every request (RFC 5905 7.4), and not one that does so now and then', () => {
    let answers = 0;
    const sim = started(one, 3, ({ servers: [first] }) => {
      first!.behaviour.onRequest = (request) =>
        answers++ % 4 === 3 ? [first!.answer(request)] : [first!.sealedKiss(request, 'RATE')];
    });
    sim.run(5 * 86_400);
    expect(answers).toBeGreaterThan(12);
    expect(hosts(sim)).toEqual(['a.test']);
    sim.behaviour.onRequest = (request) => [request.server.sealedKiss(request, 'RATE')];
    sim.runUntil('another one', () => hosts(sim)[0] === 'b.test', 9 * 36_000);
    sim.runUntil('its time', () => status(sim) === ClockStatus.Synchronised, 60);
    expect(sim.report!.pollSeconds).toBeLessThanOrEqual(64);
  });

  it('leaves one that asks for it (RFC 5905 7.4), for good', () => {
    const sim = started(one, 2);
    sim.run(60);
    sim.servers[0]!.behaviour.onRequest = (request) => [request.server.sealedKiss(request, 'DENY')];
    sim.runUntil('the other one', () => sim.report!.keHost === 'b.test', 600);
    sim.servers[1]!.behaviour.onRequest = (request) => [request.server.sealedKiss(request, 'RSTR')];
    sim.runUntil('none is left', () => sim.sources[0]!.state === SourceState.Stopped, 600);
    const before = attempts(sim);
    sim.run(86_400);
    expect(attempts(sim)).toEqual(before);
  });
});

/** Two days before the simulation begins. */
const sim0NotAfter = 1_795_305_600n - 172_800n;

describe('two at once, of four', () => {
  it('no server serves two places, whoever fails', () => {
    const sim = started(two, 4);
    for (let i = 0; i < 60; i++) {
      for (const [index, server] of sim.servers.entries()) {
        if ((i + index) % 3 === 0) {
          server.fails(Failure.Connect);
          server.behaviour.onRequest = (request) => [request.server.kiss(request, 'NTSN')];
        } else {
          server.fails();
          server.behaviour.onRequest = (request) => [sim.answer(request)];
        }
      }
      sim.run(120);
      expect(new Set(hosts(sim)).size).toBe(2);
    }
    for (const server of sim.servers) {
      server.fails();
      server.behaviour.onRequest = (request) => [sim.answer(request)];
    }
    sim.runUntil('both agree', () => sim.report!.agreeing === 2, 86_400);
    expect(sim.report).toMatchObject({ servers: 2, needed: 2, status: ClockStatus.Synchronised });
  });

  it('one that has keys keeps its place while they serve', () => {
    const sim = started(two, 4);
    sim.run(60);
    for (const server of sim.servers) server.fails(Failure.Connect);
    sim.run(86_400);
    expect(hosts(sim)).toEqual(['a.test', 'b.test']);
    expect(attempts(sim)).toEqual([1, 1, 0, 0]);
  });
});
