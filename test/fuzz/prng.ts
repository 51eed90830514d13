// Random numbers that follow from a seed, with streams of their own for each part of a simulation.

/** splitmix32: every 32-bit seed gives a stream of its own. */
export class Prng {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  u32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  /** From 0 to below 1. */
  fraction(): number {
    return this.u32() / 2 ** 32;
  }

  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number {
    return Math.floor(this.fraction() * limit);
  }

  /** An integer from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.u32();
    return bytes;
  }

  /** Exponential distribution with this mean. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.fraction());
  }

  /** A whole number over many orders of magnitude: mostly small, sometimes as large as `limit`. */
  size(limit: number): number {
    return Math.floor((limit + 1) ** this.fraction()) - 1;
  }

  /** A stream of its own. */
  fork(): Prng {
    return new Prng(this.u32());
  }
}

/** The seed of a run: METERTIME_SEED, or a fresh one; printed with the name. */
export function runSeed(name: string): number {
  const given = process.env.METERTIME_SEED;
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new RangeError(`METERTIME_SEED: an integer from 0 to 4294967295 expected, got "${given}"`);
  }
  console.log(`${name}: METERTIME_SEED=${seed}`);
  return seed;
}
