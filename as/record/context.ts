// What holds for all records until the next context (`ContextField`): made anew each time, in parts that fit into entries,
// as the whole of it is nowhere in memory.
// What always holds: the root key is not in any hash; a part is written from what is known when it is asked for, so the
// hash of the whole has to be asked again behind the last part (`append.ts` does); a public key that was recalled serves only
// where the hash with it is that of the last context, which the mark has: none is written with it.

import { clear, copy } from '../abi/bytes';
import {
  CalibrationField,
  ContextField,
  ContextPartField,
  Format,
  SettingsField,
  SettingsTag,
  StartField,
} from '../abi/codes';
import { equalBytes } from '../aead/constant-time';
import { reportFacts, reportNames } from '../meter/report';
import {
  METER_ID,
  settingsCalibration,
  settingsRegister,
  settingsRegisters,
  settingsServerName,
  settingsServers,
} from '../meter/settings';
import { certificateAt } from '../meter/source';
import { SIGN_KEY_BYTES, signPublicKey } from '../sign/ed25519';
import { sha512Start, sha512Update } from '../sign/sha512';
import { HASH_BYTES, hashEnd, hashOf } from './chain';

const VERSION: u32 = 1;
const REGISTER_BYTES: u32 = 8;
const SERVERS_NAMED: u32 = 4;
const FINGERPRINT_BYTES: u32 = 32;

const SETTINGS_HASH: usize = TARIFF == 0 ? 0 : memory.data(32, 4);
const PROGRAM_HASH: usize = TARIFF == 0 ? 0 : memory.data(32, 4);
/** The public key: of an earlier context, until the meter has made it. */
const PUBLIC_KEY: usize = TARIFF == 0 ? 0 : memory.data(32, 4);
const NUMBER: usize = TARIFF == 0 ? 0 : memory.data(8, 8);

/** First part with something that is recalled, the public key and the fingerprints, and how many are read for it. */
export const RECALL_PART: u32 = ContextField.PublicKey / ContextPartField.PartBytes;
export const RECALL_PARTS: u32 = 3;

/** Takes the hash of the settings block, of which all counts but the value of the root key and the checksum over it. */
export function contextSettings(block: usize): void {
  if (TARIFF == 0) return;
  const end = block + SettingsField.Items + load<u16>(block, SettingsField.ItemsBytes);
  sha512Start();
  sha512Update(block, SettingsField.Items);
  for (let item = block + SettingsField.Items; item < end; ) {
    const bytes: u32 = 2 + load<u8>(item, 1);
    sha512Update(item, load<u8>(item) == <u8>SettingsTag.RootKey ? 2 : bytes);
    item += bytes;
  }
  hashEnd(SETTINGS_HASH, HASH_BYTES);
}

/** The first bytes of it. */
export function contextSettingsHash(): usize {
  return SETTINGS_HASH;
}

/** The first `length` bytes of SHA-512 of core and image, to `to`. */
export function contextSoftwareHash(to: usize, length: u32): void {
  hashOf(reportFacts() + StartField.CoreSha256, 2 * HASH_BYTES, to, length);
}

/** The program in force, of which what people wrote counts (`bytes` at `at`), and its name, a text that stays where it is. */
export function contextProgram(at: usize, bytes: u32, name: usize): void {
  if (TARIFF == 0) return;
  hashOf(at, bytes, PROGRAM_HASH, HASH_BYTES);
  programName = name;
}

/** The name that was in force with that hash: while another program is loaded, its name is not this one's yet. */
let programName: usize = 0;

/** A server's certificate is known, and at `certificateAt`. */
export function contextFingerprint(server: u32): void {
  if (TARIFF == 0) return;
  told |= 1 << server;
}

/** Servers whose certificates were told since the start: bits. */
let told: u32 = 0;

/**
 * Takes what a part of the last context has of the public key, where that is not made yet, and of certificates of servers that
 * were not told yet.
 */
export function contextRecall(part: usize): void {
  const from: u32 = load<u8>(part, ContextPartField.Index) * <u32>ContextPartField.PartBytes;
  for (let i: u32 = 0; i < <u32>ContextPartField.PartBytes; i++) {
    const byte: u8 = load<u8>(part + ContextPartField.Part + i);
    const ofKey = from + i - <u32>ContextField.PublicKey;
    if (ofKey < SIGN_KEY_BYTES && !keyMade) store<u8>(PUBLIC_KEY + ofKey, byte);
    const at = from + i - <u32>ContextField.Fingerprints;
    if (at >= SERVERS_NAMED * FINGERPRINT_BYTES || (told & (1 << (at / FINGERPRINT_BYTES))) != 0) continue;
    store<u8>(certificateAt(at / FINGERPRINT_BYTES) + (at % FINGERPRINT_BYTES), byte);
  }
}

