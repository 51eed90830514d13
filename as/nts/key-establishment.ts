// NTS Key Establishment (RFC 8915 4): the request, and the answer read piece by piece, records in any order.
// What always holds: nothing of an answer counts before its End of Message record has come and all of it was in order;
// a record is read into a buffer of 256 bytes, and a longer one is only skipped, when that is allowed.
//
//   record   0  critical bit (high bit) | type 15 bits   u16, network order
//            2  length of the body                       u16, network order
//            4  body

import { clear, copy, loadBe16, storeBe16 } from '../abi/bytes';
import { KeError } from '../abi/codes';
import { COOKIE_MAX_BYTES, cookieAdd, cookiesClear, cookiesHeld } from './cookies';

const CRITICAL: u32 = 0x8000;
const TYPE_END: u32 = 0;
const TYPE_NEXT_PROTOCOL: u32 = 1;
const TYPE_ERROR: u32 = 2;
const TYPE_WARNING: u32 = 3;
const TYPE_AEAD: u32 = 4;
const TYPE_COOKIE: u32 = 5;
const TYPE_SERVER: u32 = 6;
const TYPE_PORT: u32 = 7;

const PROTOCOL_NTPV4: u32 = 0;

/** AEAD_AES_SIV_CMAC_256 in IANA's registry of AEAD algorithms (RFC 5297). */
export const AEAD_SIV_CMAC_256: u32 = 15;

/** Bytes of an answer that are read before it is given up. */
const ANSWER_MAX_BYTES: u32 = 16_384;

/** Longest name in a server record that is accepted. */
export const SERVER_NAME_BYTES: u32 = 64;

// The body of the record being read.
const BODY: usize = memory.data(256, 4);

/** The server named for NTP, a text of at most 64 bytes; empty where NTP is served by the NTS-KE host. */
export const KE_SERVER: usize = memory.data(68, 4);

let error: u32 = KeError.None;
let detail: u32 = 0;
let total: u32 = 0;
let header: u32 = 0;
let headerBytes: u32 = 0;
let bodyBytes: u32 = 0;
let ended: bool = false;
let protocols: u32 = 0;
let aeads: u32 = 0;
let port: u32 = 0;
let servers: u32 = 0;

/** Begins a key establishment: forgets the last one and all cookies. */
export function keBegin(): void {
  cookiesClear();
  clear(KE_SERVER, 68);
  error = KeError.None;
  detail = 0;
  total = 0;
  headerBytes = 0;
  bodyBytes = 0;
  ended = false;
  protocols = 0;
  aeads = 0;
  port = 0;
  servers = 0;
}

/** Writes the request: NTPv4, the AEADs offered, End of Message. Returns its length. */
export function keRequest(target: usize): u32 {
  storeBe16(target, CRITICAL | TYPE_NEXT_PROTOCOL);
  storeBe16(target + 2, 2);
  storeBe16(target + 4, PROTOCOL_NTPV4);
  storeBe16(target + 6, CRITICAL | TYPE_AEAD);
  storeBe16(target + 8, 2);
  storeBe16(target + 10, AEAD_SIV_CMAC_256);
  storeBe16(target + 12, CRITICAL | TYPE_END);
  storeBe16(target + 14, 0);
  return 16;
}

/** The error found so far. */
export function keError(): u32 {
  return error;
}

/** What belongs to the error: a code, a type or a length, as `KeError` says. */
export function keErrorDetail(): u32 {
  return detail;
}

/** Whether the answer has come to its end. */
export function keEnded(): bool {
  return ended;
}

/** Port for NTP that the server named, 0 for the standard one. */
export function kePort(): u32 {
  return port;
}

/** AEAD chosen; valid once `keFinish` returned `KeError.None`. */
export function keAead(): u32 {
  return AEAD_SIV_CMAC_256;
}

function fail(code: u32, about: u32): void {
  if (error != KeError.None) return;
  error = code;
  detail = about;
}

/** Reads `length` further bytes of the answer. */
export function keRead(bytes: usize, length: u32): void {
  total += length;
  if (total > ANSWER_MAX_BYTES) fail(KeError.Timeout, total);
  for (let i: u32 = 0; i < length; i++) {
    if (error != KeError.None) return;
    readByte(load<u8>(bytes + i));
  }
}

/** The connection is closed, or the answer ended: the verdict on all of it. */
export function keFinish(): u32 {
  if (error != KeError.None) return error;
  if (!ended) fail(total == 0 ? KeError.Empty : KeError.Truncated, total);
  else if (protocols == 0) fail(KeError.NextProtocol, 0);
  else if (aeads == 0) fail(KeError.Aead, 0);
  else if (cookiesHeld() == 0) fail(KeError.NoCookies, 0);
  return error;
}

