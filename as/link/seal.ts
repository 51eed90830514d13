// The seal of a link: who may open a session, its keys, and the seals and tags of its frames.
//
//   link key          K = KDF(root key, "link", meter id), 16 bytes: the meter and its gateway have it (meter/keys.ts)
//   proof of a hello  KDF(K, "hello", frame from its header up to the proof), 16 bytes
//   session           the answer's frame from its header up to the proof holds session, both nonces, version and credits:
//     proof           KDF(K, "answer", that), 16 bytes
//     keys            KDF(K, "session", that): 32 bytes for seals, 16 for tags
//   sealed frame      AES-SIV-CMAC-256 (RFC 5297) of the payload, the header being the only associated data
//   tag of a message  the first bytes of AES(k, AES(k, B1) xor B2), where k is the key for tags:
//     B1              header up to the counter (8), length of the message (u32), its bytes 0 to 3
//     B2              its bytes 4 to 11, its last 8 bytes
//
// KDF is that of aead/kdf.ts. Readable messages are those of the time channel above 64 bytes: a datagram, which NTS seals from
// end to end, behind at most 12 bytes of header. So the tag covers the header and, by its end, which datagram it is about.
//
// What always holds:
// - A counter is used once in a session and direction, and the header says both: no two frames have the same associated data.
//   Both nonces are in the keys, so no two sessions have the same ones unless both ends say the same nonce again.
// - What does not hold under the session's keys changes nothing here but a count; nor does what came before.
// - The keys outlive no session; nothing that is made of them outlives a call.

import { clear, copy } from '../abi/bytes';
import { AEAD_CONTEXT, aeadWipe } from '../aead/aead';
import { AES_KEY_BYTES, aesEncrypt, aesEncryptSum, aesExpandKey } from '../aead/aes';
import { equalBytes } from '../aead/constant-time';
import { deriveKey } from '../aead/kdf';
import { CONTEXT, DIGEST } from '../aead/scratch';
import { sivAd, sivOpen, sivSeal, sivSetKey, sivStart } from '../aead/siv';
import { FrameField, FrameFlag, FrameKey, FrameSize } from './layout';
import { memoryOfGateway } from './memory';

/** The link key: of a meter with a sealed link, and at a gateway that of the meter that said hello. */
export const LINK_KEY: usize = memory.data(16, 4);

/** Keys of a session: for seals, for tags. */
const SEAL_KEY_BYTES: u32 = 32;
export const SESSION_KEYS_BYTES: u32 = SEAL_KEY_BYTES + AES_KEY_BYTES;
export const SESSION_KEYS: usize = memory.data(48, 4);

export const PROOF_BYTES: u32 = 16;

// The texts "hello", "answer", "session".
const LABELS: usize = memory.data<u8>(
  [0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x61, 0x6e, 0x73, 0x77, 0x65, 0x72, 0x73, 0x65, 0x73, 0x73, 0x69, 0x6f, 0x6e],
  4,
);

/** The last counter but a few: a session ends before one comes twice. */
const COUNTER_LAST: u32 = 0xffff_fff0;

let stands: bool = false;
let sentCounter: u32 = 0;
let receivedCounter: u32 = 0;
let pieceCounter: u32 = 0;
let forged: u32 = 0;
let replayed: u32 = 0;

/** Makes the proof of the hello that lies at `header`, `length` bytes of it. */
export function sealProveHello(header: usize, length: u32, target: usize): void {
  deriveKey(LINK_KEY, LABELS, 5, header, length, target, PROOF_BYTES);
}

/** That of an answer. */
export function sealProveAnswer(header: usize, length: u32, target: usize): void {
  deriveKey(LINK_KEY, LABELS + 5, 6, header, length, target, PROOF_BYTES);
}

/** Makes the keys of the session that an answer offers. */
export function sealDeriveSession(header: usize, length: u32, target: usize): void {
  deriveKey(LINK_KEY, LABELS + 11, 7, header, length, target, SESSION_KEYS_BYTES);
}

/** A session begins: sealed, under `SESSION_KEYS`, or open. */
export function sealBegin(sealed: bool): void {
  stands = sealed;
  sentCounter = 0;
  receivedCounter = 0;
  pieceCounter = 0;
}

/** It is over. */
export function sealEnd(): void {
  stands = false;
  clear(SESSION_KEYS, SESSION_KEYS_BYTES);
}

/** Whether the session is sealed. */
export function sealStands(): bool {
  return stands;
}

/** Whether no frame of the session may be sent any more. */
export function sealExhausted(): bool {
  return sentCounter >= COUNTER_LAST;
}

/** Takes note of a frame that has no seal, or none that holds. */
export function sealForged(): void {
  forged++;
}

/** Frames, since the start, without the seal that they should have. */
export function sealFramesForged(): u32 {
  return forged;
}

/** Frames that came before, or too late. */
export function sealFramesReplayed(): u32 {
  return replayed;
}

/** Whether a frame comes from the other end. */
function isFromPeer(header: usize): bool {
  return ((<u32>load<u8>(header, FrameField.Flags) & FrameFlag.Gateway) != 0) != memoryOfGateway();
}

