// Tariff programs and dynamic tariffs in their slots of the storage: loaded at the start, written as they come over the link
// (`tariff-blocks.ts`), and brought into use.
//
//   scan each slot ──> load what is in force ──> idle ──> a part comes: written to the slot not in force ──┐
//                                                 ▲  ▲                                                      │
//                                                 │  └──────────────────────────────────────────────────────┘
//                                  load again ────┘    commit: read and checked ──> CRC-32 written ──> event ──> head written
//
// What always holds:
// - There is one program in memory, and one list: while another is read and checked, neither tells a tariff nor local time
//   (`slotsLoading`).
// - What takes effect comes after its entry in the logbook, where that can be written; and what it replaced is marked as
//   replaced (`ProgramFormat.Replaced`), so that an activation is told once.

import { actionRead, actionWrite } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import { CommandResult, MeterEvent, ProgramError, ProgramField, ProgramFormat, StorageMap } from '../abi/codes';
import { contextProgram } from '../record/context';
import { READS } from '../record/damage';
import { storeFails } from '../record/store';
import { dynamicDrop } from '../tariff/dynamic';
import { programBuffer, programDrop } from '../tariff/program';
import { eventUnlogged, raiseEvent } from './events';
import { retryNs } from './retry';
import { blockAnswer, blockFailed, blockHolds, blockPartWritten, blockPut, blockTell } from './tariff-blocks';
import {
  BROKEN,
  bufferOf,
  bytesOf,
  CRC_BYTES,
  choose,
  crcOf,
  currentOf,
  DYNAMIC,
  EMPTY,
  HEAD_BYTES,
  kindOf,
  LENGTH,
  magicOf,
  NONE,
  nameOf,
  noteReplaced,
  noteState,
  noteValid,
  offsetOf,
  PROGRAM,
  passiveSlot,
  SLOTS,
  setCurrent,
  stateOf,
  use,
  utcSeconds,
  whenOf,
} from './tariff-table';

/** Bytes that are read at once. */
const READ_BYTES: u32 = 256;
const RETRY_MAX_MS: u32 = 60_000;

/** What is done with a slot: from `Check` to `WriteHead` it is of a block that comes. */
export enum Job {
  Idle = 0,
  Scan = 1,
  Load = 2,
  Check = 3,
  WritePart = 4,
  WriteCrc = 5,
  Tell = 6,
  WriteHead = 7,
  Replace = 8,
}

let present: bool = false;
let job: Job = Job.Idle;
/** Slot at work, how far it is read, and its length. */
let slot: u32 = 0;
let at: u32 = 0;
let length: u32 = 0;
let reads: u32 = 0;
let ready: bool = false;
/** Kinds whose buffer holds what is in force: bits. */
let loaded: u32 = 0;
/** Programs or lists have changed since this was last taken; and since when a program is in force, where that was planned. */
let changed: bool = false;
let since: i64 = 0;
/** A passive program takes effect: it is loaded, and the one before is marked as replaced. */
let activating: bool = false;
let retryAt: i64 = 0;
let failures: u32 = 0;

/** The board has this much storage. */
export function slotsStart(storageBytes: u32): void {
  present = storageBytes >= <u32>StorageMap.TariffBytes;
  slotsBegin(Job.Scan, 0, 0);
}

/** Whether the storage has room for tariffs. */
export function slotsPresent(): bool {
  return present;
}

/** Whether an offset of the storage is within the slots. */
export function slotsOwn(offset: u32): bool {
  return TARIFF != 0 && offset >= <u32>StorageMap.DynamicA && offset < <u32>StorageMap.Logbook;
}

/** Whether all slots were looked at. */
export function slotsReady(): bool {
  return ready;
}

/** Whether nothing is done with a slot. */
export function slotsIdle(): bool {
  return job == Job.Idle;
}

/** Whether the program or the dynamic tariffs in force are not in memory just now. */
export function slotsLoading(): bool {
  if (job >= Job.Check && job != Job.WritePart && job != Job.Replace) return true;
  return isUnloaded(PROGRAM) || isUnloaded(DYNAMIC);
}

function isUnloaded(kind: u32): bool {
  return currentOf(kind) != NONE && (loaded & (1 << kind)) == 0;
}

/** Whether a stored program or list does not hold. */
export function slotsBroken(): bool {
  for (let i: u32 = 0; i < SLOTS; i++) {
    if (stateOf(i) == BROKEN) return true;
  }
  return false;
}

/** Whether dynamic tariffs are in force, or have been. */
export function slotsDynamic(): bool {
  return slotsDynamicEnd() != 0;
}

