// Records, logbook and network's ring in the storage: finds them at the start, appends what comes, sends what is to be sent,
// and looks all of it through once after each start.
//
//   mark ──> heads ──> records ──> logbook ──> network's ring ──> entries of the head ──> last context ──> ready
//      └── the storage fails: the same again, later and later; everything else goes on meanwhile
//
// What always holds: one storage operation at a time; an entry counts as written when the storage has said so, or when it is
// found whole at the next start; an event whose place fails holds up nothing
// else; an entry is overwritten only where the mark in the storage says that it was delivered or released. A storage too small for all this has none of it, and nothing else suffers.

import { actionAdd, actionScratch } from '../abi/buffers';
import { copy } from '../abi/bytes';
import {
  Action,
  ChainField,
  Format,
  MarkField,
  MeterEvent,
  RecordField,
  Ring,
  StorageMap,
  Tampering,
} from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { eventsLogging, eventUnlogged, raiseEvent } from '../meter/events';
import { SECOND_NS } from '../ntp/timestamp';
import { chainClose, chainHash, chainHolds, chainOpen, chainSeal, HASH_BYTES } from './chain';
import {
  contextHash,
  contextPart,
  contextParts,
  contextRecall,
  contextSettings,
  contextSettingsHash,
  contextSoftwareHash,
  FINGERPRINT_PART,
  FINGERPRINT_PARTS,
} from './context';
import {
  headDeadline,
  headHash,
  headKeyReady,
  headNote,
  headRestart,
  headSend,
  headSequence,
  headTake,
  headWork,
  headWrite,
  headWritten,
} from './head';
import { logNext, logRing, logStored, logTellFull } from './log';
import {
  MARK,
  markChange,
  markDeadline,
  markDelivered,
  markDue,
  markReleased,
  markStored,
  markTake,
  markWrite,
  markWritten,
} from './mark';
import { recordNext, recordStored, recordsLost, recordsMiss } from './records';
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
  ringsStart,
} from './ring';
import { sendAnswers, sendEntry, sendMarked, sendRestart, sendRing, sendSequence, sendTake, sendWants } from './send';

// What is read at the start, in this order; then everything runs.
const STAGE_OFF: u32 = 0;
const STAGE_MARK: u32 = 1;
const STAGE_HEADS: u32 = 2;
const STAGE_RINGS: u32 = 3;
const STAGE_HEAD_ENTRIES: u32 = 4;
const STAGE_CONTEXT: u32 = 5;
const STAGE_READY: u32 = 6;

// What the storage is doing.
const IDLE: u32 = 0;
const STARTING: u32 = 1;
const APPENDING: u32 = 2;
const MARKING: u32 = 3;
const HEADING: u32 = 4;
const SENDING: u32 = 5;
const CHECKING: u32 = 6;

// What is appended.
const EVENT: u32 = 0;
const PART: u32 = 1;
const RECORD: u32 = 2;

const RETRY_NS: i64 = 100_000_000;
const RETRY_MAX_NS: i64 = 3600 * SECOND_NS;
const FAILURES_MAX: u32 = 16;
/** A slot that does not hold is read so often: it may have been misread. */
const READS: u32 = 3;
/** How often some slots are looked at after a start, and how many. */
const CHECK_NS: i64 = SECOND_NS;
const CHECK_SLOTS: u32 = 4;

/** Contexts are this far apart at most: a sixteenth of the ring, and more than a context has parts. */
const CONTEXT_SLOTS: u32 = 24;
/** A record needs this much room: a context may come first. */
const ROOM: u32 = 10;

let stage: u32 = STAGE_OFF;
/** The board has storage for all this. */
let able: bool = false;
let doing: u32 = IDLE;
/** Ring or part that the start is at. */
let step: u32 = 0;
let failures: u32 = 0;
let retryAt: i64 = 0;
/** The same of events: what else is to be written does not wait for one whose place fails. */
let logFailures: u32 = 0;
let logRetryAt: i64 = 0;
/** Reads in a row that did not hold, of what is sent and of what else is read. */
let sendReads: u32 = 0;
let otherReads: u32 = 0;
/** Rings of which damage was told: bits. */
let told: u32 = 0;

/** What is being appended, to which ring, and its hash. */
let appends: u32 = EVENT;
let ring: u32 = 0;
const HASH: usize = TARIFF == 0 ? 0 : memory.data(32, 4);

/** The context that is being written: its first sequence, parts, the next one, and its hash. */
let contextFirst: u32 = 0;
let parts: u32 = 0;
let part: u32 = 0;
const CONTEXT_HASH_BYTES: u32 = 16;
const CONTEXT_HASH: usize = TARIFF == 0 ? 0 : memory.data(16, 4);

