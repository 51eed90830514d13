// What the meter keeps of each source for its next start: keys and two cookies, so that it polls at once, without NTS-KE.
// What always holds:
// - A cookie is erased from the storage, and the storage has said so, before it can be sent; a cookie that is written to
//   the storage is not sent before the next start. So power may fail at any time and none is ever sent twice.
// - A start loads one cookie; the second stays until the first has led to nothing. It is written after the first. So
//   while there are keys, power that fails in a write leaves a cookie for the next start.
// - Parts are sealed with the storage key, for this server's name, and belong together by a number; what does not open, or
//   does not belong, does not count. Keys that serve no more are erased.
// - A source's reserve is written once after a start, then at most daily: its keys only when they are new.
//
//   part     0  number      u32   random, but for its low two bits: the server in the settings; the same for all three parts
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

import { actionRead, actionWrite } from '../abi/buffers';
import { clear, copy } from '../abi/bytes';
import { ClockStatus, MeterEvent, StorageMap } from '../abi/codes';
import { AEAD_CONTEXT, aeadWipe } from '../aead/aead';
import { SIV_TAG_BYTES, sivAd, sivOpen, sivSeal, sivStart } from '../aead/siv';
import { clockStatus } from '../clock/clock';
import { SECOND_NS } from '../ntp/timestamp';
import {
  COOKIE_MAX_BYTES,
  cookieAdd,
  cookieBytes,
  cookiesClear,
  cookiesHeld,
  cookiesMost,
  cookieTake,
} from '../nts/cookies';
import { exchangeAead, exchangeClear, exchangeKeys, exchangeOpen, exchangeSetKeys, KEYS_BYTES } from '../nts/exchange';
import { SERVER_NAME_BYTES } from '../nts/key-establishment';
import { contextFingerprint } from '../record/context';
import { raiseEvent } from './events';
import { meterUseStorageKey } from './keys';
import { timeNowLocal, timeNowUtc } from './now';
import { pollsBegin, pollWithoutCookies } from './poll';
import { random32 } from './seed';
import { settingsOffer, settingsServer, settingsServers } from './settings';
import {
  Ke,
  Source,
  sourceAt,
  sourceCertificate,
  sourceChanged,
  sourceHandle,
  sourceNtpHost,
  sourceServes,
  sources,
} from './source';

const PARTS: u32 = 3;
const PART_KEYS: u32 = 0;
const PART_FIRST: u32 = 1;
const PART_SECOND: u32 = 2;
const SEALED: u32 = 4 + SIV_TAG_BYTES;
const SEALED_BYTES: u32 = StorageMap.ReservePartBytes - SEALED;

const SINCE: usize = 8;
const NOT_BEFORE: usize = 16;
const NOT_AFTER: usize = 24;
const FINGERPRINT: usize = 32;
const KEYS: usize = 64;
const NTP_HOST: usize = 192;

/** Cookies that have to be left for polls when two are stored; where a jar holds but three that are so long, one. */
const COOKIES_LEFT: u32 = 2;
const COOKIES_STORED: u32 = 2;

const STORE_NS: i64 = 86_400 * SECOND_NS;

/** Low bits of a number: the server. The next one keeps a number from being 0. */
const SERVER_MASK: u32 = 3;
const NUMBER_SET: u32 = 4;

// Number, source, part: what a part is sealed for.
const LABEL: usize = memory.data(8, 4);

/** What the storage is doing for a reserve. */
const IDLE: u32 = 0;
const READING: u32 = 1;
const TAKING: u32 = 2;
const WRITING: u32 = 3;
const DROPPING: u32 = 4;

let storageBytes: u32 = 0;
let doing: u32 = IDLE;
/** Source and part at work, and the number of its parts. */
let at: u32 = 0;
let part: u32 = 0;
let number: u32 = 0;
/** Whether the meter still starts. */
let starting: bool = true;

