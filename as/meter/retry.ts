// When a storage that failed is tried again: later and later.

const FIRST_MS: u32 = 100;
/** A shift by this many still fits. */
const SHIFT_MAX: u32 = 16;

/** The wait after a failure, ns: 100 ms, doubled for each of the `failures` in a row before it, at most `mostMs`. */
export function retryNs(failures: u32, mostMs: u32): i64 {
  return <i64>min<u32>(FIRST_MS << min<u32>(failures, SHIFT_MAX), mostMs) * 1_000_000;
}
