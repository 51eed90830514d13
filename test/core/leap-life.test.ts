// Meters' lives through 20 years of leap seconds (test/core/leap-life.ts): from 2027 to 2047, across the end of NTP's era 0
// (2036-02-07T06:28:16Z) and of 32-bit Unix time (2038-01-19T03:14:08Z).
import { beforeAll, describe, expect, it } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { Prng, runSeed } from '../fuzz/prng.ts';
import { LeapLife } from './leap-life.ts';

let seed: number;
beforeAll(async () => {
  await buildCore();
  seed = runSeed('leap seconds');
});

/** METERTIME_LEAP_LIVES: for a longer look, also at the weeks between. */
const asked = process.env.METERTIME_LEAP_LIVES;
const lives = Number(asked ?? 1);

describe('twenty years', () => {
  it.each(Array.from({ length: lives }, (_, life) => life))(
    'life %i: within the bound, and right to the millisecond within a poll of each leap second',
    (life) => {
      const startMs = performance.now();
      const figures = new LeapLife(new Prng(seed + life), 20, asked === undefined).live();
      console.log(`seed ${seed + life}`, figures, `${Math.round(performance.now() - startMs)} ms`);
      expect(figures.leaps).toBeGreaterThan(10);
      expect(figures.known).toBeGreaterThan(5);
      expect(figures.probes).toBeGreaterThan(20_000);
    },
    300_000,
  );
});