/** Records wait for room in the ring. */
let full: bool = false;

let checkRing: u32 = 0;
let checkSlot: u32 = 0;
let checkSlots: u32 = 0;
let checkAt: i64 = 0;

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
  stage = STAGE_MARK;
}

/** Whether an offset is that of an entry, a mark or a head. */
export function storeOwns(offset: u32): bool {
  if (TARIFF == 0) return false;
  return offset >= <u32>StorageMap.Logbook || (offset >= <u32>StorageMap.HeadA && offset < <u32>StorageMap.DynamicA);
}

/** Whether rings and mark are found. */
export function storeReady(): bool {
  if (TARIFF == 0) return false;
  return stage == STAGE_READY;
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
  return full;
}

/** A new session of the link. */
export function storeRestart(): void {
  if (TARIFF == 0) return;
  sendRestart();
  headRestart();
}

/** Sends answers and heads that wait, where there is room: reports come first. */
export function storeTell(): void {
  if (TARIFF == 0) return;
  sendAnswers();
  headSend();
}

/** A message of the report channel. */
export function storeMessage(message: usize, length: u32): void {
  if (TARIFF == 0) return;
  sendTake(message, length, stage == STAGE_READY, able);
}

/** Whether the storage failed when it was used last: for events, or for all else. */
export function storeFails(): bool {
  if (TARIFF == 0) return false;
  return (failures | logFailures) != 0;
}

/** Local time at which `storeStep` has something to do, while no storage operation is under way. */
export function storeDeadline(): i64 {
  if (TARIFF == 0 || stage == STAGE_OFF) return i64.MAX_VALUE;
  let due: i64 = 0;
  if (stage == STAGE_READY && (full || recordNext() == 0)) {
    due = min<i64>(markDeadline(), headDeadline());
    if (checkRing < <u32>Ring.Network) due = min<i64>(due, checkAt);
    if (eventUnlogged()) due = min<i64>(due, logRetryAt);
  }
  return max<i64>(due, retryAt);
}

/** Does what is due while no storage operation is under way; true when it began one. */
export function storeStep(now: i64): bool {
  if (TARIFF == 0 || stage == STAGE_OFF) return false;
  if (now < retryAt) return false;
  if (stage != STAGE_READY) return start();
  const first = !markStored();
  if (!first && now >= logRetryAt && logNext(now, actionScratch() + 4)) {
    append(EVENT, logRing());
    return true;
  }
  if (first || markDue(now)) {
    doing = MARKING;
    markWrite();
    return true;
  }
  const waits = records();
  if (doing != IDLE) return true;
  headWork(now, !waits);
  if (headWrite()) {
    doing = HEADING;
    return true;
  }
  if (sendWants()) return read(SENDING, ringOffset(sendRing, sendSequence), StorageMap.EntryBytes);
  return check(now);
}

function read(why: u32, offset: u32, bytes: u32): bool {
  doing = why;
  const action = actionAdd(Action.StorageRead, 8);
  store<u32>(action, offset);
  store<u32>(action, bytes, 4);
  wanted = bytes;
  return true;
}

/** Bytes that were asked for. */
let wanted: u32 = 0;

/** The storage was read, or could not be. */
export function storeData(now: i64, offset: u32, data: usize, length: u32): void {
  if (TARIFF == 0) return;
  const done = doing;
  doing = IDLE;
  if (length != wanted) return failed(now, offset);
  failures = 0;
  if (done == STARTING) started(data);
  else if (done == SENDING) sent(data);
  else if (done == CHECKING) checked(now, data);
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
    if (appends == EVENT) return logDone(now, offset, bad);
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
  logRetryAt = now + delay(logFailures);
  logFailures = min<u32>(logFailures + 1, FAILURES_MAX);
}

function failed(now: i64, offset: u32): void {
  tellFailed(failures, offset);
  retryAt = now + delay(failures);
  failures = min<u32>(failures + 1, FAILURES_MAX);
}

function tellFailed(times: u32, offset: u32): void {
  if (times == 0) raiseEvent(MeterEvent.StorageFailed, offset, 0, false);
}

function delay(times: u32): i64 {
  return min<i64>(RETRY_NS << times, RETRY_MAX_NS);
}

// ---------------------------------------------------------------- start

