// The clock's filters against a second writing of their formulas, and against all that events allow.
import { beforeEach, describe, expect, it } from 'vitest';
import { ClockCore, type Filter, ReferenceBank } from './estimator-reference.ts';
import { type SeededRandom, seededRandom } from './random.ts';

const second = 1_000_000_000n;
const day = 86_400n * second;
const start = 1_795_000_000n * second;

const unit = (random: SeededRandom) => random.below(2 ** 32) / 2 ** 32;
/** Evenly spread over the orders of magnitude. */
const spread = (random: SeededRandom, least: number, most: number) => least * (most / least) ** unit(random);
const ns = (seconds: number) => BigInt(Math.round(seconds * 1e9));

let core: ClockCore;
beforeEach(async () => {
  core = await ClockCore.load();
});

/** The least eigenvalue of a covariance's correlations, by Jacobi's rotations: negative where it is no covariance. */
function leastEigenvalue(covariance: readonly (readonly number[])[]): number {
  const deviations = covariance.map((row, i) => Math.sqrt(row[i]!));
  const a = covariance.map((row, i) => row.map((value, j) => value / deviations[i]! / deviations[j]!));
  const rotate = (p: number, q: number) => {
    const angle = 0.5 * Math.atan2(2 * a[p]![q]!, a[q]![q]! - a[p]![p]!);
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    for (const row of a) [row[p], row[q]] = [c * row[p]! - s * row[q]!, s * row[p]! + c * row[q]!];
    for (const k of a.keys()) [a[p]![k], a[q]![k]] = [c * a[p]![k]! - s * a[q]![k]!, s * a[p]![k]! + c * a[q]![k]!];
  };
  for (let sweep = 0; sweep < 8; sweep++) {
    for (let p = 0; p < a.length; p++) for (let q = p + 1; q < a.length; q++) rotate(p, q);
  }
  return Math.min(...a.map((row, i) => row[i]!));
}

function checkBank(t: bigint): void {
  for (const { weight, state, covariance } of core.filters()) {
    expect(weight > 0 && state.every(Number.isFinite)).toBe(true);
    expect(covariance.every((row, i) => row[i]! > 0)).toBe(true);
    // Rounding may take as much.
    expect(leastEigenvalue(covariance)).toBeGreaterThan(-1e-10);
  }
  for (const later of [0n, 64n * second, 90n * day]) {
    const { variance, frequencyVariance, frequency } = core.estimate(t + later);
    expect(variance).toBeGreaterThan(0);
    expect(frequencyVariance).toBeGreaterThan(0);
    expect(Number.isFinite(frequency)).toBe(true);
    expect(core.exports.testDisciplineUncertaintyNs(t + later)).toBeGreaterThan(0n);
  }
}

/** By how much two filters differ at most: as a share of the weight, or in standard deviations of a state. */
function differ(actual: Filter, expected: Filter): number {
  let most = 0;
  const compare = (a: number, b: number, size: number) => {
    most = Math.max(most, Math.abs(a - b) / size);
  };
  const deviations = expected.covariance.map((row, i) => Math.sqrt(row[i]!));
  compare(actual.weight, expected.weight, expected.weight);
  for (const [i, value] of actual.state.entries()) compare(value, expected.state[i]!, deviations[i]!);
  for (const [i, row] of actual.covariance.entries()) {
    for (const [j, value] of row.entries()) {
      compare(value, expected.covariance[i]![j]!, deviations[i]! * deviations[j]!);
    }
  }
  return most;
}

