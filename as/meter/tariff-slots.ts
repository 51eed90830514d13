// Tariff programs and dynamic tariffs in their slots of the storage: loaded at the start, written as they come over the link,
// and brought into use.
//
//   scan each slot ──> load what is in force ──> idle ──> a part comes: written to the slot not in force ──┐
//                                                 ▲  ▲                                                      │
//                                                 │  └──────────────────────────────────────────────────────┘
//                                  load again ────┘    commit: read and checked ──> CRC-32 written ──> event ──> head written
//
// What always holds:
// - The head of a slot, magic and count, is written last: so one that power cuts off is never valid, and what was in force
//   before still is. The event of what takes effect is raised before that, and stored where the logbook can take it.
// - There is one program in memory, and one list: while another is read and checked, neither tells a tariff nor local time
//   (`slotsLoading`).
// - Of the programs whose time has come the one with the latest activation is in force; one of activation 0 replaces those
//   stored before it. A slot that was replaced says by what (`ProgramFormat.Replaced`), so that an activation is told once.

import { actionAdd } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import {
  Action,
  Block,
  CommandResult,
  DynamicField,
  DynamicFormat,
  MeterEvent,
  ProgramError,
  ProgramField,
  ProgramFormat,
  StorageMap,
} from '../abi/codes';
import { crc32 } from '../link/crc32';
import { SECOND_NS } from '../ntp/timestamp';
import { HASH_BYTES, hashOf } from '../record/chain';
import { contextProgram } from '../record/context';
import { storeFails } from '../record/store';
import { dynamicBuffer, dynamicDrop, dynamicUse } from '../tariff/dynamic';
import { programBuffer, programDrop, programUse } from '../tariff/program';
import { eventUnlogged, raiseEvent } from './events';
import { timeNowUtc } from './now';
import { stateFloorUtc } from './state';

/** Slots: programs A and B, dynamic tariffs A and B. */
const SLOTS: u32 = 4;
const NONE: i32 = -1;
/** Kinds of blocks, from 0 on: `Block` less 1. */
const PROGRAM: u32 = 0;
const DYNAMIC: u32 = 1;

/** Bytes that are read at once. */
const READ_BYTES: u32 = 512;
const CRC_BYTES: u32 = 4;
/** Magic, length, version or entries, and count: the same for both kinds. */
const HEAD_BYTES: u32 = 12;
const LENGTH: usize = 4;
const COUNT: usize = 8;
/** The largest part: that of a message on the link. */
const PART_BYTES: u32 = 232;
const DYNAMIC_BYTES: u32 = DynamicField.List + DynamicField.EntryBytes * DynamicFormat.EntriesMax + CRC_BYTES;
const NAME_BYTES: u32 = 24;

// For each slot: count u32, CRC-32 u32, activation or end i64, state u32.
const INFO_BYTES: u32 = 24;
const INFOS: usize = TARIFF == 0 ? 0 : memory.data(96, 8);
const CRC: usize = 4;
const WHEN: usize = 8;
const STATE: usize = 16;
/** Names of both programs: texts. */
const NAMES: usize = TARIFF == 0 ? 0 : memory.data(48, 4);
/** The part to be written, and the head of the block whose parts are written. */
const PART: usize = TARIFF == 0 ? 0 : memory.data(232, 4);
const HEAD: usize = TARIFF == 0 ? 0 : memory.data(12, 4);

const EMPTY: u32 = 0;
const VALID: u32 = 1;
/** It has the right magic, and does not hold. */
const BROKEN: u32 = 2;
/** What was here was replaced by the one whose CRC-32 it names. */
const REPLACED: u32 = 3;

const IDLE: u32 = 0;
const SCAN: u32 = 1;
const LOAD: u32 = 2;
const CHECK: u32 = 3;
const WRITE_PART: u32 = 4;
const WRITE_CRC: u32 = 5;
const TELL: u32 = 6;
const WRITE_HEAD: u32 = 7;
const REPLACE: u32 = 8;

