// From the samples of the servers that agree to what the clock takes: paths, their differences, and the uncertainty's budget.
// What always holds: one server's path is taken for symmetric (the gauge), the others' samples count with what is known of
// their difference to it; a server that alone contradicts the rest moves its own difference and not the clock, but where
// the rest cannot have noticed and it contradicts more and more.

import { BudgetField } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import {
  estimatedFrequencyVariance,
  estimatedVariance,
  estimatorBegin,
  estimatorReopen,
  estimatorSample,
  estimatorShift,
  estimatorSpread,
  sampleBelieved,
  sampleInnovation,
  samplePrior,
} from './estimator';
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
/** s²: asymmetry of the gauge's path; root distance of the server and noise of the last sample. */
let gaugeVariance: f64 = 0;
let rootVariance: f64 = 0;
let noiseVariance: f64 = 0;
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
  gaugeVariance = 0;
  rootVariance = 0;
  noiseVariance = 0;
}

/** The server whose path is taken for symmetric. */
export function disciplineGauge(): u32 {
  return gauge;
}

// GUM 4.3.7: a rectangular distribution of half-width a has the variance a² / 3.
function rectangular(halfWidth: f64): f64 {
  return halfWidth * halfWidth * (1 / 3.0);
}

function asymmetryOf(path: Path): f64 {
  return rectangular(0.5e-9 * asymmetryShare * <f64>pathSmallestNs(path));
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
  const noise = own ? NOISE_OWN : NOISE_LINK;
  noiseVariance = noise * noise;
  rootVariance = rectangular(<f64>rootDistance * 1e-9);
  if (!known) {
    estimatorBegin(t, t + estimate, sqrt<f64>(rectangular(pathHalfWidth) + noiseVariance));
    becomeGauge(source, path);
    believedAt = t;
    return;
  }
  if (path.samples == 1) path.biasVariance = asymmetryOf(path) + gaugeVariance + rootVariance;
  feed(source, path, t, estimate);
  const asymmetry = asymmetryOf(path);
  if (
    !isGauge(source, path) &&
    asymmetry < BETTER * gaugeVariance &&
    (path.biasVariance < KNOWN * asymmetry || rectangular(pathHalfWidth) < SHARP * gaugeVariance)
  ) {
    estimatorShift(<i64>(path.bias * 1e9));
    becomeGauge(source, path);
  }
  if (isGauge(source, path)) gaugeVariance = asymmetryOf(path);
}

// One whose route or server is another than when it was the gauge has a difference to what it was, as the others have.
function isGauge(source: u32, path: Path): bool {
  return source == gauge && path.biasVariance == 0;
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
  gaugeVariance = asymmetryOf(path);
}

function feed(source: u32, path: Path, t: i64, estimate: i64): void {
  const halfWidth = pathHalfWidth;
  const noise = noiseVariance + path.biasVariance;
  estimatorSample(t, estimate - <i64>(path.bias * 1e9), halfWidth, noise);
  if (sampleBelieved < 0.5) return contradict(path, t, estimate, halfWidth);
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
    if (path.witness < Infinity) path.heard = 1;
    // Against the one before it: what a jump of the frequency had done by then, it had done when this one agreed.
    if (2 * path.witness < path.contradictedLast) path.seen = 1;
  }
  path.contradicted = min<f64>(path.contradicted, size);
  path.contradictedLast = size;
  path.witness = Infinity;
  path.contradictions += 1;
  if (path.contradictions < INSISTS) return;
  path.contradictions = 0;
  if (path.seen != 0 || (path.heard != 0 && size < GROWN * path.contradicted)) {
    path.bias += sampleInnovation;
    path.biasVariance = size * size;
    return;
  }
  // It may have been another frequency for as long.
  estimatorReopen(size, size / (<f64>max<i64>(t - believedAt, SECOND_NS) * 1e-9));
  estimatorSample(t, estimate - <i64>(path.bias * 1e9), halfWidth, noiseVariance + path.biasVariance);
  believedAt = t;
}

/** Expanded uncertainty (k = 2) at local time `t`, ns: noise and drift, path asymmetry, server, stamps (GUM 5.1.2, 6.2.1). */
export function disciplineUncertaintyNs(t: i64): i64 {
  estimatorSpread(t);
  const seconds = 2 * sqrt<f64>(estimatedVariance + gaugeVariance + rootVariance + noiseVariance);
  // A day is enough to say that nothing is known; there is no number before there is a time.
  return <i64>((seconds < 86_400 ? seconds : <f64>86_400) * <f64>SECOND_NS);
}

// As the fields have it: in parts of 10^9 or 10^12, saturated.
function saturated(value: f64, parts: f64): u32 {
  return value * parts < 4_294_967_295 ? <u32>(value * parts) : 0xffff_ffff;
}

/** Writes the budget of that uncertainty, but for `BudgetField.SlewNs` and `BudgetField.FrequencyPpt`. */
export function disciplineBudget(t: i64, to: usize): void {
  estimatorSpread(t);
  store<u32>(to, saturated(sqrt<f64>(estimatedVariance), 1e9), BudgetField.NoiseNs);
  store<u32>(to, saturated(sqrt<f64>(gaugeVariance), 1e9), BudgetField.AsymmetryNs);
  store<u32>(to, saturated(sqrt<f64>(rootVariance), 1e9), BudgetField.ServerNs);
  store<u32>(to, saturated(sqrt<f64>(noiseVariance), 1e9), BudgetField.StampsNs);
  const frequency = 2 * sqrt<f64>(estimatedFrequencyVariance);
  store<u32>(to, saturated(frequency, 1e12), BudgetField.FrequencyUncertaintyPpt);
}
