// One authenticated NTP exchange (RFC 8915 5): the request, and everything that an answer has to hold.
// What always holds: nothing of the meter's state is in a request but a cookie (the transmit timestamp is random); an
// answer is opened at most once for a request; its fields are read only after its authenticator held, but for what is
// needed to find the authenticator.

import { clear, copy, loadBe16, loadBe32, storeBe16 } from '../abi/bytes';
import { Reject } from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { SIV_CONTEXT_BYTES, SIV_TAG_BYTES, sivOpenWithNonce, sivSealWithNonce, sivSetKey } from '../aead/siv';
import {
  EXTENSION_HEADER_BYTES,
  EXTENSION_MIN_BYTES,
  NTP_CLIENT,
  NTP_HEADER_BYTES,
  NTP_LEAP_UNSYNCHRONISED,
  NTP_MAX_BYTES,
  NTP_MODE_SERVER,
  NTP_ORIGIN,
  NTP_RECEIVE,
  NTP_REFERENCE_ID,
  NTP_ROOT_DELAY,
  NTP_ROOT_DISPERSION,
  NTP_STRATUM,
  NTP_TRANSMIT,
  NTP_VERSION,
} from '../ntp/header';
import { ntpLatestNs, ntpShortToNs, ntpToUnixNs, SECOND_NS } from '../ntp/timestamp';
import { COOKIE_MAX_BYTES, COOKIES_MAX, cookieAdd, cookiesHeld, cookieTake } from './cookies';

const FIELD_UNIQUE_IDENTIFIER: u32 = 0x0104;
const FIELD_COOKIE: u32 = 0x0204;
const FIELD_PLACEHOLDER: u32 = 0x0304;
const FIELD_AUTHENTICATOR: u32 = 0x0404;

/** "NTSN" (RFC 8915 5.7). */
const KISS_NTSN: u32 = 0x4e54534e;

const IDENTIFIER_BYTES: u32 = 32;
const NONCE_BYTES: u32 = 16;
const IDENTIFIER_FIELD_BYTES: u32 = EXTENSION_HEADER_BYTES + IDENTIFIER_BYTES;
/** Two lengths, nonce and tag; nothing is encrypted in a request. */
const AUTHENTICATOR_BYTES: u32 = EXTENSION_HEADER_BYTES + 4 + NONCE_BYTES + SIV_TAG_BYTES;

/** Random bytes that a request takes: unique identifier, nonce, transmit timestamp. */
export const REQUEST_RANDOM_BYTES: u32 = IDENTIFIER_BYTES + NONCE_BYTES + 8;

/** Servers whose root distance is larger are refused (RFC 5905 MAXDIST). */
const ROOT_DISTANCE_MAX_NS: i64 = 1_500_000_000;

const CLIENT_TO_SERVER: usize = memory.data(384, 4);
const SERVER_TO_CLIENT: usize = memory.data(384, 4);

// What the open request is known by.
const IDENTIFIER: usize = memory.data(32, 4);
const ORIGIN: usize = memory.data(8, 4);

let open: bool = false;
let keyed: bool = false;

/** What the last accepted answer said. */
export let answerReceiveNs: i64 = 0;
export let answerTransmitNs: i64 = 0;
export let answerRootDelayNs: i64 = 0;
export let answerRootDispersionNs: i64 = 0;
export let answerStratum: u32 = 0;
export let answerLeap: u32 = 0;

/** Takes the keys of an association: 32 bytes for each direction, wiped where they came from by the caller. */
export function exchangeSetKeys(clientToServer: usize, serverToClient: usize): void {
  sivSetKey(CLIENT_TO_SERVER, clientToServer);
  sivSetKey(SERVER_TO_CLIENT, serverToClient);
  keyed = true;
  open = false;
}

/** Forgets the keys and any open request. */
export function exchangeClear(): void {
  clear(CLIENT_TO_SERVER, SIV_CONTEXT_BYTES);
  clear(SERVER_TO_CLIENT, SIV_CONTEXT_BYTES);
  keyed = false;
  open = false;
}

/** Whether there are keys. */
export function exchangeKeyed(): bool {
  return keyed;
}