describe('the bank', () => {
  it.each([
    ['without a thermometer', false],
    ['with one', true],
  ])('is what its formulas say, over random lives: %s', async (name, thermometer) => {
    const random = seededRandom(`estimator: ${name}`);
    let leftOut = 0;
    for (let life = 0; life < 20; life++) {
      core = await ClockCore.load();
      const { exports } = core;
      exports.testCycleStart(thermometer ? 1 : 0);
      exports.testEstimatorStart(100_000n);
      let t = BigInt(random.below(2 ** 31)) * 1000n;
      const utc = start + BigInt(random.below(86_400)) * second;
      // Every other life so fast or slow that offsets of a second are reached.
      const frequency = (unit(random) - 0.5) * [1e-5, 1e-4][life % 2]!;
      const standard = spread(random, 1e-6, 1e-2);
      const bank = new ReferenceBank(core, thermometer, 100_000, t, utc, standard);
      let milliCelsius = 20_000 + random.below(10_000);
      if (thermometer) exports.testCycleTemperature(t, milliCelsius);
      exports.testEstimatorBegin(t, utc, standard);
      let difference = utc - t;
      for (let sample = 0; sample < 60; sample++) {
        milliCelsius += random.below(2001) - 1000;
        if (thermometer) exports.testCycleTemperature(t, milliCelsius);
        const seconds = random.below(10) === 0 ? 0 : spread(random, 1, 5000);
        t += ns(seconds);
        difference += ns(frequency * seconds);
        const halfWidth = spread(random, 1e-6, 1e-2);
        const stray = random.below(20) === 0 ? 0.04 : 0;
        const noise = spread(random, 1e-11, 1e-8);
        const measured = difference + ns((unit(random) - 0.5) * 2 * halfWidth + stray);
        bank.sample(t, measured, halfWidth, noise);
        exports.testEstimatorSample(t, measured, halfWidth, noise);
        const filters = core.filters();
        // What counts from another offset on, or not, cannot be compared any more.
        if (bank.undecided) {
          leftOut++;
          break;
        }
        for (const [index, filter] of filters.entries()) {
          const expected = [bank.filters[index]!, ...(bank.alternatives.get(index) ?? [])];
          expect(Math.min(...expected.map((one) => differ(filter, one)))).toBeLessThan(1e-4);
        }
        // From the same bits on: what is just above a limit here, and just below there, makes all the difference.
        bank.filters.splice(0, Infinity, ...filters);
        expect(Math.abs(Number(core.estimate(t).difference - bank.difference))).toBeLessThanOrEqual(1);
      }
    }
    // Of 1200 samples.
    expect(leftOut).toBeLessThan(4);
  });

  it('stays a covariance whatever it is told: 90 days without samples, steps of years, any half-width and temperature', async () => {
    const random = seededRandom('estimator: anything');
    for (let life = 0; life < 60; life++) {
      core = await ClockCore.load();
      const { exports } = core;
      const thermometer = random.below(2) === 0;
      exports.testCycleStart(thermometer ? 1 : 0);
      exports.testEstimatorStart(BigInt(Math.round(spread(random, 1e3, 1e9))));
      exports.testDisciplineConfigure(random.below(101));
      let t = BigInt(random.below(2 ** 31)) * 1000n;
      let difference = start + ns(unit(random) * 3e8);
      exports.testEstimatorBegin(t, t + difference, spread(random, 1e-9, 1e3));
      for (let sample = 0; sample < 100; sample++) {
        const [least, most] = [
          [1e-9, 1e-9],
          [1, 3000],
          [1, 3000],
          [1e5, 90 * 86_400],
        ][random.below(4)]!;
        const seconds = random.below(10) === 0 ? 0 : spread(random, least!, most!);
        for (let reading = 0; thermometer && reading < random.below(4); reading++) {
          exports.testCycleTemperature(t, [-55_000, 125_000, 25_000, 15_000 + random.below(20_000)][random.below(4)]!);
        }
        t += ns(seconds);
        difference += ns((unit(random) - 0.5) * seconds * [1e-7, 1e-4][random.below(2)]!);
        if (random.below(50) === 0) difference += ns((unit(random) - 0.5) * [1, 6e8][random.below(2)]!);
        const halfWidth = random.below(4) === 0 ? 1e-9 : spread(random, 1e-9, 1.5);
        const noise = random.below(2) === 0 ? 4e-12 : spread(random, 4e-12, 10);
        exports.testEstimatorSample(t, difference + ns((unit(random) - 0.5) * 2 * halfWidth), halfWidth, noise);
        if (random.below(50) === 0) exports.testEstimatorReopen(spread(random, 1e-6, 1e9), spread(random, 1e-9, 1e-2));
        if (random.below(50) === 0) exports.testEstimatorShift(ns((unit(random) - 0.5) * 1e8));
        if (random.below(100) === 0) exports.testEstimatorBegin(t, t + difference, spread(random, 1e-9, 1e3));
        checkBank(t);
      }
    }
  });

  it('is as sure whether it was asked a moment before or not, also when the temperature has changed since', async () => {
    const uncertainties = async (askedBefore: boolean) => {
      const { exports } = await ClockCore.load();
      exports.testCycleStart(1);
      exports.testEstimatorStart(100_000n);
      exports.testCycleTemperature(0n, 20_000);
      exports.testEstimatorBegin(0n, start, 1e-3);
      const found: bigint[] = [];
      for (let t = 64n * second; t < 1000n * second; t += 64n * second) {
        exports.testEstimatorSample(t, start + t / 1_000_000n, 1e-4, 4e-10);
        for (let later = t + second / 3n; later < t + 4n * second; later += second / 3n) {
          if (askedBefore) exports.testDisciplineUncertaintyNs(later);
          exports.testCycleTemperature(later, 20_000 + Number((later / (second / 3n)) % 7n) * 5000);
          found.push(exports.testDisciplineUncertaintyNs(later));
        }
      }
      return found;
    };
    expect(await uncertainties(true)).toEqual(await uncertainties(false));
  });

  it('believes a sample after 90 days of which nothing is known', () => {
    const { exports } = core;
    exports.testCycleStart(0);
    exports.testEstimatorStart(100_000n);
    exports.testEstimatorBegin(0n, start, 1e-3);
    // 50 ppm: as much as was supposed.
    const off = 90n * 86_400n * 50_000n;
    let t = 90n * day;
    for (let sample = 0; sample < 4; sample++, t += 16n * second) {
      exports.testEstimatorSample(t, start + off, 1e-3, 4e-10);
      const { believed, difference } = core.estimate(t);
      expect(believed).toBeGreaterThan(0.99);
      expect(Math.abs(Number(difference - start - off))).toBeLessThan(1e9);
    }
    const { variance, difference } = core.estimate(t - 16n * second);
    expect(Math.abs(Number(difference - start - off))).toBeLessThan(2e6);
    expect(Math.sqrt(variance)).toBeLessThan(2e-3);
  });

  it('follows a step of the frequency by 1 ppm, and one of the phase once it is insisted on', () => {
    const { exports } = core;
    exports.testCycleStart(0);
    exports.testEstimatorStart(100_000n);
    exports.testEstimatorBegin(0n, start, 1e-3);
    const random = seededRandom('estimator: steps');
    let t = 0n;
    let difference = start;
    const sample = (frequency: number) => {
      t += 1024n * second;
      difference += ns(frequency * 1024);
      exports.testEstimatorSample(t, difference + ns((unit(random) - 0.5) * 2e-4), 1e-4, 4e-10);
      return Math.abs(Number(core.estimate(t).difference - difference)) * 1e-9;
    };
    for (let i = 0; i < 60; i++) sample(3e-6);
    for (let i = 0; i < 8; i++) sample(4e-6);
    expect(sample(4e-6)).toBeLessThan(2e-4);
    expect(Math.abs(core.estimate(t).frequency - 4e-6)).toBeLessThan(4e-7);
    difference += ns(0.02);
    expect(sample(4e-6)).toBeGreaterThan(0.01);
    exports.testEstimatorReopen(0.02, 0);
    expect(sample(4e-6)).toBeLessThan(1e-3);
  });

  it('knows the day again a day and a half after a step of the frequency by 2 ppm', async () => {
    const random = seededRandom('estimator: a step within the day');
    for (let life = 0; life < 20; life++) {
      core = await ClockCore.load();
      const { exports } = core;
      exports.testCycleStart(0);
      exports.testEstimatorStart(100_000n);
      exports.testEstimatorBegin(0n, start, 1e-3);
      const phase = 2 * Math.PI * unit(random);
      const angle = (t: bigint) => (2 * Math.PI * (Number(t) * 1e-9)) / 86_400 + phase;
      // 7 ppm to both sides.
      const phaseSeconds = (t: bigint) => 0.096 * Math.sin(angle(t));
      let stepped = 0;
      let t = 0n;
      while (t < 5n * day) {
        t += ns(900 + 100 * unit(random));
        stepped = Math.max(0, Number(t - 2n * day) * 2e-15);
        const [out, back] = [unit(random), unit(random)].map((one) => -1e-3 * Math.log(1 - one)) as [number, number];
        const halfWidth = exports.testPathTake(0, 20_000_000n + ns(out + back));
        const difference = start + ns(phaseSeconds(t) - phaseSeconds(0n) + stepped + (out - back) / 2);
        exports.testEstimatorSample(t, difference, halfWidth, 4e-10);
        if (t < 3n * day + day / 2n) continue;
        expect(core.filters().at(-1)!.weight).toBeGreaterThan(0.9);
        // Half a day ahead, where the frequency is another by up to 14 ppm.
        const ahead = t + day / 2n;
        const truth = start + ns(phaseSeconds(ahead) - phaseSeconds(0n) + stepped + 0.0864);
        expect(Math.abs(Number(core.estimate(ahead).difference - truth))).toBeLessThan(20e6);
      }
    }
  });
});

