// Numbers where the clock weighs what it knows: an inverse root, sine and cosine, and a Gaussian cut to an interval.
// What always holds: additions, multiplications and divisions of IEEE 754 in a fixed order alone, so each board and node get
// the same bits.

/** 1 / √x of a normal number above zero, to 1e-10 of it: where a division costs ten multiplications, the shortest way. */
export function inverseRoot(x: f64): f64 {
  const half = 0.5 * x;
  let root = reinterpret<f64>(0x5fe6_eb50_c7b5_3800 - (reinterpret<i64>(x) >> 1));
  for (let i: u32 = 0; i < 3; i++) root *= 1.5 - half * root * root;
  return root;
}

/** Whether a < b, of two numbers that are not below zero: integers tell it in a tenth of the instructions. */
export function below(a: f64, b: f64): bool {
  return reinterpret<i64>(a) < reinterpret<i64>(b);
}

/** Whether a number is zero. */
export function isNothing(x: f64): bool {
  return reinterpret<u64>(x) << 1 == 0;
}

/** A number that is zero where it is below. */
export function notBelowZero(x: f64): f64 {
  return reinterpret<i64>(x) < 0 ? 0 : x;
}

/** Results of `turn`. */
export let turnSine: f64 = 0;
export let turnCosine: f64 = 0;

const HALF_PI: f64 = 1.5707963267948966;

/** Sine and cosine, to 1e-9, of an angle in turns from 0 to 1. */
export function turn(turns: f64): void {
  const quarters = <i32>(turns * 4 + 0.5);
  const r = (turns * 4 - <f64>quarters) * HALF_PI;
  const r2 = r * r;
  const sine = r * (1 - r2 * (1 / 6 - r2 * (1 / 120 - r2 * (1 / 5040 - r2 * (1 / 362_880)))));
  const cosine = 1 - r2 * (1 / 2 - r2 * (1 / 24 - r2 * (1 / 720 - r2 * (1 / 40_320 - r2 * (1 / 3_628_800)))));
  const odd = (quarters & 1) != 0;
  turnSine = odd ? cosine : sine;
  turnCosine = odd ? -sine : cosine;
  if ((quarters & 2) != 0) {
    turnSine = -turnSine;
    turnCosine = -turnCosine;
  }
}

/** Results of `cutGaussian`: the share that is left, its mean and variance. */
export let cutMass: f64 = 1;
export let cutMean: f64 = 0;
export let cutVariance: f64 = 0;

// What follows is in single precision, a third of the cost: it weighs samples, which are not known to a millionth.

/** Beyond so many standard deviations there is nothing. */
const FAR: f32 = 4.5;
/** Over an interval that is narrower, in standard deviations, the density is a straight line. */
const NARROW: f32 = 0.2;

// Literals, so that no compiler's own idea of them counts.
// biome-ignore lint/suspicious/noApproximativeNumericConstant: see above
const LOG2_E: f32 = 1.442695;
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.1219444e-4;

// e to the power of x, from -20 to 0.
function exponential(x: f32): f32 {
  const power = <i32>(x * LOG2_E - 0.5);
  const r = x - <f32>power * LN2_HIGH - <f32>power * LN2_LOW;
  const r2 = r * r;
  // Even and odd terms of the series to r^6.
  const even: f32 = 1 + r2 * (<f32>(1 / 2) + r2 * (<f32>(1 / 24) + r2 * <f32>(1 / 720)));
  const odd: f32 = 1 + r2 * (<f32>(1 / 6) + r2 * <f32>(1 / 120));
  return (even + r * odd) * reinterpret<f32>((power + 127) << 23);
}

const INVERSE_ROOT_2PI: f32 = 0.3989423;

/** Density of the standard normal distribution at the last argument of `upperTail`. */
let density: f32 = 0;

// Share of the standard normal distribution above |x|, to 1e-6 (Abramowitz and Stegun 26.2.17).
function upperTail(x: f32): f32 {
  const distance = abs<f32>(x);
  density = 0;
  if (distance >= FAR) return 0;
  density = INVERSE_ROOT_2PI * exponential(<f32>-0.5 * distance * distance);
  const t: f32 = <f32>1 / (<f32>1 + <f32>0.2316419 * distance);
  const inner: f32 = <f32>1.7814779 + t * (<f32>-1.8212559 + t * <f32>1.3302744);
  return density * t * (<f32>0.31938153 + t * (<f32>-0.35656378 + t * inner));
}

/**
 * Cuts a Gaussian to an interval around zero.
 *
 * @param inverse of its standard deviation
 * @returns false when next to nothing is left; then the results mean nothing
 */
export function cutGaussian(mean: f64, variance: f64, inverse: f64, halfWidth: f64): bool {
  const low = <f32>((-halfWidth - mean) * inverse);
  const high = <f32>((halfWidth - mean) * inverse);
  if (!(low < FAR && high > -FAR)) return false;
  if (low <= -FAR && high >= FAR) {
    cutMass = 1;
    cutMean = mean;
    cutVariance = variance;
    return true;
  }
  // Not the difference of both ends, which single precision may not tell apart.
  const width = <f32>(2 * halfWidth * inverse);
  if (width < NARROW) {
    upperTail(<f32>(mean * inverse));
    cutMass = <f64>(width * density);
    cutVariance = halfWidth * halfWidth * (1 / 3.0);
    cutMean = mean * cutVariance * inverse * inverse;
    cutVariance -= cutMean * cutMean;
    return true;
  }
  const tailLow = upperTail(low);
  const densityLow = density;
  const tailHigh = upperTail(high);
  const densityHigh = density;
  let mass: f32 = 1 - tailLow - tailHigh;
  if (low > 0) mass = tailLow - tailHigh;
  else if (high < 0) mass = tailHigh - tailLow;
  const perMass: f32 = <f32>1 / mass;
  const shift: f32 = (densityLow - densityHigh) * perMass;
  const spread: f32 = <f32>1 + (low * densityLow - high * densityHigh) * perMass - shift * shift;
  cutMass = <f64>mass;
  cutMean = mean + variance * inverse * <f64>shift;
  // As much as is certain to be left where differences cancel.
  cutVariance = variance * <f64>max<f32>(spread, 1e-4);
  return true;
}