function readByte(byte: u32): void {
  if (ended) {
    fail(KeError.TrailingData, total);
    return;
  }
  if (headerBytes < 4) {
    header = (header << 8) | byte;
    headerBytes += 1;
    if (headerBytes < 4) return;
    beginRecord();
  } else {
    if (bodyBytes < COOKIE_MAX_BYTES) store<u8>(BODY + bodyBytes, <u8>byte);
    bodyBytes += 1;
  }
  if (error == KeError.None && bodyBytes == (header & 0xffff)) {
    endRecord();
    headerBytes = 0;
    bodyBytes = 0;
  }
}

/** Whether a type is one that RFC 8915 defines and this client therefore reads. */
function isKnown(type: u32): bool {
  return type <= TYPE_PORT;
}

// Refuses by the header alone what need not be waited for.
function beginRecord(): void {
  const critical = ((header >> 16) & CRITICAL) != 0;
  const type = (header >> 16) & 0x7fff;
  const length = header & 0xffff;
  if (!isKnown(type)) {
    if (critical) fail(KeError.UnknownCritical, type);
  } else if (type == TYPE_COOKIE) {
    if (length == 0 || length > COOKIE_MAX_BYTES) fail(KeError.CookieLength, length);
  } else if (type == TYPE_SERVER) {
    if (length == 0 || length > SERVER_NAME_BYTES) fail(KeError.ServerRecord, type);
  } else if (length > COOKIE_MAX_BYTES) {
    fail(KeError.Malformed, type);
  }
}

function endRecord(): void {
  const critical = ((header >> 16) & CRITICAL) != 0;
  const type = (header >> 16) & 0x7fff;
  const length = header & 0xffff;
  switch (type) {
    case TYPE_END:
      if (length != 0 || !critical) fail(KeError.EndOfMessage, length);
      else ended = true;
      break;
    case TYPE_NEXT_PROTOCOL:
      readNextProtocol(critical, length);
      break;
    case TYPE_ERROR:
      readError(length);
      break;
    case TYPE_WARNING:
      if (length != 2) fail(KeError.Malformed, type);
      else fail(KeError.Warning, loadBe16(BODY));
      break;
    case TYPE_AEAD:
      readAead(length);
      break;
    case TYPE_COOKIE:
      cookieAdd(BODY, length);
      break;
    case TYPE_SERVER:
      readServer(length);
      break;
    case TYPE_PORT:
      if (length != 2 || port != 0 || loadBe16(BODY) == 0) fail(KeError.ServerRecord, type);
      else port = loadBe16(BODY);
      break;
  }
}

// RFC 8915 4.1.2: once, critical, and of the protocols offered, which was NTPv4 alone.
function readNextProtocol(critical: bool, length: u32): void {
  protocols += 1;
  if (protocols > 1 || !critical || (length & 1) != 0) fail(KeError.NextProtocol, length);
  else if (length == 0) fail(KeError.NoNtpv4, 0);
  else if (length != 2 || loadBe16(BODY) != PROTOCOL_NTPV4) fail(KeError.NextProtocol, loadBe16(BODY));
}

// RFC 8915 4.1.3.
function readError(length: u32): void {
  if (length != 2) {
    fail(KeError.Malformed, TYPE_ERROR);
    return;
  }
  const code = loadBe16(BODY);
  if (code == 0) fail(KeError.PeerUnrecognizedCritical, code);
  else if (code == 1) fail(KeError.PeerBadRequest, code);
  else if (code == 2) fail(KeError.PeerInternal, code);
  else fail(KeError.PeerUnknown, code);
}

// RFC 8915 4.1.5: once; empty where the server has none of those offered; either critical bit.
function readAead(length: u32): void {
  aeads += 1;
  if (aeads > 1 || (length != 0 && length != 2)) fail(KeError.Aead, length);
  else if (length == 0) fail(KeError.NoCommonAead, 0);
  else if (loadBe16(BODY) != AEAD_SIV_CMAC_256) fail(KeError.AeadNotOffered, loadBe16(BODY));
}

// RFC 8915 4.1.7: an address or a name in ASCII, without white space or control characters.
function readServer(length: u32): void {
  servers += 1;
  if (servers > 1) {
    fail(KeError.ServerRecord, TYPE_SERVER);
    return;
  }
  for (let i: u32 = 0; i < length; i++) {
    const character = load<u8>(BODY + i);
    if (character <= 0x20 || character >= 0x7f) fail(KeError.ServerRecord, TYPE_SERVER);
  }
  store<u8>(KE_SERVER, <u8>length);
  copy(KE_SERVER + 1, BODY, length);
}
