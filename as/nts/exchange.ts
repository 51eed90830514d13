// Authenticated NTP exchanges (RFC 8915 5), one at a time with each server: the request, and everything that an answer has
// to hold.
// What always holds: nothing of the meter's state is in a request but a cookie (the transmit timestamp is random); a
// request is no shorter than its answer; an answer is opened at most once for a request; its fields are read only after
// its authenticator held, but for what is needed to find the authenticator and to recognise a kiss code.
//
//   keys     0  client to server                      up to 64
//           32  the same of the other exporter context, AEAD 30 only
//           64  server to client                      up to 64
//           96  the same of the other exporter context
//   open     0  unique identifier of the request      32
//           32  its transmit timestamp                8
//           40  AEAD of the keys                      u8   0 without keys
//           41  1 while a request waits               u8
//           42  1 where there are other keys          u8

import { clear, copy, isZero, loadBe16, loadBe32, storeBe16 } from '../abi/bytes';
import { Reject } from '../abi/codes';
import {
  AEAD_KEY_MAX_BYTES,
  AEAD_TAG_BYTES,
  aeadNonceBytes,
  aeadOpen,
  aeadSeal,
  aeadSetKey,
  aeadTextOffset,
  aeadWipe,
} from '../aead/aead';
import { equalBytes } from '../aead/constant-time';
import {
  EXTENSION_HEADER_BYTES,
  EXTENSION_MIN_BYTES,
  NTP_CLIENT,
  NTP_HEADER_BYTES,
  NTP_LEAP_UNSYNCHRONISED,
  NTP_MAX_BYTES,
  NTP_MODE_SERVER,
  NTP_ORIGIN,
  NTP_PRECISION,
  NTP_RECEIVE,
  NTP_REFERENCE_ID,
  NTP_ROOT_DELAY,
  NTP_ROOT_DISPERSION,
  NTP_STRATUM,
  NTP_TRANSMIT,
  NTP_VERSION,
} from '../ntp/header';
import { ntpLatestNs, ntpPrecisionNs, ntpShortToNs, ntpToUnixNs, SECOND_NS } from '../ntp/timestamp';
import { COOKIE_MAX_BYTES, cookieAdd, cookiesRoom, cookieTake } from './cookies';

const FIELD_UNIQUE_IDENTIFIER: u32 = 0x0104;
const FIELD_COOKIE: u32 = 0x0204;
const FIELD_PLACEHOLDER: u32 = 0x0304;
const FIELD_AUTHENTICATOR: u32 = 0x0404;

/** "NTSN" (RFC 8915 5.7). */
const KISS_NTSN: u32 = 0x4e54534e;

const IDENTIFIER_BYTES: u32 = 32;
const NONCE_MAX_BYTES: u32 = 16;
const IDENTIFIER_FIELD_BYTES: u32 = EXTENSION_HEADER_BYTES + IDENTIFIER_BYTES;

/** Placeholders in a request: with the cookie's own successor they fill the jar (RFC 8915 5.7). */
const PLACEHOLDERS_MAX: u32 = 7;

/** Random bytes that a request takes: unique identifier, nonce, transmit timestamp. */
export const REQUEST_RANDOM_BYTES: u32 = IDENTIFIER_BYTES + NONCE_MAX_BYTES + 8;

/** Servers whose root distance is larger are refused (RFC 5905 MAXDIST). */
const ROOT_DISTANCE_MAX_NS: i64 = 1_500_000_000;

/** Keys of a server: both directions, see above. */
export const KEYS_BYTES: u32 = 2 * AEAD_KEY_MAX_BYTES;
const OTHER_KEY: u32 = 32;
const KEYS: usize = memory.data(<i32>(KEYS_BYTES * <u32>SERVERS_MAX), 4);

const ORIGIN: usize = 32;
const AEAD: usize = 40;
const WAITING: usize = 41;
const OTHER: usize = 42;
const OPEN_BYTES: u32 = 44;
const OPEN: usize = memory.data(<i32>(OPEN_BYTES * <u32>SERVERS_MAX), 4);

function openAt(source: u32): usize {
  return OPEN + source * OPEN_BYTES;
}

/** Keys of a server, as above; for what stores them. */
export function exchangeKeys(source: u32): usize {
  return KEYS + source * KEYS_BYTES;
}

