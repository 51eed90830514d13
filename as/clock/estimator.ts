// Offset and frequency of the local oscillator against UTC, with how sure they are: a bank of filters.
//
// Each filter supposes that the oscillator's frequency wanders by so much (random walk), some also that it goes with the
// temperature or the time of day (`cycle.ts`), and weighs a sample by what its delay leaves open: any offset within the
// half-width that `path.ts` gives is equally likely, so the filter's Gaussian is cut to that interval, and the Gaussian of
// the same mean and variance goes on (assumed density filtering). How well a filter foresaw the samples is its weight; what
// the clock takes is the mean of all, with their variance and what they differ.
//
// What always holds: a sample that contradicts all filters moves them hardly, unless the next ones insist; nothing here
// knows the bound, which does not rely on it.
//
//   filter   0  weight  f64
//            8  state   f64 each: offset s, frequency s/s, then the coefficients of the terms
//               covariance, f64 each: the upper triangle by rows

import { clear, copy } from '../abi/bytes';
import {
  CYCLE_NOW,
  CYCLE_STEP,
  CYCLE_TERMS,
  cycleHasThermometer,
  cycleMark,
  cycleTaken,
  cycleTo,
  cycleUnread,
  cycleUnreadVariance,
  TERMS_DAY,
  TERMS_TEMPERATURE,
} from './cycle';
import {
  below,
  cutGaussian,
  cutMass,
  cutMean,
  cutVariance,
  inverseRoot,
  isNothing,
  larger,
  notBelowZero,
  shareOf,
  wholeOf,
} from './gaussian';

/** Random walks of frequency that are tried, (s/s)² per s: from 1e-9 to 1e-7 per root second, in half decades. */
const WALKS: usize = memory.data<f64>([1e-18, 9e-18, 1e-16, 9e-16, 1e-14], 8);
const WALKING: u32 = 5;
/** Without a thermometer there is one more, with the day's terms and the least walk. */
const DAILY: u32 = WALKING;

const STATES_MAX: u32 = 2 + TERMS_DAY;

/** The larger of 5 filters with 4 states, and 5 with 2 and one with 6. */
const BANK: usize = memory.data(600, 8);
/** By how much a coefficient may change, (s/s)² per s: of the day's terms 0.3 ppm in a day, of a crystal 0.01 ppm. */
const DAILY_DRIFT: f64 = 1e-18;
const CRYSTAL_DRIFT: f64 = 1e-21;
/** Standard deviation of a coefficient that nothing is known of, s/s. */
const COEFFICIENT: f64 = 4e-6;

/** Share of samples that say nothing; over how many seconds those may lie, and standard deviations of what is foreseen. */
const STRAY_SHARE: f64 = 1e-3;
const STRAY_SECONDS: f64 = 0.05;
const STRAY_DEVIATIONS: f64 = 3;
/** A filter that foresees so much worse than the best goes on from what that one knows. */
const WEIGHT_MIN: f64 = 1e-7;
/** What has less weight hardly shows in the uncertainty. */
const WEIGHT_TOLD: f64 = 1e-3;

/** What the model leaves out, as a factor of the variance. */
const MODEL_VARIANCE: f64 = 1.1;
/** The walks that are tried are factors of 9 apart: what the next one may add to what has been seen, as a factor of it. */
const WALK_UNKNOWN: f64 = 1.6;
/** s/s, standard deviation of what a crystal's frequency differs by after a pause. */
const RETRACE: f64 = 1e-7;
/** s/s, how far a frequency may have jumped at least that samples insist on. */
const JUMP_FREQUENCY: f64 = 1e-6;

/** Local time, and the difference between UTC and local time, ns, from which states count. */
let at: i64 = 0;
let anchor: i64 = 0;
let running: bool = false;
/** UTC ns at which the filters were stored that an earlier start learned; 0 for none. */
let learnedUtc: i64 = 0;
/** Standard deviation of a frequency that nothing is known of, s/s. */
let frequencyPrior: f64 = 5e-5;

// 1, time and integrals of the terms since the last sample: what the state's offset becomes.
const STEP: usize = CYCLE_STEP;
// What the state's frequency is now: 0, 1 and the terms.
const NOW: usize = CYCLE_NOW;
// A row of a covariance, and a gain.
const ROW: usize = memory.data(8 * STATES_MAX, 8);

