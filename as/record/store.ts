// Records, logbook and network's ring in the storage: finds them at the start (`opening.ts`), appends what comes (`append.ts`),
// stores marks and heads, sends what is to be sent, and looks all of it through once after each start (`inspect.ts`).
//
//   opening ──> ready: mark of a first start ──> events ──> mark ──> records ──> head ──> entries to be sent ──> slots looked at
//      └── the storage fails: the same again, later and later; everything else goes on meanwhile
//
// What always holds: one storage operation at a time; an entry counts as written when the storage has said so, or when it is
// found whole at the next start; an event whose place fails holds up nothing else. A storage too small for all this has none
// of it, and nothing else suffers.

import { actionRead } from '../abi/buffers';
import { MarkField, MeterEvent, StorageMap } from '../abi/codes';
import { eventsLogging, eventUnlogged, raiseEvent } from '../meter/events';
import { retryNs } from '../meter/retry';
import { Append, appendEvent, appended, appendFull, appendRecord, appendsEvent } from './append';
import { contextSettings } from './context';
import { damageOf, entryHolds, isBehind, READS } from './damage';
import { headDeadline, headRestart, headSend, headWork, headWrite, headWritten } from './head';
import { inspectBytes, inspectDeadline, inspectOffset, inspectTake } from './inspect';
import { MARK, markDeadline, markDue, markReleased, markStored, markWrite, markWritten } from './mark';
import { openingBytes, openingOffset, openingTake } from './opening';
import { recordNext } from './records';
import { ringNewest, ringOffset, ringsStart } from './ring';
import { sendEntry, sendFinish, sendMarked, sendRestart, sendRing, sendSequence, sendTake, sendWants } from './send';

const OFF: u32 = 0;
const OPENING: u32 = 1;
const READY: u32 = 2;

// What the storage is doing.
const IDLE: u32 = 0;
const STARTING: u32 = 1;
const APPENDING: u32 = 2;
const MARKING: u32 = 3;
const HEADING: u32 = 4;
const SENDING: u32 = 5;
const INSPECTING: u32 = 6;

const RETRY_MAX_MS: u32 = 3_600_000;

let state: u32 = OFF;
/** The board has storage for all this. */
let able: bool = false;
let doing: u32 = IDLE;
/** Bytes that were asked for. */
let asked: u32 = 0;
let failures: u32 = 0;
let retryAt: i64 = 0;
/** The same of events: what else is to be written does not wait for one whose place fails. */
let logFailures: u32 = 0;
let logRetryAt: i64 = 0;
/** Reads in a row of what is to be sent that did not hold. */
let sendReads: u32 = 0;

/** The board has this much storage. */
export function storeStart(storageBytes: u32): void {
  if (TARIFF == 0) return;
  able = storageBytes >= <u32>StorageMap.TariffBytes;
  eventsLogging(able);
  if (able) ringsStart(storageBytes);
}

/** The settings were read: they hold, or (`block` 0) there are none. */
export function storeSettings(block: usize): void {
  if (TARIFF == 0) return;
  able = able && block != 0;
  eventsLogging(able);
  if (!able) return;
  contextSettings(block);
  state = OPENING;
}

/** Whether an offset is that of an entry, a mark or a head. */
export function storeOwns(offset: u32): bool {
  if (TARIFF == 0) return false;
  return offset >= <u32>StorageMap.Logbook || (offset >= <u32>StorageMap.HeadA && offset < <u32>StorageMap.DynamicA);
}

/** Whether rings and mark are found. */
export function storeReady(): bool {
  if (TARIFF == 0) return false;
  return state == READY;
}

/** Newest entry of a ring; 0 where there is none. */
export function storeNewest(which: u32): u32 {
  if (TARIFF == 0) return 0;
  return ringNewest(which);
}

/** Oldest record that is not delivered. */
export function storeOldest(): u32 {
  if (TARIFF == 0) return 0;
  return load<u32>(MARK, MarkField.Delivered) + 1;
}

/** Whether records wait for room in their ring. */
export function storeFull(): bool {
  if (TARIFF == 0) return false;
  return appendFull();
}

/** A new session of the link. */
export function storeRestart(): void {
  sendRestart();
  headRestart();
}