/** A slot that does not hold is read so often: it may have been misread. */
const READS: u32 = 3;
const RETRY_NS: i64 = 100_000_000;
const RETRY_MAX_NS: i64 = 60 * SECOND_NS;
const FAILURES_MAX: u32 = 16;

let present: bool = false;
let job: u32 = IDLE;
/** Slot at work, how far it is read, and its length. */
let slot: u32 = 0;
let at: u32 = 0;
let length: u32 = 0;
let reads: u32 = 0;
let ready: bool = false;
/** In force: slots, or NONE. */
let program: i32 = NONE;
let dynamic: i32 = NONE;
/** Kinds whose buffer holds what is in force: bits. */
let loaded: u32 = 0;
/** Kinds that have changed since this was last asked: bits; and since when a program is in force, where that was planned. */
let changed: u32 = 0;
let since: i64 = 0;
let retryAt: i64 = 0;
let failures: u32 = 0;

/** Block whose parts come, the slot that they go to, how many bytes are there; the part under way. */
let writing: u32 = 0;
let target: u32 = 0;
let written: u32 = 0;
let partBytes: u32 = 0;
/** The command under way, 0 for none; its answer, where it is done. */
let token: u32 = 0;
let answered: bool = false;
let result: u32 = CommandResult.Done;
let detail: u32 = 0;

