// Appends to the rings: events, records, and the contexts that records need before them.
// What always holds: an entry is the newest of its ring once the storage has said that it is there; a record names a context that
// is whole and holds for it; no entry is overwritten that is not delivered or released, as the storage knows it.

import { actionScratch, actionWrite } from '../abi/buffers';
import { copy } from '../abi/bytes';
import { ChainField, MarkField, MeterEvent, RecordField, Ring, StorageMap } from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { raiseEvent } from '../meter/events';
import { chainClose, chainHash, chainOpen, chainSeal } from './chain';
import { contextHash, contextKeyMade, contextPart, contextParts } from './context';
import { headNote } from './head';
import { logNext, logRing, logStored } from './log';
import { MARK, markAfter, markBefore, markChange, markContext, markDelivered } from './mark';
import { recordNext, recordSinceAfter, recordStored, recordsLost, recordTariffAfter } from './records';
import { ringHash, ringNewest, ringOffset, ringSet, ringSlots } from './ring';

// What is appended.
const EVENT: u32 = 0;
const PART: u32 = 1;
const RECORD: u32 = 2;

/** Contexts are this far apart at most: a sixteenth of the ring, and more than a context has parts. */
const CONTEXT_SLOTS: u32 = 24;
/** A record needs this much room: a context may come first. */
const ROOM: u32 = 10;

let appends: u32 = EVENT;
let ring: u32 = 0;
/** Hash of what is being appended; free while nothing is. */
export const HASH: usize = TARIFF == 0 ? 0 : memory.data(32, 4);

/** The context that is being written: its first sequence, parts, the next one, and its hash. */
let contextFirst: u32 = 0;
let parts: u32 = 0;
let part: u32 = 0;
/** One is due, and waits for the public key. */
let keyAwaited: bool = false;
/** Records were written under a context of which the meter has not made the public key yet. */
let trusted: bool = false;
const CONTEXT_HASH_BYTES: u32 = 16;
const CONTEXT_HASH: usize = TARIFF == 0 ? 0 : memory.data(16, 4);

/** Records wait for room in the ring. */
let full: bool = false;

/** Whether records were written under a context of an earlier start, before the meter had made its public key. */
export function appendTrusted(): bool {
  return trusted;
}

/** Whether records wait for room in their ring. */
export function appendFull(): bool {
  return full;
}

// The body is at `bodyPlace`: it gets sequence, link and seal, and is written.
function append(what: u32, which: u32): void {
  const sequence = ringNewest(which) + 1;
  const at = actionWrite(ringOffset(which, sequence), StorageMap.EntryBytes);
  store<u32>(at, sequence, ChainField.Sequence);
  copy(at + ChainField.Link, ringHash(which), ChainField.Seal - ChainField.Link);
  chainOpen();
  chainSeal(which, at);
  chainClose();
  chainHash(at, HASH);
  appends = what;
  ring = which;
}

// Where `actionWrite` is going to put the entry.
function bodyPlace(): usize {
  return actionScratch() + 4;
}

/** Begins to write the oldest event that is not logged; false where there is none. */
export function appendEvent(now: i64): bool {
  if (!logNext(now, bodyPlace())) return false;
  append(EVENT, logRing());
  return true;
}

/** Whether it is an event that is being written. */
export function appendsEvent(): bool {
  return appends == EVENT;
}

/** The storage has said that it is there. */
export function appended(): void {
  ringSet(ring, ringNewest(ring) + 1, HASH);
  headNote(ring);
  if (appends == EVENT) return logStored();
  if (appends == PART) {
    part += 1;
    return;
  }
  markAfter(recordNext());
  recordStored();
  if (!full) return;
  full = false;
  raiseEvent(MeterEvent.RecordsResumed, recordsLost(), 0, false);
}

// How far a record may be from its context.
function contextReach(): u32 {
  return max<u32>(ringSlots(Ring.Records) / 16, CONTEXT_SLOTS);
}

/**
 * Whether there is room for a record and a context before it. The context of the oldest that is not delivered is there, or was
 * delivered itself.
 */
export function appendRoom(): bool {
  return ringNewest(Ring.Records) + ROOM <= markDelivered() + ringSlots(Ring.Records);
}

/** Nothing of records can be written now, for one of these reasons; or something is. */
export enum Append {
  /** No record waits that there is room for. */
  None = 0,
  /** Something else has to be done first. */
  Later = 1,
  /** An entry is being written. */
  Begun = 2,
}

/** Begins to write the next record, or what it needs before. */
export function appendRecord(): Append {
  const body = recordNext();
  if (body == 0) return Append.None;
  if (parts == 0 && !appendRoom()) return noRoom();
  if (keyAwaited && !contextKeyMade()) return Append.Later;
  if (parts == 0 && needsContext()) {
    // A context says by which key heads are signed.
    keyAwaited = !contextKeyMade();
    if (keyAwaited || markContext(ringNewest(Ring.Records))) return Append.Later;
    parts = contextParts();
    part = 0;
    contextFirst = ringNewest(Ring.Records) + 1;
  }
  const place = bodyPlace();
  if (part < parts) {
    contextPart(part, place);
    append(PART, Ring.Records);
  } else if (parts != 0) {
    contextWritten();
    return Append.Later;
  } else if (markBefore(body, ringNewest(Ring.Records) + 1, recordTariffAfter(), recordSinceAfter())) {
    return Append.Later;
  } else {
    trusted = trusted || !contextKeyMade();
    copy(place, body, ChainField.BodyBytes);
    store<u32>(place, load<u32>(MARK, MarkField.Context), RecordField.Context);
    append(RECORD, Ring.Records);
  }
  return Append.Begun;
}

// What was delivered makes room as soon as the storage knows.
function noRoom(): Append {
  if (load<u32>(MARK, MarkField.Delivered) != markDelivered()) {
    markChange(true);
    return Append.Later;
  }
  if (!full) {
    raiseEvent(MeterEvent.RecordsFull, ringNewest(Ring.Records), load<u32>(MARK, MarkField.Delivered) + 1, false);
  }
  full = true;
  return Append.None;
}

// Whether there is no context that holds for the next record; its hash is then that of one that would.
function needsContext(): bool {
  contextHash(CONTEXT_HASH);
  const last = load<u32>(MARK, MarkField.Context);
  if (last == 0 || ringNewest(Ring.Records) + 1 - last > contextReach()) return true;
  return !equalBytes(CONTEXT_HASH, MARK + MarkField.ContextHash, CONTEXT_HASH_BYTES);
}

// All parts are there: it holds, unless something changed meanwhile. Then the next try makes another one.
function contextWritten(): void {
  parts = 0;
  part = 0;
  contextHash(HASH);
  if (!equalBytes(HASH, CONTEXT_HASH, CONTEXT_HASH_BYTES)) return;
  store<u32>(MARK, contextFirst, MarkField.Context);
  copy(MARK + MarkField.ContextHash, CONTEXT_HASH, CONTEXT_HASH_BYTES);
  markChange(true);
}