function start(): bool {
  switch (stage) {
    case STAGE_MARK:
      return read(STARTING, StorageMap.MarkA, 2 * StorageMap.MarkBytes);
    case STAGE_HEADS:
      return read(STARTING, StorageMap.HeadA, 2 * StorageMap.HeadSlotBytes);
    case STAGE_RINGS:
      return read(STARTING, findOffset(), findBytes());
    case STAGE_HEAD_ENTRIES:
      return read(STARTING, ringOffset(step, headSequence(step)), StorageMap.EntryBytes);
    default:
      return read(STARTING, ringOffset(Ring.Records, contextEntry()), StorageMap.EntryBytes);
  }
}

// The entry with a part of the last context that holds fingerprints.
function contextEntry(): u32 {
  return load<u32>(MARK, MarkField.Context) + FINGERPRINT_PART + step;
}

function started(data: usize): void {
  switch (stage) {
    case STAGE_MARK:
      if (!markTake(data)) raiseEvent(MeterEvent.Tampered, Tampering.Mark, 0, false);
      stage = STAGE_HEADS;
      break;
    case STAGE_HEADS:
      if (!headTake(data)) raiseEvent(MeterEvent.Tampered, Tampering.Head, 0, false);
      stage = STAGE_RINGS;
      step = 0;
      findBegin(0, least(0));
      break;
    case STAGE_RINGS:
      if (!findTake(data)) return;
      ringFound();
      break;
    case STAGE_HEAD_ENTRIES:
      if (!compareHead(data)) return;
      otherReads = 0;
      step += 1;
      headEntries();
      break;
    default:
      recall(data);
  }
}

function tampered(which: u32, what: u32, sequence: u32): void {
  if ((told & (1 << which)) != 0) return;
  told |= 1 << which;
  raiseEvent(MeterEvent.Tampered, what, sequence, false);
}

// An entry of a ring does not hold. What is in the network's ring has no weight.
function damaged(which: u32, sequence: u32): void {
  if (which != Ring.Network) tampered(which, which == Ring.Records ? Tampering.Record : Tampering.Logbook, sequence);
}

// Sequence that the newest entry of a ring had at least: those that were signed, delivered or released were there.
function least(which: u32): u32 {
  if (which == Ring.Network) return 0;
  const known = which == Ring.Records ? max<u32>(markDelivered(), load<u32>(MARK, MarkField.Context)) : markReleased();
  return max<u32>(headSequence(which), known);
}

function ringFound(): void {
  const there = least(step);
  if (ringNewest(step) < there) {
    tampered(step, step == Ring.Records ? Tampering.RecordsCut : Tampering.LogbookCut, there);
    // No sequence is ever used twice, and what follows is bound to what was signed.
    ringSet(step, there, there == headSequence(step) ? headHash(step) : ringHash(step));
    if (step == Ring.Records) store<u32>(MARK, 0, MarkField.Context);
  } else if (findDamaged()) {
    damaged(step, ringExpects(step, findDamagedSlot()));
  }
  step += 1;
  if (step < RINGS) return findBegin(step, least(step));
  step = 0;
  headEntries();
}

// The next ring of which the head's entry is still there.
function headEntries(): void {
  stage = STAGE_HEAD_ENTRIES;
  for (; step < <u32>Ring.Network; step++) {
    const signed = headSequence(step);
    if (signed != 0 && (told & (1 << step)) == 0 && ringExpects(step, signed % ringSlots(step)) == signed) return;
  }
  step = 0;
  contexts();
}

// Whether the entry of the head is what was signed; else it is read again.
function compareHead(data: usize): bool {
  const signed = headSequence(step);
  chainHash(data, HASH);
  if (equalBytes(HASH, headHash(step), HASH_BYTES)) return true;
  otherReads += 1;
  if (otherReads < READS) return false;
  if (holds(step, signed, data)) tampered(step, Tampering.Head, signed);
  else if (!isBehind(step, signed)) damaged(step, signed);
  return true;
}

// Whether the slot of a sequence is the one behind the newest, which may hold what a write left.
function isBehind(which: u32, sequence: u32): bool {
  return sequence + ringSlots(which) == ringNewest(which) + 1;
}

function holds(which: u32, sequence: u32, data: usize): bool {
  chainOpen();
  const right = load<u32>(data, ChainField.Sequence) == sequence && chainHolds(which, data);
  chainClose();
  return right;
}

function contexts(): void {
  stage = STAGE_CONTEXT;
  if (step == FINGERPRINT_PARTS || !isThere(contextEntry())) ready();
}

function isThere(sequence: u32): bool {
  if (load<u32>(MARK, MarkField.Context) == 0 || sequence == 0) return false;
  return ringExpects(Ring.Records, sequence % ringSlots(Ring.Records)) == sequence;
}

function recall(data: usize): void {
  if (holds(Ring.Records, contextEntry(), data) && load<u8>(data) == <u8>Format.Context) contextRecall(data);
  step += 1;
  contexts();
}