/** Whether a frame's counter is above `last`; counts it where it is not. */
function isNew(header: usize, last: u32): bool {
  if (load<u32>(header, FrameField.Counter) > last) return true;
  replayed++;
  return false;
}

function useSeal(keys: usize, header: usize): void {
  sivSetKey(AEAD_CONTEXT, keys, SEAL_KEY_BYTES);
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, header, FrameField.Payload);
}

/** Seals the `length` bytes that lie behind the room for the tag. */
export function sealFrame(header: usize, length: u32): void {
  const tag = header + FrameField.Payload;
  useSeal(SESSION_KEYS, header);
  sivSeal(AEAD_CONTEXT, tag + FrameSize.SealBytes, length, tag);
  aeadWipe();
}

/**
 * Opens a sealed frame with a payload of `length` bytes, under the keys at `keys`. Returns the length of the text, at
 * least 1, which lies behind the tag; 0 where it does not hold.
 *
 * @param last counter of the newest frame before it
 */
function open(keys: usize, header: usize, length: u32, last: u32): u32 {
  if (length <= <u32>FrameSize.SealBytes || !isFromPeer(header)) {
    forged++;
    return 0;
  }
  if (!isNew(header, last)) return 0;
  const tag = header + FrameField.Payload;
  const textLength = length - FrameSize.SealBytes;
  useSeal(keys, header);
  const holds = sivOpen(AEAD_CONTEXT, tag + FrameSize.SealBytes, textLength, tag);
  aeadWipe();
  if (holds) return textLength;
  forged++;
  return 0;
}

/** Opens a sealed frame of the session. */
export function sealOpen(header: usize, length: u32): u32 {
  const textLength = open(SESSION_KEYS, header, length, receivedCounter);
  if (textLength != 0) receivedCounter = load<u32>(header, FrameField.Counter);
  return textLength;
}

/** Opens the first frame of a session that was offered with the keys at `keys`; where it holds, the session is to begin. */
export function sealOpenFirst(keys: usize, header: usize, length: u32): u32 {
  return open(keys, header, length, 0);
}

/** That session began with this frame. */
export function sealTaken(header: usize): void {
  receivedCounter = load<u32>(header, FrameField.Counter);
}

/** Bytes of the tag of a readable message. */
export function sealTagBytes(fromGateway: bool): u32 {
  return fromGateway ? FrameSize.GatewayTagBytes : FrameSize.MeterTagBytes;
}

// The whole tag, at DIGEST.
function makeTag(header: usize, message: usize, length: u32): void {
  aesExpandKey(CONTEXT, SESSION_KEYS + SEAL_KEY_BYTES, AES_KEY_BYTES);
  store<u64>(DIGEST, load<u64>(header));
  store<u32>(DIGEST, length, 8);
  store<u32>(DIGEST, load<u32>(message), 12);
  store<u64>(DIGEST, load<u64>(message, 4), 16);
  store<u64>(DIGEST, load<u64>(message + length - 8), 24);
  aesEncrypt(CONTEXT, DIGEST, DIGEST);
  aesEncryptSum(CONTEXT, DIGEST, DIGEST + 16, DIGEST);
  clear(CONTEXT, 200);
}

/** Writes the tag of a message of more than 64 bytes, whose last frame has its header at `header`; returns its length. */
export function sealTag(header: usize, message: usize, length: u32, target: usize): u32 {
  const tagBytes = sealTagBytes(memoryOfGateway());
  makeTag(header, message, length);
  copy(target, DIGEST, tagBytes);
  return tagBytes;
}

/** Whether a frame that is part of a readable message may be looked at: no more than that can be said before its last one came. */
export function sealPiece(header: usize): bool {
  if (!isFromPeer(header)) {
    forged++;
    return false;
  }
  const first = (<u32>load<u8>(header, FrameField.Flags) & FrameFlag.First) != 0;
  if (!isNew(header, first ? receivedCounter : max(receivedCounter, pieceCounter))) return false;
  pieceCounter = load<u32>(header, FrameField.Counter);
  return true;
}

/** Whether the tag of a message holds that is complete with the frame at `header`. */
export function sealTagHolds(header: usize, message: usize, length: u32, tag: usize): bool {
  makeTag(header, message, length);
  if (!equalBytes(DIGEST, tag, sealTagBytes(!memoryOfGateway()))) {
    forged++;
    return false;
  }
  receivedCounter = load<u32>(header, FrameField.Counter);
  return true;
}

/** Writes key id and counter of the next frame of the session. */
export function sealHeader(header: usize, key: u32): void {
  const flags: u32 = load<u8>(header, FrameField.Flags);
  store<u8>(header, memoryOfGateway() ? flags | FrameFlag.Gateway : flags, FrameField.Flags);
  store<u8>(header, key, FrameField.KeyId);
  store<u32>(header, ++sentCounter, FrameField.Counter);
}

/** Whether a frame is sealed, and not part of a readable message. */
export function isSealed(header: usize): bool {
  return <u32>load<u8>(header, FrameField.KeyId) == FrameKey.Sealed;
}
