// From the samples of the servers that agree to what the clock takes: paths, their differences, and the uncertainty's budget.
// What always holds: one server's path is taken for symmetric (the gauge), the others' samples count with what is known of
// their difference to it; a server that alone contradicts the rest moves its own difference and not the clock, but where
// the rest cannot have noticed and it contradicts more and more.

import { BudgetField } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import {
  estimatedDeviation,
  estimatedFrequencyDeviation,
  estimatorBegin,
  estimatorReopen,
  estimatorSample,
  estimatorShift,
  estimatorSpread,
  sampleBelieved,
  sampleInnovation,
  samplePrior,
} from './estimator';
import { below, isNothing, wholeOf } from './gaussian';
import { Path, pathHalfWidth, pathOf, pathSmallestNs, pathsWitness, pathTake } from './path';

/** Standard deviation of a sample without any queue, s: ticks, interrupts and the gateway's stamps; of the meter's own network. */
const NOISE_LINK: f64 = 20e-6;
const NOISE_OWN: f64 = 2e-6;
/** By how much a server's difference to the gauge may change between two samples, s². */
const BIAS_DRIFT: f64 = 1e-12;
/** Samples of a server in a row that contradict before they are believed. */
const INSISTS: u32 = 3;
/** What an oscillator that has jumped takes the clock away by is three times as much when they are believed. */
const GROWN: f64 = 1.5;
/** A server becomes the gauge when its asymmetry's variance is so much smaller. */
const BETTER: f64 = 0.25;
/** And once its difference to the gauge is known so well, as a share of that variance, */
const KNOWN: f64 = 0.0625;
/** or a sample of it so sharp, as a share of the gauge's variance, that what it was taken to differ by counts for little. */
const SHARP: f64 = 1 / 256.0;

let asymmetryShare: f64 = 1;
let gauge: u32 = 0;
/** s: how far the asymmetry of the gauge's path and the root distance of the server reach; the stamps of the last sample. */
let gaugeHalf: f64 = 0;
let rootHalf: f64 = 0;
let noiseDeviation: f64 = 0;
/** Local time of the last sample that was believed; 0, the start, for none. */
let believedAt: i64 = 0;

/** Local time of the last sample that the filters believed. */
export function disciplineBelievedAt(): i64 {
  return believedAt;
}

/** Which share of the smallest delay may be one-sided, percent. */
export function disciplineConfigure(asymmetryPercent: u32): void {
  asymmetryShare = <f64>asymmetryPercent * 0.01;
}

/** The time is the meter's own, of no server. */
export function disciplineOwn(): void {
  gaugeHalf = 0;
  rootHalf = 0;
  noiseDeviation = 0;
}

/** The server whose path is taken for symmetric. */
export function disciplineGauge(): u32 {
  return gauge;
}

// GUM 4.3.7: a rectangular distribution of half-width a has the variance a² / 3.
function rectangular(halfWidth: f64): f64 {
  return halfWidth * halfWidth * (1 / 3.0);
}

/** The standard deviation of such a one with a half-width of 1: 1 / √3. */
const RECTANGULAR_DEVIATION: f64 = 0.5773502691896258;

function asymmetryOf(path: Path): f64 {
  return 0.5e-9 * asymmetryShare * <f64>pathSmallestNs(path);
}

function noiseVariance(): f64 {
  return noiseDeviation * noiseDeviation;
}

/**
 * Takes a sample of a server that is among those agreeing.
 *
 * @param t local time of the sample
 * @param estimate UTC minus local time, ns
 * @param delay round trip without serial line and gateway, ns
 * @param rootDistance of the server, ns
 * @param own whether it came over the meter's own network
 * @param known false when the clock had no time worth keeping
 */
export function disciplineSample(
  source: u32,
  t: i64,
  estimate: i64,
  delay: i64,
  rootDistance: i64,
  own: bool,
  known: bool,
): void {
  const path = pathOf(source);
  pathTake(path, delay);
  noiseDeviation = own ? NOISE_OWN : NOISE_LINK;
  rootHalf = <f64>rootDistance * 1e-9;
  if (!known) {
    estimatorBegin(t, t + estimate, sqrt<f64>(rectangular(pathHalfWidth) + noiseVariance()));
    becomeGauge(source, path);
    believedAt = t;
    return;
  }
  if (path.samples == 1) {
    path.biasVariance = rectangular(asymmetryOf(path)) + rectangular(gaugeHalf) + rectangular(rootHalf);
  }
  feed(source, path, t, estimate);
  if (!isGauge(source, path) && better(path)) {
    estimatorShift(wholeOf(path.bias * 1e9));
    becomeGauge(source, path);
  }
  if (isGauge(source, path)) gaugeHalf = asymmetryOf(path);
}

