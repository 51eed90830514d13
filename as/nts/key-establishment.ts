// NTS Key Establishment (RFC 8915 4): the request, and the answer read piece by piece, records in any order.
// What always holds: one answer at a time, for one server; nothing of it counts before its End of Message record has come
// and all of it was in order; a record is read into a buffer of 256 bytes, and a longer one is only skipped, when that is
// allowed. Once the answer has ended nothing is read there any more: it is free for the keys that follow (`keSpare`).
//
//   record   0  critical bit (high bit) | type 15 bits   u16, network order
//            2  length of the body                       u16, network order
//            4  body

import { clear, copy, loadBe16, storeBe16 } from '../abi/bytes';
import { KeError } from '../abi/codes';
import { AEAD_GCM_SIV_128, AEAD_SIV_CMAC_256 } from '../aead/aead';
import { COOKIE_MAX_BYTES, cookieAdd, cookiesNew } from './cookies';

const CRITICAL: u32 = 0x8000;
const TYPE_END: u32 = 0;
const TYPE_NEXT_PROTOCOL: u32 = 1;
const TYPE_ERROR: u32 = 2;
const TYPE_WARNING: u32 = 3;
const TYPE_AEAD: u32 = 4;
const TYPE_COOKIE: u32 = 5;
const TYPE_SERVER: u32 = 6;
const TYPE_PORT: u32 = 7;
/**
 * Asks for keys of AEAD 30 from an exporter context that names AEAD 30, and says that these are them; empty. Without it,
 * servers take the context of AEAD 15 (chrony, a record of its own).
 */
const TYPE_COMPLIANT_EXPORT: u32 = 1024;

const PROTOCOL_NTPV4: u32 = 0;

/** Bytes of an answer that are read before it is given up (RFC 8915 4). */
const ANSWER_MAX_BYTES: u32 = 65_536;

/** AEADs that a request can offer. */
export const AEADS_MAX: u32 = 4;

/** Longest name in a server record that is accepted. */
export const SERVER_NAME_BYTES: u32 = 64;

// The body of the record being read.
const BODY: usize = memory.data(256, 8);

/** The server named for NTP, a text of at most 64 bytes; empty where NTP is served by the NTS-KE host. */
export const KE_SERVER: usize = memory.data(68, 4);

// The AEADs offered, u8 each.
const OFFERED: usize = memory.data(4, 4);
let offered: u32 = 0;

let source: u32 = 0;
let aead: u32 = 0;
let compliant: bool = false;

let error: u32 = KeError.None;
let detail: u32 = 0;
let total: u32 = 0;
let header: u32 = 0;
let headerBytes: u32 = 0;
let bodyBytes: u32 = 0;
let ended: bool = false;
let protocols: u32 = 0;
let aeadRecords: u32 = 0;
let port: u32 = 0;
let servers: u32 = 0;

/**
 * Begins a key establishment: forgets the last one.
 *
 * @param forSource server whose jar takes the cookies
 * @param aeads AEADs to offer, u8 each, the preferred one first
 * @param count of them, 1 to AEADS_MAX
 */
export function keBegin(forSource: u32, aeads: usize, count: u32): void {
  source = forSource;
  offered = count;
  copy(OFFERED, aeads, count);
  aead = 0;
  compliant = false;
  clear(KE_SERVER, 68);
  error = KeError.None;
  detail = 0;
  total = 0;
  headerBytes = 0;
  bodyBytes = 0;
  ended = false;
  protocols = 0;
  aeadRecords = 0;
  port = 0;
  servers = 0;
}

/** Writes the request: NTPv4, the AEADs offered, for AEAD 30 its record, End of Message. Returns its length. */
export function keRequest(target: usize): u32 {
  let at = record(target, CRITICAL | TYPE_NEXT_PROTOCOL, 2);
  storeBe16(at - 2, PROTOCOL_NTPV4);
  at = record(at, CRITICAL | TYPE_AEAD, 2 * offered);
  for (let i: u32 = 0; i < offered; i++) storeBe16(at - 2 * (offered - i), load<u8>(OFFERED + i));
  if (isOffered(AEAD_GCM_SIV_128)) at = record(at, TYPE_COMPLIANT_EXPORT, 0);
  return <u32>(record(at, CRITICAL | TYPE_END, 0) - target);
}

// Writes a record's header; returns the place behind its body.
function record(at: usize, type: u32, length: u32): usize {
  storeBe16(at, type);
  storeBe16(at + 2, length);
  return at + 4 + length;
}

function isOffered(algorithm: u32): bool {
  for (let i: u32 = 0; i < offered; i++) {
    if (load<u8>(OFFERED + i) == algorithm) return true;
  }
  return false;
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

/** 256 bytes that are free from the end of an answer until the next key establishment begins. */
export function keSpare(): usize {
  return BODY;
}

/** Port for NTP that the server named, 0 for the standard one. */
export function kePort(): u32 {
  return port;
}

/** AEAD chosen; valid once `keFinish` returned `KeError.None`. */
export function keAead(): u32 {
  return aead;
}

/** AEAD that the exporter's context names (RFC 8915 5.1): the one chosen, but for AEAD 30 without its record. */
export function keContextAead(): u32 {
  return aead == AEAD_GCM_SIV_128 && !compliant ? AEAD_SIV_CMAC_256 : aead;
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
  else if (aeadRecords == 0) fail(KeError.Aead, 0);
  else if (cookiesNew(source) == 0) fail(KeError.NoCookies, 0);
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

/** Whether a type is one that RFC 8915 defines, or that was asked for. */
function isKnown(type: u32): bool {
  return type <= TYPE_PORT || (type == TYPE_COMPLIANT_EXPORT && isOffered(AEAD_GCM_SIV_128));
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
      cookieAdd(source, BODY, length);
      break;
    case TYPE_SERVER:
      readServer(length);
      break;
    case TYPE_PORT:
      if (length != 2 || port != 0 || loadBe16(BODY) == 0) fail(KeError.ServerRecord, type);
      else port = loadBe16(BODY);
      break;
    case TYPE_COMPLIANT_EXPORT:
      if (!isKnown(type)) break;
      if (length != 0) fail(KeError.Malformed, type);
      else compliant = true;
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
  aeadRecords += 1;
  if (aeadRecords > 1 || (length != 0 && length != 2)) fail(KeError.Aead, length);
  else if (length == 0) fail(KeError.NoCommonAead, 0);
  else if (!isOffered(loadBe16(BODY))) fail(KeError.AeadNotOffered, loadBe16(BODY));
  else aead = loadBe16(BODY);
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