/** Results of `estimatorAim`: UTC minus local time, ns, and s/s. */
export let estimatedDifference: i64 = 0;
export let estimatedFrequency: f64 = 0;
/** Results of `estimatorSpread`: standard deviations of those, s and s/s. */
export let estimatedDeviation: f64 = 0;
export let estimatedFrequencyDeviation: f64 = 0;
/** Local time for which they are, and of the reading before; they change with each sample and each reading. */
let spreadAt: i64 = i64.MIN_VALUE;
let spreadTaken: i64 = 0;
/** They grow so slowly that they are worked out for the end of each 1.07 s since the sample: applications read the time often. */
const SPREAD_NS: i64 = 1 << 30;

/** How many filters there are. */
export function estimatorFilters(): u32 {
  return cycleHasThermometer() ? WALKING : WALKING + 1;
}

/** States of a filter: 2, with the coefficients of its terms up to 6. */
export function estimatorStates(filter: u32): u32 {
  if (cycleHasThermometer()) return 2 + TERMS_TEMPERATURE;
  return filter == DAILY ? 2 + TERMS_DAY : 2;
}

function bytesOf(states: u32): u32 {
  return 8 * (1 + states + ((states * (states + 1)) >> 1));
}

/** A filter. */
export function estimatorFilter(filter: u32): usize {
  return BANK + filter * bytesOf(estimatorStates(0));
}

function walkOf(filter: u32): f64 {
  return load<f64>(WALKS + 8 * (filter == DAILY ? 0 : filter));
}

/** Element of a covariance at `p`, i <= j. */
export function estimatorElement(p: usize, states: u32, i: u32, j: u32): usize {
  return p + 8 * (i * states - ((i * (i + 1)) >> 1) + j);
}

/** A board that guarantees less than 2 % is taken to guarantee that, lest what is learned is lost in rounding. */
const PRIOR_MAX_PPB: i64 = 20_000_000;

/** The largest frequency error that the board guarantees, ppb. */
export function estimatorStart(maxFrequencyErrorPpb: i64): void {
  running = false;
  learnedUtc = 0;
  frequencyPrior = <f64>min<i64>(maxFrequencyErrorPpb, PRIOR_MAX_PPB) * 0.5e-9;
}

/** UTC ns to which what is known of the oscillator belongs; 0 while nothing is. */
export function estimatorKnownUtc(): i64 {
  return running ? at + anchor : learnedUtc;
}

/** The filters hold what an earlier start had learned at `utc`, ns. */
export function estimatorLearned(utc: i64): void {
  learnedUtc = utc;
}

/** Begins at local time `t`: UTC minus local time, ns, with a standard uncertainty in s. What is known of the frequency stays. */
export function estimatorBegin(t: i64, utc: i64, standard: f64): void {
  const seconds = prepare(t, utc);
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const states = estimatorStates(i);
    const p = filter + 8 + 8 * states;
    if (running) {
      forward(filter, states, walkOf(i), seconds, wandered(seconds));
    } else if (learnedUtc != 0) {
      // Stopped for that long, and started again.
      const stopped = <f64>max<i64>(utc - learnedUtc, 0) * 1e-9;
      add(estimatorElement(p, states, 1, 1), RETRACE * RETRACE + walkOf(i) * stopped);
    } else {
      clear(filter, bytesOf(states));
      store<f64>(filter, 1 / <f64>estimatorFilters());
      store<f64>(estimatorElement(p, states, 1, 1), frequencyPrior * frequencyPrior);
      for (let k: u32 = 2; k < states; k++) store<f64>(estimatorElement(p, states, k, k), COEFFICIENT * COEFFICIENT);
    }
    store<f64>(filter, 0, 8);
    store<f64>(p, standard * standard);
    for (let k: u32 = 1; k < states; k++) store<f64>(estimatorElement(p, states, 0, k), 0);
  }
  mark(t);
  anchor = utc - t;
  running = true;
  settle();
}

// The filters stand at local time t.
function mark(t: i64): void {
  cycleMark(t);
  at = t;
  spreadAt = i64.MIN_VALUE;
}

// The step from the last sample to local time t.
function prepare(t: i64, utc: i64): f64 {
  const seconds = <f64>(t - at) * 1e-9;
  cycleTo(t, utc);
  store<f64>(STEP, 1);
  store<f64>(STEP, seconds, 8);
  store<f64>(NOW, 0);
  store<f64>(NOW, 1, 8);
  return seconds;
}

