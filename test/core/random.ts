// Random numbers for tests that can be repeated: METERTIME_SEED=N runs a test again as it ran with seed N.

/** Numbers and bytes that follow from a seed. */
export interface SeededRandom {
  readonly seed: number;
  /** An integer from 0 to `limit - 1`. */
  below(limit: number): number;
  bytes(length: number): Uint8Array;
}

/**
 * Starts a generator and prints its seed.
 * @param name of the test, printed with the seed
 */
export function seededRandom(name: string): SeededRandom {
  const given = process.env.METERTIME_SEED;
  const seed = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new RangeError(`METERTIME_SEED: an integer from 0 to 4294967295 expected, got «${given}»`);
  }
  console.log(`${name}: METERTIME_SEED=${seed}`);
  return randomFrom(seed);
}

/** Starts a generator with a seed. */
export function randomFrom(seed: number): SeededRandom {
  let state = seed;
  // splitmix32
  const next = () => {
    state = (state + 0x9e3779b9) | 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  return {
    seed,
    below: (limit) => Math.floor((next() / 2 ** 32) * limit),
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
  };
}
