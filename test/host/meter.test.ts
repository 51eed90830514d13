// The meter in software around its core: what it tells the core and how it does what the core asks for.
// The test core does as the test says (meter-echo-core.ts), as the real one neither traps nor asks for odd things.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  Abi,
  Action,
  Capability,
  Event,
  ResetCause,
  RtcStatus,
  StartField,
  StorageMap,
  TemperatureStatus,
} from '../../as/abi/codes.ts';
import type { CoreModule } from '../../host/core/core.ts';
import { VirtualClock, VirtualTime } from '../../host/meter/clocks.ts';
import { dateOfNs, type MeterStorage, nsOfDate, SoftwareRtc } from '../../host/meter/parts.ts';
import { SoftwareMeter, type SoftwareMeterOptions, type Trap } from '../../host/meter/software-meter.ts';
import { FileStorage, MemoryStorage } from '../../host/meter/storage.ts';
import { action, echoCore, u32, u64 } from './meter-echo-core.ts';

let source: CoreModule;
beforeAll(async () => {
  source = await echoCore();
});

interface Heard {
  readonly event: Event;
  readonly tick: bigint;
  readonly payload: Uint8Array;
}

/** A meter whose core says what it hears; `ask` makes the core ask for actions. */
function makeMeter(options: Partial<SoftwareMeterOptions> = {}) {
  const time = new VirtualTime();
  const clock = new VirtualClock(time, { tickHz: 1_000_000 });
  const heard: Heard[] = [];
  const meter = new SoftwareMeter({
    clock,
    source,
    buildUnixSeconds: 1_700_000_000,
    onMessage: (event, message) => {
      heard.push({
        event,
        tick: new DataView(message.buffer, message.byteOffset).getBigUint64(0, true),
        payload: message.slice(8),
      });
    },
    ...options,
  });
  const ask = (...actions: Uint8Array[]): void => meter.deliver(1, Buffer.concat(actions));
  return { time, clock, heard, meter, ask };
}

describe('start', () => {
  it('tells the core what the meter is', () => {
    const { meter, heard } = makeMeter({
      storage: new MemoryStorage(),
      rtc: new SoftwareRtc(() => 0n),
      thermometer: () => 25_000,
      entropy: () => new Uint8Array(32).fill(7),
      maxFrequencyErrorPpb: 50_000,
      board: 'bench',
      version: '1.2.3',
    });
    meter.start();
    expect(heard).toHaveLength(1);
    const start = heard[0]!.payload;
    const view = new DataView(start.buffer);
    expect(heard[0]!.event).toBe(Event.Start);
    expect(view.getUint16(StartField.AbiVersion, true)).toBe(Abi.Version);
    expect(view.getUint8(StartField.ResetCause)).toBe(ResetCause.PowerOn);
    expect(view.getUint8(StartField.Capabilities)).toBe(
      Capability.OwnNetwork | Capability.Rtc | Capability.Storage | Capability.Thermometer,
    );
    expect(view.getUint32(StartField.TickHz, true)).toBe(1_000_000);
    expect(view.getUint32(StartField.MaxFrequencyErrorPpb, true)).toBe(50_000);
    expect(view.getUint32(StartField.StorageBytes, true)).toBe(StorageMap.FullBytes);
    expect(view.getBigUint64(StartField.BuildUnixSeconds, true)).toBe(1_700_000_000n);
    expect(start.slice(StartField.CoreSha256, StartField.ImageSha256)).toEqual(source.sha256);
    expect(start.slice(StartField.Entropy, StartField.TrapCode)).toEqual(new Uint8Array(32).fill(7));
    expect(Buffer.from(start.slice(StartField.Names)).toString('latin1')).toBe('\x05bench\x051.2.3');
  });

  it('says that there is no entropy with zeros', () => {
    const { meter, heard } = makeMeter();
    meter.start();
    expect(heard[0]!.payload.slice(StartField.Entropy, StartField.TrapCode)).toEqual(new Uint8Array(32));
  });

  it('happens once until the meter is stopped', async () => {
    const { meter, heard } = makeMeter();
    meter.start();
    expect(() => meter.start()).toThrow(/runs already/);
    await meter.stop();
    expect(() => meter.time()).toThrow(/off/);
    meter.start(ResetCause.Software);
    expect(heard[1]!.payload[StartField.ResetCause]).toBe(ResetCause.Software);
  });
});