describe('the way to a server', () => {
  const exponential = (random: SeededRandom, mean: number) => -mean * Math.log(1 - unit(random));

  it('has a half-width above zero for any delay, also the same one a million times', () => {
    const take = (delay: bigint) => core.exports.testPathTake(0, delay);
    for (const delay of [0n, 1n, 20_000_000n, 3_000_000_000n, 1n << 62n]) {
      let least = Infinity;
      for (let i = 0; i < 200_000; i++) least = Math.min(least, take(delay));
      expect(least).toBeGreaterThan(0);
    }
    const random = seededRandom('path: any delay');
    for (let i = 0; i < 20_000; i++) {
      const delay = ns(random.below(300) === 0 ? 3 * unit(random) : exponential(random, 1e-3));
      expect(take(delay)).toBeGreaterThan(0);
    }
  });

  it.each([0.1, 2])(
    'covers what its queues do, soon after a route that is %s s longer counts as the shortest',
    (longer) => {
      const random = seededRandom('path: a longer route');
      let inside = 0;
      let all = 0;
      for (let life = 0; life < 50; life++) {
        core.exports.testPathForget(0);
        for (let i = 0; i < 400; i++) {
          const [out, back] = [exponential(random, 1e-3), exponential(random, 1e-3)];
          const halfWidth = core.exports.testPathTake(0, ns((i < 200 ? 1e-3 : longer) + out + back));
          expect(halfWidth).toBeGreaterThan(0);
          // Of the last ones, the shorter route is forgotten.
          if (i < 300) continue;
          all++;
          if (Math.abs(out - back) / 2 <= halfWidth) inside++;
        }
      }
      expect(inside / all).toBeGreaterThan(0.9);
    },
  );
});

