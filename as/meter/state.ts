// What the meter remembers across restarts: the time floor, and what it knows of its real-time clock and of its crystal.
// What always holds: the record is sealed with the storage key, so what was not written by this meter does not count;
// of two slots the valid one with the higher count is in force, and the other is written. The real-time clock is set only
// while both slots are known and the record in force holds for the new setting too, so that power may fail at any time.
//
//   slot     0  count        u32   higher is newer; authenticated
//            4  tag          16    AES-SIV
//           20  record       224   encrypted
//   record   0  version      u32
//            4  zero         u32
//            8  floor        i64   UTC ns: no time before it is believed
//           16  RTC          48    its calibration (`rtc-calibration.ts`), which is also the proof that an
//                                  authenticated time set it or was compared with it
//           64  crystal      160   what was learned of the local oscillator (`crystal.ts`)

import { actionWrite } from '../abi/buffers';
import { clear, isSecondNewer } from '../abi/bytes';
import { StorageMap } from '../abi/codes';
import { AEAD_CONTEXT, aeadWipe } from '../aead/aead';
import { SIV_TAG_BYTES, sivAd, sivOpen, sivSeal, sivStart } from '../aead/siv';
import { CRYSTAL_BYTES, crystalLoad, crystalSave } from '../clock/crystal';
import {
  calibrationCovers,
  calibrationLoad,
  calibrationLoose,
  calibrationLoosen,
  calibrationSave,
  calibrationWiden,
} from '../clock/rtc-calibration';
import { SECOND_NS } from '../ntp/timestamp';
import { meterUseStorageKey } from './keys';

const SEALED: u32 = 4;
const RECORD: u32 = SEALED + SIV_TAG_BYTES;
const RECORD_VERSION: u32 = 2;
const FLOOR: usize = 8;
const RTC: usize = 16;
const CRYSTAL: usize = 64;
export const RECORD_BYTES: u32 = <u32>CRYSTAL + CRYSTAL_BYTES;

/** 2026-01-01: no build is older, also one that does not know its date. */
const EARLIEST_UNIX: i64 = 1_767_225_600;

const BOTH: u32 = 3;

let count: u32 = 0;
let slot: u32 = 1;
/**
 * A bit for each slot that may hold anything (it did not open, or its last write failed or is not done yet), or holds
 * less than is needed now.
 */
let unknown: u32 = BOTH;
let floorUtc: i64 = 0;

/** UTC ns before which no time is believed. */
export function stateFloorUtc(): i64 {
  return floorUtc;
}
/** Sets the floor that holds without any record: when the software was built, Unix seconds. */
export function stateStart(buildUnixSeconds: i64): void {
  floorUtc = max<i64>(buildUnixSeconds, EARLIEST_UNIX) * SECOND_NS;
}

/** Whether this meter stored a state before: it is not its first start. */
export function stateStored(): bool {
  return count != 0;
}

/** Takes both slots as they were read, whole; derives the storage key. */
export function stateRead(slots: usize): void {
  meterUseStorageKey();
  const b = slots + StorageMap.StateBytes;
  const validA = openSlot(slots);
  const validB = openSlot(b);
  aeadWipe();
  unknown = (validA ? 0 : 1) | (validB ? 0 : 2);
  if (!validA && !validB) return;
  slot = isSecondNewer(validA, validB, slots, b) ? 1 : 0;
  const at = slot == 1 ? b : slots;
  count = load<u32>(at);
  const record = at + RECORD;
  floorUtc = max<i64>(floorUtc, load<i64>(record, FLOOR));
  calibrationLoad(record + RTC);
  crystalLoad(record + CRYSTAL);
}

function openSlot(at: usize): bool {
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, at, 4);
  return sivOpen(AEAD_CONTEXT, at + RECORD, RECORD_BYTES, at + SEALED) && load<u32>(at + RECORD) == RECORD_VERSION;
}

/** No time before `utc` is believed any more. */
export function stateRaiseFloor(utc: i64): void {
  floorUtc = max<i64>(floorUtc, utc);
}

/** Whether the real-time clock may be set now, to an offset within `boundNs` at `utc`: what is stored holds then too. */
export function stateCovers(utc: i64, boundNs: i64): bool {
  return unknown == 0 && calibrationLoose() && calibrationCovers(utc, 0, boundNs);
}

/**
 * Makes the next record hold for a real-time clock set to an offset within `boundNs` at `utc`, and for a bound grown since.
 * It goes into both slots, so that no older one counts where the newer is misread once.
 */
export function stateWiden(utc: i64, boundNs: i64): void {
  if (calibrationLoose() && calibrationCovers(utc, 0, boundNs)) return;
  calibrationWiden(utc, 0, boundNs);
  calibrationLoosen();
  unknown = BOTH;
}

/** What is known from now on of the real-time clock may contradict what is stored: see `stateCovers`. */
export function stateContradicted(): void {
  unknown = BOTH;
}

/** The write is done. Where it failed, the other slot is in force and stays so; this one may hold either record or none. */
export function stateWritten(failed: bool): void {
  if (failed) slot = 1 - slot;
  else unknown &= ~(1 << slot);
}

/** Writes the record to the older slot. */
export function stateWrite(): void {
  count += 1;
  slot = 1 - slot;
  unknown |= 1 << slot;
  const target = actionWrite(slot == 1 ? StorageMap.StateB : StorageMap.StateA, StorageMap.StateBytes);
  clear(target, StorageMap.StateBytes);
  store<u32>(target, count);
  const record = target + RECORD;
  store<u32>(record, RECORD_VERSION);
  store<i64>(record, floorUtc, FLOOR);
  calibrationSave(record + RTC);
  crystalSave(record + CRYSTAL);
  meterUseStorageKey();
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, target, 4);
  sivSeal(AEAD_CONTEXT, record, RECORD_BYTES, target + SEALED);
  aeadWipe();
}
