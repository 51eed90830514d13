// The real-time clock against UTC: its offset when it was last compared with an authenticated time, and its rate.
// What always holds: the bound follows from the comparison and the chip's guaranteed error alone; what was learned moves
// the estimate inside it. Without a comparison there is nothing, and `calibrationUtc` is 0.
//
//   saved    0  at           i64  UTC ns of the last comparison or setting, 0 for never
//            8  offset       i64  ns, real-time clock minus UTC then
//           16  bound        i64  ns, hard bound on the error of the offset then
//           24  standard     i64  ns, its standard uncertainty
//           32  rate         i32  ppb, how much faster than UTC it runs, mean of the last days
//           36  variation    u32  ppb, how far the rate of an hour lies from that mean
//           40  learned      u32  s, for how long this was observed

import { SECOND_NS } from '../ntp/timestamp';
import { localShownErrorPpb } from './local';

export const CALIBRATION_BYTES: u32 = 44;

/** Y / (1 - Y), rounded up, of the 100 ppm that a crystal of 32,768 Hz may be wrong over temperature and life: see local.ts. */
const SHOWN_ERROR_PPB: i64 = 100_011;

/**
 * What the rate of an hour usually lies from the mean before anything was observed: a crystal of -0.035 ppm/K^2
 * (typical of 32,768 Hz) in a cabinet that is 10 K from its turning point and swings by 10 K over the day.
 */
const VARIATION_PPB: i64 = 5000;
/** No cabinet is steadier. */
const VARIATION_MIN_PPB: i32 = 200;
/** A daily swing of the rate adds up no further than in so many seconds of its usual size: 86,400 s / pi. */
const SWING_SECONDS: i64 = 27_500;
/**
 * What the mean rate of the time ahead may differ from the one learned, standard: other weather and a meter that cools
 * when it is off, 3 K at 0.7 ppm/K (the same crystal, 10 K from its turning point); over a season 8 K, and aging.
 */
const WEATHER_PPB: i64 = 1500;
const SEASON_PPB: i64 = 2500;
const SEASON_SECONDS: i64 = 90 * 86_400;

/** The mean reaches back so far, s. */
const MEMORY_SECONDS: i64 = 64 * 3600;
/** So much of it is needed to tell the mean of a day from the rate of an hour. */
const DAY_SECONDS: i64 = 86_400;
/** How long the rate of a cabinet hardly changes: what is observed within counts once. */
const HOUR_SECONDS: i64 = 3600;
/** Before anything is learned, the rate is 0 within 15 ppm: as much as an hour's observation of three times `VARIATION_PPB`. */
const PRIOR_SECONDS: i64 = HOUR_SECONDS / 9;
/** Shorter intervals say too little about the rate. */
const INTERVAL_MIN_SECONDS: i64 = 300;

let at: i64 = 0;
let offset: i64 = 0;
let bound: i64 = 0;
let standard: i64 = 0;
let rate: i32 = 0;
let variation: i32 = <i32>VARIATION_PPB;
let learned: i32 = 0;

/** UTC ns of the last comparison or setting; 0 without. */
export function calibrationUtc(): i64 {
  return at;
}

/** Rate of the real-time clock, ppb; positive when it is fast. */
export function calibrationRatePpb(): i32 {
  return rate;
}

/** What the rate of an hour usually lies from that, ppb. */
export function calibrationVariationPpb(): i32 {
  return variation;
}

/** Whether the rate was observed at all. */
export function calibrationLearned(): bool {
  return learned != 0;
}

/** What the real-time clock may be wrong after running alone for `elapsedNs`, as it shows them itself, ns, rounded up. */
export function rtcDriftNs(elapsedNs: i64): i64 {
  const length = max<i64>(elapsedNs, 0);
  const ppb = max<i64>(SHOWN_ERROR_PPB, localShownErrorPpb());
  const seconds = length / SECOND_NS;
  return seconds * ppb + ((length - seconds * SECOND_NS) * ppb) / SECOND_NS + 1;
}

// The root of the sum of two squares; at most 8 % more.
function sumNs(a: i64, b: i64): i64 {
  return max<i64>(a, b) + (min<i64>(a, b) * 54) / 128;
}

function secondsSince(utc: i64): i64 {
  return max<i64>(utc - at, 0) / SECOND_NS;
}

/** Its offset when it was last compared, ns: the middle of what `calibrationBoundNs` bounds. */
export function calibrationOffsetNs(): i64 {
  return offset;
}

/** Hard bound at `utc` on what its offset differs from the last one, ns. */
export function calibrationBoundNs(utc: i64): i64 {
  return bound + rtcDriftNs(utc - at);
}

/** Real-time clock minus UTC to be expected at `utc`, ns. */
export function calibrationExpectNs(utc: i64): i64 {
  return offset + <i64>rate * secondsSince(utc);
}