describe('what is cut of a Gaussian', () => {
  it('is what numeric integration says', () => {
    const random = seededRandom('cut Gaussian');
    for (let i = 0; i < 2000; i++) {
      const deviation = spread(random, 1e-7, 10);
      const halfWidth = deviation * spread(random, 1e-3, 20);
      const mean = (unit(random) - 0.5) * 2 * (halfWidth + 4 * deviation);
      const cut = core.cut(mean, deviation ** 2, halfWidth)!;
      const from = Math.max(-halfWidth, mean - 9 * deviation);
      const to = Math.min(halfWidth, mean + 9 * deviation);
      const steps = 2000;
      const moments = [0, 0, 0];
      for (let k = 0; k < steps; k++) {
        const x = from + ((k + 0.5) * (to - from)) / steps;
        const density = Math.exp(-0.5 * ((x - mean) / deviation) ** 2) / deviation / Math.sqrt(2 * Math.PI);
        for (const power of [0, 1, 2]) moments[power]! += (density * x ** power * (to - from)) / steps;
      }
      const expected = moments[1]! / moments[0]!;
      const variance = moments[2]! / moments[0]! - expected ** 2;
      expect(Math.abs(cut.mass - moments[0]!)).toBeLessThan(0.03 * moments[0]! + 4e-6);
      // Where next to nothing is left, its share is known to some percent only.
      const close = (moments[0]! > 1e-2 ? 0.04 : 0.5) * Math.min(deviation, halfWidth);
      expect(Math.abs(cut.mean - expected)).toBeLessThan(close + 1e-5 * deviation);
      expect(cut.variance).toBeGreaterThan(0);
      if (moments[0]! > 1e-2) expect(Math.abs(cut.variance / variance - 1)).toBeLessThan(0.1);
    }
  });

  it('is nothing where it does not reach, and all of it where it lies inside', () => {
    expect(core.cut(1, 1e-4, 0.9)).toBeUndefined();
    expect(core.cut(0, 1e-30, 1)).toEqual({ mass: 1, mean: 0, variance: 1e-30 });
  });
});

