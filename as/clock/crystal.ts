// What was learned of the local oscillator, as the state keeps it from one start to the next: the best filter of each kind.
// What always holds: what does not fit this board (with or without a thermometer), is no number, or no covariance, is as
// good as nothing.
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
import { below, isAboveZero } from './gaussian';

/** For filters with 2 and with 6 states, the larger case: 48 bytes, 2 numbers, and 20. */
export const CRYSTAL_BYTES: u32 = 160;

const KIND: usize = 8;
const WEIGHTS: usize = 16;
const FILTERS: usize = 48;

/** Of an f32: the bit of its sign, and the bits of 1. */
const SIGN: u32 = 0x8000_0000;
const ONE: u32 = 0x3f80_0000;

/** What the numbers lose in storage, as a variance of each state, (s/s)², and as a share of it: 2^-24 for each of up to 5. */
const ROUNDED: f64 = 1e-16;
const ROUNDED_SHARE: f64 = 5e-7;

function kind(): u32 {
  return estimatorStates(estimatorFilters() - 1);
}

// The filter with the largest weight among those with so many states.
function best(states: u32): usize {
  let found: usize = 0;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    if (estimatorStates(i) != states) continue;
    if (found == 0 || below(load<f64>(found), load<f64>(filter))) found = filter;
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
    // As integers, the bits of what is no number are more than those of 1, whatever its sign.
    if ((load<u32>(from + at) & ~SIGN) > ONE) return;
  }
  let weights: f64 = 0;
  for (let i: u32 = 0; i < estimatorFilters(); i++) {
    const filter = estimatorFilter(i);
    const states = estimatorStates(i);
    const first = estimatorStates(0);
    const behind = states == first ? 0 : 4 * (first - 1 + ((first * (first - 1)) >> 1));
    loadFilter(filter, states, from + FILTERS + behind);
    if (!eliminate(filter + 8 + 8 * states, states)) return;
    loadFilter(filter, states, from + FILTERS + behind);
    const at = from + WEIGHTS + 4 * i;
    if ((load<u32>(at) & SIGN) != 0) return;
    const weight = <f64>load<f32>(at);
    store<f64>(filter, weight);
    weights += weight;
  }
  if (below(abs<f64>(weights - 1), 0.01)) estimatorLearned(load<i64>(from));
}

// Gauss's elimination, in place and without the offset: whether all pivots are positive, as those of a covariance are.
function eliminate(p: usize, states: u32): bool {
  for (let k: u32 = 1; k < states; k++) {
    const pivot = load<f64>(estimatorElement(p, states, k, k));
    if (!isAboveZero(pivot)) return false;
    for (let i = k + 1; i < states; i++) {
      const factor = load<f64>(estimatorElement(p, states, k, i)) / pivot;
      for (let j = i; j < states; j++) {
        const place = estimatorElement(p, states, i, j);
        store<f64>(place, load<f64>(place) - factor * load<f64>(estimatorElement(p, states, k, j)));
      }
    }
  }
  return true;
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
        value = <f64>load<f32>(from);
        if (i == j) value += ROUNDED + ROUNDED_SHARE * value;
        from += 4;
      }
      store<f64>(estimatorElement(p, states, i, j), value);
    }
  }
}
