// A first start without a real-time clock that counts (RFC 8915 8.5): certificates whose dates were not checked prove
// themselves at the time that a majority of servers gives, or go; until then there is no time, and the status says why.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message, MeterEvent, Missing, StorageMap, TimeFlag } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { buildUnixSeconds, SimulatedMeter, second, started, startUtcNs } from './simulated-meter.ts';
import type { Behaviour } from './simulated-server.ts';

beforeAll(async () => {
  await buildCore();
});

const { Unsynchronised, Synchronised } = ClockStatus;
const status = (sim: SimulatedMeter) => sim.meter.time().status;
const day = 86_400n;
const now = startUtcNs / second;

/** A certificate that expired two days ago. */
const expire = (behaviour: Behaviour) =>
  Object.assign(behaviour, { notBefore: now - 90n * day, notAfter: now - 2n * day });
const renew = (behaviour: Behaviour) => Object.assign(behaviour, { notBefore: now - day, notAfter: now + 90n * day });
const opens = (sim: SimulatedMeter, host: string) => sim.sentOf(Message.TlsOpen).filter((open) => open.host === host);
const refused = (sim: SimulatedMeter) => sim.events.filter(({ code }) => code === MeterEvent.CertificateRefused);

describe('dates unchecked at first', () => {
  it('all servers at once, without a wait; no time until a majority is there', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      for (const [i, { behaviour }] of servers.entries()) behaviour.openNs = () => BigInt(5 + 10 * i) * second;
    });
    sim.run(0.01);
    expect(sim.sentOf(Message.TlsOpen).map(({ host, validAt }) => [host, validAt])).toEqual([
      ['a.test', undefined],
      ['b.test', undefined],
      ['c.test', undefined],
    ]);
    sim.run(14);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.report).toMatchObject({ missing: Missing.Majority, agreeing: 1, needed: 2 });
    sim.run(2);
    expect(status(sim)).toBe(Synchronised);
    sim.run(30);
    // Those that were not checked yet are checked as they come to count.
    expect(sim.report!.flags & TimeFlag.DatesUnchecked).toBe(0);
    expect(refused(sim)).toEqual([]);
  });

  it('a certificate that does not hold at the time obtained: its server goes, the others give the time', () => {
    const sim = started({ servers: 3 }, ({ servers }) => expire(servers[1]!.behaviour));
    sim.run(60);
    expect(status(sim)).toBe(Synchronised);
    expect(refused(sim).map(({ text, a, b }) => [text, a, b])).toEqual([['b.test', now - 90n * day, now - 2n * day]]);
    expect(sim.sources[1]).toMatchObject({ aead: 0, cookies: 0 });
    // Asked again, it is checked at the meter's own time.
    sim.runUntil('it is asked again', () => opens(sim, 'b.test').length > 1, 60);
    expect(opens(sim, 'b.test')[1]!.validAt).toBe(sim.servers[1]!.opened[1]! / second);
    renew(sim.servers[1]!.behaviour);
    sim.runUntil('it counts', () => sim.report!.agreeing === 3, 600);
  });

  it('of a liar that is heard before others are: what it said goes with it', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      const [liar, ...others] = servers.map(({ behaviour }) => behaviour);
      Object.assign(liar!, { serverErrorNs: 365n * day * second });
      for (const other of others) other.openNs = () => 20n * second;
    });
    sim.run(60);
    expect(status(sim)).toBe(Synchronised);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
  });

  it('a majority whose certificates do not hold at the time that it gives is no majority', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      expire(servers[0]!.behaviour);
      expire(servers[2]!.behaviour);
    });
    sim.run(600);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.eventCodes()).not.toContain(MeterEvent.ClockSet);
    expect(new Set(refused(sim).map(({ text }) => text))).toEqual(new Set(['a.test', 'c.test']));
    for (const { behaviour } of sim.servers) renew(behaviour);
    sim.runUntil('synchronised', () => status(sim) === Synchronised, 3600);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
  });

  it.each([1, 2])('no certificate of %i holds: no time, no step, ever fewer attempts; and recovery', (servers) => {
    const sim = started({ servers }, ({ servers }) => {
      for (const { behaviour } of servers) expire(behaviour);
    });
    sim.run(6 * 3600);
    expect(status(sim)).toBe(Unsynchronised);
    expect(sim.eventCodes()).not.toContain(MeterEvent.ClockSet);
    // One has no keys; the other's sample waits for it.
    expect([Missing.Certificate, Missing.Majority]).toContain(sim.report!.missing);
    for (const { opened } of sim.servers) {
      const waits = opened.slice(1).map((at, i) => Number(at - opened[i]!) / 1e9);
      for (const [i, wait] of waits.entries()) expect(wait).toBeGreaterThanOrEqual(10 * 1.5 ** i);
      expect(opened.length).toBeLessThan(16);
    }
    for (const { behaviour } of sim.servers) renew(behaviour);
    sim.runUntil('synchronised', () => status(sim) === Synchronised, 86_400);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e6);
  });

  it('a certificate that is not valid yet at the time obtained is refused, too', () => {
    const sim = started({}, ({ behaviour }) => {
      Object.assign(behaviour, { notBefore: now + day, notAfter: now + 30n * day });
    });
    sim.run(60);
    expect(status(sim)).toBe(Unsynchronised);
    expect(refused(sim).length).toBeGreaterThan(0);
  });
});