describe('functions', () => {
  it('an inverse root, to 1e-10 of it', () => {
    const random = seededRandom('inverse root');
    for (let i = 0; i < 20_000; i++) {
      const x = spread(random, 1e-150, 1e150);
      expect(Math.abs(core.exports.testInverseRoot(x) * Math.sqrt(x) - 1)).toBeLessThan(1e-10);
    }
  });

  it('sine and cosine of a turn, to 2e-9', () => {
    for (let i = 0; i <= 10_000; i++) {
      const [sine, cosine] = core.turn(i / 10_000);
      expect(Math.abs(sine! - Math.sin((2 * Math.PI * i) / 10_000))).toBeLessThan(2e-9);
      expect(Math.abs(cosine! - Math.cos((2 * Math.PI * i) / 10_000))).toBeLessThan(2e-9);
    }
  });
});

describe('the day and the temperature', () => {
  it('the integrals of the day are those of its terms, over minutes and days', () => {
    const random = seededRandom('cycle: day');
    core.exports.testCycleStart(0);
    let t = 0n;
    core.cycle(t, start, true);
    for (let round = 0; round < 40; round++) {
      const seconds = spread(random, 1, 300_000);
      const steps = 4000;
      const sums = [0, 0, 0, 0];
      for (let k = 0; k < steps; k++) {
        const middle = t + ns(((k + 0.5) * seconds) / steps);
        const angle = (2 * Math.PI * Number((start + middle) % day)) / Number(day);
        const terms = [Math.cos(angle), Math.sin(angle), Math.cos(2 * angle), Math.sin(2 * angle)];
        for (let i = 0; i < 4; i++) sums[i]! += (terms[i]! * seconds) / steps;
      }
      t += ns(seconds);
      const { integrals, unread } = core.cycle(t, start + t, true);
      expect(unread).toBe(0);
      for (const [i, sum] of sums.entries()) expect(Math.abs(integrals[i]! - sum)).toBeLessThan(0.2);
    }
  });

  it('the integrals of the temperature follow its readings, and tell for how long there were none', () => {
    core.exports.testCycleStart(1);
    const at = (seconds: number) => ns(seconds);
    core.exports.testCycleTemperature(at(10), 35_000);
    // As before the first reading, so after it.
    expect(core.cycle(at(20), start, true)).toEqual({
      integrals: [20, 20, expect.anything(), expect.anything()],
      terms: [1, 1, expect.anything(), expect.anything()],
      unread: 0,
    });
    core.exports.testCycleTemperature(at(40), 45_000);
    const { integrals, unread } = core.cycle(at(50), start, false);
    expect(integrals[0]).toBeCloseTo(20 * 1.5 + 10 * 2, 9);
    expect(integrals[1]).toBeCloseTo(20 * 2.25 + 10 * 4, 9);
    expect(unread).toBe(0);
    // It stops: five minutes count, the rest is not known, however often the integrals are taken and marked.
    expect(core.cycle(at(1000), start, true).unread).toBeCloseTo(1000 - 340, 9);
    expect(core.cycle(at(1500), start, false).unread).toBeCloseTo(500, 9);
    core.exports.testCycleTemperature(at(1600), 45_000);
    expect(core.cycle(at(1700), start, false).unread).toBeCloseTo(600, 9);
    expect(core.cycle(at(1700), start, true).integrals[0]).toBeCloseTo(1400, 9);
    expect(core.cycle(at(1800), start, false).unread).toBe(0);
  });
});

