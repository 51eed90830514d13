// An attacker on the path does as he likes for weeks: the clock never leaves its bound, nothing storms, nothing is sent
// twice, and the meter is back within its wait once he stops. Each life follows from a seed: METERTIME_SEED repeats it.
// `npm run soak` does the same for years.
import { beforeAll, describe, expect, it } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { Prng, runSeed } from '../fuzz/prng.ts';
import { liveAttacked } from './attacked-life.ts';
import { strategyNames } from './attacker-on-path.ts';

let seed: number;
beforeAll(async () => {
  await buildCore();
  seed = runSeed('an attacker on the path');
});

describe('an attacker on the path, who may do anything but open and seal', () => {
  it.each([1, 3, 4])(
    'for weeks, %i servers',
    (servers) => {
      const drawn = { seed: seed ^ servers, servers };
      const life = liveAttacked({ ...drawn, days: 35 / servers, phaseDaysMost: 4, phasesLeast: 4 });
      console.log(JSON.stringify(life));
      expect(life.requests).toBeGreaterThan(300);
      expect(life.probes).toBeGreaterThan(1_000);
      // His delays use the bound up: a bound that is much too large would hold for nothing.
      expect(life.worstErrorOfBound).toBeGreaterThan(0.3);
    },
    120_000,
  );

  it('in each of his ways alone', () => {
    const random = new Prng(seed);
    for (const name of strategyNames) {
      const servers = random.pick([1, 3]);
      liveAttacked({ seed: random.u32(), servers, days: 1, phaseDaysMost: 0.5, strategies: [name] });
    }
  }, 120_000);

  it('cannot make key establishments follow each other, though new keys work and then do not (RFC 8915 5.7)', () => {
    for (const rtc of [false, true]) {
      const strategies = ['provenInVain'] as const;
      const life = liveAttacked({ seed, servers: 1, rtc, days: 10, phaseDaysMost: 10, strategies });
      expect(life.establishmentsInDayMost).toBeLessThan(40 * (1 + life.starts));
    }
  }, 60_000);
});