/** Answers what is done, and sends a head that waits where there is room: reports come first. */
export function storeTell(): void {
  sendFinish();
  headSend();
}

/** A message of the report channel. */
export function storeMessage(message: usize, length: u32): void {
  if (TARIFF == 0) return;
  sendTake(message, length, state == READY, able);
}

/** Whether the storage failed when it was used last: for events, or for all else. */
export function storeFails(): bool {
  if (TARIFF == 0) return false;
  return (failures | logFailures) != 0;
}

/** Local time at which `storeStep` has something to do, while no storage operation is under way. */
export function storeDeadline(): i64 {
  if (TARIFF == 0 || state == OFF) return i64.MAX_VALUE;
  let due: i64 = 0;
  if (state == READY && (appendFull() || recordNext() == 0)) {
    due = min<i64>(min<i64>(markDeadline(), headDeadline()), inspectDeadline());
    if (eventUnlogged()) due = min<i64>(due, logRetryAt);
  }
  return max<i64>(due, retryAt);
}

/** Does what is due while no storage operation is under way; true when it began one. */
export function storeStep(now: i64): bool {
  if (TARIFF == 0 || state == OFF || now < retryAt) return false;
  doing = next(now);
  return doing != IDLE;
}

// Begins what is due; says what that is.
function next(now: i64): u32 {
  if (state != READY) return read(STARTING, openingOffset(), openingBytes());
  const first = !markStored();
  if (!first && now >= logRetryAt && appendEvent(now)) return APPENDING;
  if (first || markDue(now)) {
    markWrite();
    return MARKING;
  }
  const records = appendRecord();
  if (records == Append.Begun) return APPENDING;
  headWork(now, records == Append.None);
  if (headWrite()) return HEADING;
  if (sendWants()) return read(SENDING, ringOffset(sendRing, sendSequence), StorageMap.EntryBytes);
  return now < inspectDeadline() ? IDLE : read(INSPECTING, inspectOffset(), inspectBytes());
}

function read(why: u32, offset: u32, bytes: u32): u32 {
  actionRead(offset, bytes);
  asked = bytes;
  return why;
}

/** The storage was read, or could not be. */
export function storeData(now: i64, offset: u32, data: usize, length: u32): void {
  if (TARIFF == 0) return;
  const done = doing;
  doing = IDLE;
  if (length != asked) return failed(now, offset);
  failures = 0;
  if (done == STARTING) {
    if (openingTake(data)) state = READY;
  } else if (done == SENDING) sent(data);
  else if (done == INSPECTING) inspectTake(now, data);
}

// An entry to be sent was read; one that never holds is left out, and told of.
function sent(data: usize): void {
  const holds = entryHolds(sendRing, sendSequence, data);
  sendReads += 1;
  if (!holds && sendReads < READS) return;
  sendReads = 0;
  if (!holds && !isBehind(sendRing, sendSequence)) damageOf(sendRing, sendSequence);
  sendEntry(holds ? data : 0);
}

/** The storage was written, or could not be: then the same is tried again, later and later. */
export function storeDone(now: i64, offset: u32, bad: bool): void {
  if (TARIFF == 0) return;
  const done = doing;
  doing = IDLE;
  if (done == MARKING) {
    const before = markReleased();
    markWritten(now, bad);
    if (markReleased() != before) raiseEvent(MeterEvent.LogbookReleased, markReleased(), 0, false);
    sendMarked(bad);
  } else if (done == HEADING) {
    headWritten(bad);
  } else if (done == APPENDING) {
    if (appendsEvent()) return logDone(now, offset, bad);
    if (!bad) appended();
  }
  if (bad) failed(now, offset);
  else failures = 0;
}

function logDone(now: i64, offset: u32, bad: bool): void {
  if (!bad) {
    logFailures = 0;
    return appended();
  }
  tellFailed(logFailures, offset);
  logRetryAt = now + retryNs(logFailures, RETRY_MAX_MS);
  logFailures += 1;
}

function failed(now: i64, offset: u32): void {
  tellFailed(failures, offset);
  retryAt = now + retryNs(failures, RETRY_MAX_MS);
  failures += 1;
}

function tellFailed(times: u32, offset: u32): void {
  if (times == 0) raiseEvent(MeterEvent.StorageFailed, offset, 0, false);
}
