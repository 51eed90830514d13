// A thermometer that answers anything, when it was asked and when it was not, against a second reading of which of its
// answers count, for how long, and when its failure is told.
import {
  Capability,
  Event,
  MeterEvent,
  MilliCelsius,
  TemperatureField,
  TemperatureStatus,
} from '../../as/abi/codes.ts';
import { DirectMeter, plainSettings } from './direct-meter.ts';
import type { Prng } from './prng.ts';
import type { Target } from './targets.ts';

const second = 1_000_000_000n;

/** What has to come of the answers, in numbers of node. */
class Expected {
  asked = false;
  told: (readonly [bigint, bigint])[] = [];
  #last: { value: number; tick: bigint } | undefined;
  #before: number | undefined;
  #failures = 0;
  #isTold = false;
  #tellFrom = 0n;

  at(tick: bigint): number | undefined {
    return this.#last !== undefined && tick - this.#last.tick <= 300n * second ? this.#last.value : undefined;
  }

  answer(tick: bigint, payload: Uint8Array): void {
    if (!this.asked || payload.length < TemperatureField.Bytes) return;
    this.asked = false;
    const answers = payload[TemperatureField.Status] === TemperatureStatus.Measured;
    const said = new DataView(payload.buffer, payload.byteOffset).getInt32(TemperatureField.MilliCelsius, true);
    const value = answers && said >= MilliCelsius.Least && said <= MilliCelsius.Most ? said : undefined;
    const before = this.#before;
    this.#before = value;
    if (value !== undefined && before !== undefined && Math.abs(value - before) <= 4_000) {
      this.#last = { value, tick };
      this.#failures = 0;
      this.#isTold = false;
    } else if (++this.#failures >= 4 && !this.#isTold && tick >= this.#tellFrom) {
      this.#isTold = true;
      this.#tellFrom = tick + 3_600n * second;
      this.told.push(answers ? [1n, BigInt(said)] : [0n, 0n]);
    }
  }
}

function randomAnswer(random: Prng, near: number): Uint8Array {
  const payload = random.bytes(random.chance(0.95) ? TemperatureField.Bytes + random.size(8) : random.below(8));
  if (payload.length < TemperatureField.Bytes) return payload;
  payload[TemperatureField.Status] = random.chance(0.9) ? TemperatureStatus.Measured : random.u32();
  const edge = random.pick([MilliCelsius.Least, MilliCelsius.Most, MilliCelsius.None, 0x7fff_ffff, near]);
  const value = random.chance(0.1) ? random.u32() : (random.chance(0.1) ? edge : near) + random.between(-1, 1);
  new DataView(payload.buffer).setUint32(TemperatureField.MilliCelsius, value >>> 0, true);
  return payload;
}

export const thermometerTarget: Target = {
  name: 'thermometer',
  about: 'any answers of a thermometer, asked for or not, against a second reading',
  round: (random, modules) => {
    const capabilities = Capability.Storage | Capability.OwnNetwork | Capability.Thermometer;
    const settings = { ...plainSettings, reportSeconds: 1 };
    const meter = new DirectMeter(modules, random, undefined, capabilities, settings);
    const expected = new Expected();
    meter.temperature = () => {
      if (expected.asked) meter.fail('it is asked again before it has answered');
      expected.asked = true;
      return undefined;
    };
    const check = () => {
      const { report, reportTick } = meter;
      if (report !== undefined && reportTick === meter.tick && report.milliCelsius !== expected.at(meter.tick)) {
        meter.fail(`${report.milliCelsius} is reported instead of ${expected.at(meter.tick)}`);
      }
      const told = meter.events.filter(({ code }) => code === MeterEvent.ThermometerFailed);
      if (told.map(({ a, b }) => `${a}, ${b}`).join('; ') !== expected.told.map((each) => each.join(', ')).join('; ')) {
        meter.fail(`told ${told.length} failures instead of ${expected.told.length}, or other ones`);
      }
    };
    meter.start();
    const inputs = 300;
    let near = random.between(MilliCelsius.Least, MilliCelsius.Most);
    for (let i = 0; i < inputs; i++) {
      meter.asked = [];
      if (random.chance(0.02)) meter.tick += BigInt(random.between(1, 5_000)) * second;
      meter.toWake();
      check();
      if (!expected.asked && random.chance(0.9)) continue;
      meter.tick += BigInt(random.below(1_000_000));
      if (random.chance(0.2)) near += random.pick([-4_000, 4_000, random.between(-5_000, 5_000)]);
      const payload = randomAnswer(random, near);
      expected.answer(meter.tick, payload);
      meter.feed(Event.Temperature, payload);
      check();
    }
    return inputs;
  },
};
