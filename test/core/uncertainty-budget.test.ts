// What the uncertainty is made of adds up, in the report and at any instant, and each part is what the settings and the
// servers make it.
import { beforeAll, expect, it } from 'vitest';
import { ClockStatus } from '../../as/abi/codes.ts';
import type { Budget } from '../../host/link/messages.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { millisecond, type SimulatedMeter, second, started } from './simulated-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const standardNs = ({ noiseNs, asymmetryNs, serverNs, stampsNs }: Budget) =>
  Math.hypot(noiseNs, asymmetryNs, serverNs, stampsNs);

function lived(settings: { asymmetryPercent?: number } = {}, maxFrequencyErrorPpb = 50_000): SimulatedMeter {
  const sim = started({ settings, frequencyPpb: 20_000, maxFrequencyErrorPpb });
  sim.run(600);
  return sim;
}

it('twice the root of the sum of squares, and what is not slewed yet, is the uncertainty, up to the bound', () => {
  const sim = lived();
  let slewing = 0;
  for (let i = 0; i < 200; i++) {
    sim.run(1.7);
    // Sometimes off by what is worth a slew.
    sim.behaviour.serverErrorNs = i % 50 < 25 ? 0n : 3n * millisecond;
    for (const { uncertaintyNs, boundNs, budget } of [sim.meter.time(), sim.report!]) {
      if (budget.slewNs > 0) slewing += 1;
      const whole = 2 * standardNs(budget) + budget.slewNs;
      // Parts are told in whole nanoseconds.
      expect(Math.abs(Number(uncertaintyNs) - Math.min(whole, Number(boundNs)))).toBeLessThan(16);
    }
  }
  expect(slewing).toBeGreaterThan(0);
});

it('the asymmetry is rectangular over half of the smallest delay, or of the share that the settings say', () => {
  for (const percent of [undefined, 100, 30, 0]) {
    const { budget } = lived(percent === undefined ? {} : { asymmetryPercent: percent }).report!;
    // 10 ms each way.
    const half = 10e6 * ((percent ?? 100) / 100);
    expect(Math.abs(budget.asymmetryNs - half / Math.sqrt(3)), `${percent} %`).toBeLessThan(2e-4 * half + 1);
  }
});

it('the frequency is that of the oscillator, within its uncertainty, which is larger while less is known', () => {
  const sim = started({ frequencyPpb: 20_000 });
  sim.run(3);
  const first = sim.meter.time().budget;
  sim.run(7200);
  const later = sim.meter.time().budget;
  expect(later.frequencyUncertaintyPpt).toBeGreaterThan(0);
  expect(later.frequencyUncertaintyPpt).toBeLessThan(first.frequencyUncertaintyPpt / 100);
  // A counter that is fast by 20 ppm is corrected by as much, less its square.
  for (const { frequencyPpt, frequencyUncertaintyPpt } of [later, sim.report!.budget]) {
    expect(Math.abs(frequencyPpt + 19_999_600)).toBeLessThan(frequencyUncertaintyPpt);
  }
});

it('the last sample gets older until the next one, and has no age before the first', () => {
  const sim = started({}, ({ behaviour }) => {
    behaviour.outNs = () => 10n * millisecond;
  });
  expect(sim.meter.time()).toMatchObject({ status: ClockStatus.Unsynchronised, sampleAgeNs: undefined });
  sim.run(600);
  sim.behaviour.onRequest = () => [];
  sim.run(100);
  const before = sim.meter.time().sampleAgeNs!;
  sim.run(1000);
  expect(sim.meter.time().sampleAgeNs! - before).toBe(1000n * second);
  expect(before).toBeGreaterThanOrEqual(36n * second);
  expect(before).toBeLessThanOrEqual(164n * second);
});
