// What the rings do not say themselves: how far they were delivered and released, which context holds, and what the meter was
// at its last start. Two slots, sealed; the valid one with the higher count is in force, and the other is written.
// What always holds: `markDelivered` and `markReleased` are what the storage holds for good, so what is overwritten because
// of them was delivered or released whatever happens; a change is stored within about an hour, or at once where it matters.

import { actionWrite } from '../abi/buffers';
import { clear, copy, isSecondNewer } from '../abi/bytes';
import { Format, MarkField, RecordField, RecordReason, StorageMap } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import { chainBlank, chainClose, chainHolds, chainOpen, chainSeal, LABEL_MARK } from './chain';

const USED_BYTES: u32 = 88;
/** The mark as it is to be stored. */
export const MARK: usize = TARIFF == 0 ? 0 : memory.data(88, 8);

/** Bit of the marked number of a transaction: it runs. */
export const MARK_RUNS: u32 = 0x8000_0000;
/** Sequence that no record has. */
const NO_RECORD: u32 = 0xffff_ffff;

const STORE_NS: i64 = 3600 * SECOND_NS;

let slot: u32 = 1;
/** What is in the storage for good, and what is being written. */
let delivered: u32 = 0;
let released: u32 = 0;
let writingDelivered: u32 = 0;
let writingReleased: u32 = 0;

let changed: bool = false;
let urgent: bool = false;
/** The storage holds one. */
let stored: bool = false;
/** Local time of the last one stored. */
let storedAt: i64 = 0;

/** The broker has acknowledged all records up to this one, and the storage knows. */
export function markDelivered(): u32 {
  return delivered;
}
/** An operator has released the logbook up to this entry, and the storage knows. */
export function markReleased(): u32 {
  return released;
}
/** The tariff of the last switch; -1 where it is not known. */
export function markedTariff(): i32 {
  if (TARIFF == 0) return -1;
  return load<u16>(MARK, MarkField.TariffKnown) == 0 ? -1 : <i32>load<u16>(MARK, MarkField.Tariff);
}
/** Unix seconds of the last tariff switch. */
export function markedSince(): i64 {
  if (TARIFF == 0) return 0;
  return load<i64>(MARK, MarkField.SwitchUnixSeconds);
}
/** Number of the last transaction. */
export function markedTransaction(): u32 {
  if (TARIFF == 0) return 0;
  return load<u32>(MARK, MarkField.Transaction);
}

/** The tariff applies since then. */
export function markTariff(since: i64, tariff: u32): void {
  if (TARIFF == 0) return;
  store<i64>(MARK, since, MarkField.SwitchUnixSeconds);
  store<u16>(MARK, <u16>tariff, MarkField.Tariff);
  store<u16>(MARK, 1, MarkField.TariffKnown);
  changed = true;
}

/** The tariff that is marked is known to apply since then. */
export function markSince(since: i64, tariff: i32): void {
  if (markedTariff() == tariff) markTariff(since, tariff);
}

/** The number of the last transaction, with `MARK_RUNS` as long as it runs. */
export function markTransaction(number: u32): void {
  if (TARIFF == 0) return;
  store<u32>(MARK, number, MarkField.Transaction);
  changed = true;
}

// The begin of a transaction, and the tariff that holds after a record where that is another one than before, are marked before
// the record is written, with the sequence that it is going to have: a start at which that is not there goes on as before it.
// So power that fails in between leaves no begin without an end, and records nothing that was registered under one tariff
// under the next, however many records wait.

/** A record is to be written as this one, after which this tariff holds; whether the mark has to be stored before. */
export function markBefore(record: usize, sequence: u32, tariff: i32, since: i64): bool {
  let due = false;
  if ((load<u8>(record, RecordField.Reasons) & <u8>RecordReason.TransactionBegin) != 0) {
    const runs = load<u32>(record, RecordField.Transaction) | MARK_RUNS;
    due = load<u32>(MARK, MarkField.Transaction) != runs || load<u32>(MARK, MarkField.TransactionFrom) != sequence;
    store<u32>(MARK, runs, MarkField.Transaction);
    store<u32>(MARK, sequence, MarkField.TransactionFrom);
  }
  if (tariff >= 0 && tariff != markedTariff()) {
    copy(MARK + MarkField.Before, MARK + MarkField.SwitchUnixSeconds, MarkField.TariffBytes);
    markTariff(since, tariff);
    store<u32>(MARK, sequence, MarkField.TariffFrom);
    due = true;
  }
  if (due) markChange(true);
  return due;
}

