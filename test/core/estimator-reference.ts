// The clock's filters again, from the formulas in the comments of as/clock, and the core's own beside them.
// What always holds: the reference has matrices as textbooks have them and shares no code with the core, but for the cut
// Gaussian and the integrals of the terms, which have tests of their own.
import { type CoreExports, loadCore } from './load-core.ts';

type Address = number;

interface ClockExports extends CoreExports {
  testScratch(): Address;
  testInverseRoot(x: number): number;
  testTurn(turns: number, to: Address): void;
  testCutGaussian(mean: number, variance: number, halfWidth: number, to: Address): number;
  testPathTake(source: number, delayNs: bigint): number;
  testPathForget(source: number): void;
  testPathBias(source: number): number;
  testCycleStart(hasThermometer: number): void;
  testCycleTemperature(t: bigint, milliCelsius: number): void;
  testCycle(t: bigint, utc: bigint, mark: number, to: Address): void;
  testEstimatorStart(maxFrequencyErrorPpb: bigint): void;
  testEstimatorBegin(t: bigint, utc: bigint, standard: number): void;
  testEstimatorSample(t: bigint, difference: bigint, halfWidth: number, noise: number): void;
  testEstimatorReopen(seconds: number, frequency: number): void;
  testEstimatorShift(ns: bigint): void;
  testEstimatorFilters(): number;
  testEstimatorStates(filter: number): number;
  testEstimatorFilter(filter: number): Address;
  testEstimate(t: bigint, to: Address): void;
  testDisciplineConfigure(asymmetryPercent: number): void;
  testDisciplineSample(
    source: number,
    t: bigint,
    estimate: bigint,
    delay: bigint,
    rootDistance: bigint,
    own: number,
    known: number,
  ): void;
  testDisciplineUncertaintyNs(t: bigint): bigint;
  testCrystalLoad(from: Address): void;
  testCrystalSave(to: Address): void;
}

export interface Estimate {
  readonly difference: bigint;
  readonly frequency: number;
  readonly variance: number;
  readonly frequencyVariance: number;
  /** How far the last sample was believed. */
  readonly believed: number;
}

/** A new core's clock, with names for what it writes into memory. */
export class ClockCore {
  private constructor(readonly exports: ClockExports) {}

  static async load(): Promise<ClockCore> {
    return new ClockCore(await loadCore<ClockExports>());
  }

  get view(): DataView {
    return new DataView(this.exports.memory.buffer);
  }

  /** Memory that the core never uses. */
  get scratch(): Address {
    return this.exports.testScratch();
  }

  doubles(at: Address, count: number): number[] {
    return Array.from({ length: count }, (_, i) => this.view.getFloat64(at + 8 * i, true));
  }

  turn(turns: number): number[] {
    this.exports.testTurn(turns, this.scratch);
    return this.doubles(this.scratch, 2);
  }

  /** undefined where next to nothing is left. */
  cut(mean: number, variance: number, halfWidth: number): { mass: number; mean: number; variance: number } | undefined {
    if (this.exports.testCutGaussian(mean, variance, halfWidth, this.scratch) === 0) return undefined;
    const [mass, left, leftVariance] = this.doubles(this.scratch, 3);
    return { mass: mass!, mean: left!, variance: leftVariance! };
  }

  cycle(t: bigint, utc: bigint, mark: boolean): { integrals: number[]; terms: number[]; unread: number } {
    this.exports.testCycle(t, utc, mark ? 1 : 0, this.scratch);
    const all = this.doubles(this.scratch, 9);
    return { integrals: all.slice(0, 4), terms: all.slice(4, 8), unread: all[8]! };
  }

  estimate(t: bigint): Estimate {
    this.exports.testEstimate(t, this.scratch);
    const [frequency, variance, frequencyVariance, believed] = this.doubles(this.scratch + 8, 4);
    return {
      difference: this.view.getBigInt64(this.scratch, true),
      frequency: frequency!,
      variance: variance!,
      frequencyVariance: frequencyVariance!,
      believed: believed!,
    };
  }

