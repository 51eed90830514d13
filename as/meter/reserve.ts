// What the meter keeps of each source for its next start: keys and two cookies, so that it polls at once, without NTS-KE.
// What always holds:
// - A cookie is erased from the storage, and the storage has said so, before it can be sent; a cookie that is written to
//   the storage is not sent before the next start. So power may fail at any time and none is ever sent twice.
// - Parts are sealed with the storage key, for this server's name, and belong together by a random number; what does not
//   open, or does not belong, does not count.
// - A source's reserve is written once after a start, then at most daily.
//
//   part     0  number      u32   random, the same for all three parts
//            4  tag         16    AES-SIV; also over number, source and part, and over port and name of the NTS-KE server
//           20  sealed      260
//   keys     0  AEAD        u16
//            2  NTP port    u16
//            4  elsewhere   u8    NTP is served by a host of its own
//            8  since       i64   UTC ns at which they were made
//           16  notBefore   i64   Unix seconds, of the certificate behind them, as the next
//           24  notAfter    i64
//           32  fingerprint 32    SHA-256
//           64  keys        128
//          192  NTP host    text  at most 65 bytes
//   cookie   0  length      u16
//            2  cookie      256

import { actionAdd } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import { Action, ClockStatus, MeterEvent, StorageMap } from '../abi/codes';
import { AEAD_CONTEXT, aeadKeyBytes, aeadWipe } from '../aead/aead';
import { SIV_TAG_BYTES, sivAd, sivOpen, sivSeal, sivStart } from '../aead/siv';
import { clockStatus } from '../clock/clock';
import { SECOND_NS } from '../ntp/timestamp';
import { COOKIE_MAX_BYTES, cookieAdd, cookiesClear, cookiesHeld, cookieTake } from '../nts/cookies';
import { exchangeAead, exchangeClear, exchangeKeys, exchangeSetKeys, KEYS_BYTES } from '../nts/exchange';
import { SERVER_NAME_BYTES } from '../nts/key-establishment';
import { raiseEvent } from './events';
import { meterUseStorageKey } from './keys';
import { timeNowLocal } from './now';
import { pollsBegin } from './poll';
import { random32 } from './seed';
import { settingsServer } from './settings';
import { Ke, Source, sourceAt, sourceCertificate, sourceHandle, sourceNtpHost, sources } from './source';

const PARTS: u32 = 3;
const PART_KEYS: u32 = 0;
const SEALED: u32 = 4 + SIV_TAG_BYTES;
const SEALED_BYTES: u32 = StorageMap.ReservePartBytes - SEALED;

const SINCE: usize = 8;
const NOT_BEFORE: usize = 16;
const NOT_AFTER: usize = 24;
const FINGERPRINT: usize = 32;
const KEYS: usize = 64;
const NTP_HOST: usize = 192;

/** Cookies that have to be left for polls when two are stored. */
const COOKIES_LEFT: u32 = 2;
const COOKIES_STORED: u32 = PARTS - 1;

const STORE_NS: i64 = 86_400 * SECOND_NS;

// Number, source, part: what a part is sealed for.
const LABEL: usize = memory.data(8, 4);

let storageBytes: u32 = 0;
/** Source and part at work, the number of its parts, whether the part is to be erased next, and whether a source is being written. */
let at: u32 = 0;
let part: u32 = 0;
let number: u32 = 0;
let erases: bool = false;
let writing: bool = false;
/** When the keys were made whose reserve is being written. */
let writtenKeys: i64 = 0;

/** The board has this much storage. */
export function reserveStart(bytes: u32): void {
  storageBytes = bytes;
}

function partOffset(source: u32, which: u32): u32 {
  return StorageMap.Reserves + source * StorageMap.ReserveBytes + which * StorageMap.ReservePartBytes;
}

function fits(source: u32): bool {
  return partOffset(source + 1, 0) <= storageBytes;
}

/** Whether an offset is that of a part. */
export function reserveOwns(offset: u32): bool {
  return offset >= <u32>StorageMap.Reserves;
}

// ---------------------------------------------------------------- start

/** Asks for the next operation on the storage; false when all sources are done. */
export function reserveLoad(): bool {
  if (at >= sources() || !fits(at)) return false;
  const action = actionAdd(erases ? Action.StorageWrite : Action.StorageRead, erases ? 4 + SEALED : 8);
  store<u32>(action, partOffset(at, part));
  // Without its number and tag nothing opens any more.
  if (erases) clear(action + 4, SEALED);
  else store<u32>(action, StorageMap.ReservePartBytes, 4);
  return true;
}

/** A part was read, or could not be: then it counts for nothing. */
export function reserveRead(data: usize, length: u32): void {
  const source = sourceAt(at);
  const opened = length == <u32>StorageMap.ReservePartBytes && open(source, data);
  if (part == PART_KEYS) {
    if (!opened) return nextSource();
    takeKeys(source, data + SEALED);
    part += 1;
  } else if (opened) {
    takeCookie(source, data + SEALED);
    erases = true;
  } else {
    nextPart();
  }
  clear(data, length);
}

// After the last cookie the keys themselves go.
function nextPart(): void {
  part = (part + 1) % PARTS;
  erases = part == PART_KEYS;
}

function nextSource(): void {
  part = PART_KEYS;
  at += 1;
}