describe('dates checked from the start, where the trust policy wants it', () => {
  it('at the time floor, and again at the time obtained', () => {
    const sim = started({ servers: 3, settings: { firstDatesUnchecked: false } }, ({ servers }) => {
      // Valid when the software was built, no more today.
      Object.assign(servers[2]!.behaviour, { notBefore: BigInt(buildUnixSeconds) - day, notAfter: now - day });
      for (const { behaviour } of servers.slice(0, 2)) behaviour.notBefore = BigInt(buildUnixSeconds) - day;
    });
    sim.run(60);
    for (const { validAt } of sim.sentOf(Message.TlsOpen).slice(0, 3)) expect(validAt).toBe(BigInt(buildUnixSeconds));
    expect(status(sim)).toBe(Synchronised);
    expect(refused(sim).map(({ text }) => text)).toEqual(['c.test']);
  });
});

describe('what is missing (`Missing`), stage by stage', () => {
  const missing = (sim: SimulatedMeter) => {
    sim.run(30);
    expect(status(sim)).toBe(Unsynchronised);
    return Missing[sim.report!.missing];
  };

  it('settings', () => {
    const sim = new SimulatedMeter();
    sim.storage.write(StorageMap.Settings, new Uint8Array(StorageMap.SettingsBytes).fill(0xff));
    sim.meter.start();
    expect(missing(sim)).toBe('Settings');
  });

  it('random bytes', () => {
    const sim = new SimulatedMeter();
    sim.storage.write(StorageMap.SeedA, new Uint8Array(2 * StorageMap.SeedBytes).fill(0xff));
    sim.meter.start();
    expect(missing(sim)).toBe('Random');
    expect(sim.sentOf(Message.TlsOpen)).toEqual([]);
  });

  it('keys', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      for (const server of servers) server.fails(Failure.Connect);
    });
    expect(missing(sim)).toBe('Keys');
  });

  it('an answer', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      for (const { behaviour } of servers) behaviour.onRequest = () => [];
    });
    expect(missing(sim)).toBe('Answer');
  });

  it('a certificate that holds', () => {
    expect(missing(started({}, ({ behaviour }) => expire(behaviour)))).toBe('Certificate');
  });

  it('a majority', () => {
    const sim = started({ servers: 3 }, ({ servers }) => {
      for (const [i, { behaviour }] of servers.entries()) behaviour.serverErrorNs = BigInt(i) * second;
    });
    expect(missing(sim)).toBe('Majority');
  });

  it('nothing any more, once there is a time', () => {
    const sim = started({ servers: 3, rootKey: randomBytes(16) });
    sim.runUntilSynchronised();
    sim.run(10);
    expect(Missing[sim.report!.missing]).toBe('None');
  });
});