function ready(): void {
  stage = STAGE_READY;
  compareStart(MarkField.Settings, MeterEvent.SettingsChanged);
  compareStart(MarkField.Software, MeterEvent.SoftwareChanged);
  logTellFull();
  // A ring that was full may have made the last start lose records.
  if (!hasRoom()) recordsMiss();
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

// ---------------------------------------------------------------- appending

// The body is at `actionScratch() + 4`: it gets sequence, link and seal, and is written.
function append(what: u32, which: u32): void {
  const action = actionAdd(Action.StorageWrite, 4 + StorageMap.EntryBytes);
  const at = action + 4;
  const sequence = ringNewest(which) + 1;
  store<u32>(action, ringOffset(which, sequence));
  store<u32>(at, sequence, ChainField.Sequence);
  copy(at + ChainField.Link, ringHash(which), ChainField.Seal - ChainField.Link);
  chainOpen();
  chainSeal(which, at);
  chainClose();
  chainHash(at, HASH);
  appends = what;
  ring = which;
  doing = APPENDING;
}

// The storage has said that it is there.
function appended(): void {
  ringSet(ring, ringNewest(ring) + 1, HASH);
  headNote(ring);
  if (appends == EVENT) return logStored();
  if (appends == PART) {
    part += 1;
    return;
  }
  recordStored();
  if (!full) return;
  full = false;
  raiseEvent(MeterEvent.RecordsResumed, recordsLost(), 0, false);
}

// How far a record may be from its context.
function contextReach(): u32 {
  return max<u32>(ringSlots(Ring.Records) / 16, CONTEXT_SLOTS);
}

// Whether there is room for a record and a context before it. The context of the oldest that is not delivered is there, or was
// delivered itself.
function hasRoom(): bool {
  return ringNewest(Ring.Records) + ROOM <= markDelivered() + ringSlots(Ring.Records);
}

// Begins to write the next record, or what it needs before; false where none waits that could be written.
function records(): bool {
  const body = recordNext();
  if (body == 0) return false;
  if (parts == 0 && !hasRoom()) return noRoom();
  // The context says by which key heads are signed.
  if (!headKeyReady()) return true;
  if (parts == 0 && needsContext()) {
    parts = contextParts();
    part = 0;
    contextFirst = ringNewest(Ring.Records) + 1;
  }
  const place = actionScratch() + 4;
  if (part < parts) {
    contextPart(part, place);
    append(PART, Ring.Records);
  } else if (parts != 0) {
    contextWritten();
  } else {
    copy(place, body, ChainField.BodyBytes);
    store<u32>(place, load<u32>(MARK, MarkField.Context), RecordField.Context);
    append(RECORD, Ring.Records);
  }
  return true;
}

// What was delivered makes room as soon as the storage knows.
function noRoom(): bool {
  if (load<u32>(MARK, MarkField.Delivered) != markDelivered()) {
    markChange(true);
    return true;
  }
  if (!full) raiseEvent(MeterEvent.RecordsFull, ringNewest(Ring.Records), storeOldest(), false);
  full = true;
  return false;
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

// ---------------------------------------------------------------- reading

// An entry to be sent was read; one that never holds is left out, and told of.
function sent(data: usize): void {
  if (holds(sendRing, sendSequence, data)) {
    sendReads = 0;
    return sendEntry(data);
  }
  sendReads += 1;
  if (sendReads < READS) return;
  sendReads = 0;
  if (!isBehind(sendRing, sendSequence)) damaged(sendRing, sendSequence);
  sendEntry(0);
}

function check(now: i64): bool {
  if (checkRing >= <u32>Ring.Network || now < checkAt) return false;
  checkSlots = min<u32>(CHECK_SLOTS, ringSlots(checkRing) - checkSlot);
  return read(CHECKING, ringOffset(checkRing, checkSlot), checkSlots * <u32>StorageMap.EntryBytes);
}

function checked(now: i64, data: usize): void {
  checkAt = now + CHECK_NS;
  for (let i: u32 = 0; i < checkSlots; i++) {
    const expected = ringExpects(checkRing, checkSlot + i);
    if (expected == 0 || isBehind(checkRing, expected)) continue;
    if (holds(checkRing, expected, data + i * <u32>StorageMap.EntryBytes)) continue;
    otherReads += 1;
    if (otherReads < READS) return;
    damaged(checkRing, expected);
  }
  otherReads = 0;
  checkSlot += checkSlots;
  if (checkSlot < ringSlots(checkRing)) return;
  checkSlot = 0;
  checkRing += 1;
}