/** Whether the meter has made its public key: before that, no context is written. */
export function contextKeyMade(): bool {
  return keyMade;
}

/** The meter has made its public key; whether it is the one that was recalled. */
export function contextKey(): bool {
  const right = equalBytes(PUBLIC_KEY, signPublicKey(), SIGN_KEY_BYTES);
  copy(PUBLIC_KEY, signPublicKey(), SIGN_KEY_BYTES);
  keyMade = true;
  return right;
}

let keyMade: bool = false;

// ---------------------------------------------------------------- the writer

/** Where what falls into the part goes; 0: all is hashed, or counted only. */
let target: usize = 0;
let hashing: bool = false;
/** Offset of the part, and of what is put next. */
let from: u32 = 0;
let at: u32 = 0;

function put(source: usize, length: u32): void {
  if (hashing) sha512Update(source, length);
  else if (target != 0) {
    for (let i: u32 = 0; i < length; i++) {
      const place = at + i - from;
      if (place < <u32>ContextPartField.PartBytes) store<u8>(target + place, load<u8>(source + i));
    }
  }
  at += length;
}

function putNumber(value: u64, bytes: u32): void {
  store<u64>(NUMBER, value);
  put(NUMBER, bytes);
}

function putText(text: usize): void {
  put(text, 1 + load<u8>(text));
}

// Up to this offset there are zeros.
function putZeros(to: u32): void {
  while (at < to) putNumber(0, 1);
}

function putAll(length: u32): void {
  at = 0;
  putNumber(length, 2);
  putNumber(VERSION, 1);
  putNumber(settingsRegisters(), 1);
  putNumber(settingsServers(), 1);
  putZeros(ContextField.CalibrationUncertaintyPpb);
  const calibration = settingsCalibration();
  if (calibration != 0) {
    put(calibration + CalibrationField.UncertaintyPpb, 4);
    putZeros(ContextField.CalibratedAt);
    put(calibration + CalibrationField.At, 16);
  }
  putZeros(ContextField.CoreSha256);
  put(reportFacts() + StartField.CoreSha256, 32);
  put(reportFacts() + StartField.ImageSha256, 32);
  put(SETTINGS_HASH, HASH_BYTES);
  put(PROGRAM_HASH, HASH_BYTES);
  put(PUBLIC_KEY, SIGN_KEY_BYTES);
  for (let i: u32 = 0; i < settingsRegisters(); i++) put(settingsRegister(i), REGISTER_BYTES);
  putZeros(ContextField.Fingerprints);
  for (let i: u32 = 0; i < SERVERS_NAMED; i++) put(certificateAt(i), FINGERPRINT_BYTES);
  putText(METER_ID);
  putText(reportNames());
  putText(reportNames() + 1 + load<u8>(reportNames()));
  if (calibration != 0) putText(calibration + CalibrationField.Id);
  else putNumber(0, 1);
  if (programName != 0) putText(programName);
  else putNumber(0, 1);
  for (let i: u32 = 0; i < settingsServers(); i++) putText(settingsServerName(i));
}

/** Bytes of the whole. */
function contextBytes(): u32 {
  hashing = false;
  target = 0;
  putAll(0);
  return at;
}

function partsOf(length: u32): u32 {
  return (length + <u32>ContextPartField.PartBytes - 1) / <u32>ContextPartField.PartBytes;
}

/** How many parts there are. */
export function contextParts(): u32 {
  return partsOf(contextBytes());
}

/** The first 16 bytes of SHA-512 of the whole, to `to`. */
export function contextHash(to: usize): void {
  const length = contextBytes();
  sha512Start();
  hashing = true;
  putAll(length);
  hashing = false;
  hashEnd(to, 16);
}

/** The body of an entry with a part. */
export function contextPart(part: u32, body: usize): void {
  const length = contextBytes();
  store<u8>(body, Format.Context);
  store<u8>(body, <u8>part, ContextPartField.Index);
  store<u8>(body, <u8>partsOf(length), ContextPartField.Count);
  clear(body + ContextPartField.Part, ContextPartField.PartBytes);
  target = body + ContextPartField.Part;
  from = part * <u32>ContextPartField.PartBytes;
  putAll(length);
  target = 0;
}