/** Programs or lists have changed. */
export function slotsNote(): void {
  changed = true;
}
/** Whether programs or lists have changed, since this was last taken; `slotsSince` then says from when on one counts. */
export function slotsChanged(take: bool): bool {
  const result = changed;
  if (take) changed = false;
  return result;
}
/** Since when the program in force is to count, Unix seconds; 0: from now on. */
export function slotsSince(): i64 {
  return since;
}

/** CRC-32 of the program in force, of the dynamic tariffs, and their end; 0 without. */
export function slotsProgramCrc(): u32 {
  return crcOfCurrent(PROGRAM);
}
export function slotsDynamicCrc(): u32 {
  return crcOfCurrent(DYNAMIC);
}
export function slotsDynamicEnd(): i64 {
  const current = currentOf(DYNAMIC);
  return current == NONE ? 0 : whenOf(current);
}

function crcOfCurrent(kind: u32): u32 {
  const current = currentOf(kind);
  return current == NONE ? 0 : crcOf(current);
}

/** Names of the program in force and of the passive one: texts. */
export function slotsName(passive: bool): usize {
  return nameOf(passive ? passiveSlot() : currentOf(PROGRAM));
}

/** Activation time of the passive program, Unix seconds; i64.MAX_VALUE without one. */
export function slotsActivation(): i64 {
  const passive = passiveSlot();
  return passive == NONE || job != Job.Idle ? i64.MAX_VALUE : whenOf(passive);
}

/** The same, for people: 0 without one. */
export function slotsPassive(): i64 {
  const passive = passiveSlot();
  return passive == NONE ? 0 : whenOf(passive);
}

// ---------------------------------------------------------------- storage

/** Local time at which `slotsStep` has something to do. */
export function slotsDeadline(): i64 {
  return TARIFF != 0 && present && job != Job.Idle && !waits() ? retryAt : i64.MAX_VALUE;
}

// What takes effect comes after its entry in the logbook, unless that cannot be written.
function waits(): bool {
  return job == Job.WriteHead && eventUnlogged() && !storeFails();
}

/** Does what is due while no storage operation is under way; true when it began one. */
export function slotsStep(now: i64): bool {
  if (TARIFF == 0 || !present || job == Job.Idle || now < retryAt || waits()) return false;
  if (job == Job.Tell) {
    blockTell(slot, length);
    job = Job.WriteHead;
    return false;
  }
  if (job <= Job.Check) actionRead(offsetOf(slot) + at, readBytes());
  else if (job == Job.Replace) replace();
  else blockPut(job, slot, length);
  return true;
}

// The head of a slot says how long it is, but for a block whose length is known.
function isHead(): bool {
  return at == 0 && job != Job.Check;
}

function readBytes(): u32 {
  return isHead() ? READ_BYTES : min<u32>(length - at, READ_BYTES);
}

// The program in the slot was replaced by the other one.
function replace(): void {
  const head = actionWrite(offsetOf(slot), HEAD_BYTES);
  clear(head, HEAD_BYTES);
  store<u32>(head, <u32>ProgramFormat.Replaced);
  store<u32>(head, crcOf(1 - slot), 4);
}

/** Begins a job with a slot; `bytes`: its length, where that is known. */
export function slotsBegin(next: Job, which: u32, bytes: u32): void {
  job = next;
  slot = which;
  at = 0;
  if (bytes != 0) length = bytes;
  if (next < Job.Load || next > Job.Check) return;
  const kind = kindOf(which);
  loaded &= ~(1 << kind);
  drop(kind);
}

function drop(kind: u32): void {
  if (kind == PROGRAM) programDrop();
  else dynamicDrop();
}

// What is in force is loaded where it is not. Where nothing is, a block that was checked and has not come into force goes.
function settle(): void {
  job = Job.Idle;
  for (let kind = PROGRAM; kind <= DYNAMIC; kind++) {
    if (isUnloaded(kind)) return slotsBegin(Job.Load, currentOf(kind), 0);
    if (currentOf(kind) == NONE) drop(kind);
  }
}

// The storage failed: what it holds is not known.
function retryLater(now: i64): void {
  if (failures == 0) raiseEvent(MeterEvent.StorageFailed, offsetOf(slot) + at, 0, false);
  retryAt = now + retryNs(failures, RETRY_MAX_MS);
  failures += 1;
}

