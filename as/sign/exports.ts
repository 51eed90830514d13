// What known-answer tests in node reach of hash and signature; the names begin with `test`, firmware links none of them.
// What always holds: in a core without records, or where no software can be replaced, they do nothing.

import { copyBytes } from '../aead/block';
import { signBegin, signBusy, signKeyBegin, signPublicKey, signSignature, signStep } from './ed25519';
import { fieldAdd, fieldEncode, fieldMultiply, fieldSubtract } from './field';
import { scalarAnswer, scalarFromHash } from './scalar';
import { sha512Finish, sha512Start, sha512Update } from './sha512';
import { verifyBegin, verifyHolds, verifyStep } from './verify';
import { CHALLENGE, HASH, SEED_HASH, wipeWork } from './work';

export function testSha512Start(): void {
  if (TARIFF == 0) return;
  sha512Start();
}

export function testSha512Update(at: usize, length: u32): void {
  if (TARIFF == 0) return;
  sha512Update(at, length);
}

export function testSha512Finish(to: usize): void {
  if (TARIFF == 0) return;
  sha512Finish(to);
}

export function testSignKeyBegin(seed: usize): void {
  if (TARIFF == 0) return;
  signKeyBegin(seed);
}

export function testSignBegin(message: usize, length: u32): void {
  if (TARIFF == 0) return;
  signBegin(message, length);
}

export function testSignStep(): bool {
  if (TARIFF == 0) return true;
  return signStep();
}

export function testSignBusy(): bool {
  if (TARIFF == 0) return false;
  return signBusy();
}

export function testSignPublicKey(): usize {
  if (TARIFF == 0) return 0;
  return signPublicKey();
}

export function testSignSignature(): usize {
  if (TARIFF == 0) return 0;
  return signSignature();
}

export function testFieldAdd(target: usize, x: usize, y: usize): void {
  if (TARIFF == 0) return;
  fieldAdd(target, x, y);
}

export function testFieldSubtract(target: usize, x: usize, y: usize): void {
  if (TARIFF == 0) return;
  fieldSubtract(target, x, y);
}

export function testFieldMultiply(target: usize, x: usize, y: usize): void {
  if (TARIFF == 0) return;
  fieldMultiply(target, x, y);
}

export function testFieldEncode(to: usize, x: usize): void {
  if (TARIFF == 0) return;
  fieldEncode(to, x);
}

/** scalar = hash (64 bytes) modulo the group order. */
export function testScalarFromHash(scalar: usize, hash: usize): void {
  if (TARIFF == 0) return;
  copyBytes(HASH, hash, 64);
  scalarFromHash(scalar);
  wipeWork();
}

/** scalar = k · s + r modulo the group order; all of 32 bytes, r with two zeros behind. */
export function testScalarAnswer(scalar: usize, k: usize, s: usize, r: usize): void {
  if (TARIFF == 0) return;
  copyBytes(CHALLENGE, k, 32);
  copyBytes(SEED_HASH, s, 32);
  scalarAnswer(scalar, r);
  wipeWork();
}

export function testVerifyBegin(key: usize, signature: usize, message: usize, length: u32): void {
  if (UPDATE == 0) return;
  verifyBegin(key, signature, message, length);
}

export function testVerifyStep(): bool {
  if (UPDATE == 0) return true;
  return verifyStep();
}

export function testVerifyHolds(): bool {
  if (UPDATE == 0) return false;
  return verifyHolds();
}