/** What the last accepted answer said. */
export let answerReceiveNs: i64 = 0;
export let answerTransmitNs: i64 = 0;
export let answerRootDelayNs: i64 = 0;
export let answerRootDispersionNs: i64 = 0;
/** By how much its timestamps may be wrong because its clock ticks (RFC 5905 7.3, precision). */
let answerPrecisionNs: i64 = 0;
export let answerStratum: u32 = 0;
export let answerLeap: u32 = 0;
/** Kiss code of the last answer that was refused with `Reject.Kiss` or `Reject.Nak`. */
export let answerKiss: u32 = 0;

/**
 * Takes the keys of an association.
 *
 * @param keys KEYS_BYTES, laid out as above; wiped where they came from by the caller
 * @param other whether those of the other exporter context are among them
 */
export function exchangeSetKeys(source: u32, aead: u32, keys: usize, other: bool): void {
  const at = openAt(source);
  copy(exchangeKeys(source), keys, KEYS_BYTES);
  store<u8>(at, <u8>aead, AEAD);
  store<u8>(at, 0, WAITING);
  store<u8>(at, other ? 1 : 0, OTHER);
}

/** Forgets the keys and any open request. */
export function exchangeClear(source: u32): void {
  clear(exchangeKeys(source), KEYS_BYTES);
  clear(openAt(source), OPEN_BYTES);
}

/** AEAD of the keys, 0 without. */
export function exchangeAead(source: u32): u32 {
  return load<u8>(openAt(source), AEAD);
}

/** The keys in use led to an answer: those of the other context are not needed. */
export function exchangeDropOther(source: u32): void {
  const keys = exchangeKeys(source);
  if (load<u8>(openAt(source), OTHER) == 0) return;
  store<u8>(openAt(source), 0, OTHER);
  clear(keys + OTHER_KEY, OTHER_KEY);
  clear(keys + AEAD_KEY_MAX_BYTES + OTHER_KEY, OTHER_KEY);
}

/** Puts the keys of the other exporter context in their place; false where there are none. */
export function exchangeSwitchKeys(source: u32): bool {
  const keys = exchangeKeys(source);
  if (load<u8>(openAt(source), OTHER) == 0) return false;
  copy(keys, keys + OTHER_KEY, OTHER_KEY);
  copy(keys + AEAD_KEY_MAX_BYTES, keys + AEAD_KEY_MAX_BYTES + OTHER_KEY, OTHER_KEY);
  exchangeDropOther(source);
  return true;
}

/** Whether a request waits for its answer. */
export function exchangeOpen(source: u32): bool {
  return load<u8>(openAt(source), WAITING) != 0;
}

/** Gives the open request up: whatever answers it now is late. */
export function exchangeClose(source: u32): void {
  store<u8>(openAt(source), 0, WAITING);
}

/**
 * Builds a request with the oldest cookie and as many placeholders as cookies are missing, have room and fit into a
 * datagram.
 *
 * @param target room for NTP_MAX_BYTES
 * @param random REQUEST_RANDOM_BYTES
 * @returns its length; 0 without a cookie
 */
export function exchangeRequest(source: u32, target: usize, random: usize): u32 {
  const known = openAt(source);
  const aead: u32 = load<u8>(known, AEAD);
  clear(target, NTP_HEADER_BYTES);
  store<u8>(target, NTP_CLIENT);
  copy(known, random, IDENTIFIER_BYTES);
  copy(known + ORIGIN, random + IDENTIFIER_BYTES + NONCE_MAX_BYTES, 8);
  copy(target + NTP_TRANSMIT, known + ORIGIN, 8);

  let at = appendField(target + NTP_HEADER_BYTES, FIELD_UNIQUE_IDENTIFIER, IDENTIFIER_BYTES);
  copy(at - IDENTIFIER_BYTES, known, IDENTIFIER_BYTES);

  // Zeros follow a cookie that is no multiple of four or too short for a field (RFC 7822 3).
  const cookieAt = at + EXTENSION_HEADER_BYTES;
  const length = cookieTake(source, cookieAt);
  if (length == 0) return 0;
  const padded = max<u32>((length + 3) & ~3, EXTENSION_MIN_BYTES - EXTENSION_HEADER_BYTES);
  for (let i = length; i < padded; i++) store<u8>(cookieAt + i, 0);
  at = appendField(at, FIELD_COOKIE, padded);

  const nonceBytes = aeadNonceBytes(aead);
  const authenticatorBytes = EXTENSION_HEADER_BYTES + 4 + nonceBytes + AEAD_TAG_BYTES;
  const fieldBytes = EXTENSION_HEADER_BYTES + padded;
  // One cookie comes back for the one that is sent.
  const room = cookiesRoom(source, length);
  let missing = min<u32>(room == 0 ? 0 : room - 1, PLACEHOLDERS_MAX);
  while (missing > 0 && <u32>(at - target) + fieldBytes + authenticatorBytes <= NTP_MAX_BYTES) {
    const placeholderAt = at;
    at = appendField(at, FIELD_PLACEHOLDER, padded);
    clear(placeholderAt + EXTENSION_HEADER_BYTES, padded);
    missing -= 1;
  }

  const dataBytes = <u32>(at - target);
  const end = appendField(at, FIELD_AUTHENTICATOR, authenticatorBytes - EXTENSION_HEADER_BYTES);
  storeBe16(at + 4, nonceBytes);
  storeBe16(at + 6, AEAD_TAG_BYTES);
  const nonce = at + 8;
  copy(nonce, random + IDENTIFIER_BYTES, nonceBytes);
  aeadSetKey(aead, exchangeKeys(source));
  aeadSeal(target, dataBytes, nonce, nonceBytes, nonce + nonceBytes, 0);
  aeadWipe();
  store<u8>(known, 1, WAITING);
  return <u32>(end - target);
}

