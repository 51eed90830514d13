// The messages with which a meter asks its gateway for connections, keys and sockets.
// What always holds: none is longer than `REQUEST_MAX_BYTES` of the link; nothing in them is secret.

import { copy } from '../abi/bytes';
import { Message, TlsOpenField, TlsOpenFlag } from '../abi/codes';

// "ntske/1" (RFC 8915 4) and the exporter's label (RFC 8915 5.1), as texts.
const PROTOCOL: usize = memory.data<u8>([7, 0x6e, 0x74, 0x73, 0x6b, 0x65, 0x2f, 0x31], 4);
const LABEL: usize = memory.data<u8>(
  [
    30, 0x45, 0x58, 0x50, 0x4f, 0x52, 0x54, 0x45, 0x52, 0x2d, 0x6e, 0x65, 0x74, 0x77, 0x6f, 0x72, 0x6b, 0x2d, 0x74,
    0x69, 0x6d, 0x65, 0x2d, 0x73, 0x65, 0x63, 0x75, 0x72, 0x69, 0x74, 0x79,
  ],
  4,
);

const CONTEXT_BYTES: u32 = 5;

// Copies a text; returns its bytes with the length byte.
function put(target: usize, text: usize): u32 {
  const length: u32 = 1 + load<u8>(text);
  copy(target, text, length);
  return length;
}

/** Whether the text at `chosen`, in `length` bytes, is the protocol of NTS-KE. */
export function isProtocol(chosen: usize, length: u32): bool {
  const wanted: u32 = 1 + load<u8>(PROTOCOL);
  if (length < wanted) return false;
  let same = true;
  for (let i: u32 = 0; i < wanted; i++) same = same && load<u8>(chosen + i) == load<u8>(PROTOCOL + i);
  return same;
}

/** A message of its type and the id of a connection or socket. */
export function requestById(target: usize, type: u32, id: u32): u32 {
  store<u8>(target, <u8>type);
  store<u8>(target, <u8>id, 1);
  return 2;
}

/** `Message.TlsOpen`: certificates valid at `validAt` (Unix seconds), or their dates unchecked. */
export function requestConnection(
  target: usize,
  id: u32,
  datesUnchecked: bool,
  validAt: i64,
  port: u32,
  host: usize,
): u32 {
  requestById(target, Message.TlsOpen, id);
  store<u8>(target, <u8>(datesUnchecked ? TlsOpenFlag.DatesNotChecked : 0), TlsOpenField.Flags);
  store<i64>(target, validAt, TlsOpenField.ValidAt);
  store<u16>(target, <u16>port, TlsOpenField.Port);
  const texts = target + TlsOpenField.Texts;
  const protocolBytes = put(texts, PROTOCOL);
  return TlsOpenField.Texts + protocolBytes + put(texts + protocolBytes, host);
}

/**
 * `Message.TlsExport` with the context of RFC 8915 5.1.
 *
 * @param tag tells the answers apart
 * @param bytes of the key
 * @param aead that the context names
 * @param direction 0 client to server, 1 server to client
 */
export function requestKey(target: usize, id: u32, tag: u32, bytes: u32, aead: u32, direction: u32): u32 {
  requestById(target, Message.TlsExport, id);
  store<u8>(target, <u8>tag, 2);
  store<u8>(target, <u8>bytes, 3);
  const context = 4 + put(target + 4, LABEL);
  // Protocol u16 (NTPv4 is 0), AEAD u16, direction u8.
  store<u8>(target + context, <u8>CONTEXT_BYTES);
  store<u16>(target + context, 0, 1);
  store<u16>(target + context, bswap<u16>(<u16>aead), 3);
  store<u8>(target + context, <u8>direction, 5);
  return context + 1 + CONTEXT_BYTES;
}

/** `Message.UdpOpen`. */
export function requestSocket(target: usize, id: u32, attempt: u32, port: u32, host: usize): u32 {
  requestById(target, Message.UdpOpen, id);
  store<u8>(target, <u8>attempt, 2);
  store<u16>(target, <u16>port, 3);
  return 5 + put(target + 5, host);
}
