// What was learned of the local oscillator, as the state keeps it from one start to the next: the best filter of each kind.
// What always holds: what does not fit this board (with or without a thermometer) or is no number is as good as nothing.
//
//   0  known    i64   UTC ns to which it belongs, 0 for nothing
//   8  kind     u32   states of the last filter
//  12  zero     u32
//  16  weights  8     f32 each
//  48  filters        f32 each: states from the frequency on, then their covariance, the upper triangle by rows

import { clear } from '../abi/bytes';
import {
  estimatorElement,
  estimatorFilter,
  estimatorFilters,
  estimatorKnownUtc,
  estimatorLearned,
  estimatorStates,
} from './estimator';

/** For filters with 2 and with 6 states, the larger case: 48 bytes, 2 numbers, and 20. */
export const CRYSTAL_BYTES: u32 = 160;

const KIND: usize = 8;
const WEIGHTS: usize = 16;
const FILTERS: usize = 48;

/** What the numbers lose in storage, as a variance of each state, (s/s)². */
const ROUNDED: f64 = 1e-16;

function kind(): u32 {
  return estimatorStates(estimatorFilters() - 1);
}

// The filter with the largest weight among those with so many states.
function best(states: u32): usize {
  let found: usize = 0;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    if (estimatorStates(i) != states) continue;
    if (found == 0 || load<f64>(filter) > load<f64>(found)) found = filter;
  }
  return found;
}

/** Writes what was learned, `CRYSTAL_BYTES`. */
export function crystalSave(to: usize): void {
  clear(to, CRYSTAL_BYTES);
  if (estimatorKnownUtc() == 0) return;
  store<i64>(to, estimatorKnownUtc());
  store<u32>(to, kind(), KIND);
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    store<f32>(to + WEIGHTS + 4 * i, <f32>load<f64>(estimatorFilter(i)));
  }
  let target = to + FILTERS;
  if (estimatorStates(0) != kind()) target = saveFilter(target, estimatorStates(0));
  saveFilter(target, kind());
}

function saveFilter(target: usize, states: u32): usize {
  const filter = best(states);
  for (let i: u32 = 1; i < states; i++) {
    store<f32>(target, <f32>load<f64>(filter + 8 + 8 * i));
    target += 4;
  }
  for (let i: u32 = 1; i < states; i++) {
    for (let j = i; j < states; j++) {
      store<f32>(target, <f32>load<f64>(estimatorElement(filter + 8 + 8 * states, states, i, j)));
      target += 4;
    }
  }
  return target;
}

/** Reads what an earlier start learned. */
export function crystalLoad(from: usize): void {
  if (load<i64>(from) == 0 || load<u32>(from, KIND) != kind()) return;
  for (let at: usize = WEIGHTS; at < <usize>CRYSTAL_BYTES; at += 4) {
    // Also of NaN, which is not less.
    if (!(abs<f32>(load<f32>(from + at)) <= 1)) return;
  }
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const states = estimatorStates(i);
    const first = estimatorStates(0);
    const behind = states == first ? 0 : 4 * (first - 1 + ((first * (first - 1)) >> 1));
    loadFilter(estimatorFilter(i), states, from + FILTERS + behind);
    store<f64>(estimatorFilter(i), <f64>load<f32>(from + WEIGHTS + 4 * i));
  }
  estimatorLearned(load<i64>(from));
}

function loadFilter(filter: usize, states: u32, from: usize): void {
  const p = filter + 8 + 8 * states;
  store<f64>(filter, 0, 8);
  for (let i: u32 = 1; i < states; i++) {
    store<f64>(filter + 8 + 8 * i, <f64>load<f32>(from));
    from += 4;
  }
  for (let i: u32 = 0; i < states; i++) {
    for (let j = i; j < states; j++) {
      let value: f64 = 0;
      if (i > 0) {
        value = <f64>load<f32>(from) + (i == j ? ROUNDED : 0);
        from += 4;
      }
      store<f64>(estimatorElement(p, states, i, j), value);
    }
  }
}