  /** Weight, state and covariance of each filter. */
  filters(): Filter[] {
    return Array.from({ length: this.exports.testEstimatorFilters() }, (_, index) => {
      const states = this.exports.testEstimatorStates(index);
      const count = 1 + states + (states * (states + 1)) / 2;
      const [weight, ...rest] = this.doubles(this.exports.testEstimatorFilter(index), count);
      const upper = rest.slice(states);
      const covariance = Array.from({ length: states }, () => new Array<number>(states).fill(0));
      for (let i = 0; i < states; i++) {
        for (let j = i; j < states; j++) covariance[i]![j] = covariance[j]![i] = upper.shift()!;
      }
      return { weight: weight!, state: rest.slice(0, states), covariance };
    });
  }
}

export interface Filter {
  weight: number;
  state: number[];
  covariance: number[][];
}

const walks = [1e-18, 9e-18, 1e-16, 9e-16, 1e-14];
/** Of the one with the day's terms. */
const dailyWalk = 1e-18;

const multiply = (a: number[][], b: number[][]) =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)));
const transpose = (a: number[][]) => a[0]!.map((_, j) => a.map((row) => row[j]!));
const identity = (n: number) => Array.from({ length: n }, (_, i) => Array.from({ length: n }, (_, j) => +(i === j)));

/** One positive number's part of another, cut off after 31 binary digits, as both are after the first 32 of theirs. */
function shareOf(part: number, whole: number): number {
  if (part <= 0) return 0;
  const exponent = (value: number) => {
    const about = Math.floor(Math.log2(value));
    return value < 2 ** about ? about - 1 : about;
  };
  const digits = (value: number) => BigInt(Math.floor(value / 2 ** (exponent(value) - 31)));
  const down = BigInt(exponent(whole) - exponent(part));
  return Number(((digits(part) << 31n) / digits(whole)) >> down) / 2 ** 31;
}

/** Whether rounding may decide on which side of a limit a number falls: ends of the cut are rounded. */
const near = (value: number, limit: number) => Math.abs(value / limit - 1) < 1e-6;

/** The bank on a board without a thermometer, or with one that shows a temperature for each step. */
export class ReferenceBank {
  readonly filters: Filter[];
  /** Of the last sample: whether a limit of the cut or of the offset was too near to tell what the core does. */
  undecided = false;
  /** What filters may be as well where rounding decides whether they go on anew, or from which one. */
  readonly alternatives = new Map<number, Filter[]>();
  #at: bigint;
  #anchor: bigint;
  readonly #walks: readonly number[];

  constructor(
    readonly core: ClockCore,
    readonly thermometer: boolean,
    maxFrequencyErrorPpb: number,
    t: bigint,
    utc: bigint,
    standard: number,
  ) {
    const states = thermometer ? walks.map(() => 4) : [...walks.map(() => 2), 6];
    this.#walks = thermometer ? walks : [...walks, dailyWalk];
    this.filters = states.map((n) => {
      const covariance = identity(n).map((row) => row.map((one) => one * 4e-6 ** 2));
      covariance[0]![0] = standard ** 2;
      covariance[1]![1] = (0.5e-9 * maxFrequencyErrorPpb) ** 2;
      return { weight: 1 / states.length, state: new Array<number>(n).fill(0), covariance };
    });
    this.#at = t;
    this.#anchor = utc - t;
  }

