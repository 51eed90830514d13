// Tariff programs and dynamic tariffs that come over the link, part by part, into the slot that is not in force.
//
//   part ──> written ──> answered, and so on ──> commit: read and checked ──> CRC-32 written ──> told ──> head written ──> answered
//
// What always holds: the head of a block, magic and count, is written last, so one that power cuts off is never valid, and what
// was in force before still is; the event of what takes effect is raised before that; each command gets one answer at most,
// and none where a new session began meanwhile.

import { actionWrite } from '../abi/buffers';
import { copy } from '../abi/bytes';
import { Block, CommandResult, DynamicField, MeterEvent, ProgramError, ProgramField } from '../abi/codes';
import { crc32 } from '../link/crc32';
import { answersAdd, answersTake } from './answers';
import { raiseEvent } from './events';
import { Job, slotsBegin, slotsIdle, slotsNote, slotsPresent } from './tariff-slots';
import {
  bufferOf,
  bytesOf,
  COUNT,
  CRC_BYTES,
  DYNAMIC,
  EMPTY,
  freeSlot,
  HEAD_BYTES,
  kindOf,
  LENGTH,
  magicOf,
  nextCount,
  noteState,
  offsetOf,
  use,
  utcSeconds,
} from './tariff-table';

/** The largest part: that of a message on the link. */
const PART_BYTES: u32 = 232;
/** The part to be written, and the head of the block whose parts are written. */
const PART: usize = TARIFF == 0 ? 0 : memory.data(232, 4);
const HEAD: usize = TARIFF == 0 ? 0 : memory.data(12, 4);

/** Block whose parts come, 0 for none, the slot that they go to, how many bytes are there; the part under way. */
let writing: u32 = 0;
let target: u32 = 0;
let written: u32 = 0;
let partBytes: u32 = 0;
/** The command under way, 0 for none. */
let token: u32 = 0;

/** A new session of the link: nobody waits for an answer. */
export function blocksRestart(): void {
  token = 0;
}

/** Answers the command under way, where there is one. */
export function blockAnswer(result: u32, detail: u32): void {
  if (token == 0) return;
  answersAdd(token, result, detail);
  token = 0;
}

// Whether a command may begin; where it may not, that is answered.
function takes(number: u32): bool {
  if (number == 0 || number == token || !answersTake()) return false;
  const free = token == 0 && slotsIdle();
  if (free && slotsPresent()) {
    token = number;
    return true;
  }
  answersAdd(number, slotsPresent() ? CommandResult.Busy : CommandResult.Absent, 0);
  return false;
}

/** `Message.BlockWrite`. */
export function blockWrite(block: u32, number: u32, offset: u32, part: usize, bytes: u32): void {
  if (!takes(number)) return;
  const kind = block - Block.Program;
  const next = offset == 0 || (writing == block && offset == written);
  if (kind > DYNAMIC || !next || bytes == 0 || bytes > PART_BYTES || offset + bytes > bytesOf(kind)) {
    return blockAnswer(CommandResult.Request, 0);
  }
  if (offset == 0) {
    target = freeSlot(kind);
    writing = block;
    written = 0;
    noteState(target, EMPTY);
    slotsNote();
  }
  copy(PART, part, bytes);
  for (let i = offset; i < min<u32>(HEAD_BYTES, offset + bytes); i++) {
    store<u8>(HEAD + i, load<u8>(PART + i - offset));
    store<u8>(PART + i - offset, 0);
  }
  partBytes = bytes;
  slotsBegin(Job.WritePart, target, 0);
}

/** `Message.BlockCommit`. */
export function blockCommit(block: u32, number: u32, bytes: u32): void {
  if (!takes(number)) return;
  if (block != writing || block == 0) return blockAnswer(CommandResult.Request, 0);
  if (bytes != written || bytes < HEAD_BYTES + CRC_BYTES) return blockAnswer(CommandResult.Damaged, 0);
  writing = 0;
  slotsBegin(Job.Check, target, bytes);
}

/** Writes to a slot what a job of a block asks for; `length` is that of the whole. */
export function blockPut(job: Job, slot: u32, length: u32): void {
  const buffer = bufferOf(kindOf(slot));
  if (job == Job.WritePart) {
    copy(actionWrite(offsetOf(slot) + written, partBytes), PART, partBytes);
  } else if (job == Job.WriteCrc) {
    const at = length - CRC_BYTES;
    store<u32>(actionWrite(offsetOf(slot) + at, CRC_BYTES), load<u32>(buffer + at));
  } else {
    copy(actionWrite(offsetOf(slot), HEAD_BYTES), buffer, HEAD_BYTES);
  }
}

/** The part is in the slot. */
export function blockPartWritten(): void {
  written += partBytes;
  blockAnswer(CommandResult.Done, 0);
}

/** The storage failed. */
export function blockFailed(): void {
  writing = 0;
  blockAnswer(CommandResult.Storage, 0);
}

/** All of it is in the buffer, as it is in the storage: whether it may be brought into force; else that is answered. */
export function blockHolds(slot: u32, length: u32): bool {
  const kind = kindOf(slot);
  const buffer = bufferOf(kind);
  copy(buffer, HEAD, HEAD_BYTES);
  const crc = buffer + length - CRC_BYTES;
  const holds = load<u16>(buffer, LENGTH) == <u16>length && crc32(buffer, length - CRC_BYTES) == load<u32>(crc);
  if (!holds || load<u32>(buffer) != magicOf(kind)) {
    blockAnswer(CommandResult.Damaged, 0);
    return false;
  }
  store<u32>(buffer, nextCount(slot), COUNT);
  store<u32>(crc, crc32(buffer, length - CRC_BYTES));
  const error = use(kind, length);
  if (error == ProgramError.None) return true;
  blockAnswer(error == ProgramError.Damaged ? CommandResult.Damaged : CommandResult.Invalid, error);
  return false;
}

/** Tells what is going to take effect. */
export function blockTell(slot: u32, length: u32): void {
  const buffer = bufferOf(kindOf(slot));
  const crc = load<u32>(buffer + length - CRC_BYTES);
  if (kindOf(slot) == DYNAMIC) {
    raiseEvent(MeterEvent.DynamicStored, crc, load<u32>(buffer, DynamicField.End), false);
    return;
  }
  const activation = load<i64>(buffer, ProgramField.Activation);
  raiseEvent(MeterEvent.ProgramStored, crc, activation, false);
  if (activation <= utcSeconds()) raiseEvent(MeterEvent.ProgramActivated, crc, activation, false);
}
