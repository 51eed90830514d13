// Signs the newest entries of records and logbook: whoever can check a signature but has no key of the meter's can see that
// nothing was cut off, and so can the meter at its next start.
// What always holds: a head is signed for entries that are in the storage for good; one at a time, a slice in each event;
// of two slots the whole one with the higher count is in force, and the other is written.

import { actionWrite } from '../abi/buffers';
import { appendText, clear, copy, isBlank } from '../abi/bytes';
import { Channel, HeadField, HeadFormat, MarkField, Message, Ring, StorageMap } from '../abi/codes';
import { aeadWipe } from '../aead/aead';
import { DERIVED_KEY } from '../aead/scratch';
import { crc32 } from '../link/crc32';
import { KeyPurpose, meterKey } from '../meter/keys';
import { networkBegin, networkSend, networkUp } from '../meter/network';
import { timeNowUtc } from '../meter/now';
import { METER_ID } from '../meter/settings';
import { SECOND_NS } from '../ntp/timestamp';
import { SIGN_KEY_BYTES, signBegin, signKeyBegin, signSignature, signStep } from '../sign/ed25519';
import { verifyBusy } from '../sign/verify';
import { appendTrusted } from './append';
import { HASH_BYTES } from './chain';
import { contextKey } from './context';
import { damageOf } from './damage';
import { MARK } from './mark';
import { ringHash, ringNewest } from './ring';

const HOUR_NS: i64 = 3600 * SECOND_NS;
const SIGNED_BYTES: u32 = HeadField.Signature - HeadField.Magic;

/** The head that was stored last, or is being signed: from `HeadField.Magic` on. */
const HEAD: usize = TARIFF == 0 ? 0 : memory.data(120, 8);

const KEY_WANTED: u32 = 0;
const KEY_MADE: u32 = 1;
const IDLE: u32 = 2;
const SIGNING: u32 = 3;
const SIGNED: u32 = 4;

let state: u32 = KEY_WANTED;
let count: u32 = 0;
let slot: u32 = 1;
let wanted: bool = false;
/** Something was stored since the last head. */
let stored: bool = false;
let hourEnd: i64 = 0;
/** A head of this start is to be sent. */
let unsent: bool = false;
let made: bool = false;

/** Signs a new head as soon as all that waits is stored. */
export function headRequest(): void {
  if (TARIFF == 0) return;
  wanted = true;
}

/** An entry was stored. */
export function headNote(ring: u32): void {
  stored = stored || ring != Ring.Network;
}

/** A new session: the newest head is sent again. */
export function headRestart(): void {
  unsent = made;
}

/** Takes a slot as it was read, both in turn; false where it was written and holds nothing. */
export function headTake(which: u32, at: usize): bool {
  if (!holds(at)) return isBlank(at, HeadField.StoredBytes);
  if (count != 0 && <i32>(load<u32>(at) - count) <= 0) return true;
  slot = which;
  count = load<u32>(at);
  copy(HEAD, at + HeadField.Magic, SIGNED_BYTES);
  return true;
}

function holds(at: usize): bool {
  return load<u32>(at, HeadField.Magic) == HeadFormat.Magic && crc32(at, HeadField.Crc) == load<u32>(at, HeadField.Crc);
}

/** Newest entry that the head in force was signed for, and its hash. */
export function headSequence(ring: u32): u32 {
  if (ring == Ring.Network) return 0;
  const field: usize = ring == Ring.Records ? HeadField.RecordSequence : HeadField.LogSequence;
  return load<u32>(HEAD + field - HeadField.Magic);
}
export function headHash(ring: u32): usize {
  return HEAD + (ring == Ring.Records ? HeadField.RecordHash : HeadField.LogHash) - HeadField.Magic;
}

/** Local time at which `headWork` has something to do. */
export function headDeadline(): i64 {
  // One that could not be written is written again.
  if (state != IDLE) return 0;
  if (wanted) return i64.MAX_VALUE;
  return stored ? hourEnd : i64.MAX_VALUE;
}

/** Does a slice of what is under way. `settled`: nothing waits that can be stored. */
export function headWork(now: i64, settled: bool): void {
  // Both are done in the same memory.
  if (verifyBusy()) return;
  if (state == KEY_WANTED) {
    meterKey(KeyPurpose.Sign, DERIVED_KEY, SIGN_KEY_BYTES);
    signKeyBegin(DERIVED_KEY);
    aeadWipe();
    state = KEY_MADE;
  } else if (state == KEY_MADE || state == SIGNING) {
    if (!signStep()) return;
    // Whoever wrote that context had the record key, and not the seed.
    if (state == KEY_MADE && !contextKey() && appendTrusted())
      damageOf(Ring.Records, load<u32>(MARK, MarkField.Context));
    state += 1;
  } else if (state == IDLE) {
    if (now >= hourEnd) {
      wanted = wanted || stored;
      hourEnd = now + HOUR_NS;
    }
    if (wanted && settled) begin();
  }
}

function begin(): void {
  wanted = false;
  stored = false;
  clear(HEAD, SIGNED_BYTES);
  const at = HEAD - <usize>HeadField.Magic;
  store<u32>(at, HeadFormat.Magic, HeadField.Magic);
  store<u32>(at, ringNewest(Ring.Records), HeadField.RecordSequence);
  store<u32>(at, ringNewest(Ring.Logbook), HeadField.LogSequence);
  store<i64>(at, timeNowUtc(), HeadField.UtcNs);
  copy(at + HeadField.RecordHash, ringHash(Ring.Records), HASH_BYTES);
  copy(at + HeadField.LogHash, ringHash(Ring.Logbook), HASH_BYTES);
  appendText(at + HeadField.MeterId, METER_ID);
  signBegin(HEAD, SIGNED_BYTES);
  state = SIGNING;
}

/** Writes a head that was signed to the older slot; false where there is none. */
export function headWrite(): bool {
  if (state != SIGNED) return false;
  slot = 1 - slot;
  count += 1;
  const at = actionWrite(slot == 0 ? StorageMap.HeadA : StorageMap.HeadB, HeadField.StoredBytes);
  store<u32>(at, count);
  putSigned(at + HeadField.Magic);
  store<u32>(at, crc32(at, HeadField.Crc), HeadField.Crc);
  return true;
}

function putSigned(at: usize): void {
  copy(at, HEAD, SIGNED_BYTES);
  copy(at + SIGNED_BYTES, signSignature(), HeadField.Bytes - HeadField.Signature);
}

/** It is written, or could not be: then the other slot is still in force, and it is tried again. */
export function headWritten(failed: bool): void {
  if (failed) {
    slot = 1 - slot;
    return;
  }
  state = IDLE;
  made = true;
  unsent = true;
}

/** Sends the newest head where that is due and has room. */
export function headSend(): void {
  if (!unsent || state != IDLE || !networkUp()) return;
  const message = networkBegin(Channel.Report, HeadField.Bytes);
  if (message == 0) return;
  store<u32>(message, Message.Head);
  putSigned(message + HeadField.Magic);
  networkSend(Channel.Report, HeadField.Bytes);
  unsent = false;
}