  /** Before the core takes the same sample: the integrals are those that it will use. */
  sample(t: bigint, difference: bigint, halfWidth: number, noise: number): void {
    const seconds = Number(t - this.#at) * 1e-9;
    const { integrals, terms, unread } = this.core.cycle(t, t + this.#anchor, false);
    const value = Number(difference - this.#anchor) * 1e-9;
    this.undecided = false;
    this.alternatives.clear();
    let stray = 0;
    for (const [index, filter] of this.filters.entries()) {
      const n = filter.state.length;
      const step = identity(n);
      step[0] = [1, seconds, ...integrals.slice(0, n - 2)];
      const q = identity(n).map((row) => row.map((one) => one * seconds * (this.thermometer ? 1e-21 : 1e-18)));
      const walk = this.#walks[index]!;
      // A temperature that is not read is half a unit off, all the time.
      const slope = this.thermometer ? filter.state[2]! + 2 * terms[0]! * filter.state[3]! : 0;
      q[0]![0] = (walk * seconds ** 3) / 3 + (slope * 0.5 * unread) ** 2;
      q[0]![1] = q[1]![0] = (walk * seconds ** 2) / 2;
      q[1]![1] = walk * seconds;
      const p = multiply(multiply(step, filter.covariance), transpose(step)).map((row, i) =>
        row.map((one, j) => one + q[i]![j]!),
      );
      const x = multiply(
        step,
        filter.state.map((one) => [one]),
      ).map(([one]) => one!);
      const innovation = value - x[0]!;
      const prior = p[0]![0]! + noise;
      const deviation = Math.sqrt(prior);
      // The filter that supposes least says over what the stray samples lie.
      if (index === 0) stray = (1e-3 * halfWidth) / (halfWidth + 0.05 + 3 * deviation);
      const ends = [innovation - halfWidth, innovation + halfWidth];
      this.undecided ||= ends.some((end) => near(Math.abs(end) / deviation, 4.5));
      this.undecided ||= near((2 * halfWidth) / deviation, 0.2);
      const cut = this.core.cut(innovation, prior, halfWidth);
      const honest = (1 - 1e-3) * (cut?.mass ?? 0);
      const share = shareOf(honest, honest + stray);
      const move = innovation - (cut?.mean ?? 0);
      // Two cases: the sample is true, and the Gaussian is the cut one; or it is stray, and nothing changes.
      const mean = share * move;
      const left = share * ((cut?.variance ?? 0) + (move - mean) ** 2) + (1 - share) * (prior + mean ** 2);
      const gain = p[0]!.map((one) => one / prior);
      filter.state = x.map((one, i) => one + gain[i]! * mean);
      filter.covariance = p.map((row, i) => row.map((one, j) => one - gain[i]! * gain[j]! * (prior - left)));
      filter.weight *= honest + stray;
    }
    this.#at = t;
    this.#weigh(terms);
    this.#settle();
  }

  // Offsets of a second or more, on average, become part of what they count from, which has whole ns.
  #settle(): void {
    const mean = this.#mean;
    this.undecided ||= near(Math.abs(mean), 1);
    if (Math.abs(mean) < 1) return;
    for (const [index, others] of this.alternatives) {
      const far = Math.max(...others.map(({ state }) => Math.abs(state[0]! - this.filters[index]!.state[0]!)));
      this.undecided ||= far * 1e-7 > 1e-10;
    }
    this.#anchor += BigInt(Math.trunc(mean * 1e9));
    const all = [...this.filters, ...[...this.alternatives.values()].flat()];
    for (const { state } of all) state[0]! -= mean;
  }

  /** UTC minus local time at the last sample, ns. */
  get difference(): bigint {
    return this.#anchor + BigInt(Math.trunc(this.#mean * 1e9));
  }

  get #mean(): number {
    return this.filters.reduce((total, { weight, state }) => total + weight * state[0]!, 0);
  }

  // Those that have failed go on from the best one without the day's terms.
  #weigh(terms: readonly number[]): void {
    const sum = this.filters.reduce((total, { weight }) => total + weight, 0);
    for (const filter of this.filters) filter.weight /= sum;
    const walking = this.filters.slice(0, walks.length);
    const ranked = structuredClone(walking.toSorted((a, b) => b.weight - a.weight));
    const best = ranked.filter(({ weight }) => weight === ranked[0]!.weight || near(weight, ranked[0]!.weight));
    for (const [index, filter] of this.filters.entries()) {
      const anew = best.map((from) => ({
        ...(index < walks.length ? from : renewed(filter, from, terms)),
        weight: 1e-7,
      }));
      const fails = filter.weight < 1e-7;
      const doubtful = near(filter.weight, 1e-7);
      if (doubtful || (fails && anew.length > 1)) {
        this.alternatives.set(index, structuredClone(doubtful ? [{ ...filter, weight: 1e-7 }, ...anew] : anew));
      }
      if (fails) Object.assign(filter, structuredClone(anew[0]));
    }
  }
}

// What the terms make of the frequency now is no part of the state's: f = F - g · c, with F and c independent.
function renewed(filter: Filter, from: Filter, terms: readonly number[]): Filter {
  const coefficients = filter.state.slice(2);
  const split = identity(filter.state.length);
  split[1] = [0, 1, ...coefficients.map((_, k) => -terms[k]!)];
  const independent = filter.covariance.map((row, i) =>
    row.map((value, j) => (i < 2 && j < 2 ? from.covariance[i]![j]! : i < 2 || j < 2 ? 0 : value)),
  );
  const state = multiply(
    split,
    [...from.state, ...coefficients].map((one) => [one]),
  ).map(([one]) => one!);
  return { weight: filter.weight, state, covariance: multiply(multiply(split, independent), transpose(split)) };
}
