// The oscillator of a simulated meter, drawn second by second, and the meter's counter on it.
// What always holds: the frequency is constant within a second; the same seed gives the same oscillator, whatever the
// meter does.
import type { VirtualTime } from '../../host/meter/clocks.ts';
import type { Cancel, MeterClock } from '../../host/meter/parts.ts';
import { Prng } from '../../test/fuzz/prng.ts';
import type { OscillatorCase } from './cases.ts';
import { Normal } from './random.ts';

const daySeconds = 86_400;
const yearSeconds = 31_557_600;

/** Time constants of the flicker's parts: so many times the one before, from this one on, s. */
const flickerRatio = 4;
const flickerParts = 12;

/**
 * Flicker of frequency with this Allan deviation, in ppb a second: a sum of Ornstein-Uhlenbeck processes whose time
 * constants are evenly spread over the scales. One of variance s2 for each factor r has the spectrum s2 / (f ln r), and
 * 1/f noise h / f has the Allan variance 2 ln 2 h.
 */
class Flicker {
  readonly #values: Float64Array;
  readonly #keep: Float64Array;
  readonly #add: Float64Array;

  constructor(
    ppb: number,
    readonly normal: Normal,
  ) {
    const standard = ppb * Math.sqrt(Math.log(flickerRatio) / (2 * Math.LN2));
    this.#keep = Float64Array.from({ length: flickerParts }, (_, n) => Math.exp(-1 / (0.5 * flickerRatio ** n)));
    this.#add = this.#keep.map((keep) => standard * Math.sqrt(1 - keep * keep));
    this.#values = Float64Array.from({ length: flickerParts }, () => standard * normal.next());
  }

  next(): number {
    let sum = 0;
    for (let n = 0; n < flickerParts; n++) {
      const value = this.#values[n]! * this.#keep[n]! + this.#add[n]! * this.normal.next();
      this.#values[n] = value;
      sum += value;
    }
    return sum;
  }
}

/** Temperature of the cabinet and what the crystal makes of it. */
class Cabinet {
  readonly #phase: number;
  #weatherK: number;
  readonly #keep: number;
  readonly #add: number;
  readonly #meanK: number;

  constructor(
    readonly temperature: NonNullable<OscillatorCase['temperature']>,
    readonly crystal: NonNullable<OscillatorCase['oscillator']['crystal']>,
    random: Prng,
    readonly normal: Normal,
  ) {
    const drawn = random.fraction();
    this.#phase = temperature.phase === 'drawn' ? 2 * Math.PI * drawn : 0;
    const { standardK, hours } = temperature.weather ?? { standardK: 0, hours: 1 };
    this.#keep = Math.exp(-1 / (hours * 3600));
    this.#add = standardK * Math.sqrt(1 - this.#keep * this.#keep);
    this.#weatherK = standardK * normal.next();
    this.#meanK = temperature.meanC - crystal.turningC;
  }