/** The board has this much storage. */
export function reserveStart(bytes: u32): void {
  storageBytes = bytes;
}

function partOffset(source: u32, which: u32): u32 {
  return StorageMap.Reserves + source * StorageMap.ReserveBytes + which * StorageMap.ReservePartStride;
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
  if (doing == IDLE) {
    starting = at < sources() && fits(at);
    if (!starting) return false;
    readPart(PART_KEYS);
  }
  return true;
}

function readPart(which: u32): void {
  part = which;
  doing = READING;
  actionRead(partOffset(at, part), StorageMap.ReservePartBytes);
}

// Without its number and tag nothing opens any more.
function erase(why: u32): void {
  doing = why;
  clear(actionWrite(partOffset(at, part), SEALED), SEALED);
}

/** A part was read, or could not be: then it counts for nothing. Returns whether the storage has more to do. */
export function reserveRead(data: usize, length: u32): bool {
  if (doing != READING) return false;
  doing = IDLE;
  const source = sourceAt(at);
  const opened = length == <u32>StorageMap.ReservePartBytes && open(source, data);
  if (part == PART_KEYS) {
    if (opened && takeKeys(source, data + SEALED)) readPart(PART_FIRST);
    else nextSource();
  } else if (opened) {
    takeCookie(source, data + SEALED);
    // It may be sent once it is erased.
    source.taking = true;
    erase(TAKING);
  } else if (part == PART_FIRST) {
    readPart(PART_SECOND);
  } else {
    cookieGone(source);
  }
  clear(data, length);
  return doing != IDLE;
}

function nextSource(): void {
  at += 1;
}

// A cookie was erased, or could not be: then it is not to be used.
function taken(source: Source, failed: bool): void {
  source.taking = false;
  if (failed) cookiesClear(source.index);
  if (cookiesHeld(at) == 0) return cookieGone(source);
  source.reserveLeft = part == PART_FIRST;
  if (!starting) return sourceChanged(source);
  restore(source);
  nextSource();
}

// Neither cookie, or none any more.
function cookieGone(source: Source): void {
  source.reserveLeft = false;
  if (!starting) return pollWithoutCookies(source);
  exchangeClear(source.index);
  source.keysSinceUtc = 0;
  nextSource();
}

function open(source: Source, data: usize): bool {
  const came = load<u32>(data);
  if (part != PART_KEYS) {
    if (came != number) return false;
  } else {
    number = came;
    if ((came & SERVER_MASK) >= settingsServers()) return false;
  }
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
  const server = settingsServer(number & SERVER_MASK);
  sivAd(AEAD_CONTEXT, server, 3 + load<u8>(server, 2));
}

function takeKeys(source: Source, record: usize): bool {
  const aead: u32 = load<u16>(record);
  const host: u32 = load<u8>(record, NTP_HOST);
  // Of other settings or an earlier software, which had other AEADs or names.
  if (!settingsOffer(aead) || host > SERVER_NAME_BYTES + 1) return false;
  if (!sourceServes(source, number & SERVER_MASK)) return false;
  exchangeSetKeys(source.index, aead, record + KEYS, false);
  source.reserve = number;
  source.ntpPort = load<u16>(record, 2);
  source.ntpElsewhere = load<u8>(record, 4) != 0;
  source.keysSinceUtc = load<i64>(record, SINCE);
  source.notBefore = load<i64>(record, NOT_BEFORE);
  source.notAfter = load<i64>(record, NOT_AFTER);
  copy(sourceCertificate(source), record + FINGERPRINT, 32);
  contextFingerprint(source.server);
  copy(sourceNtpHost(source), record + NTP_HOST, 1 + host);
  return true;
}

function takeCookie(source: Source, record: usize): void {
  const length: u32 = load<u16>(record);
  if (length >= 1 && length <= COOKIE_MAX_BYTES) cookieAdd(source.index, record + 2, length);
}