// Writes a field's header; returns the place behind the field.
function appendField(at: usize, type: u32, valueBytes: u32): usize {
  storeBe16(at, type);
  storeBe16(at + 2, EXTENSION_HEADER_BYTES + valueBytes);
  return at + EXTENSION_HEADER_BYTES + valueBytes;
}

/**
 * Reads an answer; the encrypted fields are opened in place. On `Reject.None` the answer's times are in `answer…` and
 * the request is closed; its cookies are kept whenever the authenticator held.
 *
 * @param packet UDP payload
 * @param pivotUnixSeconds date that chooses the NTP era
 */
export function exchangeAnswer(source: u32, packet: usize, length: u32, pivotUnixSeconds: i64): u32 {
  const known = openAt(source);
  if (load<u8>(known, WAITING) == 0) return Reject.Unexpected;
  if (length < NTP_HEADER_BYTES || length > NTP_MAX_BYTES || (length & 3) != 0) return Reject.Malformed;
  const first: u32 = load<u8>(packet);
  if ((first & 7) != NTP_MODE_SERVER || ((first >> 3) & 7) != NTP_VERSION) return Reject.Mode;
  if (!equalBytes(packet + NTP_ORIGIN, known + ORIGIN, 8)) return Reject.Origin;

  let identified = false;
  let authenticator: u32 = 0;
  let authenticatorBytes: u32 = 0;
  for (let at: u32 = NTP_HEADER_BYTES; at < length; ) {
    const fieldBytes = fieldLength(packet, at, length);
    if (fieldBytes == 0) return Reject.Malformed;
    const type = loadBe16(packet + at);
    if (authenticator != 0) {
      // RFC 8915 5.7: what follows the authenticator is not authenticated, and without effect.
    } else if (type == FIELD_UNIQUE_IDENTIFIER) {
      if (identified) return Reject.Malformed;
      if (fieldBytes != IDENTIFIER_FIELD_BYTES) return Reject.UniqueIdentifier;
      if (!equalBytes(packet + at + EXTENSION_HEADER_BYTES, known, IDENTIFIER_BYTES)) return Reject.UniqueIdentifier;
      identified = true;
    } else if (type == FIELD_AUTHENTICATOR) {
      authenticator = at;
      authenticatorBytes = fieldBytes;
    }
    at += fieldBytes;
  }
  if (!identified) return Reject.UniqueIdentifier;
  answerKiss = loadBe32(packet + NTP_REFERENCE_ID);
  if (authenticator == 0) {
    if (load<u8>(packet + NTP_STRATUM) != 0) return Reject.NoAuthenticator;
    return answerKiss == KISS_NTSN ? Reject.Nak : Reject.Kiss;
  }
  const plaintextBytes = openAuthenticator(source, packet, authenticator, authenticatorBytes);
  if (plaintextBytes < 0) return Reject.Authentication;
  exchangeClose(source);
  if (!keepCookies(source, packet, plaintextAt, plaintextAt + <u32>plaintextBytes)) return Reject.Malformed;
  return readTimes(packet, pivotUnixSeconds);
}