// The offset that a filter foresees after the step, s, or with `now` its frequency then.
function foresee(filter: usize, states: u32, now: bool): f64 {
  const vector = now ? NOW : STEP;
  const first: u32 = now ? 1 : 0;
  let sum = load<f64>(filter + 8 + 8 * first);
  for (let i = first + 1; i < states; i++) sum += load<f64>(vector + 8 * i) * load<f64>(filter + 8 + 8 * i);
  return sum;
}

// Covariance times STEP or NOW into ROW; returns the variance in that direction. Their first number is 1 or 0: `offset`.
function spread(p: usize, states: u32, vector: usize, offset: bool): f64 {
  let place = p;
  for (let j: u32 = 0; j < states; j++, place += 8) store<f64>(ROW + 8 * j, offset ? load<f64>(place) : 0);
  let first = offset ? load<f64>(ROW) : 0;
  for (let j: u32 = 1; j < states; j++) {
    const at = 8 * j;
    const to = load<f64>(vector + at);
    if (offset) first += load<f64>(p + at) * to;
    add(ROW + at, load<f64>(place) * to);
    place += 8;
    for (let k = at + 8; k < 8 * states; k += 8, place += 8) {
      const both = load<f64>(place);
      add(ROW + at, both * load<f64>(vector + k));
      add(ROW + k, both * to);
    }
  }
  store<f64>(ROW, first);
  let variance = first;
  for (let at: u32 = 8; at < 8 * states; at += 8) variance += load<f64>(ROW + at) * load<f64>(vector + at);
  return variance;
}

function slopeOf(filter: usize): f64 {
  return load<f64>(filter, 24) + 2 * load<f64>(CYCLE_TERMS) * load<f64>(filter, 32);
}

// Variance of the offset that an unread temperature adds.
function unread(filter: usize): f64 {
  return isNothing(cycleUnread) ? 0 : cycleUnreadVariance(slopeOf(filter));
}

// Of a walk, as a factor: the variance that it adds to the offset within so many seconds.
function wandered(seconds: f64): f64 {
  return seconds * seconds * seconds * (1 / 3.0);
}

function add(place: usize, value: f64): void {
  store<f64>(place, load<f64>(place) + value);
}

// Takes the step, in which a walk of 1 adds `cube` to the variance of the offset.
function forward(filter: usize, states: u32, walk: f64, seconds: f64, cube: f64): void {
  const p = filter + 8 + 8 * states;
  const variance = spread(p, states, STEP, true) + walk * cube + unread(filter);
  store<f64>(filter, foresee(filter, states, false), 8);
  copy(p, ROW, 8 * states);
  store<f64>(p, variance);
  const walked = walk * seconds;
  add(estimatorElement(p, states, 0, 1), 0.5 * seconds * walked);
  add(estimatorElement(p, states, 1, 1), walked);
  if (states == 2) return;
  const drifted = (cycleHasThermometer() ? CRYSTAL_DRIFT : DAILY_DRIFT) * seconds;
  for (let k: u32 = 2; k < states; k++) add(estimatorElement(p, states, k, k), drifted);
}

/** Of the last sample: how sure the filters are that it is a true one; by how much the best one missed it, s, and its variance, s². */
export let sampleBelieved: f64 = 0;
export let sampleInnovation: f64 = 0;
export let samplePrior: f64 = 0;

/**
 * Takes a sample at local time `t`, for which `estimatedDifference` and `estimatedFrequency` are then.
 *
 * @param difference UTC minus local time, ns
 * @param halfWidth s, what the queues may have done to it, see `pathTake`
 * @param noise s², variance of what else is wrong with it
 */
export function estimatorSample(t: i64, difference: i64, halfWidth: f64, noise: f64): void {
  const seconds = prepare(t, t + anchor);
  const sample = <f64>(difference - anchor) * 1e-9;
  const cube = wandered(seconds);
  let stray: f64 = 0;
  let sum: f64 = 0;
  let believed: f64 = 0;
  let best: f64 = 0;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const states = estimatorStates(i);
    forward(filter, states, walkOf(i), seconds, cube);
    if (i == 0) {
      // Likelihoods in units of 1 / (2 halfWidth), which all filters share.
      const open = load<f64>(filter + 8 + 8 * states) + noise;
      stray = (STRAY_SHARE * halfWidth) / (halfWidth + STRAY_SECONDS + STRAY_DEVIATIONS * open * inverseRoot(open));
    }
    if (below(best, load<f64>(filter))) {
      best = load<f64>(filter);
      sampleInnovation = sample - load<f64>(filter, 8);
      samplePrior = load<f64>(filter + 8 + 8 * states);
    }
    const share = weigh(filter, states, sample, halfWidth, noise, stray);
    const weight = load<f64>(filter);
    believed += weight * share;
    sum += weight;
  }
  const perSum = 1 / sum;
  sampleBelieved = believed * perSum;
  normalise(perSum);
  mark(t);
  settle();
}