describe('what an earlier start learned', () => {
  const recordBytes = 160;
  const learn = (thermometer: boolean, random: SeededRandom) => {
    const { exports } = core;
    exports.testCycleStart(thermometer ? 1 : 0);
    exports.testEstimatorStart(100_000n);
    if (thermometer) exports.testCycleTemperature(0n, -30_000);
    exports.testEstimatorBegin(0n, start, 1e-3);
    let t = 0n;
    for (let i = 0; i < 300; i++) {
      t += 1000n * second;
      if (thermometer) exports.testCycleTemperature(t, -30_000 + random.below(100));
      exports.testEstimatorSample(t, start + (t * 7n) / 1_000_000n + ns((unit(random) - 0.5) * 1e-6), 1e-6, 4e-12);
    }
    return t;
  };

  it.each([false, true])(
    'is known again, also where the terms could never be told apart (thermometer: %s)',
    async (thermometer) => {
      const random = seededRandom('crystal: again');
      const t = learn(thermometer, random);
      core.exports.testCrystalSave(core.scratch);
      const record = new Uint8Array(core.exports.memory.buffer, core.scratch, recordBytes).slice();
      for (const ageDays of [0n, -1n, 1n, 7000n]) {
        core = await ClockCore.load();
        core.exports.testCycleStart(thermometer ? 1 : 0);
        core.exports.testEstimatorStart(100_000n);
        new Uint8Array(core.exports.memory.buffer).set(record, core.scratch);
        core.exports.testCrystalLoad(core.scratch);
        if (thermometer) core.exports.testCycleTemperature(0n, -30_000);
        core.exports.testEstimatorBegin(0n, start + t + ageDays * day, 1e-3);
        const { frequency, frequencyVariance } = core.estimate(0n);
        expect(Math.abs(frequency - 7e-6)).toBeLessThan(1e-7);
        expect(frequencyVariance).toBeGreaterThan(1e-14);
        expect(frequencyVariance).toBeLessThan(ageDays > 1n ? 1e-5 : 1e-12);
        checkBank(0n);
      }
    },
  );

  it('does not count where it is of another kind of board', async () => {
    learn(false, seededRandom('crystal: kinds'));
    core.exports.testCrystalSave(core.scratch);
    const record = new Uint8Array(core.exports.memory.buffer, core.scratch, recordBytes).slice();
    core = await ClockCore.load();
    core.exports.testCycleStart(1);
    core.exports.testEstimatorStart(100_000n);
    new Uint8Array(core.exports.memory.buffer).set(record, core.scratch);
    core.exports.testCrystalLoad(core.scratch);
    core.exports.testEstimatorBegin(0n, start, 1e-3);
    expect(core.estimate(0n).frequency).toBe(0);
  });

  it('does not count where it is anything else', async () => {
    const random = seededRandom('crystal: anything');
    const numbers = [
      () => 2 * unit(random) - 1,
      () => spread(random, 1e-30, 1) * (random.below(2) === 0 ? -1 : 1),
      () => spread(random, 1e-30, 1),
      () => 0,
    ];
    for (let round = 0; round < 400; round++) {
      core = await ClockCore.load();
      const thermometer = random.below(2) === 0;
      core.exports.testCycleStart(thermometer ? 1 : 0);
      core.exports.testEstimatorStart(100_000n);
      const { scratch, view } = core;
      view.setBigInt64(scratch, [start, -start, (1n << 63n) - 1n, 1n][random.below(4)]!, true);
      view.setUint32(scratch + 8, thermometer ? 4 : 6, true);
      const number = numbers[round % numbers.length]!;
      for (let at = 16; at < recordBytes; at += 4) view.setFloat32(scratch + at, number(), true);
      if (round % 5 === 0) new Uint8Array(core.exports.memory.buffer).set(random.bytes(recordBytes - 16), scratch + 16);
      core.exports.testCrystalLoad(scratch);
      core.exports.testEstimatorBegin(second, start, 1e-3);
      let t = second;
      for (let i = 0; i < 10; i++) {
        t += 64n * second;
        core.exports.testEstimatorSample(t, start - second + ns((unit(random) - 0.5) * 1e-3), 1e-3, 4e-10);
        checkBank(t);
      }
      expect(Math.abs(Number(core.estimate(t).difference - start + second))).toBeLessThan(5e6);
    }
  });
});

