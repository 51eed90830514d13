// What a meter keeps in its storage: settings, seeds, state; and when its real-time clock counts.
import { randomBytes } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ClockStatus,
  Message,
  MeterEvent,
  RtcRefusal,
  SettingsError,
  StorageMap,
  TimeFlag,
} from '../../as/abi/codes.ts';
import { SoftwareRtc } from '../../host/meter/parts.ts';
import { encodeSettings } from '../../host/provision/settings-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { SimulatedMeter, second, testSettings } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const randomOf = (sim: SimulatedMeter) => sim.requests.map(({ packet }) => packet.subarray(40, 88).toString('hex'));

describe('settings', () => {
  const withBlock = (change: (block: Uint8Array) => Uint8Array) => {
    const sim = new SimulatedMeter();
    sim.storage.write(StorageMap.Settings, change(sim.storage.read(StorageMap.Settings, StorageMap.SettingsBytes)));
    sim.meter.start();
    sim.run(60);
    return sim;
  };
  const error = (sim: SimulatedMeter) => Number(sim.events.find(({ code }) => code === MeterEvent.SettingsInvalid)?.a);

  it('absent: the meter says so and does nothing else', () => {
    const sim = withBlock((block) => block.fill(0xff));
    expect(error(sim)).toBe(SettingsError.Absent);
    expect(sim.sent.some(({ type }) => type === Message.TlsOpen)).toBe(false);
    expect(sim.info).toMatchObject({ meterId: '' });
  });

  it('with any byte changed: refused', () => {
    const block = encodeSettings(testSettings, randomBytes(16));
    const used = 8 + block[6]! + 256 * block[7]! + 4;
    for (let at = 0; at < used; at++) {
      const sim = withBlock(() => {
        const changed = new Uint8Array(StorageMap.SettingsBytes).fill(0xff);
        changed.set(block);
        changed[at]! ^= 1 + (at % 255);
        return changed;
      });
      expect([SettingsError.Absent, SettingsError.Damaged]).toContain(error(sim));
    }
  });

  it('no storage that answers: the meter says so', () => {
    const sim = new SimulatedMeter();
    sim.storage.read = () => {
      throw new Error('no answer');
    };
    sim.meter.start();
    sim.run(10);
    expect(sim.eventCodes()).toContain(MeterEvent.StorageFailed);
  });
});

describe('a read that fails once', () => {
  it.each([
    ['settings', StorageMap.Settings],
    ['seeds', StorageMap.SeedA],
    ['state', StorageMap.StateA],
  ] as const)('(%s) delays the meter, and nothing else', (_, object) => {
    const sim = new SimulatedMeter();
    const read = sim.storage.read.bind(sim.storage);
    let failed = false;
    sim.storage.read = (offset, length) => {
      if (offset !== object || failed) return read(offset, length);
      failed = true;
      throw new Error('no answer');
    };
    sim.meter.start();
    sim.runUntilSynchronised();
    expect(failed).toBe(true);
    expect(sim.info).toMatchObject({ meterId: 'sim-1' });
    expect(sim.eventCodes()).toContain(MeterEvent.StorageFailed);
    expect(sim.eventCodes()).not.toContain(MeterEvent.SettingsInvalid);
  });
});

describe('a half that is never read', () => {
  it.each([
    ['settings', StorageMap.Settings, StorageMap.Settings + 256],
    ['states', StorageMap.StateA, StorageMap.StateA + 256],
  ] as const)('(of the %s) leaves nothing of the other half behind, and counts as no cookie', (_, first, second) => {
    const sim = new SimulatedMeter();
    // Such as a root key.
    const halfBytes = Buffer.alloc(64, 0xa7);
    const read = sim.storage.read.bind(sim.storage);
    sim.storage.read = (offset, length) => {
      if (offset === second) throw new Error('no answer');
      const bytes = read(offset, length);
      if (offset === first) bytes.set(halfBytes);
      return bytes;
    };
    sim.meter.start();
    sim.run(60);
    expect(sim.eventCodes()).toContain(MeterEvent.StorageFailed);
    expect(Buffer.from(sim.meter.core!.exports.memory.buffer).includes(halfBytes)).toBe(false);
    expect(sim.report).toMatchObject({ cookies: 0 });
  });
});