// Updates a filter and its weight; returns how sure it is that the sample is a true one.
function weigh(filter: usize, states: u32, sample: f64, halfWidth: f64, noise: f64, stray: f64): f64 {
  const p = filter + 8 + 8 * states;
  const offset = load<f64>(filter, 8);
  const prior = load<f64>(p) + noise;
  const innovation = sample - offset;
  const inverse = inverseRoot(prior);
  const perPrior = inverse * inverse;
  let correction: f64 = 0;
  let left = prior;
  let share: f64 = 0;
  let likelihood = stray;
  if (cutGaussian(innovation, prior, inverse, halfWidth)) {
    const honest = (1 - STRAY_SHARE) * cutMass;
    likelihood += honest;
    share = shareOf(honest, likelihood);
    const move = innovation - cutMean;
    correction = share * move;
    left = share * cutVariance + (1 - share) * (prior + share * move * move);
  }
  for (let i: u32 = 0; i < states; i++) store<f64>(ROW + 8 * i, load<f64>(p + 8 * i) * perPrior);
  const gone = prior - left;
  let place = p;
  for (let at: u32 = 0; at < 8 * states; at += 8) {
    const gain = load<f64>(ROW + at);
    add(filter + 8 + at, gain * correction);
    const less = -gain * gone;
    for (let k = at; k < 8 * states; k += 8, place += 8) add(place, less * load<f64>(ROW + k));
  }
  store<f64>(filter, load<f64>(filter) * likelihood);
  return share;
}

// Weights add up to 1; a filter that has failed goes on from the best one.
function normalise(perSum: f64): void {
  let best = BANK;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    store<f64>(filter, load<f64>(filter) * perSum);
    if (i < WALKING && below(load<f64>(best), load<f64>(filter))) best = filter;
  }
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    if (!below(load<f64>(filter), WEIGHT_MIN)) continue;
    if (i == DAILY) reviveDaily(filter, best);
    else copy(filter, best, bytesOf(estimatorStates(i)));
    store<f64>(filter, WEIGHT_MIN);
  }
}

// Offset and frequency become those of a filter without terms; the coefficients stay, and what they make of the frequency
// now is no part of the state's.
function reviveDaily(filter: usize, from: usize): void {
  const states: u32 = 2 + TERMS_DAY;
  const p = filter + 8 + 8 * states;
  const frequency = load<f64>(from, 16);
  store<f64>(filter, load<f64>(from, 8), 8);
  store<f64>(filter, 0, 16);
  store<f64>(filter, frequency - foresee(filter, states, true), 16);
  clear(p, 8 * (2 * states - 1));
  const variance = spread(p, states, NOW, false);
  store<f64>(p, load<f64>(from, 24));
  store<f64>(p, load<f64>(from, 32), 8);
  store<f64>(estimatorElement(p, states, 1, 1), load<f64>(from, 40) + variance);
  for (let k: u32 = 2; k < states; k++) store<f64>(estimatorElement(p, states, 1, k), -load<f64>(ROW + 8 * k));
}

/** Offsets are taken into the anchor when they get that large, s. */
const OFFSET_LARGE: f64 = 1;

// The time of day at the last sample moves as well: what it moved by is no part of the next step.
function moveAnchor(ns: i64): void {
  anchor += ns;
  if (cycleHasThermometer()) return;
  cycleTo(at, at + anchor);
  cycleMark(at);
}

// What the filters think at the instant of the last sample.
function settle(): void {
  let offset: f64 = 0;
  estimatedFrequency = 0;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const weight = load<f64>(filter);
    offset += weight * load<f64>(filter, 8);
    estimatedFrequency += weight * foresee(filter, estimatorStates(i), true);
  }
  const ns = wholeOf(offset * 1e9);
  estimatedDifference = anchor + ns;
  if (below(abs<f64>(offset), OFFSET_LARGE)) return;
  moveAnchor(ns);
  for (let i: u32 = 0; i < estimatorFilters(); i++) add(estimatorFilter(i) + 8, -offset);
}

/**
 * Samples insist: the state is open again.
 *
 * @param seconds by so much the offset
 * @param frequency by so much at least the frequency, s/s
 */
