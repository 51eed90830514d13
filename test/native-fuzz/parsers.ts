// @ts-nocheck AssemblyScript, checked by its own compiler when the fuzzers are built.
// The core for native fuzzing: all of as/index.ts, and its parsers one by one. The only place that knows their names, so
// what changes in as/ is followed here.
// What always holds: nothing here parses or decides; each function is one call into the core, or the honest other end
// of one: a server's seal, the meter's own storage.

import { copy } from '../../as/abi/bytes';
import {
  AEAD_CONTEXT,
  aeadNonceBytes,
  aeadOpen,
  aeadSeal,
  aeadSetKey,
  aeadTextOffset,
  aeadWipe,
} from '../../as/aead/aead';
import { sivAd, sivSeal, sivStart } from '../../as/aead/siv';
import { clockBoundNs, clockStatus, clockUtc } from '../../as/clock/clock';
import { meterUseStorageKey } from '../../as/meter/keys';
import { settingsRead, settingsServer, settingsServers } from '../../as/meter/settings';
import { RECORD_BYTES } from '../../as/meter/state';
import {
  cookieAdd,
  cookieBytes,
  cookiesHeld,
  cookiesKeepNew,
  cookiesKeepOld,
  cookiesRenew,
} from '../../as/nts/cookies';
import { exchangeAead, exchangeAnswer, exchangeOpen, exchangeRequest, exchangeSetKeys } from '../../as/nts/exchange';
import {
  KE_SERVER,
  keAead,
  keBegin,
  keContextAead,
  keEnded,
  keFinish,
  kePort,
  keRead,
} from '../../as/nts/key-establishment';

export * from '../../as/index';

// Number, source and part of what is sealed for the storage.
const LABEL: usize = memory.data(8, 4);

// ---------------------------------------------------------------- NTS-KE

/** Begins for a source with `old` cookies at `cookie`, of `bytes` bytes; `count` AEADs at `aeads` are offered. */
export function fuzzKeBegin(source: u32, aeads: usize, count: u32, old: u32, cookie: usize, bytes: u32): void {
  keBegin(source, aeads, count);
  for (let i: u32 = 0; i < old; i++) cookieAdd(source, cookie, bytes);
  cookiesRenew(source);
}

/** What an answer brought counts, or goes. */
export function fuzzKeKeep(source: u32, counts: bool): void {
  if (counts) cookiesKeepNew(source);
  else cookiesKeepOld(source);
}

export function fuzzKeRead(at: usize, length: u32): void {
  keRead(at, length);
}

/** The verdict: `KeError`. */
export function fuzzKeFinish(): u32 {
  return keFinish();
}

export function fuzzKeEnded(): bool {
  return keEnded();
}

/** What an answer gave, as one number. */
export function fuzzKeFacts(): u32 {
  return (kePort() << 16) | ((<u32>load<u8>(KE_SERVER)) << 8) | keAead();
}

/** The AEAD chosen, and the one that the exporter's context names. */
export function fuzzKeAead(): u32 {
  return keAead();
}
export function fuzzKeContextAead(): u32 {
  return keContextAead();
}

export function fuzzCookiesHeld(source: u32): u32 {
  return cookiesHeld(source);
}

/** Length of the oldest cookie. */
export function fuzzCookieBytes(source: u32): u32 {
  return cookieBytes(source);
}

// ---------------------------------------------------------------- NTP

/**
 * Takes the keys of an association (`keys`: as as/nts/exchange.ts lays them out; `other`: with those of the other
 * exporter context) and eight cookies of `bytes` bytes.
 */
export function fuzzExchangeBegin(source: u32, aead: u32, keys: usize, other: bool, cookie: usize, bytes: u32): void {
  exchangeSetKeys(source, aead, keys, other);
  for (let i = 0; i < 8; i++) cookieAdd(source, cookie, bytes);
}

/** Builds a request; its length. */
export function fuzzExchangeRequest(source: u32, target: usize, random: usize): u32 {
  return exchangeRequest(source, target, random);
}

/** Reads an answer: `Reject`. */
export function fuzzExchangeAnswer(source: u32, packet: usize, length: u32, pivotUnixSeconds: i64): u32 {
  return exchangeAnswer(source, packet, length, pivotUnixSeconds);
}

/** Whether the request still waits for its answer. */
export function fuzzExchangeOpen(source: u32): bool {
  return exchangeOpen(source);
}

/** AEAD of a source's keys, 0 without. */
export function fuzzExchangeAead(source: u32): u32 {
  return exchangeAead(source);
}

// ---------------------------------------------------------------- AEAD

/** Bytes of the nonce in a request. */
export function fuzzAeadNonceBytes(algorithm: u32): u32 {
  return aeadNonceBytes(algorithm);
}

/** Where a sealed text has its plaintext. */
export function fuzzAeadTextOffset(algorithm: u32): u32 {
  return aeadTextOffset(algorithm);
}

/** Seals as a server does, with its key at `key`. */
export function fuzzAeadSeal(
  algorithm: u32,
  key: usize,
  data: usize,
  dataBytes: u32,
  nonce: usize,
  nonceBytes: u32,
  sealed: usize,
  textBytes: u32,
): void {
  aeadSetKey(algorithm, key);
  aeadSeal(data, dataBytes, nonce, nonceBytes, sealed, textBytes);
  aeadWipe();
}

/** Opens what was sealed, or not. */
export function fuzzAeadOpen(
  algorithm: u32,
  key: usize,
  data: usize,
  dataBytes: u32,
  nonce: usize,
  nonceBytes: u32,
  sealed: usize,
  sealedBytes: u32,
): bool {
  aeadSetKey(algorithm, key);
  const right = aeadOpen(data, dataBytes, nonce, nonceBytes, sealed, sealedBytes);
  aeadWipe();
  return right;
}

// ---------------------------------------------------------------- storage

/** Reads a settings block: `SettingsError`. */
export function fuzzSettingsRead(at: usize, length: u32): u32 {
  return settingsRead(at, length);
}

export function fuzzSettingsServers(): u32 {
  return settingsServers();
}

/** Seals a state slot (as/meter/state.ts) with the key that follows from the settings in force. */
export function fuzzSealState(slot: usize): void {
  meterUseStorageKey();
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, slot, 4);
  sivSeal(AEAD_CONTEXT, slot + 20, RECORD_BYTES, slot + 4);
  aeadWipe();
}

/** Seals a part of a source's reserve (as/meter/reserve.ts), whose number is there already. */
export function fuzzSealPart(data: usize, source: u32, part: u32): void {
  copy(LABEL, data, 4);
  store<u16>(LABEL, <u16>source, 4);
  store<u16>(LABEL, <u16>part, 6);
  meterUseStorageKey();
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, LABEL, 8);
  const server = settingsServer(load<u32>(data) & 3);
  sivAd(AEAD_CONTEXT, server, 3 + load<u8>(server, 2));
  sivSeal(AEAD_CONTEXT, data + 20, 260, data + 4);
  aeadWipe();
}

// ---------------------------------------------------------------- clock

/** `ClockStatus`. */
export function fuzzClockStatus(): u32 {
  return clockStatus();
}

/** UTC at a local time, ns. */
export function fuzzClockUtc(local: i64): i64 {
  return clockUtc(local);
}

/** Bound at a local time, ns. */
export function fuzzClockBound(local: i64): i64 {
  return clockBoundNs(local);
}
