// Which ring an event goes to: nothing that sits on the network fills the logbook or wears out the storage.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, LogField, MeterEvent, Ring, StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { StoreLab } from './store-lab.ts';

beforeAll(async () => {
  await buildCore();
});

const limited: readonly number[] = [
  MeterEvent.Synchronised,
  MeterEvent.Holdover,
  MeterEvent.ClockSet,
  MeterEvent.ClockSlewed,
];

describe('the logbook', () => {
  it('tells of the start, the clock and synchronisation; the network has a ring of its own', () => {
    const lab = new StoreLab();
    lab.sim.meter.start();
    lab.sim.runUntilSynchronised();
    lab.sim.run(10);
    expect(lab.logged(Ring.Logbook)).toEqual([MeterEvent.Started, MeterEvent.ClockSet, MeterEvent.Synchronised]);
    expect(lab.logged(Ring.Network)).toEqual([MeterEvent.KeysEstablished]);
    const [, , synchronised] = lab.log(Ring.Logbook);
    expect(synchronised!.text).toBe('time.test');
    // What the gateway is told is what is logged.
    const told = new Map(lab.sim.events.map((event) => [event.sequence, event]));
    for (const { bytes } of [...lab.entries(Ring.Logbook), ...lab.entries(Ring.Network)]) {
      const event = told.get(bytes.readUInt32LE(LogField.EventSequence))!;
      expect(bytes.readUInt16LE(LogField.Code)).toBe(event.code);
      expect(bytes.readBigInt64LE(LogField.UtcNs)).toBe(event.utcNs);
      expect(bytes.readBigInt64LE(LogField.UptimeNs)).toBe(event.uptimeNs);
      expect(bytes.readBigInt64LE(LogField.A)).toBe(event.a);
    }
  });

  it("is not filled by a network that comes and goes: some entries a day, the rest in the network's ring, and counted", () => {
    const lab = new StoreLab({ settings: { poll: { minSeconds: 16, maxSeconds: 16 }, reportSeconds: 3600 } });
    lab.sim.meter.start();
    lab.sim.runUntilSynchronised();
    const good = { ...lab.sim.behaviour };
    const days = 3;
    let flaps = 0;
    for (const end = lab.sim.time.nowNs + BigInt(days * 86_400) * 1_000_000_000n; lab.sim.time.nowNs < end; flaps++) {
      lab.sim.behaviour.onRequest = () => [];
      lab.sim.runUntil('holdover', () => lab.sim.meter.time().status === ClockStatus.Holdover, 2000);
      Object.assign(lab.sim.behaviour, good);
      lab.sim.runUntil('synchronised', () => lab.sim.meter.time().status === ClockStatus.Synchronised, 40_000);
      lab.sim.run(4000);
    }
    expect(flaps).toBeGreaterThan(20);
    const log = lab.log(Ring.Logbook);
    const told = log.filter(({ code }) => code === MeterEvent.Synchronised || code === MeterEvent.Holdover);
    expect(told.length).toBeGreaterThan(2 * days);
    expect(told.length).toBeLessThanOrEqual(8 + 4 * days + 1);
    const leftOut = log.reduce((sum, entry) => sum + entry.leftOut, 0);
    expect(leftOut).toBeGreaterThan(0);
    expect(lab.logged(Ring.Network)).toContain(MeterEvent.Holdover);
    lab.verify();
  }, 120_000);

  it('keeps its last quarter from all that a network can bring about, however long that goes on', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(1);
    while (lab.core.testStoreNewest(Ring.Logbook) < 192) {
      lab.restart();
      lab.sim.run(0.2);
    }
    lab.sim.meter.powerCut();
    lab.startOnline();
    lab.sim.run(10);
    const entries = lab.log(Ring.Logbook).slice(192);
    expect(entries.map(({ code }) => code).filter((code) => limited.includes(code))).toEqual([]);
    expect(lab.logged(Ring.Network)).toContain(MeterEvent.ClockSet);
    expect(lab.logged(Ring.Network)).toContain(MeterEvent.Synchronised);
  });

  it('and storage are spared a flood: what the network provokes is stored once a minute, and its oldest are overwritten', () => {
    const lab = new StoreLab();
    lab.sim.meter.start();
    lab.sim.runUntilSynchronised();
    let writes = 0;
    const write = lab.sim.storage.write.bind(lab.sim.storage);
    lab.sim.storage.write = (offset, bytes) => {
      if (offset >= StorageMap.NetworkLog && offset < StorageMap.Records) writes++;
      return write(offset, bytes);
    };
    const before = lab.core.testStoreNewest(Ring.Logbook);
    // Each answer is followed by forged ones, refused for many reasons.
    const { onRequest } = lab.sim.behaviour;
    lab.sim.behaviour.onRequest = (request, exchange) => [
      Buffer.alloc(7),
      Buffer.alloc(48),
      ...onRequest.call(lab.sim.behaviour, request, exchange).flatMap((packet) => {
        const origin = Buffer.from(packet);
        origin[24]! ^= 1;
        const mode = Buffer.from(packet);
        mode[0] = 0x23;
        return [origin, mode];
      }),
    ];
    lab.sim.run(24 * 3600);
    expect(writes).toBeGreaterThan(64);
    expect(writes).toBeLessThanOrEqual(32 + 24 * 60 + 1);
    expect(lab.core.testStoreNewest(Ring.Logbook) - before).toBeLessThanOrEqual(2);
    expect(lab.entries(Ring.Network)).toHaveLength(64);
    lab.verify();
    lab.restart();
    lab.verify();
  }, 60_000);
});
