// The models of bench:clock against what theory says of them. Limits are five standard errors of the figure looked at, which
// a right model passes but for about one seed in a million.
import { describe, expect, it } from 'vitest';
import { allanDeviation } from '../../bench/clock/allan.ts';
import { type OscillatorCase, parseCase } from '../../bench/clock/cases.ts';
import { Path } from '../../bench/clock/network.ts';
import { Oracle } from '../../bench/clock/oracle.ts';
import { Oscillator, OscillatorClock } from '../../bench/clock/oscillator.ts';
import { Normal, sampler } from '../../bench/clock/random.ts';
import { VirtualTime } from '../../host/meter/clocks.ts';
import { Prng } from '../../test/fuzz/prng.ts';
import { seededRandom } from '../core/random.ts';

const { seed } = seededRandom('models of bench:clock');

function oscillatorOf(text: string, seconds: number, own = seed): Oscillator {
  const of: OscillatorCase = parseCase(`title: a\nleaveOutSeconds: 0\nseconds: ${seconds}\n${text}`, 'x.yaml');
  return new Oscillator(of, own);
}

const deviationAt = (oscillator: Oscillator, tau: number) =>
  allanDeviation(oscillator.offsetNs, 1).find((point) => point.tau === tau)!.deviation;

describe('the oscillator', () => {
  // IEEE 1139: a random walk of frequency of variance q a second has the Allan variance q tau / 3, and as steps once a
  // second q (2 tau + 1 / tau) / 6. N / tau values stand for themselves, each with twice the variance.
  it.each([1, 16, 128])('walks as far as it should in %i s', (tau) => {
    const seconds = 200_000;
    const expected = Math.sqrt((2 * tau + 1 / tau) / 6) * 1e-9;
    const measured = deviationAt(oscillatorOf('oscillator: { walkPpb: 1 }', seconds), tau);
    expect(Math.abs(measured / expected - 1)).toBeLessThan((5 * Math.sqrt(tau / seconds)) / Math.SQRT2 + 0.001);
  });

  it.each([16, 256, 1024])('flickers at its level at %i s', (tau) => {
    const seconds = 200_000;
    const measured = deviationAt(oscillatorOf('oscillator: { walkPpb: 0, flickerPpb: 3 }', seconds), tau);
    // Six parts a decade are as even as 5 %.
    expect(Math.abs(measured / 3e-9 - 1)).toBeLessThan(0.05 + 5 * Math.sqrt(tau / seconds));
  });

  it('ages, and swings with the temperature by just the sine that was asked for', () => {
    const day = 86_400;
    const text = `oscillator: { offsetPpb: 0, walkPpb: 0, agingPpmPerYear: 2, crystal: {} }
temperature: { meanC: 15, dailyPpb: 1000 }`;
    const { ppb, celsius, offsetNs, knownOffsetNs } = oscillatorOf(text, 2 * day);
    const aging = (second: number) => (2000 * second) / (365.25 * day);
    const mean = -0.035 * 100 * 1000;
    for (const second of [0, day / 4, day / 2, (3 * day) / 4, day + 12_345]) {
      const sine = 1000 * Math.sin((2 * Math.PI * second) / day);
      expect(ppb[second]).toBeCloseTo(mean + sine + aging(second), 6);
      expect(1000 * -0.035 * (celsius![second]! - 25) ** 2).toBeCloseTo(mean + sine, 1);
    }
    // An oracle knows all of it.
    expect(knownOffsetNs![2 * day]).toBeCloseTo(offsetNs[2 * day]!, 3);
  });

  it('steps when it is to', () => {
    const text = 'oscillator: { walkPpb: 0, steps: [{ atHours: 1, ppb: 300 }, { atHours: 2, ppb: -500 }] }';
    const { ppb, offsetNs, knownOffsetNs } = oscillatorOf(text, 10_000);
    expect([3599, 3600, 7199, 7200].map((second) => ppb[second])).toEqual([10_000, 10_300, 10_300, 9800]);
    expect(offsetNs[10_000]! - knownOffsetNs![10_000]!).toBeCloseTo(10_000 * 10_000, 3);
  });

  it('drives a counter that has reached a tick when it calls back, and had not a ns before', () => {
    const oscillator = oscillatorOf('oscillator: { walkPpb: 30 }', 20_000);
    const time = new VirtualTime();
    const clock = new OscillatorClock(time, oscillator, 25_000_000);
    const random = new Prng(seed);
    for (let n = 0; n < 1000; n++) {
      const tick = clock.nowTicks() + BigInt(random.size(1e9)) + 1n;
      let called = false;
      clock.at(tick, () => {
        called = true;
        expect(clock.nowTicks()).toBeGreaterThanOrEqual(tick);
        expect(clock.ticksAt(Number(time.nowNs) - 1)).toBeLessThan(Number(tick));
      });
      time.runUntil(time.nextNs()!);
      expect(called).toBe(true);
    }
  });
});