describe('actions', () => {
  it('wakes at the tick asked for, and only at the latest one', () => {
    const { meter, ask, heard, time } = makeMeter();
    meter.start();
    ask(action(Action.Wake, u64(500n)), action(Action.Wake, u64(2_000n)));
    time.runUntil(1_999_999n);
    expect(heard).toHaveLength(1);
    time.runUntil(2_000_000n);
    expect(heard[1]).toEqual({ event: Event.Wake, tick: 2_000n, payload: new Uint8Array(0) });
  });

  it('reads and writes storage and answers each', () => {
    const storage = new MemoryStorage(1024);
    const { meter, ask, heard } = makeMeter({ storage });
    meter.start();
    ask(
      action(Action.StorageWrite, [...u32(0x280), 1, 2, 3]),
      action(Action.StorageRead, [...u32(0x27f), ...u32(5)]),
      action(Action.StorageRead, [...u32(1020), ...u32(5)]),
      action(Action.StorageWrite, [...u32(1023), 1, 2]),
    );
    expect(heard.slice(1).map(({ event, payload }) => [event, [...payload]])).toEqual([
      [Event.StorageDone, [...u32(0x280), 0]],
      [Event.StorageData, [...u32(0x27f), 0xff, 1, 2, 3, 0xff]],
      [Event.StorageData, u32(1020)],
      [Event.StorageDone, [...u32(1023), 1]],
    ]);
  });

  it('reads and sets the real-time clock', () => {
    let counterNs = 0n;
    const rtc = new SoftwareRtc(() => counterNs);
    const { meter, ask, heard } = makeMeter({ rtc });
    meter.start();
    ask(action(Action.RtcRead));
    ask(action(Action.RtcSet, [59, 58, 23, 31, 12, 0xea, 0x07]));
    counterNs = 61_000_000_000n;
    ask(action(Action.RtcRead));
    expect(heard.slice(1).map(({ event, payload }) => [event, [...payload]])).toEqual([
      [Event.RtcTime, [RtcStatus.Stopped, 0, 0, 0, 1, 1, 0xd0, 0x07]],
      [Event.RtcDone, [0]],
      [Event.RtcTime, [RtcStatus.Running, 0, 0, 0, 1, 1, 0xeb, 0x07]],
    ]);
  });

  it('reads the thermometer', () => {
    const readings: (number | undefined)[] = [-12_345, undefined];
    const { meter, ask, heard } = makeMeter({
      thermometer: () => {
        if (readings.length === 0) throw new Error('broken');
        return readings.shift();
      },
    });
    meter.start();
    for (let i = 0; i < 3; i++) ask(action(Action.TemperatureRead));
    expect(heard.slice(1).map(({ event, payload }) => [event, [...payload]])).toEqual([
      [Event.Temperature, [TemperatureStatus.Measured, ...u32(-12_345)]],
      [Event.Temperature, [TemperatureStatus.Failed, 0, 0, 0, 0]],
      [Event.Temperature, [TemperatureStatus.Failed, 0, 0, 0, 0]],
    ]);
  });

  it('says so when there is no real-time clock, no thermometer and no storage', () => {
    const { meter, ask, heard } = makeMeter();
    meter.start();
    ask(action(Action.RtcRead), action(Action.RtcSet, [0, 0, 0, 1, 1, 0, 0]), action(Action.TemperatureRead));
    ask(action(Action.StorageRead, [...u32(0), ...u32(4)]), action(Action.StorageWrite, [...u32(0), 1]));
    expect(heard.slice(1).map(({ event, payload }) => [event, [...payload]])).toEqual([
      [Event.RtcTime, [RtcStatus.Absent, 0, 0, 0, 0, 0, 0, 0]],
      [Event.RtcDone, [1]],
      [Event.Temperature, [TemperatureStatus.Failed, 0, 0, 0, 0]],
      [Event.StorageData, u32(0)],
      [Event.StorageDone, [...u32(0), 1]],
    ]);
  });

  it('shows the time that the core gives', () => {
    const { meter, time } = makeMeter();
    meter.start();
    expect(meter.time().sampleAgeNs).toBeUndefined();
    time.runUntil(5_000_000n);
    expect(meter.time()).toEqual({
      ...{ status: 0, utcNs: 5_000n, leapSecond: false, boundNs: 77n, uncertaintyNs: 33n, sampleAgeNs: 999n },
      invalidations: 0,
      holdoverEnded: false,
      budget: {
        ...{ noiseNs: 0, asymmetryNs: 11, serverNs: 0, stampsNs: 0, slewNs: 0 },
        ...{ frequencyPpt: -55, frequencyUncertaintyPpt: 0 },
      },
    });
  });

  it('sends frames on the line and stamps what comes back, however it is cut', () => {
    let receive: (bytes: Uint8Array) => void = () => {};
    const lines: number[][] = [];
    const time = new VirtualTime();
    const clock = new VirtualClock(time);
    const events: Heard[] = [];
    const meter = new SoftwareMeter({
      clock,
      source,
      buildUnixSeconds: 0,
      line: {
        write: (bytes, sent) => {
          lines.push([...bytes]);
          time.schedule(time.nowNs + 100n, sent);
        },
        onData: (listener) => {
          receive = listener;
        },
      },
      trace: {
        reset() {},
        actions() {},
        trap() {},
        event: (event, tick, payload) => events.push({ event, tick, payload: payload.slice() }),
      },
    });
    meter.start();
    time.runUntil(10n);
    receive(Uint8Array.of(9, 0, 0, 4));
    time.runUntil(20n);
    receive(Uint8Array.of(5, 6));
    time.runUntil(30n);
    receive(Uint8Array.of(0, 8, 0));
    expect(events.slice(1)).toEqual([
      { event: Event.Frame, tick: 10n, payload: Uint8Array.from([...u64(10n), 9]) },
      { event: Event.Frame, tick: 30n, payload: Uint8Array.from([...u64(10n), 4, 5, 6]) },
      { event: Event.Frame, tick: 30n, payload: Uint8Array.from([...u64(30n), 8]) },
    ]);
    expect(() => meter.deliver(1, new Uint8Array(1))).toThrow(/line to a gateway/);
    expect(lines).toEqual([]);
  });
});