export function estimatorReopen(seconds: f64, frequency: f64): void {
  // What no oscillator of this board could have done was a step of the time.
  const jump = below(2 * frequencyPrior, frequency) ? JUMP_FREQUENCY : larger(frequency, JUMP_FREQUENCY);
  spreadAt = i64.MIN_VALUE;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const states = estimatorStates(i);
    const p = filter + 8 + 8 * states;
    add(p, seconds * seconds);
    add(estimatorElement(p, states, 1, 1), jump * jump);
  }
}

/** UTC minus local time was another by `ns` all the time, as after a leap second or with another server. */
export function estimatorShift(ns: i64): void {
  moveAnchor(ns);
  estimatedDifference += ns;
}

/** The estimate for local time `t`, not before the last sample: `estimatedDifference`, `estimatedFrequency`. */
export function estimatorAim(t: i64): void {
  prepare(t, t + anchor);
  let offset: f64 = 0;
  estimatedFrequency = 0;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const weight = load<f64>(filter);
    offset += weight * foresee(filter, estimatorStates(i), false);
    estimatedFrequency += weight * foresee(filter, estimatorStates(i), true);
  }
  estimatedDifference = anchor + wholeOf(offset * 1e9);
}

/** How sure that is: `estimatedDeviation`, `estimatedFrequencyDeviation`. */
export function estimatorSpread(now: i64): void {
  const t = at + ((now - at + SPREAD_NS - 1) & -SPREAD_NS);
  if (t == spreadAt && cycleTaken == spreadTaken) return;
  spreadAt = t;
  spreadTaken = cycleTaken;
  const seconds = prepare(t, t + anchor);
  const filters = estimatorFilters();
  let told: f64 = 0;
  let walk: f64 = 0;
  let variance: f64 = 0;
  let offset: f64 = 0;
  let frequency: f64 = 0;
  let offsetSquare: f64 = 0;
  let frequencySquare: f64 = 0;
  let statesMost: u32 = 0;
  for (let i: u32 = 0; i < filters; i++) {
    const filter = estimatorFilter(i);
    const weight = load<f64>(filter);
    if (below(weight, WEIGHT_TOLD)) continue;
    const states = estimatorStates(i);
    statesMost = max<u32>(statesMost, states);
    told += weight;
    walk += weight * walkOf(i);
    variance += weight * unread(filter);
    const filterOffset = foresee(filter, states, false);
    const filterFrequency = foresee(filter, states, true);
    const offsetPart = weight * filterOffset;
    const frequencyPart = weight * filterFrequency;
    offset += offsetPart;
    offsetSquare += offsetPart * filterOffset;
    frequency += frequencyPart;
    frequencySquare += frequencyPart * filterFrequency;
  }
  walk *= WALK_UNKNOWN;
  variance += walk * wandered(seconds);
  let frequencyVariance = walk * seconds;
  for (let j: u32 = 0; j < statesMost; j++) {
    meanRow(j);
    variance += rowVariance(j, statesMost, STEP);
    if (j > 0) frequencyVariance += rowVariance(j, statesMost, NOW);
  }
  const perTold = 1 / told;
  const scale = MODEL_VARIANCE * perTold;
  offsetSquare -= offset * offset * perTold;
  frequencySquare -= frequency * frequency * perTold;
  estimatedDeviation = sqrt<f64>(scale * (variance + notBelowZero(offsetSquare)));
  estimatedFrequencyDeviation = sqrt<f64>(scale * (frequencyVariance + notBelowZero(frequencySquare)));
}

// Row j, from the diagonal on, of the sum of all covariances that count, weighted: into ROW.
function meanRow(j: u32): void {
  clear(ROW, 8 * STATES_MAX);
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const states = estimatorStates(i);
    const weight = load<f64>(filter);
    if (states <= j || below(weight, WEIGHT_TOLD)) continue;
    let place = estimatorElement(filter + 8 + 8 * states, states, j, j);
    for (let at = 8 * j; at < 8 * states; at += 8, place += 8) add(ROW + at, weight * load<f64>(place));
  }
}

// What that row adds to the variance in a direction: what is beside the diagonal counts twice.
function rowVariance(j: u32, states: u32, vector: usize): f64 {
  let sum: f64 = 0;
  for (let at = 8 * (j + 1); at < 8 * states; at += 8) sum += load<f64>(ROW + at) * load<f64>(vector + at);
  const own = load<f64>(vector + 8 * j);
  return own * (sum + sum + load<f64>(ROW + 8 * j) * own);
}
