// Numbers where the clock weighs what it knows: an inverse root, sine and cosine, and a Gaussian cut to an interval.
// What always holds: additions, multiplications and divisions of IEEE 754 in a fixed order, and integers, alone, so each
// board and node get the same bits.

/**
 * 1 / √x of a normal number above zero, to 1e-10 of it. A division costs ten multiplications, and one of integers a tenth of
 * one: so the first three of Newton's steps are taken with the mantissa, from 1 to 4, in parts of 2^30.
 */
export function inverseRoot(x: f64): f64 {
  const bits = reinterpret<u64>(x);
  const exponent = <i32>(bits >> 52) - 1023;
  const mantissa: u64 = ((1 << 31) | ((bits >> 21) & 0x7fff_ffff)) >> (1 - (exponent & 1));
  // A straight line, in parts of 2^31, that misses 1 / √mantissa by an eighth at most.
  let root: u64 = 2_369_500_000 - ((mantissa * 1_431_655_765) >> 32);
  for (let i: u32 = 0; i < 3; i++) {
    const square: u64 = (mantissa * <u64>(<u32>((root * root) >> 32))) >> 32;
    root = <u64>(<u32>((root * (0x3000_0000 - square)) >> 29));
  }
  const near = reinterpret<f64>(reinterpret<i64>(<f64>(<u32>root)) - ((<i64>(31 + (exponent >> 1))) << 52));
  return near * (1.5 - 0.5 * x * near * near);
}

/** A number as a whole one, towards zero; what is beyond 2^62, or no number, becomes the largest. */
export function wholeOf(x: f64): i64 {
  const bits = reinterpret<i64>(x);
  const down = 1075 - (<i32>(bits >> 52) & 0x7ff);
  // Minus infinity and above it, with its sign, no numbers.
  if (down < -9) return bits <= -(1 << 52) ? -i64.MAX_VALUE : i64.MAX_VALUE;
  const mantissa: i64 = (1 << 52) | (bits & 0xf_ffff_ffff_ffff);
  const size: i64 = down > 52 ? 0 : down >= 0 ? mantissa >> down : mantissa << -down;
  return bits < 0 ? -size : size;
}

/** Whether a < b, of two numbers that are not below zero: integers tell it in a tenth of the instructions. */
export function below(a: f64, b: f64): bool {
  return reinterpret<i64>(a) < reinterpret<i64>(b);
}

/** Whether a number is above zero; no number is not. */
export function isAboveZero(x: f64): bool {
  return reinterpret<u64>(x) - 1 < 0x7ff0_0000_0000_0000;
}

/** The larger of two numbers that are not below zero. */
export function larger(a: f64, b: f64): f64 {
  return below(a, b) ? b : a;
}

// The upper 32 bits of a mantissa.
function mantissaOf(bits: u64): u64 {
  return 0x8000_0000 | ((bits >> 21) & 0x7fff_ffff);
}

/**
 * `part` / `whole` to 2^-31 of it, of normal numbers above zero of which `part` is not the larger; less than 2^-31 is 0. A
 * division of integers.
 */