describe('distributions', () => {
  const draws = 40_000;
  const meanOf = (draw: () => number) => {
    let [sum, squares] = [0, 0];
    for (let n = 0; n < draws; n++) {
      const value = draw();
      sum += value;
      squares += value * value;
    }
    const mean = sum / draws;
    return { mean, standard: Math.sqrt(squares / draws - mean * mean) };
  };

  it.each([
    ['exponential', { exponential: { meanMs: 3 } }, 3, 3],
    ['gamma', { gamma: { shape: 4, meanMs: 3 } }, 3, 1.5],
    ['gamma with a shape below 1', { gamma: { shape: 0.5, meanMs: 3 } }, 3, 3 * Math.SQRT2],
    ['lognormal', { lognormal: { medianMs: 1, sigma: 0.5 } }, Math.exp(0.125), Math.exp(0.125) * 0.53294],
    ['uniform', { uniform: { fromMs: 1, toMs: 4 } }, 2.5, Math.sqrt(0.75)],
    ['table', { table: { ms: [0, 1, 5] } }, 1.75, Math.sqrt(16 / 3 - 1.75 ** 2)],
  ] as const)('%s has its mean and width', (_, of, mean, standard) => {
    const came = meanOf(sampler(of as Parameters<typeof sampler>[0], new Prng(seed)));
    expect(Math.abs(came.mean / 1e6 - mean)).toBeLessThan((5 * standard) / Math.sqrt(draws));
    // sqrt((kurtosis - 1) / 4) is below 2 for all of them: the gamma distribution of shape 0.5 has the largest kurtosis, 15.
    expect(Math.abs(came.standard / 1e6 / standard - 1)).toBeLessThan((5 * 2) / Math.sqrt(draws));
  });

  it('a normal one has variance 1', () => {
    const normal = new Normal(new Prng(seed));
    const { mean, standard } = meanOf(() => normal.next());
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(draws));
    expect(Math.abs(standard - 1)).toBeLessThan(5 / Math.sqrt(2 * draws));
  });
});

describe('a path', () => {
  const pathOf = (text: string) => {
    const { network, attacks, seconds } = parseCase(`title: a\n${text}`, 'x.yaml');
    return new Path(network, attacks, seconds, seed);
  };
  const hour = 3600e9;

  it('is as asymmetric as it is said to be, and an outage lets nothing through', () => {
    const path = pathOf('network: { baseMs: 20, asymmetryPercent: 30, outages: [{ fromHours: 2, hours: 1 }] }');
    expect(path.pass(true, hour)!.baseNs).toBeCloseTo(26e6, 3);
    expect(path.pass(false, hour)!.baseNs).toBeCloseTo(14e6, 3);
    expect(path.pass(true, 2.5 * hour)).toBeUndefined();
    expect(path.pass(true, 3 * hour)).toBeDefined();
  });

  it('takes its changes when they are due', () => {
    const path = pathOf('network: { changes: [{ atHours: 5, baseMs: 40 }, { atHours: 9, baseMs: 30 }] }');
    expect([4.9, 5.1, 8.9, 9.1].map((at) => path.pass(true, at * hour)!.baseNs / 1e6)).toEqual([20, 40, 40, 30]);
  });

  it('loses as many packets as it is said to', () => {
    const path = pathOf('network: { lossPercent: 30 }');
    const all = 10_000;
    let lost = 0;
    for (let n = 0; n < all; n++) if (path.pass(true, n) === undefined) lost++;
    expect(Math.abs(lost / all - 0.3)).toBeLessThan(5 * Math.sqrt(0.21 / all));
  });

  it('delays one direction where it is attacked', () => {
    const path = pathOf(
      'attacks: [{ fromHours: 1, hours: 1, direction: out, delay: { uniform: { fromMs: 500, toMs: 500 } } }]',
    );
    expect(path.pass(true, 1.5 * hour)!.extraNs).toBeGreaterThanOrEqual(500e6);
    expect(path.pass(false, 1.5 * hour)!.extraNs).toBeLessThan(500e6);
    expect(path.pass(true, 2.5 * hour)!.extraNs).toBeLessThan(500e6);
  });
});

describe('the oracle', () => {
  // Samples each 1024 s with two exponential queues of 1 ms: what a filter that knows the walk reaches is 0.24 ms for 1e-9
  // and 0.54 to 0.57 for 1e-8. The mean square of a run spreads by about a quarter; 24 runs, five standard errors.
  it.each([
    [1, 0.24],
    [10, 0.555],
  ])('reaches the limit of a walk of %i ppb', (walkPpb, limitMs) => {
    const runs = 24;
    const [seconds, every] = [100_000, 1024];
    const random = new Prng(seed);
    let [squares, count] = [0, 0];
    for (let run = 0; run < runs; run++) {
      const oscillator = oscillatorOf(`oscillator: { walkPpb: ${walkPpb} }`, seconds, random.u32());
      const oracle = new Oracle(oscillator, parseCase(`title: a\noscillator: { walkPpb: ${walkPpb} }`, 'x').oscillator);
      for (let second = 0; second < seconds; second++) {
        if (second % every === 0) {
          const [out, back] = [random.exponential(1e6), random.exponential(1e6)];
          oracle.sample(second * 1e9, oscillator.offsetNs[second]! + (back - out) / 2, out + back);
        }
        if (second < 20_000 || second % 10 !== 0) continue;
        squares += oracle.errorNs(second) ** 2;
        count++;
      }
    }
    const meanSquareRatio = squares / count / (limitMs * 1e6) ** 2;
    expect(Math.abs(meanSquareRatio - 1)).toBeLessThan(0.05 + (5 * 0.35) / Math.sqrt(runs));
  });
});