/** Standard uncertainty of that, ns; the largest number as long as nothing was learned. */
export function calibrationStandardNs(utc: i64): i64 {
  if (learned == 0) return i64.MAX_VALUE;
  const seconds = secondsSince(utc);
  const swing = <i64>variation * min<i64>(seconds, SWING_SECONDS);
  const weather = WEATHER_PPB + (SEASON_PPB * min<i64>(seconds, SEASON_SECONDS)) / SEASON_SECONDS;
  const mean = (<i64>variation * DAY_SECONDS) / (DAY_SECONDS + 2 * <i64>learned);
  return sumNs(standard, sumNs(swing, sumNs(weather, mean) * seconds));
}

/** Whether what is known allows for a real-time clock whose offset at `utc` is that, within that bound, ns. */
export function calibrationCovers(utc: i64, offsetNs: i64, boundNs: i64): bool {
  if (at == 0) return true;
  const apart = offsetNs < offset ? offset - offsetNs : offsetNs - offset;
  // A clock that is set back reaches again times at which its drift counted already.
  return apart + boundNs + rtcDriftNs(at - utc) <= calibrationBoundNs(utc);
}

/** Makes it allow for that, and for a bound grown since. */
export function calibrationWiden(utc: i64, offsetNs: i64, boundNs: i64): void {
  const apart = offsetNs < offset ? offset - offsetNs : offsetNs - offset;
  bound = max<i64>(bound, apart + 2 * boundNs + rtcDriftNs(at - utc));
}

/** Whether it allows for a real-time clock that is set at any moment from now on: by up to a second, k = 2. */
export function calibrationLoose(): bool {
  return at == 0 || standard >= SECOND_NS / 2;
}
export function calibrationLoosen(): void {
  standard = max<i64>(standard, SECOND_NS / 2);
}

/** The real-time clock was set at `utc`: its offset is that, within that bound, ns. */
export function calibrationSet(utc: i64, offsetNs: i64, boundNs: i64): void {
  at = utc;
  offset = offsetNs;
  bound = boundNs;
  standard = SECOND_NS / 2;
}

/**
 * Compared: at `utc` its offset was that, within that bound and with that standard uncertainty, ns; `leapsNs` is what UTC
 * may have leapt since the last time.
 */
export function calibrationTake(utc: i64, offsetNs: i64, boundNs: i64, standardNs: i64, leapsNs: i64): void {
  const seconds = secondsSince(utc);
  if (at != 0 && seconds >= INTERVAL_MIN_SECONDS) {
    learn((offsetNs - offset) / seconds, (sumNs(standardNs, standard) + leapsNs) / seconds, seconds);
  }
  at = utc;
  offset = offsetNs;
  bound = boundNs;
  standard = standardNs;
}

// A rate that was observed with this standard uncertainty, ppb, over an interval.
function learn(observed: i64, noise: i64, seconds: i64): void {
  // It was set by something else, or the clock stepped.
  if (max<i64>(observed, -observed) > SHOWN_ERROR_PPB + noise) return;
  // No rate is beyond that, however little the clock itself knew.
  const apart = min<i64>(max<i64>(observed, -SHOWN_ERROR_PPB), SHOWN_ERROR_PPB) - rate;
  const usual = VARIATION_PPB * VARIATION_PPB;
  const noiseSquare = min<i64>(noise, SHOWN_ERROR_PPB) * min<i64>(noise, SHOWN_ERROR_PPB);
  const share = (usual << 10) / (usual + noiseSquare);
  const weight = (max<i64>(min<i64>(seconds, MEMORY_SECONDS), HOUR_SECONDS) * share) >> 10;
  if (learned >= <i32>HOUR_SECONDS) {
    // 5/4 of the mean deviation is the standard one where it is normal, and 12 % more where it swings. It holds the noise.
    const deviation = (max<i64>(apart, -apart) * 5) / 4;
    const once = min<i64>(weight, HOUR_SECONDS);
    const change = ((deviation - variation) * once) / (DAY_SECONDS + <i64>learned);
    variation = max<i32>(variation + <i32>change, VARIATION_MIN_PPB);
  }
  rate += <i32>((apart * weight) / (PRIOR_SECONDS + <i64>learned + weight));
  learned = min<i32>(learned + <i32>weight, <i32>MEMORY_SECONDS);
}

/** Writes `CALIBRATION_BYTES` as drawn above. */
export function calibrationSave(to: usize): void {
  store<i64>(to, at);
  store<i64>(to, offset, 8);
  store<i64>(to, bound, 16);
  store<i64>(to, standard, 24);
  store<i32>(to, rate, 32);
  store<i32>(to, variation, 36);
  store<i32>(to, learned, 40);
}

/** Reads what `calibrationSave` wrote. */
export function calibrationLoad(from: usize): void {
  at = load<i64>(from);
  offset = load<i64>(from, 8);
  bound = load<i64>(from, 16);
  standard = load<i64>(from, 24);
  rate = load<i32>(from, 32);
  variation = max<i32>(load<i32>(from, 36), VARIATION_MIN_PPB);
  learned = min<i32>(max<i32>(load<i32>(from, 40), 0), <i32>MEMORY_SECONDS);
}