describe('power', () => {
  it('is gone at once: nothing that was under way is reported to the next start', async () => {
    const waiting: (() => void)[] = [];
    const storage: MeterStorage = {
      bytes: 1024,
      read: () => new Uint8Array(0),
      write: () => new Promise<void>((resolve) => waiting.push(resolve)),
    };
    const { meter, ask, heard, time } = makeMeter({ storage });
    meter.start();
    ask(action(Action.Wake, u64(100n)), action(Action.StorageWrite, [...u32(0), 1]));
    meter.powerCut();
    meter.start();
    waiting.forEach((done) => {
      done();
    });
    await Promise.resolve();
    time.runUntil(1_000_000n);
    expect(heard.map(({ event }) => event)).toEqual([Event.Start, Event.Start]);
  });

  it('off waits for what is being written', async () => {
    const storage = new MemoryStorage();
    let release = (): void => {};
    const slow: MeterStorage = {
      bytes: 1024,
      read: (offset, length) => storage.read(offset, length),
      write: (offset, bytes) =>
        new Promise<void>((resolve) => {
          release = () => {
            storage.write(offset, bytes);
            resolve();
          };
        }),
    };
    const { meter, ask } = makeMeter({ storage: slow });
    meter.start();
    ask(action(Action.StorageWrite, [...u32(7), 42]));
    let stopped = false;
    const stop = meter.stop().then(() => {
      stopped = true;
    });
    await Promise.resolve();
    expect(stopped).toBe(false);
    release();
    await stop;
    expect(storage.read(7, 1)).toEqual(Uint8Array.of(42));
  });
});

describe('a trap in the core', () => {
  it('starts a new one, told why', () => {
    const traps: Trap[] = [];
    const { meter, ask, heard, time } = makeMeter({ onTrap: (trap) => traps.push(trap) });
    meter.start();
    ask(action(Action.Wake, u64(10n)));
    ask(Uint8Array.of(0xff));
    ask(Uint8Array.of(0xfe));
    expect(
      heard.map(({ event, payload }) => [event, payload[StartField.ResetCause], payload[StartField.TrapCode]]),
    ).toEqual([
      [Event.Start, ResetCause.PowerOn, 0],
      [Event.Start, ResetCause.Trap, 5],
      [Event.Start, ResetCause.Trap, 1],
    ]);
    expect(traps.map(({ code, event, restarted }) => [code, event, restarted])).toEqual([
      [5, Event.Message, true],
      [1, Event.Message, true],
    ]);
    expect(meter.traps).toBe(2);
    time.runUntil(1_000_000n);
    expect(heard).toHaveLength(3);
  });

  it('in its first event leaves the meter off', () => {
    const traps: Trap[] = [];
    const { meter } = makeMeter({ entropy: () => new Uint8Array(32).fill(0xee), onTrap: (trap) => traps.push(trap) });
    meter.start();
    expect(meter.running).toBe(false);
    expect(traps.map(({ restarted }) => restarted)).toEqual([false]);
  });
});