// The switch that is marked is not recorded.
function undoSwitch(): void {
  copy(MARK + MarkField.SwitchUnixSeconds, MARK + MarkField.Before, MarkField.TariffBytes);
  store<u32>(MARK, 0, MarkField.TariffFrom);
  markChange(true);
}

/** A context comes before the record that is marked, which gets another sequence; whether the mark has to be stored before. */
export function markContext(newest: u32): bool {
  const switches = load<u32>(MARK, MarkField.TariffFrom) > newest;
  if (switches) undoSwitch();
  const from = load<u32>(MARK, MarkField.TransactionFrom);
  if (from <= newest || from == NO_RECORD) return switches;
  store<u32>(MARK, NO_RECORD, MarkField.TransactionFrom);
  markChange(true);
  return true;
}

/** A record is in the ring. */
export function markAfter(record: usize): void {
  if ((load<u8>(record, RecordField.Reasons) & <u8>RecordReason.TransactionEnd) == 0) return;
  markTransaction(load<u32>(record, RecordField.Transaction));
  markChange(true);
}

/** The newest entry of the records at a start: what was marked is recorded, or was not recorded any more. */
export function markCompare(entry: usize, newest: u32): void {
  if (load<u32>(MARK, MarkField.TariffFrom) > newest) undoSwitch();
  const marked = load<u32>(MARK, MarkField.Transaction);
  if ((marked & MARK_RUNS) == 0) return;
  let runs = load<u32>(MARK, MarkField.TransactionFrom) <= newest;
  if (
    load<u8>(entry) == <u8>Format.Record &&
    (load<u8>(entry, RecordField.Reasons) & <u8>RecordReason.TransactionEnd) != 0
  ) {
    runs = runs && (load<u32>(entry, RecordField.Transaction) | MARK_RUNS) != marked;
  }
  if (runs) return;
  markTransaction(marked & ~MARK_RUNS);
  markChange(true);
}

/** Something in `MARK` has changed; `now`: it is to be stored before anything else. */
export function markChange(now: bool): void {
  changed = true;
  urgent = urgent || now;
}

/** Whether the mark is to be stored at local time `now`. */
export function markDue(now: i64): bool {
  return changed && (urgent || now >= storedAt + STORE_NS);
}

/** Local time at which it is to be stored. */
export function markDeadline(): i64 {
  if (!changed) return i64.MAX_VALUE;
  return urgent ? 0 : storedAt + STORE_NS;
}

/** Whether the storage holds a mark. */
export function markStored(): bool {
  return stored;
}

/** Takes both slots as they were read, whole; false where they were written and hold nothing. */
export function markTake(slots: usize): bool {
  const b = slots + StorageMap.MarkBytes;
  chainOpen();
  const holdsA = chainHolds(LABEL_MARK, slots);
  const holdsB = chainHolds(LABEL_MARK, b);
  chainClose();
  // A first write that was cut short leaves the other one blank.
  if (!holdsA && !holdsB) return chainBlank(slots) || chainBlank(b);
  slot = isSecondNewer(holdsA, holdsB, slots, b) ? 1 : 0;
  const at = slot == 1 ? b : slots;
  copy(MARK, at, USED_BYTES);
  stored = true;
  delivered = load<u32>(MARK, MarkField.Delivered);
  released = load<u32>(MARK, MarkField.Released);
  return true;
}

/** Writes it to the older slot. */
export function markWrite(): void {
  slot = 1 - slot;
  store<u32>(MARK, load<u32>(MARK, MarkField.Count) + 1, MarkField.Count);
  writingDelivered = load<u32>(MARK, MarkField.Delivered);
  writingReleased = load<u32>(MARK, MarkField.Released);
  changed = false;
  urgent = false;
  const at = actionWrite(slot == 0 ? StorageMap.MarkA : StorageMap.MarkB, StorageMap.MarkBytes);
  clear(at, StorageMap.MarkBytes);
  copy(at, MARK, USED_BYTES);
  chainOpen();
  chainSeal(LABEL_MARK, at);
  chainClose();
}

/** It is written, or could not be: then the other slot is still in force. */
export function markWritten(now: i64, failed: bool): void {
  if (failed) {
    slot = 1 - slot;
    markChange(true);
    return;
  }
  stored = true;
  storedAt = now;
  delivered = writingDelivered;
  released = writingReleased;
}
