// The thermometer: when it is asked, which readings count, and what is said of one that fails.
import { beforeAll, describe, expect, it } from 'vitest';
import { Capability, Event, MeterEvent, MilliCelsius } from '../../as/abi/codes.ts';
import { encodeTemperature } from '../../host/meter/parts.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, twinModules } from '../fuzz/checked-core.ts';
import { DirectMeter, plainSettings } from '../fuzz/direct-meter.ts';
import { Prng } from '../fuzz/prng.ts';
import { SimulatedMeter, second, startedWith } from './simulated-meter.ts';

let modules: CheckedModules;
beforeAll(async () => {
  await buildCore();
  modules = await twinModules();
});

const readEverySeconds = 16;
/** Readings in a row that do not count until an event tells so. */
const failuresTold = 4;
const jump = 4_000;

/** A started meter whose thermometer says what `say` does; and when it was asked, s after the start. */
function measuring(say: (seconds: number) => number | undefined): { sim: SimulatedMeter; askedAt: number[] } {
  const askedAt: number[] = [];
  const sim: SimulatedMeter = new SimulatedMeter({
    settings: { reportSeconds: 1 },
    thermometer: () => {
      const seconds = Number(sim.time.nowNs) / 1e9;
      askedAt.push(seconds);
      return say(seconds);
    },
  });
  sim.meter.start();
  return { sim, askedAt };
}

const failed = (sim: SimulatedMeter) => sim.events.filter(({ code }) => code === MeterEvent.ThermometerFailed);
const gaps = (askedAt: number[]) => askedAt.slice(1).map((at, i) => Math.round(at - askedAt[i]!));
const repeated = (times: number, gap: number) => Array.from({ length: times }, () => gap);

describe('the thermometer', () => {
  it('is not asked where the board has none', () => {
    const sim = startedWith();
    sim.run(60);
    expect(sim.info!.capabilities & Capability.Thermometer).toBe(0);
    expect(sim.report!.milliCelsius).toBeUndefined();
    expect(failed(sim)).toEqual([]);
  });

  it('is asked at the start, again after a second, then every 16 s', () => {
    const { sim, askedAt } = measuring((seconds) => 20_000 + Math.round(seconds));
    sim.run(100);
    expect(sim.info!.capabilities & Capability.Thermometer).not.toBe(0);
    expect(askedAt[0]).toBeLessThan(0.1);
    expect(gaps(askedAt)).toEqual([1, ...repeated(6, readEverySeconds)]);
    expect(sim.report!.milliCelsius).toBe(20_097);
  });

  it('is not asked again before it has answered, and nothing counts that was not asked for', () => {
    const capabilities = Capability.Storage | Capability.OwnNetwork | Capability.Thermometer;
    const settings = { ...plainSettings, reportSeconds: 1 };
    const meter = new DirectMeter(modules, new Prng(1), undefined, capabilities, settings);
    const asked: bigint[] = [];
    meter.temperature = () => void asked.push(meter.tick);
    const pass = (seconds: bigint) => {
      meter.tick += seconds * second;
      meter.feed(Event.Wake);
    };
    meter.start();
    pass(3600n);
    expect(asked).toEqual([0n]);
    // The first of these is the answer; the others, which would confirm it, come before another is asked for.
    for (let i = 0; i < 4; i++) meter.feed(Event.Temperature, encodeTemperature(20_000));
    pass(1n);
    expect(meter.report!.milliCelsius).toBeUndefined();
    expect(asked).toEqual([0n, meter.tick]);
    meter.feed(Event.Temperature, encodeTemperature(20_000));
    pass(1n);
    expect(meter.report!.milliCelsius).toBe(20_000);
  });
});