export function shareOf(part: f64, whole: f64): f64 {
  const partBits = reinterpret<u64>(part);
  const wholeBits = reinterpret<u64>(whole);
  const down = (wholeBits >> 52) - (partBits >> 52);
  if (down > 31) return 0;
  return <f64>(<u32>(((mantissaOf(partBits) << 31) / mantissaOf(wholeBits)) >> down)) * (1 / 2_147_483_648.0);
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
  const quarters = <i32>wholeOf(turns * 4 + 0.5);
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

// What follows is in integers, a tenth of the cost: it weighs samples, which are not known to a millionth. Distances are in
// parts of 2^28 of a standard deviation, factors in parts of 2^30, densities and shares in parts of 2^32.

const DISTANCE_BITS: u32 = 28;
const PER_DISTANCE: f64 = 1 / 268_435_456.0;
const PER_SHARE: f64 = 1 / 4_294_967_296.0;

/** Beyond 4.5 standard deviations there is nothing. */
const FAR: i32 = 1_207_959_552;
/** Over an interval that is narrower, in standard deviations, the density is a straight line. */
const NARROW: f64 = 0.2;
/** As much of a variance, 1e-4 of it, as is certain to be left where differences cancel. */
const LEFT_MIN: i64 = 26_844;

// A number as a distance, towards zero; from 8 standard deviations on, the largest one.
function distanceOf(x: f64): i32 {
  const bits = reinterpret<u64>(x);
  const high = <u32>(bits >> 32);
  const mantissa: u32 = (1 << 31) | (high << 11) | (<u32>bits >> 21);
  const down = 1026 - ((high >> 20) & 0x7ff);
  if (<i32>down <= 0) return <i32>high < 0 ? -i32.MAX_VALUE : i32.MAX_VALUE;
  const distance: i32 = down > 31 ? 0 : mantissa >> down;
  return <i32>high < 0 ? -distance : distance;
}

/** log2(e) / 2, in parts of 2^32. */
const HALF_LOG2_E: i64 = 3_098_164_009;
/** 1 / sqrt(2 pi), in parts of 2^32. */
const INVERSE_ROOT_2PI: i64 = 1_713_444_047;
/** Abramowitz and Stegun's p, in parts of 2^32. */
const TAIL_STEP: i64 = 994_894_385;

/** Density of the standard normal distribution at the last argument of `upperTail`. */
let density: u32 = 0;

// Share of the standard normal distribution above |x|, to 1e-6 (Abramowitz and Stegun 26.2.17).
function upperTail(x: i32): u32 {
  const distance: i64 = x < 0 ? -x : x;
  density = 0;
  if (distance >= <i64>FAR) return 0;
  // e to the power of -x² / 2 as a power of 2; here in parts of 2^26.
  const power = <u32>((<u64>(<u32>((distance * distance) >> 30)) * <u64>HALF_LOG2_E) >> 32);
  const f: i64 = (power & 0x3ff_ffff) << 4;
  // 2^-f for f from 0 to 1, to 1e-7: interpolated at Chebyshev's points.
  let sum: i32 = <i32>((f * -1_016_701) >> 30) + 9_888_282;
  sum = <i32>((f * <i64>sum) >> 30) - 59_375_904;
  sum = <i32>((f * <i64>sum) >> 30) + 257_890_191;
  sum = <i32>((f * <i64>sum) >> 30) - 744_256_774;
  sum = <i32>((f * <i64>sum) >> 30) + 1_073_741_764;
  density = <u32>((<i64>sum * INVERSE_ROOT_2PI) >> 30) >> (power >> 26);
  const t: i64 = (1 << 60) / ((1 << 30) + ((distance * TAIL_STEP) >> 30));
  sum = <i32>((t * 1_428_371_292) >> 30) - 1_955_558_716;
  sum = <i32>((t * <i64>sum) >> 30) + 1_912_847_369;
  sum = <i32>((t * <i64>sum) >> 30) - 382_857_446;
  sum = <i32>((t * <i64>sum) >> 30) + 342_933_307;
  sum = <i32>((t * <i64>sum) >> 30);
  return <u32>((<i64>sum * <i64>density) >> 30);
}

/**
 * Cuts a Gaussian to an interval around zero.
 *
 * @param inverse of its standard deviation
 * @returns false when next to nothing is left; then the results mean nothing
 */
export function cutGaussian(mean: f64, variance: f64, inverse: f64, halfWidth: f64): bool {
  const centre = mean * inverse;
  const half = halfWidth * inverse;
  const low = -distanceOf(half + centre);
  const high = distanceOf(half - centre);
  if (low >= FAR || high <= -FAR) return false;
  if (low <= -FAR && high >= FAR) {
    cutMass = 1;
    cutMean = mean;
    cutVariance = variance;
    return true;
  }
  // Not the difference of both ends, which are rounded.
  const width = half + half;
  if (below(width, NARROW)) {
    upperTail(distanceOf(centre));
    cutMass = width * (<f64>density * PER_SHARE);
    cutVariance = halfWidth * halfWidth * (1 / 3.0);
    cutMean = mean * cutVariance * inverse * inverse;
    cutVariance -= cutMean * cutMean;
    return true;
  }
  const tailLow = upperTail(low);
  const densityLow: i64 = density;
  const tailHigh = upperTail(high);
  const densityHigh: i64 = density;
  let mass: u32 = 0 - tailLow - tailHigh;
  if (low > 0) mass = tailLow - tailHigh;
  else if (high < 0) mass = tailHigh - tailLow;
  const shift = ((densityLow - densityHigh) << DISTANCE_BITS) / <i64>mass;
  const narrowed = (<i64>low * densityLow - <i64>high * densityHigh) / <i64>mass;
  const left = (1 << DISTANCE_BITS) + narrowed - ((shift * shift) >> DISTANCE_BITS);
  cutMass = <f64>mass * PER_SHARE;
  cutMean = mean + variance * inverse * (<f64>shift * PER_DISTANCE);
  cutVariance = variance * (<f64>max<i64>(left, LEFT_MIN) * PER_DISTANCE);
  return true;
}
