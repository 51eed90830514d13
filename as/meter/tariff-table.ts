// What is known of the slots for tariff programs and dynamic tariffs, and which of them are in force.
// What always holds: of the programs whose time has come the one with the latest activation counts; one of activation 0
// replaces those stored before it; of the lists the newest counts. A slot that was replaced says by what.
//
//   for each slot   0  count                          u32
//                   4  CRC-32, of what replaced it    u32
//                   8  activation, or end of a list   i64   Unix seconds
//                  16  state                          u32

import { copy } from '../abi/bytes';
import { DynamicField, DynamicFormat, ProgramField, ProgramFormat, StorageMap } from '../abi/codes';
import { SECOND_NS } from '../ntp/timestamp';
import { dynamicBuffer, dynamicUse } from '../tariff/dynamic';
import { programBuffer, programUse } from '../tariff/program';
import { timeNowUtc } from './now';
import { stateFloorUtc } from './state';

/** Slots: programs A and B, dynamic tariffs A and B. */
export const SLOTS: u32 = 4;
export const NONE: i32 = -1;
/** Kinds of blocks, from 0 on: `Block` less 1. */
export const PROGRAM: u32 = 0;
export const DYNAMIC: u32 = 1;

export const CRC_BYTES: u32 = 4;
/** Magic, length, version or entries, and count: the same for both kinds. */
export const HEAD_BYTES: u32 = 12;
export const LENGTH: usize = 4;
export const COUNT: usize = 8;
const DYNAMIC_BYTES: u32 = DynamicField.List + DynamicField.EntryBytes * DynamicFormat.EntriesMax + CRC_BYTES;
const NAME_BYTES: u32 = 24;

export const EMPTY: u32 = 0;
const VALID: u32 = 1;
/** It has the right magic, and does not hold. */
export const BROKEN: u32 = 2;
/** What was here was replaced by the one whose CRC-32 it names. */
const REPLACED: u32 = 3;

const INFO_BYTES: u32 = 24;
const INFOS: usize = TARIFF == 0 ? 0 : memory.data(96, 8);
const CRC: usize = 4;
const WHEN: usize = 8;
const STATE: usize = 16;
/** Names of both programs: texts. */
const NAMES: usize = TARIFF == 0 ? 0 : memory.data(48, 4);
const NO_NAME: usize = TARIFF == 0 ? 0 : memory.data(4, 4);

/** In force: slots, or NONE. */
let program: i32 = NONE;
let dynamic: i32 = NONE;

/** What a slot is of. */
export function kindOf(which: u32): u32 {
  return which >> 1;
}

/** Where it is in the storage. */
export function offsetOf(which: u32): u32 {
  return which < 2
    ? StorageMap.ProgramA + which * <u32>StorageMap.ProgramSlotBytes
    : StorageMap.DynamicA + (which - 2) * <u32>StorageMap.DynamicSlotBytes;
}

/** The buffer in memory of a kind, its size, its magic, and what takes its bytes into use: `ProgramError`. */
export function bufferOf(kind: u32): usize {
  return kind == PROGRAM ? programBuffer() : dynamicBuffer();
}
export function bytesOf(kind: u32): u32 {
  return kind == PROGRAM ? <u32>StorageMap.ProgramSlotBytes : DYNAMIC_BYTES;
}
export function magicOf(kind: u32): u32 {
  return kind == PROGRAM ? <u32>ProgramFormat.Magic : <u32>DynamicFormat.Magic;
}
export function use(kind: u32, bytes: u32): u32 {
  return kind == PROGRAM ? programUse(bytes) : dynamicUse(bytes);
}

function infoOf(which: u32): usize {
  return INFOS + which * INFO_BYTES;
}

