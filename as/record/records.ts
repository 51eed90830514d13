// Records that wait for their place in the ring: bodies of 96 bytes, which get sequence, link and seal when they are written.
// What always holds: they are written in their order; one for which there is no room, here or in the ring, is counted as
// lost, and the next one that finds a place is marked.

import { clear } from '../abi/bytes';
import { ChainField, Format, RecordMark } from '../abi/codes';

const BODIES: u32 = 4;
const QUEUE: usize = TARIFF == 0 ? 0 : memory.data(384, 8);
/** For each, what holds after it: tariff i32, -1 where none is known, and since when, i64. */
const AFTER_BYTES: u32 = 16;
const SINCE: usize = 8;
const AFTER: usize = TARIFF == 0 ? 0 : memory.data(64, 8);

let first: u32 = 0;
let held: u32 = 0;
let lost: u32 = 0;
/** More may have been lost, of which nothing is known. */
let missed: bool = false;

/** A cleared body to fill, all but `Sequence` and `Context`; 0 where there is no room: then the record is lost. */
export function recordAdd(): usize {
  if (TARIFF == 0) return 0;
  if (held == BODIES) {
    lost += 1;
    return 0;
  }
  const at = QUEUE + ((first + held) % BODIES) * <u32>ChainField.BodyBytes;
  clear(at, ChainField.BodyBytes);
  return at;
}

/** Mark of the next record, where some before it were lost. */
export function recordLossMark(): u32 {
  return lost != 0 || missed ? RecordMark.RecordsLost : 0;
}

/** The body of `recordAdd` is filled, with what `recordLossMark` says of it; after it this tariff holds, since then. */
export function recordCommit(tariff: i32, since: i64): void {
  if (TARIFF == 0) return;
  const place = (first + held) % BODIES;
  store<u8>(QUEUE + place * <u32>ChainField.BodyBytes, Format.Record);
  store<i32>(AFTER + place * AFTER_BYTES, tariff);
  store<i64>(AFTER + place * AFTER_BYTES, since, SINCE);
  lost = 0;
  missed = false;
  held += 1;
}

/** Records may have been lost before this start. */
export function recordsMiss(): void {
  missed = true;
}

/** How many were lost since the last one that found a place here. */
export function recordsLost(): u32 {
  return lost;
}

/** The record to be written next; 0 where none waits. */
export function recordNext(): usize {
  return held == 0 ? 0 : QUEUE + first * <u32>ChainField.BodyBytes;
}

/** The tariff that holds after it, -1 where none is known; and since when. */
export function recordTariffAfter(): i32 {
  return load<i32>(AFTER + first * AFTER_BYTES);
}
export function recordSinceAfter(): i64 {
  return load<i64>(AFTER + first * AFTER_BYTES, SINCE);
}

/** It is in the ring. */
export function recordStored(): void {
  first = (first + 1) % BODIES;
  held -= 1;
}
