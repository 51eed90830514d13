// What the meter remembers across restarts: the time floor, and the proof that an authenticated time set the RTC.
// What always holds: the record is sealed with the storage key, so what was not written by this meter does not count;
// of two slots the valid one with the higher count is in force, and the other is written.
//
//   slot     0  count        u32   higher is newer; authenticated
//            4  tag          16    AES-SIV
//           20  record       40    encrypted
//   record   0  version      u32
//            4  zero         u32
//            8  floor        i64   UTC ns: no time before it is believed
//           16  RTC set      i64   UTC ns at which the RTC was set, 0 for never
//           24  RTC bound    i64   ns, hard bound on the clock's error then
//           32  zero         i64

import { actionAdd } from '../abi/buffers';
import { clear } from '../abi/bytes';
import { Action, StorageMap } from '../abi/codes';
import { SIV_KEY_BYTES, SIV_TAG_BYTES, sivAd, sivOpen, sivSeal, sivSetKey, sivStart } from '../aead/siv';
import { localMaxErrorPpb } from '../clock/local';
import { SECOND_NS } from '../ntp/timestamp';
import { KeyPurpose, meterKey } from './keys';

const SEALED: u32 = 4;
const RECORD: u32 = SEALED + SIV_TAG_BYTES;
const RECORD_BYTES: u32 = 40;
const RECORD_VERSION: u32 = 1;

const KEY: usize = memory.data(32, 4);
const CONTEXT: usize = memory.data(384, 4);

/** 2026-01-01: no build is older, also one that does not know its date. */
const EARLIEST_UNIX: i64 = 1_767_225_600;

/** What a crystal of 32,768 Hz may be wrong over the meter's temperature range and life. */
const RTC_MAX_ERROR_PPB: i64 = 100_000;

let count: u32 = 0;
let slot: u32 = 1;
let floorUtc: i64 = 0;
let rtcSetUtc: i64 = 0;
let rtcBoundNs: i64 = 0;

/** UTC ns before which no time is believed. */
export function stateFloorUtc(): i64 {
  return floorUtc;
}
/** UTC ns at which the real-time clock was set by an authenticated time; 0 without proof. */
export function stateRtcSetUtc(): i64 {
  return rtcSetUtc;
}
/** Hard bound on the clock's error when it was set, ns. */
export function stateRtcBoundNs(): i64 {
  return rtcBoundNs;
}

/** What the real-time clock may be wrong after running alone for `elapsedNs`, ns. */
export function rtcDriftNs(elapsedNs: i64): i64 {
  return (max<i64>(elapsedNs, 0) / SECOND_NS) * max<i64>(RTC_MAX_ERROR_PPB, localMaxErrorPpb());
}

/** Sets the floor that holds without any record: when the software was built, Unix seconds. */
export function stateStart(buildUnixSeconds: i64): void {
  floorUtc = max<i64>(buildUnixSeconds, EARLIEST_UNIX) * SECOND_NS;
}

/** Takes both slots as they were read; derives the storage key. */
export function stateRead(slots: usize, length: u32): void {
  meterKey(KeyPurpose.Storage, KEY, SIV_KEY_BYTES);
  sivSetKey(CONTEXT, KEY);
  clear(KEY, SIV_KEY_BYTES);
  if (length != 2 * StorageMap.StateBytes) return;
  const b = slots + StorageMap.StateBytes;
  const validA = openSlot(slots);
  const validB = openSlot(b);
  if (!validA && !validB) return;
  slot = validB && (!validA || <i32>(load<u32>(b) - load<u32>(slots)) > 0) ? 1 : 0;
  const at = slot == 1 ? b : slots;
  count = load<u32>(at);
  const record = at + RECORD;
  if (load<u32>(record) != RECORD_VERSION) return;
  floorUtc = max<i64>(floorUtc, load<i64>(record, 8));
  rtcSetUtc = load<i64>(record, 16);
  rtcBoundNs = load<i64>(record, 24);
}

function openSlot(at: usize): bool {
  sivStart(CONTEXT);
  sivAd(CONTEXT, at, 4);
  return sivOpen(CONTEXT, at + RECORD, RECORD_BYTES, at + SEALED);
}

/** The real-time clock was set at `utc` while the clock's error was below `boundNs`; also the new floor. */
export function stateRtcWasSet(utc: i64, boundNs: i64): void {
  rtcSetUtc = utc;
  rtcBoundNs = boundNs;
  stateRaiseFloor(utc - boundNs);
}

/** No time before `utc` is believed any more. */
export function stateRaiseFloor(utc: i64): void {
  floorUtc = max<i64>(floorUtc, utc);
}

/** Whether the stored proof still holds for a clock set at `utc` with an error below `boundNs`, or there is none. */
export function stateCovers(utc: i64, boundNs: i64): bool {
  return rtcSetUtc == 0 || boundNs <= rtcBoundNs + rtcDriftNs(utc - rtcSetUtc);
}

/** Makes the stored proof hold for a clock that is about to be set with an error below `boundNs`. */
export function stateWiden(boundNs: i64): void {
  rtcBoundNs = max<i64>(rtcBoundNs, boundNs);
}

/** The slot could not be written: the other one is in force and stays so. */
export function stateWriteFailed(): void {
  slot = 1 - slot;
}

/** Writes the record to the older slot. */
export function stateWrite(): void {
  count += 1;
  slot = 1 - slot;
  const at = actionAdd(Action.StorageWrite, 4 + StorageMap.StateBytes);
  store<u32>(at, slot == 1 ? StorageMap.StateB : StorageMap.StateA);
  const target = at + 4;
  clear(target, StorageMap.StateBytes);
  store<u32>(target, count);
  const record = target + RECORD;
  store<u32>(record, RECORD_VERSION);
  store<i64>(record, floorUtc, 8);
  store<i64>(record, rtcSetUtc, 16);
  store<i64>(record, rtcBoundNs, 24);
  sivStart(CONTEXT);
  sivAd(CONTEXT, target, 4);
  sivSeal(CONTEXT, record, RECORD_BYTES, target + SEALED);
}