export function stateOf(which: u32): u32 {
  return load<u32>(infoOf(which), STATE);
}
export function crcOf(which: u32): u32 {
  return load<u32>(infoOf(which), CRC);
}
/** Activation of a program or end of a list, Unix seconds. */
export function whenOf(which: u32): i64 {
  return load<i64>(infoOf(which), WHEN);
}
export function nameOf(which: i32): usize {
  return which == NONE ? NO_NAME : NAMES + <u32>which * NAME_BYTES;
}

/** A slot holds nothing that counts: `EMPTY` or `BROKEN`. */
export function noteState(which: u32, state: u32): void {
  store<u32>(infoOf(which), state, STATE);
}

/** It was replaced by the program with this CRC-32. */
export function noteReplaced(which: u32, crc: u32): void {
  store<u32>(infoOf(which), crc, CRC);
  noteState(which, REPLACED);
}

/** What the buffer holds is in the slot. */
export function noteValid(which: u32): void {
  const kind = kindOf(which);
  const buffer = bufferOf(kind);
  const info = infoOf(which);
  store<u32>(info, load<u32>(buffer, COUNT));
  store<u32>(info, load<u32>(buffer + load<u16>(buffer, LENGTH) - CRC_BYTES), CRC);
  noteState(which, VALID);
  if (kind == PROGRAM) {
    store<i64>(info, load<i64>(buffer, ProgramField.Activation), WHEN);
    copy(nameOf(which), buffer + ProgramField.Name, NAME_BYTES);
  } else {
    // Without entries they are taken back.
    store<i64>(info, load<u16>(buffer, DynamicField.Entries) == 0 ? 0 : load<u32>(buffer, DynamicField.End), WHEN);
  }
}

/** What of a kind is in force. */
export function currentOf(kind: u32): i32 {
  return kind == PROGRAM ? program : dynamic;
}
export function setCurrent(kind: u32, which: i32): void {
  if (kind == PROGRAM) program = which;
  else dynamic = which;
}

function isNewer(a: u32, b: u32): bool {
  return <i32>(load<u32>(infoOf(a)) - load<u32>(infoOf(b))) > 0;
}

// Whether program `a` counts and not `b`, once the times of both have come.
function outranks(a: u32, b: u32): bool {
  const newer = isNewer(a, b);
  const whenA = whenOf(a);
  const whenB = whenOf(b);
  if ((newer ? whenA : whenB) == 0) return newer;
  return whenA == whenB ? newer : whenA > whenB;
}

/** Unix seconds as far as they are known: the time, or what it has passed for certain. */
export function utcSeconds(): i64 {
  const utc = timeNowUtc();
  return (utc == 0 ? stateFloorUtc() : utc) / SECOND_NS;
}

/** What of a kind is to be in force by what the slots hold; NONE where nothing is. */
export function choose(kind: u32): i32 {
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
  return (stateOf(other) == REPLACED && crcOf(other) == crcOf(which)) || whenOf(which) <= utcSeconds();
}

/** A valid program that is going to replace the one in force; NONE without one. */
export function passiveSlot(): i32 {
  for (let i: i32 = 0; i < 2; i++) {
    if (i != program && stateOf(i) == VALID && (program == NONE || outranks(i, program))) return i;
  }
  return NONE;
}

/** The slot of a kind that is not in force; where none is, one that does not hold, or the older one. */
export function freeSlot(kind: u32): u32 {
  const current = currentOf(kind);
  const first = kind * 2;
  if (current != NONE) return first + 1 - (<u32>current & 1);
  if (stateOf(first) != VALID) return first;
  return stateOf(first + 1) != VALID || isNewer(first, first + 1) ? first + 1 : first;
}

/** Count of what comes into a slot next. */
export function nextCount(which: u32): u32 {
  const kind = kindOf(which);
  const current = currentOf(kind);
  const other = 1 - (which & 1) + kind * 2;
  if (current != NONE) return load<u32>(infoOf(current)) + 1;
  return stateOf(other) == VALID ? load<u32>(infoOf(other)) + 1 : 1;
}