describe('servers that differ', () => {
  /**
   * Samples of each server at its polls: by how much they are off, s, which `lengthens` their delays or not; undefined is
   * no sample. Gives the error of the clock at each.
   */
  function follow(
    rounds: number,
    shift: (server: number, round: number) => number | undefined,
    { lengthens = false, after = (_: number): void => {} } = {},
  ) {
    const { exports } = core;
    const random = seededRandom('servers that differ');
    exports.testCycleStart(0);
    exports.testEstimatorStart(100_000n);
    exports.testDisciplineConfigure(100);
    let known = 0;
    const errors: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (let server = 0; server < 4; server++) {
        const asymmetry = shift(server, round);
        if (asymmetry === undefined) continue;
        const t = BigInt(round * 256 + server * 64 + 1) * second;
        const [out, back] = [unit(random) * 2e-4, unit(random) * 2e-4];
        const estimate = start + ns(asymmetry + (out - back) / 2);
        const delay = ns(0.02 + (lengthens ? 2 * Math.abs(asymmetry) : 0) + out + back);
        exports.testDisciplineSample(server, t, estimate, delay, 1_000_000n, 0, known);
        known = 1;
        errors.push(Number(core.estimate(t).difference - start) * 1e-9);
      }
      after(round);
    }
    return errors;
  }
  const most = (errors: readonly number[]) => Math.max(...errors.map(Math.abs));

  describe.each([
    ['the other way got shorter', false],
    ['it is longer', true],
  ])('one whose route changes: %s', (_, lengthens) => {
    it.each([0, 1, 2, 3])('does not pull the clock, whichever it is: %i', (changed) => {
      const errors = follow(400, (server, round) => (server === changed && round >= 100 ? 0.004 : 0), { lengthens });
      expect(most(errors.slice(40))).toBeLessThan(3e-4);
      expect(Math.abs(core.exports.testPathBias(changed) - 0.004)).toBeLessThan(4e-4);
    });

    it('again and again, the one that the clock followed: counts as what it is at last', () => {
      const shifts = [0, 0.004, -0.003, 0.002];
      const errors = follow(1200, (server, round) => (server === 0 ? shifts[Math.floor(round / 300)] : 0), {
        lengthens,
      });
      expect(most(errors.slice(40))).toBeLessThan(4e-4);
      expect(Math.abs(core.exports.testPathBias(0) - 0.002)).toBeLessThan(2e-4);
    });
  });

  it('the one that the clock followed fails, and comes back on another route', () => {
    const errors = follow(600, (server, round) => {
      if (server !== 0) return [0, 0.001, -0.001, 0.0005][server];
      return round < 100 ? 0 : round < 400 ? undefined : 0.003;
    });
    expect(most(errors.slice(40))).toBeLessThan(6e-4);
  });

  it('another server in the place of the one that the clock followed does not pull it', () => {
    const errors = follow(400, (server, round) => (server === 0 && round >= 100 ? 0.004 : 0), {
      after: (round) => {
        if (round === 99) core.exports.testPathForget(0);
      },
    });
    expect(most(errors.slice(40))).toBeLessThan(3e-4);
    expect(Math.abs(core.exports.testPathBias(0) - 0.004)).toBeLessThan(4e-4);
  });

  it('all at once are the oscillator: followed once one insists', () => {
    const errors = follow(200, (_, round) => (round >= 100 ? 0.004 : 0));
    expect(most(errors.slice(40, 400))).toBeLessThan(3e-4);
    expect(most(errors.slice(440).map((error) => error - 0.004))).toBeLessThan(4e-4);
  });

  /**
   * Servers with queues of their own: least delay and mean queue of each direction, s; from which round on; in which
   * round both queues are of `shortSeconds`; by how much the way there shifts them, s. UTC's error.
   */
  function queues(
    servers: readonly {
      least: number;
      mean: number;
      from?: number;
      shortAt?: number;
      shortSeconds?: number;
      shift?: (round: number) => number;
    }[],
    { asymmetryPercent = 100, rounds = 300, offset = (_: number): number => 0 } = {},
  ) {
    const { exports } = core;
    const random = seededRandom('servers with queues');
    const exponential = (mean: number) => -mean * Math.log(1 - unit(random));
    exports.testCycleStart(0);
    exports.testEstimatorStart(100_000n);
    exports.testDisciplineConfigure(asymmetryPercent);
    let known = 0;
    return Array.from({ length: rounds }, (_, round) => {
      let t = 0n;
      for (const [server, { least, mean, from, shortAt, shortSeconds = 0, shift }] of servers.entries()) {
        if (round < (from ?? 0)) continue;
        t = BigInt(round * 900 + server * 300 + 1) * second;
        const queue = () => (round === shortAt ? shortSeconds : exponential(mean));
        const [out, back] = [queue(), queue()];
        const estimate = start + ns(offset(Number(t) / 1e9) + (shift?.(round) ?? 0) + (out - back) / 2);
        exports.testDisciplineSample(server, t, estimate, ns(least + out + back), 100_000n, 0, known);
        known = 1;
      }
      const error = Number(core.estimate(t).difference - start) / 1e9 - offset(Number(t) / 1e9);
      return {
        error: Math.abs(error),
        inside: Math.abs(error) * 1e9 <= Number(exports.testDisciplineUncertaintyNs(t)),
      };
    });
  }

  it('a nearer one that comes later is no better before its difference is known', () => {
    const servers = [
      { least: 0.1, mean: 0.001 },
      { least: 0.004, mean: 0.01, from: 100 },
      { least: 0.1, mean: 0.001 },
    ];
    const later = queues(servers, { asymmetryPercent: 10 }).slice(60);
    expect(later.every(({ inside }) => inside)).toBe(true);
    expect(Math.max(...later.map(({ error }) => error))).toBeLessThan(0.0025);
  });

  it.each([5, 15, 100])(
    'one in the same house is followed within the hour (asymmetry of %i percent)',
    (asymmetryPercent) => {
      const servers = [
        { least: 0.12, mean: 0.01, shift: () => 0.003 },
        { least: 0.0005, mean: 0.00005, from: 50 },
      ];
      const later = queues(servers, { asymmetryPercent, rounds: 100 }).slice(54);
      expect(Math.max(...later.map(({ error }) => error))).toBeLessThan(0.0005);
      expect(later.every(({ inside }) => inside)).toBe(true);
    },
  );

  it('a new route is one also where the others have long queues: it is there at once, and does not grow', () => {
    const servers = [
      { least: 0.02, mean: 0.0001, shift: (round: number) => (round < 100 ? 0 : 0.01) },
      { least: 0.02, mean: 0.05 },
      { least: 0.02, mean: 0.05 },
    ];
    const later = queues(servers, { asymmetryPercent: 0 }).slice(60);
    expect(Math.max(...later.map(({ error }) => error))).toBeLessThan(0.002);
  });

  // A jump of the frequency that only the first of three sees at once: the others, whose queues are long, come when the
  // clock is right. In some round the second may have a short queue.
  const jump = 100;
  const drift = 5e-6;
  const afterJump = (shortAt?: number) => {
    const found = queues(
      [
        { least: 0.02, mean: 0.0001 },
        { least: 0.02, mean: 0.05, from: 20, shortAt, shortSeconds: 0.002 },
        { least: 0.02, mean: 0.05, from: 20 },
      ],
      { asymmetryPercent: 0, offset: (t) => drift * Math.max(t - jump * 900, 0) },
    );
    // Eight rounds on, two hours.
    return Math.max(...found.slice(jump + 8).map(({ error }) => error));
  };
  /** What a round adds while the jump is not followed. */
  const unfollowed = drift * 900;

  it('those with long queues do not tell a jump of the oscillator from a route: the one that sees it is followed', () => {
    expect(afterJump()).toBeLessThan(unfollowed);
  });

  it('nor does one that agreed with the clock while the jump had done little', () => {
    expect(afterJump(jump + 1)).toBeLessThan(unfollowed);
  });

  it('one that runs away from the others is not followed, though nobody could have seen its first step', () => {
    const away = (round: number) => (round < 100 ? 0 : 0.002 + 0.0104 * (round - 100));
    // Between its second sample that contradicts and the third, another server has a short queue.
    const servers = [
      { least: 0.02, mean: 0.0001, shift: away },
      { least: 0.02, mean: 0.02, shortAt: 101, shortSeconds: 0.002 },
      { least: 0.02, mean: 0.05 },
    ];
    const later = queues(servers, { asymmetryPercent: 0, rounds: 104 }).slice(100);
    expect(Math.max(...later.map(({ error }) => error))).toBeLessThan(0.004);
  });
});