  /** K above the crystal's turning point. */
  at(second: number): number {
    const { dailyK, dailyPpb, weather } = this.temperature;
    const swing = Math.sin((2 * Math.PI * second) / daySeconds + this.#phase);
    if (weather !== undefined) this.#weatherK = this.#weatherK * this.#keep + this.#add * this.normal.next();
    // The temperature at which the crystal's frequency swings by just so much.
    const meanK =
      dailyPpb === 0
        ? this.#meanK + dailyK * swing
        : Math.sign(this.#meanK) *
          Math.sqrt(Math.max(0, this.#meanK ** 2 + (dailyPpb * swing) / (1000 * this.crystal.ppmPerK2)));
    return meanK + this.#weatherK;
  }

  ppb(kelvin: number): number {
    return 1000 * this.crystal.ppmPerK2 * kelvin * kelvin;
  }
}

export class Oscillator {
  /** Frequency error within each second, and the part of it that an oracle knows, ppb. */
  readonly ppb: Float64Array;
  readonly #seconds: number;
  /** Local minus true time at each full second, ns, and the known part of it. */
  readonly offsetNs: Float64Array;
  readonly knownOffsetNs: Float64Array | undefined;
  /** Temperature at each full second, where there is one, °C. */
  readonly celsius: Float32Array | undefined;

  constructor({ seconds, oscillator, temperature }: OscillatorCase, seed: number) {
    const random = new Prng(seed);
    const [walk, flicker, cabinet] = [random.fork(), random.fork(), random.fork()];
    const normal = new Normal(walk);
    const { offsetPpb, walkPpb, flickerPpb, agingPpmPerYear, sine, steps, crystal } = oscillator;
    const flickering = flickerPpb > 0 ? new Flicker(flickerPpb, new Normal(flicker)) : undefined;
    const air =
      temperature !== undefined && crystal !== undefined
        ? new Cabinet(temperature, crystal, cabinet, new Normal(cabinet))
        : undefined;
    const aging = (1000 * agingPpmPerYear) / yearSeconds;
    const known = aging !== 0 || sine !== undefined || steps.length > 0 || air !== undefined;
    this.#seconds = seconds;
    this.ppb = new Float64Array(seconds + 1);
    this.offsetNs = new Float64Array(seconds + 1);
    this.knownOffsetNs = known ? new Float64Array(seconds + 1) : undefined;
    this.celsius = air === undefined ? undefined : new Float32Array(seconds + 1);
    let walked = 0;
    let offsetNs = 0;
    let knownNs = 0;
    for (let second = 0; second <= seconds; second++) {
      this.offsetNs[second] = offsetNs;
      walked += walkPpb * normal.next();
      let ppb = offsetPpb + walked;
      if (flickering !== undefined) ppb += flickering.next();
      if (known) {
        let knownPpb = aging * second;
        if (sine !== undefined) knownPpb += sine.ppb * Math.sin((2 * Math.PI * second) / (3600 * sine.hours));
        for (const { atHours, ppb: step } of steps) if (second >= atHours * 3600) knownPpb += step;
        if (air !== undefined) {
          const kelvin = air.at(second);
          this.celsius![second] = crystal!.turningC + kelvin;
          knownPpb += air.ppb(kelvin);
        }
        this.knownOffsetNs![second] = knownNs;
        knownNs += knownPpb;
        ppb += knownPpb;
      }
      this.ppb[second] = ppb;
      offsetNs += ppb;
    }
  }

  /** Local minus true time at a true one, ns; beyond the end the last frequency goes on. */
  offsetAt(trueNs: number): number {
    const second = Math.min(Math.floor(trueNs / 1e9), this.#seconds);
    return this.offsetNs[second]! + this.ppb[second]! * (trueNs / 1e9 - second);
  }

  /** The part of `offsetAt` that an oracle knows. */
  knownOffsetAt(trueNs: number): number {
    const known = this.knownOffsetNs;
    if (known === undefined) return 0;
    const second = Math.min(Math.floor(trueNs / 1e9), this.#seconds - 1);
    const from = known[second]!;
    return from + (known[second + 1]! - from) * (trueNs / 1e9 - second);
  }

  /** The known part of the frequency within a second, ppb. */
  knownPpb(second: number): number {
    const known = this.knownOffsetNs;
    const at = Math.min(second, this.#seconds - 1);
    return known === undefined ? 0 : known[at + 1]! - known[at]!;
  }
}

/** The counter of a meter on such an oscillator. */
export class OscillatorClock implements MeterClock {
  constructor(
    readonly time: VirtualTime,
    readonly oscillator: Oscillator,
    readonly tickHz: number,
  ) {}

  /** The counter at a true time. */
  ticksAt(trueNs: number): number {
    return Math.floor(((trueNs + this.oscillator.offsetAt(trueNs)) * this.tickHz) / 1e9);
  }

  nowTicks(): bigint {
    return BigInt(this.ticksAt(Number(this.time.nowNs)));
  }

  at(tick: bigint, callback: () => void): Cancel {
    const ticks = Number(tick);
    const localNs = (ticks * 1e9) / this.tickHz;
    // At 100 ppm each round divides what is missing by 10,000.
    let trueNs = localNs;
    for (let round = 0; round < 4; round++) trueNs = localNs - this.oscillator.offsetAt(trueNs);
    trueNs = Math.max(0, Math.floor(trueNs));
    while (this.ticksAt(trueNs) < ticks) trueNs++;
    return this.time.schedule(BigInt(trueNs), callback);
  }
}