// Length of the field at `at`; 0 when it does not add up.
function fieldLength(packet: usize, at: u32, end: u32): u32 {
  if (end - at < EXTENSION_HEADER_BYTES) return 0;
  const length = loadBe16(packet + at + 2);
  return length < EXTENSION_MIN_BYTES || (length & 3) != 0 || length > end - at ? 0 : length;
}

// Where the last opened plaintext begins.
let plaintextAt: u32 = 0;

// RFC 8915 5.6: nonce length u16, ciphertext length u16, nonce, padding to 4, ciphertext, padding to 4.
// Returns the plaintext's length, -1 when the authenticator does not hold.
function openAuthenticator(source: u32, packet: usize, at: u32, fieldBytes: u32): i32 {
  const aead = exchangeAead(source);
  const value = at + EXTENSION_HEADER_BYTES;
  const room = fieldBytes - EXTENSION_HEADER_BYTES - 4;
  const nonceBytes = loadBe16(packet + value);
  const sealedBytes = loadBe16(packet + value + 2);
  const nonceRoom = (nonceBytes + 3) & ~3;
  if (nonceBytes == 0 || sealedBytes < AEAD_TAG_BYTES || nonceRoom + ((sealedBytes + 3) & ~3) > room) return -1;
  const nonce = value + 4;
  const sealed = nonce + nonceRoom;
  aeadSetKey(aead, exchangeKeys(source) + AEAD_KEY_MAX_BYTES);
  const opened = aeadOpen(packet, at, packet + nonce, nonceBytes, packet + sealed, sealedBytes);
  aeadWipe();
  if (!opened) return -1;
  plaintextAt = sealed + aeadTextOffset(aead);
  return sealedBytes - AEAD_TAG_BYTES;
}

// Keeps the cookies among the encrypted fields; false when the fields do not add up.
function keepCookies(source: u32, packet: usize, at: u32, end: u32): bool {
  while (at < end) {
    if (end - at < EXTENSION_HEADER_BYTES) return false;
    const fieldBytes = loadBe16(packet + at + 2);
    if (fieldBytes < EXTENSION_HEADER_BYTES || (fieldBytes & 3) != 0 || fieldBytes > end - at) return false;
    const length = fieldBytes - EXTENSION_HEADER_BYTES;
    if (loadBe16(packet + at) == FIELD_COOKIE) {
      if (length == 0 || length > COOKIE_MAX_BYTES) return false;
      cookieAdd(source, packet + at + EXTENSION_HEADER_BYTES, length);
    }
    at += fieldBytes;
  }
  return true;
}

/** By how much the last answer's timestamps may be wrong, ns (RFC 5905 9.1 and 11.2.1, without the meter's own part). */
export function answerRootDistanceNs(): i64 {
  return answerRootDelayNs / 2 + answerRootDispersionNs + answerPrecisionNs;
}

function readTimes(packet: usize, pivotUnixSeconds: i64): u32 {
  answerLeap = load<u8>(packet) >> 6;
  answerStratum = load<u8>(packet + NTP_STRATUM);
  answerRootDelayNs = ntpShortToNs(packet + NTP_ROOT_DELAY);
  answerRootDispersionNs = ntpShortToNs(packet + NTP_ROOT_DISPERSION);
  answerPrecisionNs = ntpPrecisionNs(load<i8>(packet + NTP_PRECISION));
  answerReceiveNs = ntpToUnixNs(packet + NTP_RECEIVE, pivotUnixSeconds);
  answerTransmitNs = ntpToUnixNs(packet + NTP_TRANSMIT, pivotUnixSeconds);
  if (answerStratum == 0) return Reject.Kiss;
  if (answerStratum > 15 || answerLeap == NTP_LEAP_UNSYNCHRONISED) return Reject.Unsynchronised;
  if (answerRootDistanceNs() > ROOT_DISTANCE_MAX_NS) return Reject.RootDistance;
  // RFC 5905 7.3: zero means that it is not known.
  if (isZero(packet + NTP_RECEIVE, 8) || isZero(packet + NTP_TRANSMIT, 8)) return Reject.ServerTime;
  if (answerTransmitNs < answerReceiveNs) return Reject.ServerTime;
  if (answerReceiveNs < pivotUnixSeconds * SECOND_NS) return Reject.BehindFloor;
  // Decades behind the floor, too: the era does not tell.
  if (answerReceiveNs > ntpLatestNs(pivotUnixSeconds)) return Reject.BehindFloor;
  return Reject.None;
}
