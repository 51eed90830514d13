// What is counted of a run, and of several runs together.
// What always holds: tallies added in the same order give the same figures, bit for bit, whoever counted them.
import { ClockStatus } from '../../as/abi/codes.ts';
import type { Case, FigureName } from './cases.ts';
import type { Reading } from './world.ts';

/** Bins for each factor of two of an error: 0.5 % wide. */
const binBits = 7;
/** Errors from below 1 ns to beyond 2^62 ns. */
const bins = 64 << binBits;
const exponentBias = 1023;

const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);

/** The bin of an error from its exponent and first bits of mantissa. */
function binOf(errorNs: number): number {
  if (errorNs < 1) return 0;
  float[0] = errorNs;
  return Math.min(bins - 1, (words[1]! >>> (20 - binBits)) - (exponentBias << binBits));
}

/** The middle of a bin, ns. */
function middleOf(bin: number): number {
  const within = bin & ((1 << binBits) - 1);
  return 2 ** (bin >> binBits) * (1 + (within + 0.5) / (1 << binBits));
}

const counters = [
  'runs',
  'seconds',
  'reads',
  'timeless',
  'synchronised',
  'squares',
  'most',
  'insideU',
  'insideBound',
  'uncertainties',
  'bounds',
  'oracleReads',
  'oracleSquares',
  'frequencyReads',
  'frequencySquares',
  'oracleFrequencySquares',
  'polls',
  'pollsMost',
] as const;
type Counter = (typeof counters)[number];

/** Plain numbers, so that a worker can hand it over. */
export interface Tally extends Record<Counter, number> {
  /** Errors by their bins. */
  readonly errors: Uint32Array;
}

export function newTally(): Tally {
  const zeros = Object.fromEntries(counters.map((name) => [name, 0])) as Record<Counter, number>;
  return { ...zeros, errors: new Uint32Array(bins) };
}

/** Counts a reading of the clock. */
export function tallyReading(tally: Tally, { status, errorNs, boundNs, uncertaintyNs }: Reading): void {
  tally.reads++;
  if (status === ClockStatus.Unsynchronised) {
    tally.timeless++;
    return;
  }
  const error = Math.abs(errorNs);
  if (status === ClockStatus.Synchronised) tally.synchronised++;
  tally.squares += errorNs * errorNs;
  if (error > tally.most) tally.most = error;
  if (error <= uncertaintyNs) tally.insideU++;
  if (error <= boundNs) tally.insideBound++;
  tally.uncertainties += uncertaintyNs;
  tally.bounds += boundNs;
  tally.errors[binOf(error)]!++;
}

/** All of them together, in their order. */
export function sumTallies(tallies: readonly Tally[]): Tally {
  const sum = newTally();
  for (const tally of tallies) {
    for (const name of counters) {
      if (name === 'most' || name === 'pollsMost') sum[name] = Math.max(sum[name], tally[name]);
      else sum[name] += tally[name];
    }
    tally.errors.forEach((count, bin) => {
      sum.errors[bin]! += count;
    });
  }
  return sum;
}

function quantileNs({ errors }: Tally, share: number): number {
  const all = errors.reduce((sum, count) => sum + count, 0);
  if (all === 0) return Number.NaN;
  let left = share * all;
  const bin = errors.findIndex((count) => {
    left -= count;
    return left <= 0;
  });
  return middleOf(bin);
}

/** NaN where nothing is known. */
export type Figures = Record<FigureName | 'meanUMs' | 'meanBoundMs' | 'oracleFrequencyRmsPpb', number>;

/** What a case's runs come to. */
export function figuresOf(tally: Tally, of: Case): Figures {
  const times = tally.reads - tally.timeless;
  const ms = (ns: number) => ns / 1e6;
  const rms = Math.sqrt(tally.squares / times);
  // Nothing is known of a filter that would be right for flicker.
  const oracle = of.oscillator.flickerPpb > 0 ? Number.NaN : Math.sqrt(tally.oracleSquares / tally.oracleReads);
  const percent = (count: number, all: number) => (100 * count) / all;
  return {
    rmsMs: ms(rms),
    p95Ms: ms(quantileNs(tally, 0.95)),
    maxMs: times === 0 ? Number.NaN : ms(tally.most),
    frequencyRmsPpb: Math.sqrt(tally.frequencySquares / tally.frequencyReads),
    pollSeconds: (tally.seconds * of.servers.length) / tally.polls,
    pollsMost: tally.pollsMost,
    insideUPercent: percent(tally.insideU, times),
    insideBoundPercent: percent(tally.insideBound, times),
    uOverRms: tally.uncertainties / times / rms,
    oracleRmsMs: ms(oracle),
    overOracle: rms / oracle,
    timelessPercent: percent(tally.timeless, tally.reads),
    synchronisedPercent: percent(tally.synchronised, tally.reads),
    meanUMs: ms(tally.uncertainties / times),
    meanBoundMs: ms(tally.bounds / times),
    oracleFrequencyRmsPpb: Number.isNaN(oracle)
      ? Number.NaN
      : Math.sqrt(tally.oracleFrequencySquares / tally.frequencyReads),
  };
}
