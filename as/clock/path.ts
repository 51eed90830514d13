// What is learned of the way to each time server: its smallest delay, how much longer exchanges usually take, and by how
// much its server differs from the one that the clock follows.
// What always holds: the half-width that a sample gets covers its queueing delay, however that was shared between the two
// directions, once the smallest delay has been seen.
//
// Of an exchange that took e longer than the shortest one possible, the two directions share e in an unknown way: its
// offset is wrong by no more than e / 2, and where both directions queue alike, any error up to that is equally likely.

import { clear } from '../abi/bytes';
import { below, inverseRoot } from './gaussian';

/** Samples in each of the windows of which the smallest delay is kept: after so many times four a longer route counts. */
const WINDOW: u32 = 32;
const WINDOWS: u32 = 4;
/** Samples over which the mean is taken. */
const MEAN_SAMPLES: u32 = 64;
/** The smallest of n delays lies above the shortest possible by about this share of the usual queue, times sqrt(2 / n). */
const FLOOR_MARGIN: f64 = 1.5;
// biome-ignore lint/suspicious/noApproximativeNumericConstant: a literal, so that no compiler's own idea of it counts
const ROOT_2: f64 = 1.4142135623730951;
/** Share of a first delay that may be queue, before there is a second one. */
const FIRST_QUEUE: f64 = 0.5;
/** s: delays may all be the same. */
const HALF_WIDTH_MIN: f64 = 1e-6;
/** Longer ones are no samples. */
const DELAY_MAX_NS: i64 = 0xffff_fffe;

@unmanaged
export class Path {
  /** ns, smallest delays of the windows, the present one first; 0 for none. */
  smallest0: u32;
  smallest1: u32;
  smallest2: u32;
  smallest3: u32;
  /** Samples in the present window, and at all. */
  inWindow: u32;
  samples: u32;
  /** s. */
  meanDelay: f64;
  /** s, server minus the one whose path the clock takes for symmetric, and its variance in s². */
  bias: f64;
  biasVariance: f64;
  /** s, by how much those contradicted the clock that did so in a row: the least, and the last. */
  contradicted: f64;
  contradictedLast: f64;
  /** s, how far off the clock may have been at most for the samples believed since the last of them: the least. */
  witness: f64;
  /** How many they are; whether any was believed meanwhile, and one that would have seen as much. */
  contradictions: u32;
  heard: u32;
  seen: u32;
}

const PATH_BYTES: u32 = <u32>((offsetof<Path>() + 7) & ~7);
const PATHS: usize = memory.data(<i32>(PATH_BYTES * <u32>SERVERS_MAX), 8);

/** Results of `pathTake`, s. */
export let pathHalfWidth: f64 = 0;

/** The path to a source's server. */
export function pathOf(source: u32): Path {
  return changetype<Path>(PATHS + source * PATH_BYTES);
}

/** Another server, or another way to it: what was learned is forgotten. */
export function pathForget(source: u32): void {
  clear(PATHS + source * PATH_BYTES, PATH_BYTES);
}

/** A sample was believed, for which the clock may have been off by `seconds` at most. */
export function pathsWitness(seconds: f64): void {
  for (let i: u32 = 0; i < <u32>SERVERS_MAX; i++) {
    const path = pathOf(i);
    if (below(seconds, path.witness)) path.witness = seconds;
  }
}

/** Smallest delay seen lately, ns; 0 before the first. */
export function pathSmallestNs(path: Path): i64 {
  let smallest = path.smallest0;
  if (path.smallest1 != 0) smallest = min<u32>(smallest, path.smallest1);
  if (path.smallest2 != 0) smallest = min<u32>(smallest, path.smallest2);
  if (path.smallest3 != 0) smallest = min<u32>(smallest, path.smallest3);
  return smallest;
}

/** Takes the delay of a sample; `pathHalfWidth` is what its queue may have done to its offset, in either direction. */
export function pathTake(path: Path, delayNs: i64): void {
  const delay: u32 = <u32>(min<i64>(delayNs, DELAY_MAX_NS) + 1);
  if (path.inWindow == WINDOW) {
    path.smallest3 = path.smallest2;
    path.smallest2 = path.smallest1;
    path.smallest1 = path.smallest0;
    path.smallest0 = 0;
    path.inWindow = 0;
  }
  path.smallest0 = path.smallest0 == 0 ? delay : min<u32>(path.smallest0, delay);
  path.inWindow += 1;
  path.samples += 1;
  const seconds = <f64>delay * 1e-9;
  const more = seconds - path.meanDelay;
  path.meanDelay += path.samples < MEAN_SAMPLES ? more / <f64>path.samples : more * (1 / <f64>MEAN_SAMPLES);

  const floor = <f64>pathSmallestNs(path) * 1e-9;
  // A longer route: the mean is still one of the shorter, which is forgotten.
  if (below(path.meanDelay, floor)) path.meanDelay = seconds;
  const kept = <f64>min<u32>(path.samples, path.inWindow + (WINDOWS - 1) * WINDOW);
  // Mean queue of one direction: the mean excess of both, and what the smallest one has of it itself.
  const rootKept = inverseRoot(kept);
  const first = path.samples < 32 ? (FIRST_QUEUE * floor) / <f64>(path.samples * path.samples) : 0;
  const queue = 0.5 * (path.meanDelay - floor + first) * (1 + rootKept);
  pathHalfWidth = 0.5 * (seconds - floor + FLOOR_MARGIN * ROOT_2 * queue * rootKept);
  if (below(pathHalfWidth, HALF_WIDTH_MIN)) pathHalfWidth = HALF_WIDTH_MIN;
}