/** A part was erased, or could not be: then its source starts without. */
export function reserveErased(failed: bool): void {
  erases = false;
  const source = sourceAt(at);
  if (!failed && part != PART_KEYS) return nextPart();
  if (failed || cookiesHeld(at) == 0) forget(source);
  else restore(source);
  nextSource();
}

function forget(source: Source): void {
  exchangeClear(source.index);
  cookiesClear(source.index);
}

function open(source: Source, data: usize): bool {
  if (part == PART_KEYS) number = load<u32>(data);
  else if (load<u32>(data) != number) return false;
  begin(source);
  const right = sivOpen(AEAD_CONTEXT, data + SEALED, SEALED_BYTES, data + 4);
  aeadWipe();
  return right;
}

// Key and associated data of a part.
function begin(source: Source): void {
  store<u32>(LABEL, number);
  store<u16>(LABEL, <u16>source.index, 4);
  store<u16>(LABEL, <u16>part, 6);
  meterUseStorageKey();
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, LABEL, 8);
  const server = settingsServer(source.server);
  sivAd(AEAD_CONTEXT, server, 3 + load<u8>(server, 2));
}

function takeKeys(source: Source, record: usize): void {
  const aead: u32 = load<u16>(record);
  const host: u32 = load<u8>(record, NTP_HOST);
  // Of an earlier software: it had other AEADs or names.
  if (aeadKeyBytes(aead) == 0 || host > SERVER_NAME_BYTES + 1) return;
  exchangeSetKeys(source.index, aead, record + KEYS, false);
  source.ntpPort = load<u16>(record, 2);
  source.ntpElsewhere = load<u8>(record, 4) != 0;
  source.keysSinceUtc = load<i64>(record, SINCE);
  source.notBefore = load<i64>(record, NOT_BEFORE);
  source.notAfter = load<i64>(record, NOT_AFTER);
  copy(sourceCertificate(source), record + FINGERPRINT, 32);
  copy(sourceNtpHost(source), record + NTP_HOST, 1 + host);
}

function takeCookie(source: Source, record: usize): void {
  const length: u32 = load<u16>(record);
  if (exchangeAead(source.index) != 0 && length >= 1 && length <= COOKIE_MAX_BYTES) {
    cookieAdd(source.index, record + 2, length);
  }
}

function restore(source: Source): void {
  pollsBegin(source);
  source.ke = Ke.Idle;
  source.restored = true;
  source.keysSinceLocal = timeNowLocal();
  // They were checked when the keys were made, at a time that is gone.
  source.datesUnproven = clockStatus() == ClockStatus.Unsynchronised;
  sourceHandle(source);
  raiseEvent(MeterEvent.KeysRestored, exchangeAead(source.index), cookiesHeld(source.index), true);
}

// ---------------------------------------------------------------- while running

/** Whether a reserve is being written. */
export function reserveBusy(): bool {
  return writing;
}

/** Begins to write the reserve of a source for which it is time; false when there is none. */
export function reserveStep(now: i64): bool {
  if (clockStatus() != ClockStatus.Synchronised) return false;
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    if (now < source.storeAt || !source.proven || source.keysSinceUtc == 0 || !fits(i)) continue;
    if (source.ke != Ke.Idle || cookiesHeld(i) < COOKIES_STORED + COOKIES_LEFT) continue;
    at = i;
    part = PART_KEYS;
    number = random32();
    writing = true;
    writtenKeys = source.keysSinceLocal;
    source.storeAt = now + STORE_NS;
    write(source);
    return true;
  }
  return false;
}

/** A part is written, or could not be; then the rest is left until tomorrow. Returns whether another one follows. */
export function reserveWritten(failed: bool): bool {
  const source = sourceAt(at);
  part += 1;
  const same = source.ke == Ke.Idle && source.keysSinceLocal == writtenKeys;
  writing = !failed && part < PARTS && same && cookiesHeld(at) > COOKIES_LEFT;
  if (writing) write(source);
  return writing;
}

function write(source: Source): void {
  const action = actionAdd(Action.StorageWrite, 4 + StorageMap.ReservePartBytes);
  store<u32>(action, partOffset(at, part));
  const data = action + 4;
  clear(data, StorageMap.ReservePartBytes);
  store<u32>(data, number);
  if (part == PART_KEYS) putKeys(source, data + SEALED);
  else store<u16>(data + SEALED, <u16>cookieTake(at, data + SEALED + 2));
  begin(source);
  sivSeal(AEAD_CONTEXT, data + SEALED, SEALED_BYTES, data + 4);
  aeadWipe();
}

function putKeys(source: Source, record: usize): void {
  store<u16>(record, <u16>exchangeAead(source.index));
  store<u16>(record, <u16>source.ntpPort, 2);
  store<u8>(record, source.ntpElsewhere ? 1 : 0, 4);
  store<i64>(record, source.keysSinceUtc, SINCE);
  store<i64>(record, source.notBefore, NOT_BEFORE);
  store<i64>(record, source.notAfter, NOT_AFTER);
  copy(record + FINGERPRINT, sourceCertificate(source), 32);
  copy(record + KEYS, exchangeKeys(source.index), KEYS_BYTES);
  const host = sourceNtpHost(source);
  copy(record + NTP_HOST, host, 1 + load<u8>(host));
}
