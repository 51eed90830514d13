// Signatures with Ed25519 (RFC 8032 5.1), made in slices, so that nothing else of the meter waits for long.
//
// What always holds:
// - A slice takes at most 60,000 instructions on a Cortex-M3, and as many whatever seed and message are.
// - The seed stays here; all else that is secret is erased when a key or a signature is done.
// - A message that changes while it is signed gives no signature but a trap: two signatures with one nonce would give
//   the key away. So the nonce is made twice, before and after the message goes into the challenge.
//
//   key        1  SHA-512 of the seed gives scalar s and prefix (5.1.5)
//              2  A = s·B, encoded: the public key
//   signature  1  r = SHA-512(prefix, message) modulo L (5.1.6)
//              2  R = r·B, encoded: the first half of the signature
//              3  k = SHA-512(R, A, message) modulo L
//              4  S = r + k·s modulo L: the second half

import { copyBytes } from '../aead/block';
import { equalBytes, wipe } from '../aead/constant-time';
import { INVERT_STEPS, invertStart, invertStep, POINT_STEPS, pointEncode, pointStart, pointStep } from './point';
import { SCALAR_BYTES, scalarAnswer, scalarFromHash } from './scalar';
import { SHA512_BYTES, sha512Finish, sha512Start, sha512Update } from './sha512';
import { CHALLENGE, HASH, SEED_HASH, wipeWork } from './work';

/** Size of a seed, a public key, and of each half of a signature. */
export const SIGN_KEY_BYTES: u32 = 32;

/** Size of a signature. */
export const SIGNATURE_BYTES: u32 = 64;

/** The longest message that can be signed. */
export const SIGN_MESSAGE_MAX_BYTES: u32 = 256;

// What comes next.
enum Stage {
  None = 0,
  KeyHash = 1,
  SeedHash = 2,
  NonceHash = 3,
  Nonce = 4,
  Multiply = 5,
  Invert = 6,
  Encode = 7,
  ChallengeHash = 8,
  Challenge = 9,
  SeedHashAgain = 10,
  NonceHashAgain = 11,
  NonceCheck = 12,
  Answer = 13,
}

const SEED: usize = TARIFF == 0 ? 0 : memory.data(164, 4);
const PUBLIC_KEY: usize = SEED + SIGN_KEY_BYTES;
const SIGNATURE: usize = PUBLIC_KEY + SIGN_KEY_BYTES;
// Of the point that is made: s of a key, r of a signature.
const SCALAR: usize = SIGNATURE + SIGNATURE_BYTES;

let stage: u32 = Stage.None;
let step: u32 = 0;
let keyKnown: bool = false;
let messageAt: usize = 0;
let messageBytes: u32 = 0;

/** Begins to make the public key of a seed (32 bytes, copied). What was under way is dropped. */
export function signKeyBegin(seed: usize): void {
  if (TARIFF == 0) return;
  copyBytes(SEED, seed, SIGN_KEY_BYTES);
  keyKnown = false;
  begin(Stage.KeyHash);
}

/**
 * Begins to sign a message under the last public key, which must be done. What was under way is dropped.
 *
 * @param message stays as it is until the signature is done
 * @param length at most SIGN_MESSAGE_MAX_BYTES
 */
export function signBegin(message: usize, length: u32): void {
  if (TARIFF == 0) return;
  if (!keyKnown || length > SIGN_MESSAGE_MAX_BYTES) unreachable();
  messageAt = message;
  messageBytes = length;
  begin(Stage.SeedHash);
}

/** Does one slice of what was begun; true when it is done, or nothing was. */
export function signStep(): bool {
  if (TARIFF == 0) return true;
  switch (stage) {
    case Stage.None:
      break;
    case Stage.KeyHash:
      hashSeed();
      copyBytes(SCALAR, SEED_HASH, SIGN_KEY_BYTES);
      beginPoint();
      break;
    case Stage.SeedHash:
    case Stage.SeedHashAgain:
      hashSeed();
      stage++;
      break;
    case Stage.NonceHash:
    case Stage.NonceHashAgain:
      sha512Start();
      sha512Update(SEED_HASH + SIGN_KEY_BYTES, SHA512_BYTES - SIGN_KEY_BYTES);
      hashMessage();
      break;
    case Stage.Nonce:
      scalarFromHash(SCALAR);
      beginPoint();
      break;
    case Stage.Multiply:
      pointStep(SCALAR, step++);
      if (step == POINT_STEPS) {
        invertStart();
        step = 0;
        stage++;
      }
      break;
    case Stage.Invert:
      invertStep(step++);
      if (step == INVERT_STEPS) stage++;
      break;
    case Stage.Encode:
      encode();
      break;
    case Stage.ChallengeHash:
      sha512Start();
      sha512Update(SIGNATURE, SIGN_KEY_BYTES);
      sha512Update(PUBLIC_KEY, SIGN_KEY_BYTES);
      hashMessage();
      break;
    case Stage.Challenge:
      scalarFromHash(CHALLENGE);
      stage++;
      break;
    case Stage.NonceCheck:
      scalarFromHash(HASH);
      if (!equalBytes(HASH, SCALAR, SIGN_KEY_BYTES)) unreachable();
      stage++;
      break;
    case Stage.Answer:
      wipe(SEED_HASH + SIGN_KEY_BYTES, SHA512_BYTES - SIGN_KEY_BYTES);
      scalarAnswer(HASH, SCALAR);
      copyBytes(SIGNATURE + SIGN_KEY_BYTES, HASH, SIGN_KEY_BYTES);
      begin(Stage.None);
      break;
  }
  return stage == Stage.None;
}

/** Whether something is under way. */
export function signBusy(): bool {
  if (TARIFF == 0) return false;
  return stage != Stage.None;
}

/** Where the public key is once it is done: SIGN_KEY_BYTES. */
export function signPublicKey(): usize {
  if (TARIFF == 0) return 0;
  return PUBLIC_KEY;
}

/** Where the last signature is once it is done: SIGNATURE_BYTES. */
export function signSignature(): usize {
  if (TARIFF == 0) return 0;
  return SIGNATURE;
}

// Erases what is left of what was before.
function begin(next: u32): void {
  wipe(SCALAR, SCALAR_BYTES);
  wipeWork();
  stage = next;
}

// SHA-512 of the seed, its first half made the scalar s (5.1.5).
function hashSeed(): void {
  sha512Start();
  sha512Update(SEED, SIGN_KEY_BYTES);
  sha512Finish(SEED_HASH);
  store<u8>(SEED_HASH, load<u8>(SEED_HASH) & 0xf8);
  store<u8>(SEED_HASH, (load<u8>(SEED_HASH, 31) & 0x7f) | 0x40, 31);
}

function hashMessage(): void {
  sha512Update(messageAt, messageBytes);
  sha512Finish(HASH);
  stage++;
}

function beginPoint(): void {
  pointStart();
  step = 0;
  stage = Stage.Multiply;
}

function encode(): void {
  if (keyKnown) {
    pointEncode(SIGNATURE);
    wipeWork();
    stage++;
  } else {
    pointEncode(PUBLIC_KEY);
    keyKnown = true;
    begin(Stage.None);
  }
}