describe('virtual time', () => {
  it('does what is due in order of time, then of asking', () => {
    const seed = Number(process.env.METERTIME_SEED ?? Date.now() % 1_000_000);
    console.log(`METERTIME_SEED=${seed}`);
    let state = seed;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const time = new VirtualTime();
    const done: [bigint, number][] = [];
    const cancelled = new Set<number>();
    for (let i = 0; i < 2_000; i++) {
      const cancel = time.schedule(BigInt(random(500)), () => done.push([time.nowNs, i]));
      if (random(5) === 0) {
        cancel();
        cancelled.add(i);
      }
    }
    time.runUntil(250n);
    expect(done.every(([at]) => at <= 250n)).toBe(true);
    time.runUntil(500n);
    expect(done).toHaveLength(2_000 - cancelled.size);
    const sorted = [...done].sort(([a, i], [b, j]) => Number(a - b) || i - j);
    expect(done).toEqual(sorted);
  });

  it('counts with the frequency error of the oscillator, also when it changes under a pending call', () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time, { tickHz: 1_000_000, frequencyPpb: 50_000, startTicks: 7n });
    time.runUntil(1_000_000_000_000n);
    expect(clock.nowTicks()).toBe(1_000_050_007n);
    let at = 0n;
    clock.at(2_000_000_007n, () => {
      at = time.nowNs;
    });
    clock.setFrequency(-50_000);
    time.runUntil(3_000_000_000_000n);
    // 999,950,000 ticks were left, at 0.99995 ticks a microsecond.
    expect(at).toBe(2_000_000_000_000n);
    expect(clock.nowTicks()).toBe(1_000_050_007n + 1_999_900_000n);
  });

  it('is exact over twenty years', () => {
    const time = new VirtualTime();
    const clock = new VirtualClock(time, { frequencyPpb: 1 });
    const years = 20n * 365n * 86_400n * 1_000_000_000n;
    time.runUntil(years);
    expect(clock.nowTicks()).toBe(years + years / 1_000_000_000n);
  });
});

describe('dates of a real-time clock', () => {
  it.each([
    ['1970-01-01T00:00:00Z'],
    ['2000-02-29T23:59:59Z'],
    ['2036-02-07T06:28:16Z'],
    ['2038-01-19T03:14:08Z'],
    ['2100-03-01T00:00:00Z'],
  ])('%s', (text) => {
    const ns = BigInt(Date.parse(text)) * 1_000_000n;
    expect(nsOfDate(dateOfNs(ns))).toBe(ns);
    expect(nsOfDate(dateOfNs(ns + 999_999_999n))).toBe(ns);
  });
});

describe('storage in a file', () => {
  const folders: string[] = [];
  const folder = (): string => {
    folders.push(mkdtempSync(join(tmpdir(), 'metertime-')));
    return folders.at(-1)!;
  };
  afterEach(() => {
    for (const path of folders.splice(0)) rmSync(path, { recursive: true });
  });

  it('keeps what was written', async () => {
    const path = join(folder(), 'meter');
    writeFileSync(path, new Uint8Array(StorageMap.Bytes));
    const storage = await FileStorage.open(path);
    await Promise.all([storage.write(1, Uint8Array.of(1, 2)), storage.write(2, Uint8Array.of(9))]);
    expect(await storage.read(0, 4)).toEqual(Uint8Array.of(0, 1, 9, 0));
    expect(() => storage.write(StorageMap.Bytes - 1, Uint8Array.of(1, 2))).toThrow(/do not lie within/);
    await storage.close();
    expect([...readFileSync(path).subarray(0, 4)]).toEqual([0, 1, 9, 0]);
  });

  it('is refused when it is missing or too small', async () => {
    const path = join(folder(), 'meter');
    await expect(FileStorage.open(path)).rejects.toMatchObject({ code: 'storage-missing' });
    writeFileSync(path, new Uint8Array(StorageMap.Bytes - 1));
    await expect(FileStorage.open(path)).rejects.toMatchObject({ code: 'storage-size' });
  });
});