/** The board has this much storage. */
export function slotsStart(storageBytes: u32): void {
  present = storageBytes >= <u32>StorageMap.TariffBytes;
  begin(SCAN, 0);
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

/** Whether the program or the dynamic tariffs in force are not in memory just now. */
export function slotsLoading(): bool {
  if (job >= CHECK && job != WRITE_PART && job != REPLACE) return true;
  return (program != NONE && (loaded & 1) == 0) || (dynamic != NONE && (loaded & 2) == 0);
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

/** Whether programs or lists have changed, since this was last taken; `slotsSince` then says from when on one counts. */
export function slotsChanged(take: bool): bool {
  const result = changed != 0;
  if (take) changed = 0;
  return result;
}
/** Since when the program in force is to count, Unix seconds; 0: from now on. */
export function slotsSince(): i64 {
  return since;
}

/** CRC-32 of the program in force, of the dynamic tariffs, and their end; 0 without. */
export function slotsProgramCrc(): u32 {
  return program == NONE ? 0 : load<u32>(infoOf(program), CRC);
}
export function slotsDynamicCrc(): u32 {
  return dynamic == NONE ? 0 : load<u32>(infoOf(dynamic), CRC);
}
export function slotsDynamicEnd(): i64 {
  return dynamic == NONE ? 0 : load<i64>(infoOf(dynamic), WHEN);
}

/** Names of the program in force and of the passive one: texts. */
export function slotsName(passive: bool): usize {
  const which = passive ? passiveSlot() : program;
  return which == NONE ? NO_NAME : NAMES + <u32>which * NAME_BYTES;
}

const NO_NAME: usize = TARIFF == 0 ? 0 : memory.data(4, 4);

/** Activation time of the passive program, Unix seconds; i64.MAX_VALUE without one. */
export function slotsActivation(): i64 {
  const passive = passiveSlot();
  return passive == NONE || job != IDLE ? i64.MAX_VALUE : load<i64>(infoOf(passive), WHEN);
}

/** The same, for people: 0 without one. */
export function slotsPassive(): i64 {
  const passive = passiveSlot();
  return passive == NONE ? 0 : load<i64>(infoOf(passive), WHEN);
}

// A valid program that is going to replace the one in force.
function passiveSlot(): i32 {
  for (let i: i32 = 0; i < 2; i++) {
    if (i != program && stateOf(i) == VALID && (program == NONE || outranks(i, program))) return i;
  }
  return NONE;
}

function infoOf(which: u32): usize {
  return INFOS + which * INFO_BYTES;
}

function stateOf(which: u32): u32 {
  return load<u32>(infoOf(which), STATE);
}

function kindOf(which: u32): u32 {
  return which >> 1;
}

function offsetOf(which: u32): u32 {
  return which < 2
    ? StorageMap.ProgramA + which * <u32>StorageMap.ProgramSlotBytes
    : StorageMap.DynamicA + (which - 2) * <u32>StorageMap.DynamicSlotBytes;
}

function bufferOf(kind: u32): usize {
  return kind == PROGRAM ? programBuffer() : dynamicBuffer();
}

function bytesOf(kind: u32): u32 {
  return kind == PROGRAM ? <u32>StorageMap.ProgramSlotBytes : DYNAMIC_BYTES;
}

function magicOf(kind: u32): u32 {
  return kind == PROGRAM ? <u32>ProgramFormat.Magic : <u32>DynamicFormat.Magic;
}

function use(kind: u32, bytes: u32): u32 {
  return kind == PROGRAM ? programUse(bytes) : dynamicUse(bytes);
}

function isNewer(a: u32, b: u32): bool {
  return <i32>(load<u32>(infoOf(a)) - load<u32>(infoOf(b))) > 0;
}

// Whether program `a` counts and not `b`, once the times of both have come.
function outranks(a: u32, b: u32): bool {
  const newer = isNewer(a, b);
  const whenA = load<i64>(infoOf(a), WHEN);
  const whenB = load<i64>(infoOf(b), WHEN);
  if ((newer ? whenA : whenB) == 0) return newer;
  return whenA == whenB ? newer : whenA > whenB;
}

/** Unix seconds as far as they are known: the time, or what it has passed for certain. */
function utcSeconds(): i64 {
  const utc = timeNowUtc();
  return (utc == 0 ? stateFloorUtc() : utc) / SECOND_NS;
}

function choose(kind: u32): i32 {
  const first = kind * 2;
  let best = NONE;
  for (let i = first; i < first + 2; i++) {
    if (stateOf(i) != VALID || (kind == PROGRAM && !isDue(i))) continue;
    if (best == NONE || (kind == PROGRAM ? outranks(i, best) : isNewer(i, best))) best = i;
  }
  return best;
}

// Whether its time has come, or had come before this start.
function isDue(which: u32): bool {
  const other = 1 - which;
  if (stateOf(other) == REPLACED && load<u32>(infoOf(other), CRC) == load<u32>(infoOf(which), CRC)) return true;
  return load<i64>(infoOf(which), WHEN) <= utcSeconds();
}

// ---------------------------------------------------------------- storage

/** Local time at which `slotsStep` has something to do. */
export function slotsDeadline(): i64 {
  return TARIFF != 0 && present && job != IDLE && !waits() ? retryAt : i64.MAX_VALUE;
}

// What takes effect comes after its entry in the logbook, unless that cannot be written.
function waits(): bool {
  return job == WRITE_HEAD && eventUnlogged() && !storeFails();
}

/** Does what is due while no storage operation is under way; true when it began one. */
export function slotsStep(now: i64): bool {
  if (TARIFF == 0 || !present || job == IDLE || now < retryAt || waits()) return false;
  switch (job) {
    case SCAN:
    case LOAD:
    case CHECK: {
      const action = actionAdd(Action.StorageRead, 8);
      store<u32>(action, offsetOf(slot) + at);
      store<u32>(action, at == 0 && job != CHECK ? READ_BYTES : min<u32>(length - at, READ_BYTES), 4);
      return true;
    }
    case WRITE_PART:
      copy(write(written, partBytes), PART, partBytes);
      return true;
    case WRITE_CRC:
      store<u32>(write(length - CRC_BYTES, CRC_BYTES), load<u32>(bufferOf(kindOf(slot)) + length - CRC_BYTES));
      return true;
    case WRITE_HEAD:
      copy(write(0, HEAD_BYTES), bufferOf(kindOf(slot)), HEAD_BYTES);
      return true;
    case REPLACE: {
      const head = write(0, HEAD_BYTES);
      clear(head, HEAD_BYTES);
      store<u32>(head, <u32>ProgramFormat.Replaced);
      store<u32>(head, load<u32>(infoOf(1 - slot), CRC), 4);
      return true;
    }
    default:
      tell();
      return false;
  }
}

function write(offset: u32, bytes: u32): usize {
  const action = actionAdd(Action.StorageWrite, 4 + bytes);
  store<u32>(action, offsetOf(slot) + offset);
  return action + 4;
}

function begin(next: u32, which: u32): void {
  job = next;
  slot = which;
  at = 0;
  if (next < LOAD || next > CHECK) return;
  const kind = kindOf(which);
  loaded &= ~(1 << kind);
  if (kind == PROGRAM) programDrop();
  else dynamicDrop();
}

// What is in force is loaded where it is not.
function settle(): void {
  job = IDLE;
  for (let kind = PROGRAM; kind <= DYNAMIC; kind++) {
    const current = kind == PROGRAM ? program : dynamic;
    if (current != NONE && (loaded & (1 << kind)) == 0) return begin(LOAD, current);
  }
}

// The storage failed: what it holds is not known.
function retryLater(now: i64): void {
  if (failures == 0) raiseEvent(MeterEvent.StorageFailed, offsetOf(slot) + at, 0, false);
  retryAt = now + min<i64>(RETRY_NS << failures, RETRY_MAX_NS);
  failures = min<u32>(failures + 1, FAILURES_MAX);
}

/** Bytes of a slot were read; fewer than asked for where that failed. */
export function slotsData(now: i64, offset: u32, data: usize, bytes: u32): void {
  if (TARIFF == 0 || job > CHECK || offset != offsetOf(slot) + at) return;
  const first = at == 0 && job != CHECK;
  const whole = first ? READ_BYTES : min<u32>(length - at, READ_BYTES);
  if (bytes != whole) {
    if (job != CHECK) return retryLater(now);
    answer(CommandResult.Storage, 0);
    return settle();
  }
  failures = 0;
  retryAt = 0;
  const kind = kindOf(slot);
  if (first && !headHolds(kind, data)) return readDone(0);
  copy(bufferOf(kind) + at, data, min<u32>(bytes, bytesOf(kind) - at));
  at += bytes;
  if (at >= length) readDone(length);
}

// The head of a slot: takes what it says of the length, or of what replaced it.
function headHolds(kind: u32, data: usize): bool {
  store<u32>(infoOf(slot), EMPTY, STATE);
  if (kind == PROGRAM && load<u32>(data) == <u32>ProgramFormat.Replaced) {
    store<u32>(infoOf(slot), load<u32>(data, 4), CRC);
    store<u32>(infoOf(slot), REPLACED, STATE);
    return false;
  }
  if (load<u32>(data) != magicOf(kind)) return false;
  length = load<u16>(data, LENGTH);
  if (length >= HEAD_BYTES + CRC_BYTES && length <= bytesOf(kind)) return true;
  store<u32>(infoOf(slot), BROKEN, STATE);
  return false;
}

function readDone(bytes: u32): void {
  if (job == CHECK) return checked();
  const kind = kindOf(slot);
  const holds = bytes != 0 && use(kind, bytes) == ProgramError.None;
  reads = holds || bytes == 0 ? 0 : (reads + 1) % READS;
  if (reads != 0) return begin(job, slot);
  if (holds) note();
  else if (bytes != 0) store<u32>(infoOf(slot), BROKEN, STATE);
  if (job == SCAN) scanned();
  else if (holds) inForce();
  else {
    // It held before. The other one may.
    activating = false;
    if (kind == PROGRAM) program = choose(kind);
    else dynamic = choose(kind);
    changed |= 1 << kind;
    settle();
  }
}

// What the buffer holds is in the slot.
function note(): void {
  const kind = kindOf(slot);
  const buffer = bufferOf(kind);
  const info = infoOf(slot);
  store<u32>(info, load<u32>(buffer, COUNT));
  store<u32>(info, load<u32>(buffer + load<u16>(buffer, LENGTH) - CRC_BYTES), CRC);
  store<u32>(info, VALID, STATE);
  if (kind == PROGRAM) {
    store<i64>(info, load<i64>(buffer, ProgramField.Activation), WHEN);
    copy(NAMES + slot * NAME_BYTES, buffer + ProgramField.Name, NAME_BYTES);
  } else {
    // Without entries they are taken back.
    store<i64>(info, load<u16>(buffer, DynamicField.Entries) == 0 ? 0 : load<u32>(buffer, DynamicField.End), WHEN);
  }
}

function scanned(): void {
  if (slot + 1 < SLOTS) return begin(SCAN, slot + 1);
  programDrop();
  dynamicDrop();
  program = choose(PROGRAM);
  dynamic = choose(DYNAMIC);
  ready = true;
  changed = 3;
  settle();
}

// What was loaded is in force.
function inForce(): void {
  const kind = kindOf(slot);
  loaded |= 1 << kind;
  changed |= 1 << kind;
  hash();
  const other = 1 - slot;
  if (kind == PROGRAM && activating) {
    activating = false;
    return begin(REPLACE, other);
  }
  settle();
}

// Records say by which program they were made: all of it that people wrote.
function hash(): void {
  if (kindOf(slot) == DYNAMIC) return;
  const from = programBuffer() + ProgramField.Activation;
  hashOf(from, length - ProgramField.Activation - CRC_BYTES, PART, HASH_BYTES);
  contextProgram(PART, NAMES + slot * NAME_BYTES);
}

/** A passive program takes effect: it is loaded, and the one before is marked as replaced. */
let activating: bool = false;

/** The time of the passive program has come. */
export function slotsActivate(): void {
  const next = choose(PROGRAM);
  if (job != IDLE || next == NONE || next == program) return;
  since = load<i64>(infoOf(next), WHEN);
  raiseEvent(MeterEvent.ProgramActivated, load<u32>(infoOf(next), CRC), since, false);
  program = next;
  activating = true;
  begin(LOAD, next);
}

/** A write to a slot is done, or could not be. */
export function slotsDone(failed: bool): void {
  if (TARIFF == 0 || job < WRITE_PART) return;
  if (job == REPLACE) {
    // Where it failed, the next start finds out by the activation times.
    if (!failed) {
      store<u32>(infoOf(slot), load<u32>(infoOf(1 - slot), CRC), CRC);
      store<u32>(infoOf(slot), REPLACED, STATE);
    }
    if (token != 0 && !answered) answer(CommandResult.Done, 0);
    return settle();
  }
  if (failed) {
    raiseEvent(MeterEvent.StorageFailed, offsetOf(slot), 0, false);
    writing = 0;
    answer(CommandResult.Storage, 0);
    return settle();
  }
  if (job == WRITE_PART) {
    written += partBytes;
    job = IDLE;
    return answer(CommandResult.Done, 0);
  }
  if (job == WRITE_CRC) {
    job = TELL;
    return;
  }
  effect();
}

// ---------------------------------------------------------------- commands

/** Whether a command is answered, and the answer was not sent. */
export function slotsAnswered(): bool {
  return answered;
}
export function slotsResult(): u32 {
  return result;
}
export function slotsToken(): u32 {
  return token;
}
export function slotsDetail(): u32 {
  return detail;
}
/** The answer was sent. */
export function slotsAnswerSent(): void {
  answered = false;
  token = 0;
}

function answer(value: u32, more: u32): void {
  if (token == 0) return;
  answered = true;
  result = value;
  detail = more;
}

// Whether a command may begin; another one has none under way.
function takes(number: u32): bool {
  if (token != 0 || number == 0) return false;
  token = number;
  if (!present) answer(CommandResult.Absent, 0);
  else if (job != IDLE) answer(CommandResult.Busy, 0);
  return !answered;
}

/** `Message.BlockWrite`; false where another command is under way. */
export function slotsWrite(block: u32, number: u32, offset: u32, part: usize, bytes: u32): bool {
  if (!takes(number)) return token == number;
  const kind = block - Block.Program;
  const next = offset == 0 || (writing == block && offset == written);
  if (kind > DYNAMIC || !next || bytes == 0 || bytes > PART_BYTES || offset + bytes > bytesOf(kind)) {
    answer(CommandResult.Request, 0);
    return true;
  }
  if (offset == 0) {
    target = freeSlot(kind);
    writing = block;
    written = 0;
    store<u32>(infoOf(target), EMPTY, STATE);
    changed |= 1 << kind;
  }
  copy(PART, part, bytes);
  for (let i = offset; i < min<u32>(HEAD_BYTES, offset + bytes); i++) {
    store<u8>(HEAD + i, load<u8>(PART + i - offset));
    store<u8>(PART + i - offset, 0);
  }
  partBytes = bytes;
  begin(WRITE_PART, target);
  return true;
}

// The slot that is not in force; where none is, one that does not hold, or the older one.
function freeSlot(kind: u32): u32 {
  const current = kind == PROGRAM ? program : dynamic;
  const first = kind * 2;
  if (current != NONE) return first + 1 - (<u32>current & 1);
  if (stateOf(first) != VALID) return first;
  return stateOf(first + 1) != VALID || isNewer(first, first + 1) ? first + 1 : first;
}

/** `Message.BlockCommit`; false where another command is under way. */
export function slotsCommit(block: u32, number: u32, bytes: u32): bool {
  if (!takes(number)) return token == number;
  if (block != writing || block == 0) {
    answer(CommandResult.Request, 0);
  } else if (bytes != written || bytes < HEAD_BYTES + CRC_BYTES) {
    answer(CommandResult.Damaged, 0);
  } else {
    writing = 0;
    length = bytes;
    begin(CHECK, target);
  }
  return true;
}

// All of it is in the buffer, as it is in the storage.
function checked(): void {
  const kind = kindOf(slot);
  const buffer = bufferOf(kind);
  copy(buffer, HEAD, HEAD_BYTES);
  const crc = buffer + length - CRC_BYTES;
  const holds = load<u16>(buffer, LENGTH) == <u16>length && crc32(buffer, length - CRC_BYTES) == load<u32>(crc);
  if (!holds || load<u32>(buffer) != magicOf(kind)) {
    answer(CommandResult.Damaged, 0);
    return settle();
  }
  store<u32>(buffer, nextCount(kind), COUNT);
  store<u32>(crc, crc32(buffer, length - CRC_BYTES));
  const error = use(kind, length);
  if (error == ProgramError.None) {
    job = WRITE_CRC;
    return;
  }
  answer(error == ProgramError.Damaged ? CommandResult.Damaged : CommandResult.Invalid, error);
  settle();
}

function nextCount(kind: u32): u32 {
  const current = kind == PROGRAM ? program : dynamic;
  const other = 1 - (slot & 1) + kind * 2;
  if (current != NONE) return load<u32>(infoOf(current)) + 1;
  return stateOf(other) == VALID ? load<u32>(infoOf(other)) + 1 : 1;
}

// What is going to take effect is told first.
function tell(): void {
  const buffer = bufferOf(kindOf(slot));
  const crc = load<u32>(buffer + length - CRC_BYTES);
  if (kindOf(slot) == DYNAMIC) {
    raiseEvent(MeterEvent.DynamicStored, crc, load<u32>(buffer, DynamicField.End), false);
  } else {
    const activation = load<i64>(buffer, ProgramField.Activation);
    raiseEvent(MeterEvent.ProgramStored, crc, activation, false);
    if (activation <= utcSeconds()) raiseEvent(MeterEvent.ProgramActivated, crc, activation, false);
  }
  job = WRITE_HEAD;
}

// It is in its slot for good.
function effect(): void {
  const kind = kindOf(slot);
  note();
  changed |= 1 << kind;
  since = 0;
  if (kind == DYNAMIC) {
    dynamic = slot;
  } else if (load<i64>(infoOf(slot), WHEN) <= utcSeconds()) {
    program = slot;
    loaded |= 1;
    hash();
    return begin(REPLACE, 1 - slot);
  }
  answer(CommandResult.Done, 0);
  if (kind == DYNAMIC) loaded |= 2;
  else programDrop();
  settle();
}
