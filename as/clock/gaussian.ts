// Doubles where the clock weighs what it knows: an exponential, sine and cosine, and a Gaussian cut to an interval.
// What always holds: additions, multiplications, divisions and square roots of IEEE 754 in a fixed order alone, so each
// board and node get the same bits.

// Literals, so that no compiler's own idea of them counts.
// biome-ignore lint/suspicious/noApproximativeNumericConstant: see above
const LOG2_E: f64 = 1.4426950408889634;
const LN2_HIGH: f64 = 0.6931471803691238;
const LN2_LOW: f64 = 1.9082149292705877e-10;

/** e to the power of `x` for x <= 0, to 1e-9 of it; 0 below e^-700. */
export function exponential(x: f64): f64 {
  if (!(x > -700)) return 0;
  const power = <i32>(x * LOG2_E - 0.5);
  const r = x - <f64>power * LN2_HIGH - <f64>power * LN2_LOW;
  const r2 = r * r;
  // Even and odd terms of the series to r^9.
  const even = 1 + r2 * (1 / 2 + r2 * (1 / 24 + r2 * (1 / 720 + r2 * (1 / 40_320))));
  const odd = 1 + r2 * (1 / 6 + r2 * (1 / 120 + r2 * (1 / 5040 + r2 * (1 / 362_880))));
  return (even + r * odd) * reinterpret<f64>((<i64>power + 1023) << 52);
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

/** Beyond so many standard deviations nothing is cut. */
const FAR: f64 = 6;
/** An interval that begins further away is not reached. */
const REACH: f64 = 4.5;
/** One that is narrower, in standard deviations, has the same density all over. */
const NARROW: f64 = 0.05;

const INVERSE_ROOT_2PI: f64 = 0.3989422804014327;

/** Density of the standard normal distribution at the last argument of `upperTail`. */
let density: f64 = 0;

// Share of the standard normal distribution above |x|, to 1e-7 (Abramowitz and Stegun 26.2.17).
function upperTail(x: f64): f64 {
  const distance = abs<f64>(x);
  if (distance >= FAR) {
    density = 0;
    return 0;
  }
  density = INVERSE_ROOT_2PI * exponential(-0.5 * distance * distance);
  const t = 1 / (1 + 0.2316419 * distance);
  return density * t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
}

/**
 * Cuts a Gaussian to an interval around zero.
 *
 * @returns false when next to nothing is left; then the results mean nothing
 */
export function cutGaussian(mean: f64, variance: f64, halfWidth: f64): bool {
  const deviation = sqrt<f64>(variance);
  const low = (-halfWidth - mean) / deviation;
  const high = (halfWidth - mean) / deviation;
  if (!(low < REACH && high > -REACH)) return false;
  const tailLow = upperTail(low);
  const densityLow = density;
  if (high - low < NARROW) {
    cutMass = (high - low) * densityLow;
    cutMean = 0;
    cutVariance = (halfWidth * halfWidth) / 3;
    return true;
  }
  const tailHigh = upperTail(high);
  const densityHigh = density;
  if (low > 0) cutMass = tailLow - tailHigh;
  else if (high < 0) cutMass = tailHigh - tailLow;
  else cutMass = 1 - tailLow - tailHigh;
  const shift = (densityLow - densityHigh) / cutMass;
  cutMean = mean + deviation * shift;
  // As much as is certain to be left where differences cancel.
  cutVariance = variance * max<f64>(1 + (low * densityLow - high * densityHigh) / cutMass - shift * shift, 1e-4);
  return true;
}
