// Draws from distributions, for simulations: each stream follows from its seed.
import type { Prng } from '../../test/fuzz/prng.ts';
import type { Distribution } from './cases.ts';

/** Normal distribution, mean 0, standard deviation 1. */
export class Normal {
  #spare = Number.NaN;

  constructor(readonly random: Prng) {}

  /** Marsaglia's polar method: two draws at a time. */
  next(): number {
    const kept = this.#spare;
    if (!Number.isNaN(kept)) {
      this.#spare = Number.NaN;
      return kept;
    }
    for (;;) {
      const u = this.random.u32() * 2 ** -31 - 1;
      const v = this.random.u32() * 2 ** -31 - 1;
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const scale = Math.sqrt((-2 * Math.log(s)) / s);
      this.#spare = v * scale;
      return u * scale;
    }
  }
}

/** Gamma distribution of this shape and scale 1 (Marsaglia and Tsang 2000). */
function gamma(shape: number, random: Prng, normal: Normal): number {
  if (shape < 1) return gamma(shape + 1, random, normal) * (1 - random.fraction()) ** (1 / shape);
  const d = shape - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal.next();
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random.fraction()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Draws from a distribution of a case, in ns. */
export function sampler(of: Distribution, random: Prng): () => number {
  const normal = new Normal(random);
  const { exponential, gamma: shaped, lognormal, uniform, table } = of;
  if (exponential !== undefined) return () => random.exponential(exponential.meanMs * 1e6);
  if (shaped !== undefined) {
    return () => (gamma(shaped.shape, random, normal) * shaped.meanMs * 1e6) / shaped.shape;
  }
  if (lognormal !== undefined) return () => lognormal.medianMs * 1e6 * Math.exp(lognormal.sigma * normal.next());
  if (uniform !== undefined) {
    return () => (uniform.fromMs + (uniform.toMs - uniform.fromMs) * random.fraction()) * 1e6;
  }
  const ms = table!.ms;
  // Quantiles at even distances, and a straight line between two.
  return () => {
    const at = random.fraction() * (ms.length - 1);
    const below = Math.floor(at);
    return (ms[below]! + (ms[below + 1]! - ms[below]!) * (at - below)) * 1e6;
  };
}
