// How far a sample moves the clock: the place of the clock's discipline.
//
// A scalar filter: the clock's standard uncertainty grows with the oscillator's usual error since the last correction,
// a sample's is what its delay exceeds the smallest one seen; the correction is the share of the offset that the two
// deserve. So the first sample counts whole, and one that was held up on its way hardly.
//
// What always holds: the correction lies between zero and the offset.

import { SECOND_NS } from '../ntp/timestamp';

/** Usual error of an uncorrected crystal within its temperature range. */
const OSCILLATOR_PPB: i64 = 20_000;

/** Noise of a sample without any queue: ticks, interrupts, the server's own stamps. */
const SAMPLE_FLOOR_NS: i64 = 50_000;

/** The smallest delay is forgotten a little with each sample, so that a new route is learned. */
const FLOOR_FORGET_SHIFT: i64 = 6;

let varianceNs: i64 = 0;
let since: i64 = 0;
let smallestDelay: i64 = i64.MAX_VALUE;
let asymmetryNs: i64 = 0;

/** Forgets everything learned. */
export function disciplineReset(): void {
  smallestDelay = i64.MAX_VALUE;
  varianceNs = 0;
}

/** The clock may be wrong by `ns` more from local time `t` on. */
export function disciplineWiden(t: i64, ns: i64): void {
  varianceNs = standardNs(t) + ns;
  since = t;
}

// Standard uncertainty at local time t, ns.
function standardNs(t: i64): i64 {
  const age = max<i64>(t - since, 0);
  return varianceNs + (age / SECOND_NS) * OSCILLATOR_PPB + ((age % SECOND_NS) * OSCILLATOR_PPB) / SECOND_NS;
}

/**
 * Takes a sample and returns the correction to apply, ns.
 *
 * @param t local time of the sample
 * @param offset server minus clock, ns
 * @param delay round trip without serial line and gateway, ns
 * @param rootDistance of the server, ns
 * @param known false when the clock had no time worth keeping
 */
export function disciplineSample(t: i64, offset: i64, delay: i64, rootDistance: i64, known: bool): i64 {
  if (smallestDelay == i64.MAX_VALUE) smallestDelay = delay;
  smallestDelay += (delay - smallestDelay) >> (delay < smallestDelay ? 0 : FLOOR_FORGET_SHIFT);
  const sample = (delay - smallestDelay) / 2 + SAMPLE_FLOOR_NS;
  let share: i64 = 0x10000;
  let standard = sample;
  if (known) {
    // In microseconds, so that the squares fit; above 30 s every share is the same.
    const clockUs = min<i64>(standardNs(t) / 1000 + 1, 30_000_000);
    const sampleUs = min<i64>(sample / 1000 + 1, 30_000_000);
    const clockSquare = clockUs * clockUs;
    const sampleSquare = sampleUs * sampleUs;
    // Both squares below 2^50; 13 bits of share are more than the noise is known to.
    share = ((clockSquare << 13) / (clockSquare + sampleSquare)) << 3;
    // The weighted mean of two independent values is at least as sure as the better one.
    standard = min<i64>(sample, standardNs(t));
  }
  varianceNs = standard;
  since = t;
  // GUM 4.3.7: a rectangular distribution of half-width a has the standard uncertainty a / sqrt(3).
  asymmetryNs = ((smallestDelay / 2 + rootDistance) * 577) / 1000;
  return (offset >> 16) * share + (((offset & 0xffff) * share) >> 16);
}

/** Expanded uncertainty (k = 2) at local time `t`, ns: noise and drift, path asymmetry, server. */
export function disciplineUncertaintyNs(t: i64): i64 {
  return 2 * (standardNs(t) + asymmetryNs);
}
