// Finds at a start what is in the storage: the mark, the head, the newest entry of each ring, and what the last context says.
//
//   mark ──> heads ──> records ──> logbook ──> network's ring ──> entries of the head ──> last context ──> done
//
// What always holds: no sequence is ever used twice: what was signed, delivered, released or named as a context was there, and
// the next entry comes behind it; what does not fit to it is told.

import { copy } from '../abi/bytes';
import { Format, HeadField, MarkField, MeterEvent, Ring, StorageMap, Tampering } from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { raiseEvent } from '../meter/events';
import { appendRoom, HASH } from './append';
import { chainHash, HASH_BYTES } from './chain';
import { contextRecall, contextSettingsHash, contextSoftwareHash, RECALL_PART, RECALL_PARTS } from './context';
import { damageOf, damageTell, damageTold, entryHolds, isBehind, READS } from './damage';
import { headHash, headSequence, headTake } from './head';
import { logTellFull } from './log';
import { MARK, markChange, markCompare, markDelivered, markReleased, markStored, markTake } from './mark';
import { recordsMiss } from './records';
import {
  findBegin,
  findBytes,
  findDamaged,
  findDamagedSlot,
  findOffset,
  findTake,
  RINGS,
  ringExpects,
  ringHash,
  ringNewest,
  ringOffset,
  ringSet,
  ringSlots,
} from './ring';

const MARKS: u32 = 0;
const HEADS: u32 = 1;
const NEWEST: u32 = 2;
const HEAD_ENTRIES: u32 = 3;
const CONTEXT: u32 = 4;
const DONE: u32 = 5;

/** Slots of heads. */
const HEAD_SLOTS: u32 = 2;

let stage: u32 = MARKS;
/** Slot of heads, ring or part that it is at. */
let step: u32 = 0;
/** Reads in a row that did not hold. */
let reads: u32 = 0;
/** Whether a slot of heads holds, or was never written: then nothing was tampered with. */
let headsHold: bool = false;

/** What is to be read next. */
export function openingOffset(): u32 {
  switch (stage) {
    case MARKS:
      return StorageMap.MarkA;
    case HEADS:
      return StorageMap.HeadA + step * <u32>StorageMap.HeadSlotBytes;
    case NEWEST:
      return findOffset();
    case HEAD_ENTRIES:
      return ringOffset(step, headSequence(step));
    default:
      return ringOffset(Ring.Records, contextEntry());
  }
}
export function openingBytes(): u32 {
  switch (stage) {
    case MARKS:
      return 2 * StorageMap.MarkBytes;
    case HEADS:
      return HeadField.StoredBytes;
    case NEWEST:
      return findBytes();
    default:
      return StorageMap.EntryBytes;
  }
}

// The entry with a part of the last context of which something is recalled.
function contextEntry(): u32 {
  return load<u32>(MARK, MarkField.Context) + RECALL_PART + step;
}

/** Takes what was read; true when all is found. */
export function openingTake(data: usize): bool {
  switch (stage) {
    case MARKS:
      if (!markTake(data)) raiseEvent(MeterEvent.Tampered, Tampering.Mark, 0, false);
      stage = HEADS;
      break;
    case HEADS:
      if (headTake(step, data)) headsHold = true;
      step += 1;
      if (step < HEAD_SLOTS) break;
      if (!headsHold) raiseEvent(MeterEvent.Tampered, Tampering.Head, 0, false);
      stage = NEWEST;
      step = 0;
      findBegin(0, least(0));
      break;
    case NEWEST:
      if (!findTake(data)) break;
      found(data);
      break;
    case HEAD_ENTRIES:
      if (!compareHead(data)) break;
      reads = 0;
      step += 1;
      headEntries();
      break;
    default:
      recall(data);
  }
  return stage == DONE;
}

// Sequence that the newest entry of a ring had at least: those that were signed, delivered or released were there.
function least(ring: u32): u32 {
  if (ring == Ring.Network) return 0;
  const known = ring == Ring.Records ? max<u32>(markDelivered(), load<u32>(MARK, MarkField.Context)) : markReleased();
  return max<u32>(headSequence(ring), known);
}

// `entry`: the newest one that was found.
function found(entry: usize): void {
  const there = least(step);
  if (ringNewest(step) < there) {
    damageTell(step, step == Ring.Records ? Tampering.RecordsCut : Tampering.LogbookCut, there);
    // What follows is bound to what was signed.
    ringSet(step, there, there == headSequence(step) ? headHash(step) : ringHash(step));
    if (step == Ring.Records) store<u32>(MARK, 0, MarkField.Context);
  } else if (findDamaged()) {
    damageOf(step, ringExpects(step, findDamagedSlot()));
  }
  if (step == Ring.Records) markCompare(entry, ringNewest(step));
  step += 1;
  if (step < RINGS) return findBegin(step, least(step));
  step = 0;
  headEntries();
}

// The next ring of which the head's entry is still there.
function headEntries(): void {
  stage = HEAD_ENTRIES;
  for (; step < <u32>Ring.Network; step++) {
    const signed = headSequence(step);
    if (signed != 0 && !damageTold(step) && ringExpects(step, signed % ringSlots(step)) == signed) return;
  }
  step = 0;
  contexts();
}

// Whether the entry of the head is what was signed; else it is read again.
function compareHead(data: usize): bool {
  const signed = headSequence(step);
  chainHash(data, HASH);
  if (equalBytes(HASH, headHash(step), HASH_BYTES)) return true;
  reads += 1;
  if (reads < READS) return false;
  if (entryHolds(step, signed, data)) damageTell(step, Tampering.Head, signed);
  else if (!isBehind(step, signed)) damageOf(step, signed);
  return true;
}

function contexts(): void {
  stage = CONTEXT;
  if (step < RECALL_PARTS && isThere(contextEntry())) return;
  stage = DONE;
  compareStart(MarkField.Settings, MeterEvent.SettingsChanged);
  compareStart(MarkField.Software, MeterEvent.SoftwareChanged);
  logTellFull();
  // A ring that was full may have made the last start lose records.
  if (!appendRoom()) recordsMiss();
}

function isThere(sequence: u32): bool {
  if (load<u32>(MARK, MarkField.Context) == 0 || sequence == 0) return false;
  return ringExpects(Ring.Records, sequence % ringSlots(Ring.Records)) == sequence;
}

function recall(data: usize): void {
  if (entryHolds(Ring.Records, contextEntry(), data) && load<u8>(data) == <u8>Format.Context) contextRecall(data);
  step += 1;
  contexts();
}

// Compares with the last start what the mark has of it, and puts into the mark what is now.
function compareStart(field: usize, code: u32): void {
  if (field == <usize>MarkField.Settings) copy(HASH, contextSettingsHash(), 8);
  else contextSoftwareHash(HASH, 8);
  if (equalBytes(MARK + field, HASH, 8)) return;
  const before = bswap<i64>(load<i64>(MARK + field));
  // A first start has no mark, and no entries.
  if (markStored() || ringNewest(Ring.Logbook) != 0) raiseEvent(code, before, bswap<i64>(load<i64>(HASH)), false);
  copy(MARK + field, HASH, 8);
  markChange(true);
}