/** Whether a request waits for its answer. */
export function exchangeOpen(): bool {
  return open;
}

/** Gives the open request up: whatever answers it now is late. */
export function exchangeClose(): void {
  open = false;
}

/**
 * Builds a request with the oldest cookie and as many placeholders as cookies are missing and fit into a datagram.
 *
 * @param target room for NTP_MAX_BYTES
 * @param random REQUEST_RANDOM_BYTES
 * @returns its length; 0 without a cookie
 */
export function exchangeRequest(target: usize, random: usize): u32 {
  clear(target, NTP_HEADER_BYTES);
  store<u8>(target, NTP_CLIENT);
  copy(IDENTIFIER, random, IDENTIFIER_BYTES);
  copy(ORIGIN, random + IDENTIFIER_BYTES + NONCE_BYTES, 8);
  copy(target + NTP_TRANSMIT, ORIGIN, 8);

  let at = appendField(target + NTP_HEADER_BYTES, FIELD_UNIQUE_IDENTIFIER, IDENTIFIER_BYTES);
  copy(at - IDENTIFIER_BYTES, IDENTIFIER, IDENTIFIER_BYTES);

  // Zeros follow a cookie that is no multiple of four or too short for a field (RFC 7822 3).
  const cookieAt = at + EXTENSION_HEADER_BYTES;
  const length = cookieTake(cookieAt);
  if (length == 0) return 0;
  const padded = max<u32>((length + 3) & ~3, EXTENSION_MIN_BYTES - EXTENSION_HEADER_BYTES);
  for (let i = length; i < padded; i++) store<u8>(cookieAt + i, 0);
  at = appendField(at, FIELD_COOKIE, padded);

  const fieldBytes = EXTENSION_HEADER_BYTES + padded;
  let missing = COOKIES_MAX - 1 - cookiesHeld();
  while (missing > 0 && <u32>(at - target) + fieldBytes + AUTHENTICATOR_BYTES <= NTP_MAX_BYTES) {
    const placeholderAt = at;
    at = appendField(at, FIELD_PLACEHOLDER, padded);
    clear(placeholderAt + EXTENSION_HEADER_BYTES, padded);
    missing -= 1;
  }

  const dataBytes = <u32>(at - target);
  const end = appendField(at, FIELD_AUTHENTICATOR, AUTHENTICATOR_BYTES - EXTENSION_HEADER_BYTES);
  storeBe16(at + 4, NONCE_BYTES);
  storeBe16(at + 6, SIV_TAG_BYTES);
  const nonce = at + 8;
  copy(nonce, random + IDENTIFIER_BYTES, NONCE_BYTES);
  sivSealWithNonce(CLIENT_TO_SERVER, target, dataBytes, nonce, NONCE_BYTES, nonce + NONCE_BYTES, 0);
  open = true;
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
export function exchangeAnswer(packet: usize, length: u32, pivotUnixSeconds: i64): u32 {
  if (!open) return Reject.Unexpected;
  if (length < NTP_HEADER_BYTES || length > NTP_MAX_BYTES || (length & 3) != 0) return Reject.Malformed;
  const first: u32 = load<u8>(packet);
  if ((first & 7) != NTP_MODE_SERVER || ((first >> 3) & 7) != NTP_VERSION) return Reject.Mode;
  if (!equalBytes(packet + NTP_ORIGIN, ORIGIN, 8)) return Reject.Origin;

  let identified = false;
  let authenticator: u32 = 0;
  let authenticatorBytes: u32 = 0;
  for (let at: u32 = NTP_HEADER_BYTES; at < length; ) {
    const fieldBytes = fieldLength(packet, at, length);
    if (fieldBytes == 0) return Reject.Malformed;
    const type = loadBe16(packet + at);
    // What follows the authenticator is not authenticated.
    if (authenticator != 0) return Reject.Malformed;
    if (type == FIELD_UNIQUE_IDENTIFIER) {
      if (identified) return Reject.Malformed;
      if (fieldBytes != IDENTIFIER_FIELD_BYTES) return Reject.UniqueIdentifier;
      if (!equalBytes(packet + at + EXTENSION_HEADER_BYTES, IDENTIFIER, IDENTIFIER_BYTES)) {
        return Reject.UniqueIdentifier;
      }
      identified = true;
    } else if (type == FIELD_AUTHENTICATOR) {
      authenticator = at;
      authenticatorBytes = fieldBytes;
    }
    at += fieldBytes;
  }
  if (!identified) return Reject.UniqueIdentifier;
  if (authenticator == 0) {
    if (load<u8>(packet + NTP_STRATUM) != 0) return Reject.NoAuthenticator;
    return loadBe32(packet + NTP_REFERENCE_ID) == KISS_NTSN ? Reject.Nak : Reject.Kiss;
  }
  const plaintextBytes = openAuthenticator(packet, authenticator, authenticatorBytes);
  if (plaintextBytes < 0) return Reject.Authentication;
  open = false;
  if (!keepCookies(packet, plaintextAt, plaintextAt + <u32>plaintextBytes)) return Reject.Malformed;
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
function openAuthenticator(packet: usize, at: u32, fieldBytes: u32): i32 {
  const value = at + EXTENSION_HEADER_BYTES;
  const room = fieldBytes - EXTENSION_HEADER_BYTES - 4;
  const nonceBytes = loadBe16(packet + value);
  const sealedBytes = loadBe16(packet + value + 2);
  const nonceRoom = (nonceBytes + 3) & ~3;
  if (nonceBytes == 0 || sealedBytes < SIV_TAG_BYTES || nonceRoom + ((sealedBytes + 3) & ~3) > room) return -1;
  const nonce = value + 4;
  const sealed = nonce + nonceRoom;
  if (!sivOpenWithNonce(SERVER_TO_CLIENT, packet, at, packet + nonce, nonceBytes, packet + sealed, sealedBytes)) {
    return -1;
  }
  plaintextAt = sealed + SIV_TAG_BYTES;
  return sealedBytes - SIV_TAG_BYTES;
}

// Keeps the cookies among the encrypted fields; false when the fields do not add up.
function keepCookies(packet: usize, at: u32, end: u32): bool {
  while (at < end) {
    if (end - at < EXTENSION_HEADER_BYTES) return false;
    const fieldBytes = loadBe16(packet + at + 2);
    if (fieldBytes < EXTENSION_HEADER_BYTES || fieldBytes > end - at) return false;
    const length = fieldBytes - EXTENSION_HEADER_BYTES;
    if (loadBe16(packet + at) == FIELD_COOKIE) {
      if (length == 0 || length > COOKIE_MAX_BYTES) return false;
      cookieAdd(packet + at + EXTENSION_HEADER_BYTES, length);
    }
    at += fieldBytes;
  }
  return true;
}

function readTimes(packet: usize, pivotUnixSeconds: i64): u32 {
  answerLeap = load<u8>(packet) >> 6;
  answerStratum = load<u8>(packet + NTP_STRATUM);
  answerRootDelayNs = ntpShortToNs(packet + NTP_ROOT_DELAY);
  answerRootDispersionNs = ntpShortToNs(packet + NTP_ROOT_DISPERSION);
  answerReceiveNs = ntpToUnixNs(packet + NTP_RECEIVE, pivotUnixSeconds);
  answerTransmitNs = ntpToUnixNs(packet + NTP_TRANSMIT, pivotUnixSeconds);
  if (answerStratum == 0) return Reject.Kiss;
  if (answerStratum > 15 || answerLeap == NTP_LEAP_UNSYNCHRONISED) return Reject.Unsynchronised;
  if (answerRootDelayNs / 2 + answerRootDispersionNs > ROOT_DISTANCE_MAX_NS) return Reject.RootDistance;
  if (answerTransmitNs < answerReceiveNs) return Reject.ServerTime;
  if (answerReceiveNs < pivotUnixSeconds * SECOND_NS) return Reject.BehindFloor;
  // Decades behind the floor, too: the era does not tell.
  if (answerReceiveNs > ntpLatestNs(pivotUnixSeconds)) return Reject.BehindFloor;
  return Reject.None;
}