describe('a reading', () => {
  it('counts from the second on; what a sensor says before it has measured does not', () => {
    const { sim } = measuring((seconds) => (seconds < 0.5 ? 0 : 23_062));
    sim.run(1.9);
    expect(sim.report!.milliCelsius).toBeUndefined();
    sim.run(2);
    expect(sim.report!.milliCelsius).toBe(23_062);
    expect(failed(sim)).toEqual([]);
  });

  it.each([
    ['below what a sensor measures', MilliCelsius.Least - 1],
    ['above what a sensor measures', MilliCelsius.Most + 1],
    ['the least number there is', MilliCelsius.None],
    ['the greatest number there is', 0x7fff_ffff],
  ])('%s never counts', (_, value) => {
    const { sim } = measuring(() => value);
    sim.run(200);
    expect(sim.report!.milliCelsius).toBeUndefined();
    expect(failed(sim).map(({ a, b }) => [a, b])).toEqual([[1n, BigInt(value)]]);
  });

  it.each([MilliCelsius.Least, MilliCelsius.Most, 0, -1])('%i thousandths of a degree counts', (value) => {
    const { sim } = measuring(() => value);
    sim.run(5);
    expect(sim.report!.milliCelsius).toBe(value);
  });

  it('that jumped does not count: a byte misread is left out, and good ones follow within seconds', () => {
    const spoilt = 1 + 3 * readEverySeconds;
    const { sim, askedAt } = measuring((seconds) => (Math.floor(seconds) === spoilt ? 87_000 : 23_000));
    const shown = new Set<number | undefined>();
    sim.run(5);
    for (let i = 0; i < 100; i++) {
      sim.run(1);
      shown.add(sim.report!.milliCelsius);
    }
    expect([...shown]).toEqual([23_000]);
    expect(gaps(askedAt).slice(0, 8)).toEqual([
      1,
      ...repeated(3, readEverySeconds),
      1,
      1,
      ...repeated(2, readEverySeconds),
    ]);
    expect(failed(sim)).toEqual([]);
  });

  it('that jumped counts when the next one says the same', () => {
    const { sim } = measuring((seconds) => (seconds < 40 ? 23_000 : 60_000));
    sim.run(45);
    expect(sim.report!.milliCelsius).toBe(23_000);
    sim.run(10);
    expect(sim.report!.milliCelsius).toBe(60_000);
  });

  it.each([
    [jump, true],
    [jump + 1, false],
    [-jump, true],
    [-jump - 1, false],
  ])('%i thousandths from the one before: counts %s', (change, counts) => {
    const { sim } = measuring((seconds) => (seconds < 10 ? 20_000 : 20_000 + change));
    sim.run(17.9);
    expect(sim.report!.milliCelsius).toBe(counts ? 20_000 + change : 20_000);
  });

  it('is reported for five minutes', () => {
    const { sim } = measuring((seconds) => (seconds < 20 ? 23_000 : undefined));
    // The last one comes 17 s after the start.
    sim.run(316);
    expect(sim.report!.milliCelsius).toBe(23_000);
    sim.run(4);
    expect(sim.report!.milliCelsius).toBeUndefined();
  });

  it('after one that failed has to be confirmed again', () => {
    const { sim } = measuring((seconds) => {
      if (seconds < 20) return 23_000;
      return seconds < 34 ? undefined : seconds < 35 ? 90_000 : 24_000;
    });
    sim.run(34.9);
    expect(sim.report!.milliCelsius).toBe(23_000);
    sim.run(3);
    expect(sim.report!.milliCelsius).toBe(24_000);
  });
});

describe('a thermometer that fails', () => {
  it('is told of once, after four readings in a row, and then asked every 16 s', () => {
    const { sim, askedAt } = measuring(() => undefined);
    sim.run(failuresTold - 1.1);
    expect(failed(sim)).toEqual([]);
    sim.run(3 * 3600);
    expect(failed(sim).map(({ a, b, text }) => [a, b, text])).toEqual([[0n, 0n, '']]);
    expect(gaps(askedAt).slice(0, 6)).toEqual([...repeated(3, 1), ...repeated(3, readEverySeconds)]);
  });

  it('is told of again when it had worked, but no more often than once an hour', () => {
    // A minute each: it works, it fails.
    const { sim } = measuring((seconds) => (seconds % 120 < 60 ? 23_000 : undefined));
    sim.run(4 * 3600);
    const told = failed(sim).map(({ uptimeNs }) => Number(uptimeNs / second));
    expect(told.length).toBeGreaterThanOrEqual(3);
    for (const gap of gaps(told)) expect(gap).toBeGreaterThanOrEqual(3600);
    for (const gap of gaps(told)) expect(gap).toBeLessThan(3600 + 240);
  });
});
