// @ts-nocheck AssemblyScript, checked by its own compiler when the fuzzers are built.
// The core for native fuzzing: all of as/index.ts, and its parsers one by one. The only place that knows their names, so
// what changes in as/ is followed here.
// What always holds: nothing here parses or decides; each function is one call into the core, or the honest other end
// of one: a server's seal, the meter's own storage.

import {
  AEAD_CONTEXT,
  AEAD_SIV_CMAC_256,
  aeadOpen,
  aeadSeal,
  aeadSetKey,
  aeadTextOffset,
  aeadWipe,
} from '../../as/aead/aead';
import { sivAd, sivSeal, sivSetKey, sivStart } from '../../as/aead/siv';
import { clockBoundNs, clockStatus, clockUtc } from '../../as/clock/clock';
import { KeyPurpose, meterKey } from '../../as/meter/keys';
import { settingsRead, settingsServers } from '../../as/meter/settings';
import { cookieAdd, cookieBytes, cookiesHeld } from '../../as/nts/cookies';
import { exchangeAnswer, exchangeOpen, exchangeRequest, exchangeSetKeys } from '../../as/nts/exchange';
import { KE_SERVER, keBegin, keEnded, keFinish, kePort, keRead } from '../../as/nts/key-establishment';

export * from '../../as/index';

const STATE_KEY: usize = memory.data(32, 4);

// ---------------------------------------------------------------- NTS-KE

export function fuzzKeBegin(): void {
  keBegin();
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
  return (kePort() << 16) | ((<u32>load<u8>(KE_SERVER)) << 8) | cookiesHeld();
}

export function fuzzCookiesHeld(): u32 {
  return cookiesHeld();
}

/** Length of the oldest cookie. */
export function fuzzCookieBytes(): u32 {
  return cookieBytes();
}

// ---------------------------------------------------------------- NTP

/** Takes the keys of an association (`keys`: 32 bytes for each direction) and eight cookies of `bytes` bytes. */
export function fuzzExchangeBegin(keys: usize, cookie: usize, bytes: u32): void {
  exchangeSetKeys(keys, keys + 32);
  for (let i = 0; i < 8; i++) cookieAdd(cookie, bytes);
}

/** Builds a request; its length. */
export function fuzzExchangeRequest(target: usize, random: usize): u32 {
  return exchangeRequest(target, random);
}

/** Reads an answer: `Reject`. */
export function fuzzExchangeAnswer(packet: usize, length: u32, pivotUnixSeconds: i64): u32 {
  return exchangeAnswer(packet, length, pivotUnixSeconds);
}

/** Whether the request still waits for its answer. */
export function fuzzExchangeOpen(): bool {
  return exchangeOpen();
}

// ---------------------------------------------------------------- AEAD

/** The AEAD of the keys that `fuzzExchangeBegin` takes. */
export function fuzzExchangeAead(): u32 {
  return AEAD_SIV_CMAC_256;
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
  meterKey(KeyPurpose.Storage, STATE_KEY, 32);
  sivSetKey(AEAD_CONTEXT, STATE_KEY, 32);
  sivStart(AEAD_CONTEXT);
  sivAd(AEAD_CONTEXT, slot, 4);
  sivSeal(AEAD_CONTEXT, slot + 20, 40, slot + 4);
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
