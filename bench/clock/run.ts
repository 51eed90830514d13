// One case with one seed: a meter's life, its clock read at even distances.
import { ClockStatus } from '../../as/abi/codes.ts';
import type { Case } from './cases.ts';
import { newTally, type Tally, tallyReading } from './tally.ts';
import { type Reading, World } from './world.ts';

/** The frequency is compared this often, s, and at the end. */
const frequencyEverySeconds = 100;

/** Is told of each reading, also of those that do not count. */
export type Witness = (second: number, reading: Reading, world: World) => void;

/** Runs a case. */
export function runCase(of: Case, seed: number, witness?: Witness): Tally {
  const world = new World(of, seed);
  const tally = newTally();
  tally.runs = 1;
  tally.seconds = of.seconds;
  const every = of.readEverySeconds;
  const first = witness === undefined ? Math.ceil(of.leaveOutSeconds / every) * every : 0;
  let nextNs = runTo(world, first);
  for (let second = first; second <= of.seconds; second += every) {
    if (nextNs <= second * 1e9) nextNs = runTo(world, second);
    const reading = world.read(second);
    witness?.(second, reading, world);
    if (second >= of.leaveOutSeconds) count(tally, world, reading, second, of);
  }
  tally.polls = world.polls;
  tally.pollsMost = world.polls;
  return tally;
}

// Lets everything happen up to a full second; returns when something is due next, ns.
function runTo(world: World, second: number): number {
  world.time.runUntil(BigInt(second) * 1_000_000_000n);
  const next = world.time.nextNs();
  return next === undefined ? Number.POSITIVE_INFINITY : Number(next);
}

function count(tally: Tally, world: World, reading: Reading, second: number, of: Case): void {
  tallyReading(tally, reading);
  const known = world.oracle.hasTime;
  if (known) {
    tally.oracleReads++;
    tally.oracleSquares += world.oracle.errorNs(second) ** 2;
  }
  if (reading.status === ClockStatus.Unsynchronised) return;
  if (second % frequencyEverySeconds !== 0 && second !== of.seconds) return;
  tally.frequencyReads++;
  tally.frequencySquares += (world.frequencyPpb(second) - world.oscillator.ppb[second]!) ** 2;
  if (known) tally.oracleFrequencySquares += world.oracle.errorPpb(second) ** 2;
}