function restore(source: Source): void {
  pollsBegin(source);
  // The meters of a fleet come back together.
  source.pollAt += <i64>(random32() & 0x3fff_ffff);
  source.ke = <u8>Ke.Idle;
  source.restored = true;
  source.keysSinceLocal = timeNowLocal();
  source.reserveKeys = source.keysSinceLocal;
  // They were checked when the keys were made, at a time that is gone.
  source.datesUnproven = clockStatus() == ClockStatus.Unsynchronised;
  sourceHandle(source);
  raiseEvent(MeterEvent.KeysRestored, exchangeAead(source.index), cookiesHeld(source.index), true);
}

// ---------------------------------------------------------------- while running

/** Begins what is due of the reserve of a source; false when nothing is. */
export function reserveStep(now: i64): bool {
  for (let i: u32 = 0; i < sources(); i++) {
    const source = sourceAt(i);
    at = i;
    if (storeDue(source, now)) beginStore(source, now);
    else if (isStale(source)) drop(source);
    else if (source.reserveLeft && needsCookie(source)) takeSecond(source);
    if (doing != IDLE) return true;
  }
  return false;
}

// The keys in the storage are not those in use.
function isStale(source: Source): bool {
  if (source.reserve == 0) return false;
  return exchangeAead(source.index) == 0 || source.reserveKeys != source.keysSinceLocal;
}

function storeDue(source: Source, now: i64): bool {
  if (clockStatus() != ClockStatus.Synchronised || now < source.storeAt || !fits(source.index)) return false;
  // A next start with a real-time clock would not look at its certificate's dates any more.
  if (!source.proven || source.datesUnproven || source.ke != Ke.Idle) return false;
  // Nor with an age that is not known, or is of a time that was undone: the next answer puts it right.
  if (source.keysSinceUtc == 0 || source.keysSinceUtc > timeNowUtc()) return false;
  return cookiesHeld(source.index) >= COOKIES_STORED + cookiesLeft(source.index);
}

function cookiesLeft(index: u32): u32 {
  return min<u32>(COOKIES_LEFT, cookiesMost(cookieBytes(index)) - COOKIES_STORED);
}

function needsCookie(source: Source): bool {
  if (source.proven || source.ke > <u32>Ke.Waiting || exchangeOpen(source.index)) return false;
  return cookiesHeld(source.index) == 0;
}

function drop(source: Source): void {
  source.reserve = 0;
  source.reserveLeft = false;
  part = PART_KEYS;
  erase(DROPPING);
}

function takeSecond(source: Source): void {
  number = source.reserve;
  readPart(PART_SECOND);
}

function beginStore(source: Source, now: i64): void {
  source.storeAt = now + STORE_NS;
  source.reserveLeft = false;
  const same = source.reserve != 0 && !isStale(source);
  if (!same) source.reserve = (random32() & ~SERVER_MASK) | NUMBER_SET | source.server;
  source.reserveKeys = source.keysSinceLocal;
  number = source.reserve;
  part = same ? PART_FIRST : PART_KEYS;
  doing = WRITING;
  write(source);
}

/**
 * A part is written or erased, or could not be: then the rest is left until tomorrow. Returns whether the storage has
 * more to do.
 */
export function reserveDone(failed: bool): bool {
  const source = sourceAt(at);
  const done = doing;
  doing = IDLE;
  if (done == TAKING) taken(source, failed);
  else if (done == WRITING) written(source, failed);
  return doing != IDLE;
}

function written(source: Source, failed: bool): void {
  // Without its keys, the cookies of a reserve are worth nothing.
  if (failed && part == PART_KEYS) source.reserve = 0;
  part += 1;
  if (failed || part == PARTS || isStale(source) || source.ke != Ke.Idle) return;
  if (cookiesHeld(at) <= cookiesLeft(at)) return;
  doing = WRITING;
  write(source);
}

function write(source: Source): void {
  const data = actionWrite(partOffset(at, part), StorageMap.ReservePartBytes);
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
