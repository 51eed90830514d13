// A filter that knows what no client can: the oscillator's random walk, temperature, sine and aging, and each route's base
// delay. What it reaches on the samples of a run is what any clock can reach, but for luck.
// What always holds: it takes the same samples as the meter, when the meter gets them.
import type { OscillatorCase } from './cases.ts';
import type { Oscillator } from './oscillator.ts';

/** Noise of a sample without any queue, ns^2: a tick's length. */
const leastNoise = 40 ** 2 / 12;

/** Offset, ns, and frequency, ppb, as a Kalman filter with the exact covariance of an integrated random walk. */
export class Oracle {
  #offset = 0;
  #frequency = 0;
  #p00 = 0;
  #p01 = 0;
  #p11: number;
  #atNs = Number.NaN;
  readonly #q: number;

  constructor(
    readonly oscillator: Oscillator,
    { walkPpb, offsetPpb }: OscillatorCase['oscillator'],
  ) {
    this.#q = walkPpb ** 2;
    this.#p11 = Math.max(offsetPpb ** 2, 1);
  }

  get hasTime(): boolean {
    return !Number.isNaN(this.#atNs);
  }

  /**
   * Takes a sample.
   *
   * @param atNs true time
   * @param measuredNs local minus true time as measured there, without what the bases differ by, ns
   * @param excessNs both delays beyond their bases: queues drawn alike share it evenly, so it is off by up to a half
   */
  sample(atNs: number, measuredNs: number, excessNs: number): void {
    const noise = excessNs ** 2 / 12 + leastNoise;
    const measured = measuredNs - this.oscillator.knownOffsetAt(atNs);
    if (!this.hasTime) {
      this.#offset = measured;
      this.#p00 = noise;
      this.#atNs = atNs;
      return;
    }
    const dt = (atNs - this.#atNs) / 1e9;
    this.#offset += this.#frequency * dt;
    this.#p00 += dt * (2 * this.#p01 + dt * this.#p11) + (this.#q * dt ** 3) / 3;
    this.#p01 += dt * this.#p11 + (this.#q * dt ** 2) / 2;
    this.#p11 += this.#q * dt;
    this.#atNs = atNs;
    const innovation = measured - this.#offset;
    const variance = this.#p00 + noise;
    const [k0, k1] = [this.#p00 / variance, this.#p01 / variance];
    this.#offset += k0 * innovation;
    this.#frequency += k1 * innovation;
    this.#p11 -= k1 * this.#p01;
    this.#p01 -= k0 * this.#p01;
    this.#p00 -= k0 * this.#p00;
  }

  /** Its error of local minus true time at a full second, ns. */
  errorNs(second: number): number {
    const known = this.oscillator.knownOffsetNs?.[second] ?? 0;
    const estimate = this.#offset + this.#frequency * (second - this.#atNs / 1e9);
    return estimate + known - this.oscillator.offsetNs[second]!;
  }

  /** Its error of the frequency, ppb. */
  errorPpb(second: number): number {
    return this.#frequency + this.oscillator.knownPpb(second) - this.oscillator.ppb[second]!;
  }
}