describe('seeds', () => {
  it('are replaced before use: no two starts share random bytes', () => {
    const sim = new SimulatedMeter();
    for (let start = 0; start < 5; start++) {
      sim.meter.start();
      sim.run(30);
      sim.meter.powerCut();
    }
    const random = randomOf(sim);
    expect(random.length).toBeGreaterThan(15);
    expect(new Set(random).size).toBe(random.length);
  });

  it('a write that fails leaves the meter without NTS rather than with a seed used twice', () => {
    const sim = new SimulatedMeter();
    sim.storage.write = () => {
      throw new Error('worn out');
    };
    sim.meter.start();
    sim.run(60);
    expect(sim.eventCodes()).toContain(MeterEvent.SeedInvalid);
    expect(sim.sent.some(({ type }) => type === Message.TlsOpen)).toBe(false);
  });

  it('missing, but with an entropy source: the meter works', () => {
    const sim = new SimulatedMeter({ entropy: () => randomBytes(32) });
    sim.storage.write(StorageMap.SeedA, new Uint8Array(128).fill(0xff));
    sim.meter.start();
    sim.runUntilSynchronised();
  });

  it('missing, and no entropy: said, and no NTS', () => {
    const sim = new SimulatedMeter();
    sim.storage.write(StorageMap.SeedA, new Uint8Array(128).fill(0xff));
    sim.meter.start();
    sim.run(60);
    expect(sim.eventCodes()).toContain(MeterEvent.SeedInvalid);
    expect(sim.requests).toHaveLength(0);
  });
});

describe('real-time clock', () => {
  const refusal = (sim: SimulatedMeter) => Number(sim.events.find(({ code }) => code === MeterEvent.RtcRefused)?.a);

  it('does not count before an authenticated time set it', () => {
    const sim = new SimulatedMeter({ rtc: true });
    sim.rtc!.set({ year: 2026, month: 11, day: 22, hour: 0, minute: 0, second: 0 });
    sim.behaviour.onTlsOpen = () => undefined;
    sim.meter.start();
    sim.run(5);
    expect(refusal(sim)).toBe(RtcRefusal.NoProof);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  });

  function synchronisedThenOff(): SimulatedMeter {
    const sim = new SimulatedMeter({ rtc: true });
    sim.meter.start();
    sim.runUntilSynchronised();
    sim.run(5);
    sim.meter.powerCut();
    sim.events.length = 0;
    sim.behaviour.onTlsOpen = () => undefined;
    sim.behaviour.onRequest = () => [];
    return sim;
  }

  it('gives holdover after an authenticated set, its bound grown with the time it ran alone', () => {
    const sim = synchronisedThenOff();
    sim.run(86_400);
    sim.meter.start();
    sim.run(1);
    const { status, boundNs } = sim.meter.time();
    expect(status).toBe(ClockStatus.Holdover);
    expect(sim.report!.flags & TimeFlag.FromRtc).toBeTruthy();
    const error = sim.errorNs < 0n ? -sim.errorNs : sim.errorNs;
    expect(error).toBeLessThanOrEqual(boundNs);
    expect(boundNs).toBeGreaterThan(8_640_000_000n);
    expect(boundNs).toBeLessThan(20n * second);
  });

  it('does not count when its oscillator stopped', () => {
    const sim = synchronisedThenOff();
    sim.rtc!.loseTime();
    sim.meter.start();
    sim.run(1);
    expect(refusal(sim)).toBe(RtcRefusal.OscillatorStopped);
    expect(sim.meter.time().status).toBe(ClockStatus.Unsynchronised);
  });

  it('does not count when it is behind the last authenticated time', () => {
    const sim = synchronisedThenOff();
    sim.rtc!.set({ year: 2026, month: 11, day: 21, hour: 23, minute: 0, second: 0 });
    sim.meter.start();
    sim.run(1);
    expect(refusal(sim)).toBe(RtcRefusal.BehindFloor);
  });

  it('does not count when the proof is damaged or from another meter', () => {
    for (const change of ['flip', 'foreign'] as const) {
      const sim = synchronisedThenOff();
      const state = change === 'flip' ? sim.storage : synchronisedThenOff().storage;
      const bytes = state.read(StorageMap.StateA, 2 * StorageMap.StateBytes);
      if (change === 'flip') for (const slot of [0, StorageMap.StateBytes]) bytes[slot + 0x20]! ^= 0x10;
      sim.storage.write(StorageMap.StateA, bytes);
      sim.meter.start();
      sim.run(1);
      expect(refusal(sim)).toBe(RtcRefusal.NoProof);
    }
  });

  it('is set at a full second, within 20 ms', () => {
    // 90 ppm too fast: half a second in an hour and a half.
    const sim = new SimulatedMeter({ rtc: (utcNs) => new SoftwareRtc(() => utcNs() + (utcNs() * 90n) / 1_000_000n) });
    const sets: bigint[] = [];
    const set = sim.rtc!.set.bind(sim.rtc!);
    sim.rtc!.set = (date) => {
      sets.push((sim.utcNs + 10_000_000n) % second);
      set(date);
    };
    sim.meter.start();
    sim.run(50_000);
    expect(sets.length).toBeGreaterThan(4);
    for (const phase of sets) expect(phase).toBeLessThan(31_000_000n);
  });
});