/** Bytes of a slot were read; fewer than asked for where that failed. */
export function slotsData(now: i64, offset: u32, data: usize, bytes: u32): void {
  if (TARIFF == 0 || job > Job.Check || offset != offsetOf(slot) + at) return;
  if (bytes != readBytes()) {
    if (job != Job.Check) return retryLater(now);
    blockAnswer(CommandResult.Storage, 0);
    return settle();
  }
  failures = 0;
  retryAt = 0;
  const kind = kindOf(slot);
  if (isHead() && !headHolds(kind, data)) return readDone(0);
  copy(bufferOf(kind) + at, data, min<u32>(bytes, bytesOf(kind) - at));
  at += bytes;
  if (at >= length) readDone(length);
}

// The head of a slot: takes what it says of the length, or of what replaced it.
function headHolds(kind: u32, data: usize): bool {
  noteState(slot, EMPTY);
  if (kind == PROGRAM && load<u32>(data) == <u32>ProgramFormat.Replaced) {
    noteReplaced(slot, load<u32>(data, 4));
    return false;
  }
  if (load<u32>(data) != magicOf(kind)) return false;
  length = load<u16>(data, LENGTH);
  if (length >= HEAD_BYTES + CRC_BYTES && length <= bytesOf(kind)) return true;
  noteState(slot, BROKEN);
  return false;
}

function readDone(bytes: u32): void {
  if (job == Job.Check) {
    if (!blockHolds(slot, length)) return settle();
    job = Job.WriteCrc;
    return;
  }
  const kind = kindOf(slot);
  const holds = bytes != 0 && use(kind, bytes) == ProgramError.None;
  reads = holds || bytes == 0 ? 0 : (reads + 1) % READS;
  if (reads != 0) return slotsBegin(job, slot, 0);
  if (holds) noteValid(slot);
  else if (bytes != 0) noteState(slot, BROKEN);
  if (job == Job.Scan) scanned();
  else if (holds) inForce();
  else {
    // It held before. The other one may.
    activating = false;
    setCurrent(kind, choose(kind));
    slotsNote();
    settle();
  }
}

function scanned(): void {
  if (slot + 1 < SLOTS) return slotsBegin(Job.Scan, slot + 1, 0);
  for (let kind = PROGRAM; kind <= DYNAMIC; kind++) {
    setCurrent(kind, choose(kind));
  }
  slotsNote();
  ready = true;
  settle();
}

// ---------------------------------------------------------------- taking effect

// What was loaded is in force.
function inForce(): void {
  const kind = kindOf(slot);
  loaded |= 1 << kind;
  slotsNote();
  if (kind == PROGRAM) hash();
  if (kind == PROGRAM && activating) {
    activating = false;
    return slotsBegin(Job.Replace, 1 - slot, 0);
  }
  settle();
}

// Records say by which program they were made: all of it that people wrote.
function hash(): void {
  const from = programBuffer() + ProgramField.Activation;
  contextProgram(from, length - ProgramField.Activation - CRC_BYTES, nameOf(slot));
}

/** The time of the passive program has come. */
export function slotsActivate(): void {
  const next = choose(PROGRAM);
  if (job != Job.Idle || next == NONE || next == currentOf(PROGRAM)) return;
  since = whenOf(next);
  raiseEvent(MeterEvent.ProgramActivated, crcOf(next), since, false);
  setCurrent(PROGRAM, next);
  activating = true;
  slotsBegin(Job.Load, next, 0);
}

/** A write to a slot is done, or could not be. */
export function slotsDone(failed: bool): void {
  if (TARIFF == 0 || job < Job.WritePart) return;
  if (job == Job.Replace) {
    // Where it failed, the next start finds out by the activation times.
    if (!failed) noteReplaced(slot, crcOf(1 - slot));
    blockAnswer(CommandResult.Done, 0);
    return settle();
  }
  if (failed) {
    raiseEvent(MeterEvent.StorageFailed, offsetOf(slot), 0, false);
    blockFailed();
    return settle();
  }
  if (job == Job.WritePart) {
    job = Job.Idle;
    blockPartWritten();
  } else if (job == Job.WriteCrc) {
    job = Job.Tell;
  } else {
    takeEffect();
  }
}

// The block is in its slot for good.
function takeEffect(): void {
  const kind = kindOf(slot);
  noteValid(slot);
  slotsNote();
  since = 0;
  if (kind == DYNAMIC) {
    setCurrent(DYNAMIC, slot);
    loaded |= 1 << DYNAMIC;
  } else if (whenOf(slot) <= utcSeconds()) {
    setCurrent(PROGRAM, slot);
    loaded |= 1 << PROGRAM;
    hash();
    return slotsBegin(Job.Replace, 1 - slot, 0);
  }
  blockAnswer(CommandResult.Done, 0);
  settle();
}
