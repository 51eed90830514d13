// Allan deviation (IEEE 1139): how much a frequency, averaged over a time, changes from one such time to the next.

export interface AllanPoint {
  /** Averaging time, s. */
  readonly tau: number;
  readonly deviation: number;
}

/**
 * Overlapping Allan deviation for averaging times that double, up to a quarter of the whole.
 * @param offsetsNs time offsets at even distances
 */
export function allanDeviation(offsetsNs: ArrayLike<number>, everySeconds: number): AllanPoint[] {
  const points: AllanPoint[] = [];
  for (let step = 1; 4 * step < offsetsNs.length; step *= 2) {
    const terms = offsetsNs.length - 2 * step;
    let squares = 0;
    for (let n = 0; n < terms; n++) {
      squares += (offsetsNs[n + 2 * step]! - 2 * offsetsNs[n + step]! + offsetsNs[n]!) ** 2;
    }
    const tau = step * everySeconds;
    points.push({ tau, deviation: Math.sqrt(squares / (2 * terms)) / (tau * 1e9) });
  }
  return points;
}
