// Looks through all entries of records and logbook once after each start, some slots a second.
// What always holds: what does not hold is read again before it counts as damaged.

import { Ring, StorageMap } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import { damageOf, entryHolds, isBehind, READS } from './damage';
import { ringExpects, ringOffset, ringSlots } from './ring';

/** How often some slots are looked at, and how many. */
const APART_NS: i64 = SECOND_NS;
const SLOTS: u32 = 2;

let ring: u32 = 0;
let slot: u32 = 0;
let slots: u32 = 0;
let due: i64 = 0;
/** Reads in a row that did not hold. */
let reads: u32 = 0;

/** Local time at which the next slots are due. */
export function inspectDeadline(): i64 {
  return ring < <u32>Ring.Network ? due : i64.MAX_VALUE;
}

/** Where they are. */
export function inspectOffset(): u32 {
  return ringOffset(ring, slot);
}
export function inspectBytes(): u32 {
  slots = min<u32>(SLOTS, ringSlots(ring) - slot);
  return slots * <u32>StorageMap.EntryBytes;
}

/** Takes what was read. */
export function inspectTake(now: i64, data: usize): void {
  due = now + APART_NS;
  for (let i: u32 = 0; i < slots; i++) {
    const expected = ringExpects(ring, slot + i);
    if (expected == 0 || isBehind(ring, expected)) continue;
    if (entryHolds(ring, expected, data + i * <u32>StorageMap.EntryBytes)) continue;
    reads += 1;
    if (reads < READS) return;
    damageOf(ring, expected);
  }
  reads = 0;
  slot += slots;
  if (slot < ringSlots(ring)) return;
  slot = 0;
  ring += 1;
}
