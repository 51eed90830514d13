// Years of a meter whose way to its time servers leads through an attacker, in virtual time: test/core/attacked-life.ts.
// One seed after the other, a year each; what did not hold is told with the seed that repeats it.

import { type LifeFigures, liveAttacked } from '../test/core/attacked-life.ts';
import { Violation } from '../test/fuzz/checked-core.ts';

const yearDays = 365;
const progressMs = 15_000;

export interface AttackResult {
  readonly years: number;
  readonly lives: readonly LifeFigures[];
  readonly failures: readonly string[];
}

/** Lives through so many years, of the seeds from `seed` on. */
export function underAttack(years: number, seed: number): AttackResult {
  const lives: LifeFigures[] = [];
  const failures: string[] = [];
  for (let year = 0; year < years; year++) {
    const startMs = performance.now();
    let nextProgressMs = startMs + progressMs;
    const own = (seed + year) % 2 ** 32;
    try {
      const life = liveAttacked({
        seed: own,
        days: yearDays,
        progress: ({ days, phases }) => {
          if (performance.now() < nextProgressMs) return;
          nextProgressMs = performance.now() + progressMs;
          console.log(`  seed ${own}: day ${Math.floor(days)} of ${yearDays}, ${phases} phases of attacks`);
        },
      });
      lives.push(life);
      console.log(`  seed ${own}: ${lifeLine(life)}  ${((performance.now() - startMs) / 1000).toFixed(0)} s`);
    } catch (cause) {
      if (!(cause instanceof Violation)) throw cause;
      failures.push(`${cause.message}; again: npm run soak -- --minutes 0 --rounds 0 --years 1 --seed ${own}`);
      console.log(`  ${cause.message}`);
    }
  }
  return { years, lives, failures };
}

const hours = (seconds: number) => `${(seconds / 3600).toFixed(1)} h`;

function lifeLine(life: LifeFigures): string {
  const servers = `${life.servers} server${life.servers === 1 ? '' : 's'}`;
  return `${servers}  ${life.phases} phases  ${life.starts} starts  back after at most ${hours(life.recoverySecondsMost)}`;
}

/** The result for people. */
export function attackText({ lives }: AttackResult): string {
  const sum = (of: (life: LifeFigures) => number) => lives.reduce((total, life) => total + of(life), 0);
  const most = (of: (life: LifeFigures) => number) => Math.max(0, ...lives.map(of));
  return `under attack, ${lives.length} simulated years
  phases of attacks             ${sum((life) => life.phases)}, with ${sum((life) => life.forged)} datagrams forged or replayed, ${sum((life) => life.dropped)} dropped
  looks at the clock            ${sum((life) => life.probes)}, an error of at most ${(100 * most((life) => life.worstErrorOfBound)).toFixed(2)} % of the bound
  requests                      ${sum((life) => life.requests)}, at most ${most((life) => life.requestsInHourMost)} to a server in an hour
  key establishments            ${sum((life) => life.establishments)}, at most ${most((life) => life.establishmentsInDayMost)} with a server in a day
  writes to the storage         ${sum((life) => life.writes)}, at most ${most((life) => life.writesInDayMost)} in a day, with ${sum((life) => life.starts)} starts
  back after an attack          within ${hours(most((life) => life.recoverySecondsMost))}`;
}