function better(path: Path): bool {
  const asymmetry = rectangular(asymmetryOf(path));
  const gaugeVariance = rectangular(gaugeHalf);
  if (!below(asymmetry, BETTER * gaugeVariance)) return false;
  return below(path.biasVariance, KNOWN * asymmetry) || below(rectangular(pathHalfWidth), SHARP * gaugeVariance);
}

// One whose route or server is another than when it was the gauge has a difference to what it was, as the others have.
function isGauge(source: u32, path: Path): bool {
  return source == gauge && isNothing(path.biasVariance);
}

// From here on differences count from this server.
function becomeGauge(source: u32, path: Path): void {
  const shift = path.bias;
  const variance = path.biasVariance;
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    pathOf(i).bias -= shift;
    pathOf(i).biasVariance += variance;
  }
  path.biasVariance = 0;
  gauge = source;
  gaugeHalf = asymmetryOf(path);
}

function feed(source: u32, path: Path, t: i64, estimate: i64): void {
  const halfWidth = pathHalfWidth;
  const noise = noiseVariance() + path.biasVariance;
  estimatorSample(t, estimate - wholeOf(path.bias * 1e9), halfWidth, noise);
  if (below(sampleBelieved, 0.5)) return contradict(path, t, estimate, halfWidth);
  path.contradictions = 0;
  believedAt = t;
  pathsWitness(halfWidth + 2 * sqrt<f64>(samplePrior + noise));
  if (isGauge(source, path)) return;
  const gain = path.biasVariance / (samplePrior + rectangular(halfWidth) + noise);
  path.bias += gain * sampleInnovation;
  path.biasVariance += BIAS_DRIFT - gain * path.biasVariance;
}

// A new route of this server, or a jump of the oscillator: others that went on agreeing with the clock tell which, where
// they are sharp enough to have seen the jump, or where the contradiction has hardly grown, as a jump's would have.
function contradict(path: Path, t: i64, estimate: i64, halfWidth: f64): void {
  const size = abs<f64>(sampleInnovation);
  if (path.contradictions == 0) {
    path.contradicted = size;
    path.heard = 0;
    path.seen = 0;
  } else {
    if (below(path.witness, Infinity)) path.heard = 1;
    // Against the one before it: what a jump of the frequency had done by then, it had done when this one agreed.
    if (below(2 * path.witness, path.contradictedLast)) path.seen = 1;
  }
  if (below(size, path.contradicted)) path.contradicted = size;
  path.contradictedLast = size;
  path.witness = Infinity;
  path.contradictions += 1;
  if (path.contradictions < INSISTS) return;
  path.contradictions = 0;
  if (path.seen != 0 || (path.heard != 0 && below(size, GROWN * path.contradicted))) {
    path.bias += sampleInnovation;
    path.biasVariance = size * size;
    return;
  }
  // It may have been another frequency for as long.
  estimatorReopen(size, size / (<f64>max<i64>(t - believedAt, SECOND_NS) * 1e-9));
  estimatorSample(t, estimate - wholeOf(path.bias * 1e9), halfWidth, noiseVariance() + path.biasVariance);
  believedAt = t;
}

/** Expanded uncertainty (k = 2) at local time `t`, ns: noise and drift, path asymmetry, server, stamps (GUM 5.1.2, 6.2.1). */
export function disciplineUncertaintyNs(t: i64): i64 {
  estimatorSpread(t);
  const own = estimatedDeviation * estimatedDeviation + noiseVariance();
  const variance = own + rectangular(gaugeHalf) + rectangular(rootHalf);
  // A day is enough to say that nothing is known; there is no number before there is a time.
  return min<i64>(wholeOf(2e9 * sqrt<f64>(variance)), 86_400 * SECOND_NS);
}

// As the fields have it: in parts of 10^9 or 10^12, saturated.
function saturated(value: f64, parts: f64): u32 {
  return <u32>min<i64>(wholeOf(value * parts), 0xffff_ffff);
}

/** Writes the budget of that uncertainty, but for `BudgetField.SlewNs` and `BudgetField.FrequencyPpt`. */
export function disciplineBudget(t: i64, to: usize): void {
  estimatorSpread(t);
  store<u32>(to, saturated(estimatedDeviation, 1e9), BudgetField.NoiseNs);
  store<u32>(to, saturated(gaugeHalf, 1e9 * RECTANGULAR_DEVIATION), BudgetField.AsymmetryNs);
  store<u32>(to, saturated(rootHalf, 1e9 * RECTANGULAR_DEVIATION), BudgetField.ServerNs);
  store<u32>(to, saturated(noiseDeviation, 1e9), BudgetField.StampsNs);
  store<u32>(to, saturated(estimatedFrequencyDeviation, 2e12), BudgetField.FrequencyUncertaintyPpt);
}
