// What simulations and tests in node reach of the clock; the names begin with `test`, firmware links none of them.
// What always holds: reading changes nothing that an event or a later reading sees.

import { actionsAt } from '../abi/buffers';
import { ClockStatus, TimeNowField } from '../abi/codes';
import { clockBoundNs, clockStatus, clockUncertaintyNs, clockUtc } from './clock';
import { CYCLE_INTEGRALS, CYCLE_TERMS, cycleMark, cycleTo, cycleUnread } from './cycle';
import {
  estimatedDeviation,
  estimatedDifference,
  estimatedFrequency,
  estimatedFrequencyDeviation,
  estimatorAim,
  estimatorSpread,
  sampleBelieved,
} from './estimator';
import { cutGaussian, cutMass, cutMean, cutVariance, inverseRoot, turn, turnCosine, turnSine } from './gaussian';
import { localFromTicks } from './local';
import { pathHalfWidth, pathOf, pathTake } from './path';

export {
  CRYSTAL_BYTES as testCrystalBytes,
  crystalLoad as testCrystalLoad,
  crystalSave as testCrystalSave,
} from './crystal';
export { cycleStart as testCycleStart, cycleTemperature as testCycleTemperature } from './cycle';
export {
  disciplineConfigure as testDisciplineConfigure,
  disciplineSample as testDisciplineSample,
  disciplineUncertaintyNs as testDisciplineUncertaintyNs,
} from './discipline';
export {
  estimatorBegin as testEstimatorBegin,
  estimatorFilter as testEstimatorFilter,
  estimatorFilters as testEstimatorFilters,
  estimatorReopen as testEstimatorReopen,
  estimatorSample as testEstimatorSample,
  estimatorShift as testEstimatorShift,
  estimatorStart as testEstimatorStart,
  estimatorStates as testEstimatorStates,
} from './estimator';
export { inverseRoot as testInverseRoot } from './gaussian';
export { pathForget as testPathForget } from './path';

/** Puts the time at a local tick into the action buffer, as `Action.TimeNow` has it; the status takes 32 bits. */
export function testClock(ticks: f64): void {
  const t = localFromTicks(<u64>ticks);
  const at = actionsAt();
  store<u32>(at, clockStatus(), TimeNowField.Status);
  // Without a time nothing else means anything, and what is not known yet is beyond any number.
  if (clockStatus() == ClockStatus.Unsynchronised) return;
  store<i64>(at, clockUtc(t), TimeNowField.UtcNs);
  store<i64>(at, clockBoundNs(t), TimeNowField.BoundNs);
  store<i64>(at, clockUncertaintyNs(t), TimeNowField.UncertaintyNs);
}

/** Sine and cosine to `to`. */
export function testTurn(turns: f64, to: usize): void {
  turn(turns);
  store<f64>(to, turnSine);
  store<f64>(to, turnCosine, 8);
}

/** Mass, mean and variance that are left, to `to`. */
export function testCutGaussian(mean: f64, variance: f64, halfWidth: f64, to: usize): bool {
  const reached = cutGaussian(mean, variance, inverseRoot(variance), halfWidth);
  store<f64>(to, cutMass);
  store<f64>(to, cutMean, 8);
  store<f64>(to, cutVariance, 16);
  return reached;
}

/** The half-width of a sample of a source with this delay, s. */
export function testPathTake(source: u32, delayNs: i64): f64 {
  pathTake(pathOf(source), delayNs);
  return pathHalfWidth;
}

/** By how much a source's server differs from the one that the clock follows, s. */
export function testPathBias(source: u32): f64 {
  return pathOf(source).bias;
}

/** Integrals since the last mark and terms, 4 each, and how long the temperature was not known, to `to`. */
export function testCycle(t: i64, utc: i64, mark: bool, to: usize): void {
  cycleTo(t, utc);
  for (let i: usize = 0; i < 32; i += 8) {
    store<f64>(to + i, load<f64>(CYCLE_INTEGRALS + i));
    store<f64>(to + i, load<f64>(CYCLE_TERMS + i), 32);
  }
  store<f64>(to, cycleUnread, 64);
  if (mark) cycleMark(t);
}

/** Difference as ns, i64; frequency, their variances, and how far the last sample was believed, f64, to `to`. */
export function testEstimate(t: i64, to: usize): void {
  estimatorAim(t);
  estimatorSpread(t);
  store<i64>(to, estimatedDifference);
  store<f64>(to, estimatedFrequency, 8);
  store<f64>(to, estimatedDeviation * estimatedDeviation, 16);
  store<f64>(to, estimatedFrequencyDeviation * estimatedFrequencyDeviation, 24);
  store<f64>(to, sampleBelieved, 32);
}
