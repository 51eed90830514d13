// The three rings: where their entries are, and which is the newest.
// What always holds: the entry of sequence n is in slot n modulo the slots; of what was written, only the entry behind the
// newest may be damaged, as power may have failed while it was written: anything else is found and told.
//
// The newest is found by bisection: slots up to it are of the same lap as slot 0, those behind it of the one before. Where the
// slots around it do not fit to that, all of the ring is read.

import { clear, copy } from '../abi/bytes';
import { ChainField, Ring, StorageMap } from '../abi/codes';
import { chainBlank, chainClose, chainHash, chainHolds, chainOpen, HASH_BYTES } from './chain';

/** Rings. */
export const RINGS: u32 = 3;
/** Slots that are read at once. */
const READ_SLOTS: u32 = 2;

// For each ring: newest u32, its hash 32.
const STATE_BYTES: u32 = 4 + HASH_BYTES;
const STATES: usize = TARIFF == 0 ? 0 : memory.data(108, 4);

let recordSlots: u32 = 0;

/** The board has this much storage. */
export function ringsStart(storageBytes: u32): void {
  recordSlots = (storageBytes - <u32>StorageMap.Records) / <u32>StorageMap.EntryBytes;
}

/** Sequence of the newest entry; 0 where there is none. */
export function ringNewest(ring: u32): u32 {
  return load<u32>(STATES + ring * STATE_BYTES);
}

/** Its hash, `HASH_BYTES`; zeros where there is none. */
export function ringHash(ring: u32): usize {
  return STATES + ring * STATE_BYTES + 4;
}

/** This entry is the newest from now on. */
export function ringSet(ring: u32, sequence: u32, hash: usize): void {
  store<u32>(STATES + ring * STATE_BYTES, sequence);
  copy(ringHash(ring), hash, HASH_BYTES);
}

/** How many entries fit. */
export function ringSlots(ring: u32): u32 {
  if (ring == Ring.Records) return recordSlots;
  return ring == Ring.Logbook ? StorageMap.LogbookSlots : StorageMap.NetworkLogSlots;
}

/** Where the entry of a sequence is in the storage. */
export function ringOffset(ring: u32, sequence: u32): u32 {
  let base: u32 = StorageMap.Records;
  if (ring == Ring.Logbook) base = StorageMap.Logbook;
  else if (ring == Ring.Network) base = StorageMap.NetworkLog;
  return base + (sequence % ringSlots(ring)) * <u32>StorageMap.EntryBytes;
}

/** Sequence of the oldest entry that the ring can still hold. */
export function ringOldest(ring: u32): u32 {
  const newest = ringNewest(ring);
  const slots = ringSlots(ring);
  return newest < slots ? 1 : newest - slots + 1;
}

/** Sequence that the slot has to hold now; 0 where none. */
export function ringExpects(ring: u32, slot: u32): u32 {
  const newest = ringNewest(ring);
  const slots = ringSlots(ring);
  const back = (newest + slots - slot) % slots;
  return back < newest ? newest - back : 0;
}

// ---------------------------------------------------------------- finding the newest

const FIRST: u32 = 0;
const BISECT: u32 = 1;
const BEHIND: u32 = 2;
const BEYOND: u32 = 3;
const SCAN: u32 = 4;
const LAST: u32 = 5;

let ring: u32 = 0;
let phase: u32 = FIRST;
/** Slots known to be of the lap, and not to be. */
let low: u32 = 0;
let high: u32 = 0;
let lap: u32 = 0;
let newest: u32 = 0;
let least: u32 = 0;
let scanned: bool = false;
let damagedSlots: u32 = 0;
let damagedSlot: u32 = 0;
/** What is read next. */
let slot: u32 = 0;
let count: u32 = 1;

/** Looks for the newest entry of a ring, which was at least `sequence` once. */
export function findBegin(which: u32, sequence: u32): void {
  ring = which;
  least = sequence;
  scanned = false;
  damagedSlots = 0;
  ask(FIRST, 0, 1);
}

function ask(next: u32, from: u32, slots: u32): void {
  phase = next;
  slot = from;
  count = slots;
}

/** Where to read next, and how many bytes. */
export function findOffset(): u32 {
  return ringOffset(ring, slot);
}
export function findBytes(): u32 {
  return count * <u32>StorageMap.EntryBytes;
}

/** Whether slots other than the one behind the newest were damaged; then `findDamagedSlot` is the first. */
export function findDamaged(): bool {
  if (damagedSlots == 0) return false;
  return damagedSlots > 1 || damagedSlot != (newest + 1) % ringSlots(ring);
}
export function findDamagedSlot(): u32 {
  return damagedSlot;
}

/** Takes what was read; true when the newest is found. */
export function findTake(data: usize): bool {
  chainOpen();
  const done = take(data);
  chainClose();
  return done;
}

// Sequence of a slot that was read; 0 where it does not hold.
function sequenceOf(data: usize, place: u32): u32 {
  const sequence = load<u32>(data, ChainField.Sequence);
  return sequence % ringSlots(ring) == place && chainHolds(ring, data) ? sequence : 0;
}

function take(data: usize): bool {
  const slots = ringSlots(ring);
  if (phase == SCAN) return scan(data);
  const sequence = sequenceOf(data, slot);
  const blank = sequence == 0 && chainBlank(data);
  switch (phase) {
    case FIRST:
      if (sequence == 0 && !blank) return all();
      lap = sequence / slots;
      low = 0;
      high = slots;
      break;
    case BISECT:
      if (sequence != 0 && sequence / slots == lap) low = slot;
      else high = slot;
      break;
    case LAST:
      if (sequence != newest) return all();
      chainClose();
      chainHash(data, ringHash(ring));
      return found();
    default: {
      const next = newest + phase - BEHIND + 1;
      if (sequence != 0 || blank) {
        if (sequence != (next > slots ? next - slots : 0)) return all();
        return last();
      }
      if (phase == BEYOND) return all();
      ask(BEYOND, (newest + 2) % slots, 1);
      return false;
    }
  }
  if (high - low > 1) {
    ask(BISECT, (low + high) / 2, 1);
  } else {
    newest = lap * slots + low;
    ask(BEHIND, (newest + 1) % slots, 1);
  }
  return false;
}

function last(): bool {
  if (newest < least && !scanned) return all();
  if (newest == 0) {
    clear(ringHash(ring), HASH_BYTES);
    return found();
  }
  ask(LAST, newest % ringSlots(ring), 1);
  return false;
}

function found(): bool {
  store<u32>(STATES + ring * STATE_BYTES, newest);
  return true;
}

// Something does not add up: all of the ring is read.
function all(): bool {
  scanned = true;
  newest = 0;
  damagedSlots = 0;
  ask(SCAN, 0, min<u32>(READ_SLOTS, ringSlots(ring)));
  return false;
}

function scan(data: usize): bool {
  for (let i: u32 = 0; i < count; i++) {
    const at = data + i * <u32>StorageMap.EntryBytes;
    const sequence = sequenceOf(at, slot + i);
    newest = max<u32>(newest, sequence);
    if (sequence != 0 || chainBlank(at)) continue;
    if (damagedSlots == 0) damagedSlot = slot + i;
    damagedSlots += 1;
  }
  const next = slot + count;
  const left = ringSlots(ring) - next;
  if (left == 0) return last();
  ask(SCAN, next, min<u32>(READ_SLOTS, left));
  return false;
}
