// Checks signatures with Ed25519 (RFC 8032 5.1.7) in slices, so that nothing else of the meter waits for long.
//
// What always holds:
// - A slice takes at most 60,000 instructions on a Cortex-M3.
// - Nothing here is secret: how long a check takes says what was checked.
// - The equation without the cofactor counts: R has to be the encoding of S·B - k·A, byte for byte. So it is canonical, and
//   this check and that of OpenSSL say the same. S is less than L. A key whose y is not less than p, that is no point of the
//   curve, or a point of small order, for which anybody could sign, has no valid signature.
// - All of it lies in the memory that the link lends (`datagramLend`): whoever begins a check has borrowed that, and makes
//   no signature meanwhile.
//
//   1  S less than L
//   2  k = SHA-512(R, A, message) modulo L
//   3  A is decoded (5.1.3): u = y² - 1, v = d·y² + 1, x = u·v³·(u·v⁷)^((p-5)/8), times a root of -1 where v·x² = -u
//   4  8·A is not the neutral element
//   5  S·B + k·(-A), bit by bit from the highest one, encoded: R
//
//   behind the work of work.ts
//     0  -A: y - x, y + x, 2·d·x·y   120
//   120  k                            36
//   156  public key                   32
//   188  signature: R, S              64
//   252  message                     256
//   508  what the caller keeps there

import { clear } from '../abi/bytes';
import { copyBytes } from '../aead/block';
import { equalBytes } from '../aead/constant-time';
import { DIGEST } from '../aead/scratch';
import { CURVE_D, CURVE_ROOT, curveTake } from './curve';
import { FIELD_BYTES, fieldAdd, fieldDecode, fieldEncode, fieldMultiply, fieldSubtract } from './field';
import {
  bitOf,
  INVERT_STEPS,
  invertStart,
  invertStep,
  pointAdd,
  pointDouble,
  pointEncode,
  pointStart,
  powerStep,
} from './point';
import { scalarFromHash } from './scalar';
import { sha512Finish, sha512Start, sha512Update } from './sha512';
import { BEHIND_WORK, HASH, POINT_T, POINT_X, POINT_Y, POINT_Z, VALUE_P, VALUE_Q, VALUE_R, wipeWork } from './work';

const KEY_BYTES: u32 = 32;
const SIGNATURE_BYTES: u32 = 64;

/** The longest message that can be checked. */
export const VERIFY_MESSAGE_MAX_BYTES: u32 = 256;

const NEGATIVE: usize = BEHIND_WORK;
const FACTOR: usize = BEHIND_WORK + 120;
const KEY: usize = BEHIND_WORK + 156;
const SIGNATURE: usize = BEHIND_WORK + 188;
const MESSAGE: usize = BEHIND_WORK + 252;

/** Behind all that is used here: 168 bytes, for what is done with the message. */
export const BEHIND_VERIFY: usize = BEHIND_WORK + 508;

/** Highest bit that a number less than L can have. */
const HIGHEST: u32 = 252;
/** (p - 5) / 8 = 2^252 - 3: bit 1 alone is 0. */
const ROOT_SECOND: u32 = 250;
const ROOT_ZEROS: u32 = 2;
const ROOT_STEPS: u32 = 63;
/** Small orders are 1, 2, 4 and 8. */
const ORDER_STEPS: u32 = 3;

// What comes next.
enum Check {
  None = 0,
  Range = 1,
  Hash = 2,
  Factor = 3,
  Decode = 4,
  Power = 5,
  Root = 6,
  Order = 7,
  Multiply = 8,
  Invert = 9,
  Compare = 10,
}

let check: u32 = Check.None;
let step: u32 = 0;
let messageBytes: u32 = 0;
let valid: bool = false;

/**
 * Begins to check a signature. What was under way is dropped.
 *
 * @param key 32 bytes, copied as all else
 * @param length at most VERIFY_MESSAGE_MAX_BYTES
 */
export function verifyBegin(key: usize, signature: usize, message: usize, length: u32): void {
  if (UPDATE == 0) return;
  if (length > VERIFY_MESSAGE_MAX_BYTES) unreachable();
  copyBytes(KEY, key, KEY_BYTES);
  copyBytes(SIGNATURE, signature, SIGNATURE_BYTES);
  copyBytes(MESSAGE, message, length);
  messageBytes = length;
  valid = false;
  next(Check.Range);
}

/** Where the message that was given lies. */
export function verifyMessage(): usize {
  return MESSAGE;
}

/** Whether a check is under way. */
export function verifyBusy(): bool {
  return UPDATE != 0 && check != Check.None;
}

/** Whether the last signature that was checked to the end holds. */
export function verifyHolds(): bool {
  return UPDATE != 0 && valid;
}

/** Does one slice of what was begun; true when it is done, or nothing was. */
export function verifyStep(): bool {
  if (UPDATE == 0) return true;
  switch (check) {
    case Check.Range:
      wipeWork();
      copyBytes(HASH, SIGNATURE + KEY_BYTES, KEY_BYTES);
      scalarFromHash(FACTOR);
      nextWhere(equalBytes(FACTOR, SIGNATURE + KEY_BYTES, KEY_BYTES));
      break;
    case Check.Hash:
      sha512Start();
      sha512Update(SIGNATURE, KEY_BYTES);
      sha512Update(KEY, KEY_BYTES);
      sha512Update(MESSAGE, messageBytes);
      sha512Finish(HASH);
      next(Check.Factor);
      break;
    case Check.Factor:
      scalarFromHash(FACTOR);
      next(Check.Decode);
      break;
    case Check.Decode:
      nextWhere(decode());
      break;
    case Check.Power:
      powerStep(step++, ROOT_SECOND, ROOT_ZEROS);
      if (step == ROOT_STEPS) next(Check.Root);
      break;
    case Check.Root:
      nextWhere(root());
      break;
    case Check.Order:
      pointDouble();
      step += 1;
      if (step == ORDER_STEPS) order();
      break;
    case Check.Multiply:
      multiply();
      break;
    case Check.Invert:
      invertStep(step++);
      if (step == INVERT_STEPS) next(Check.Compare);
      break;
    case Check.Compare:
      pointEncode(DIGEST);
      valid = equalBytes(DIGEST, SIGNATURE, KEY_BYTES);
      next(Check.None);
      break;
  }
  return check == Check.None;
}

function next(what: u32): void {
  check = what;
  step = 0;
}

function nextWhere(holds: bool): void {
  next(holds ? check + 1 : <u32>Check.None);
}

function isZeroAt(element: usize): bool {
  fieldEncode(DIGEST, element);
  let bits: u64 = 0;
  for (let i: u32 = 0; i < KEY_BYTES; i += 8) bits |= load<u64>(DIGEST + i);
  return bits == 0;
}

// Y = y, Q = u, R = v, T = u·v³, Z and P = u·v⁷; false where y is not less than p.
function decode(): bool {
  wipeWork();
  if (!fieldDecode(POINT_Y, KEY)) return false;
  curveTake(POINT_X, CURVE_D);
  fieldMultiply(VALUE_Q, POINT_Y, POINT_Y);
  fieldMultiply(VALUE_R, VALUE_Q, POINT_X);
  store<u16>(POINT_Z, 1);
  fieldSubtract(VALUE_Q, VALUE_Q, POINT_Z);
  fieldAdd(VALUE_R, VALUE_R, POINT_Z);
  fieldMultiply(VALUE_P, VALUE_R, VALUE_R);
  fieldMultiply(POINT_T, VALUE_P, VALUE_R);
  fieldMultiply(POINT_T, POINT_T, VALUE_Q);
  fieldMultiply(VALUE_P, VALUE_P, VALUE_P);
  fieldMultiply(POINT_Z, VALUE_P, POINT_T);
  copyBytes(VALUE_P, POINT_Z, FIELD_BYTES);
  return true;
}

// x of the key, and what is added for its negative; false where there is none.
function root(): bool {
  fieldMultiply(POINT_X, POINT_T, VALUE_P);
  fieldMultiply(VALUE_P, POINT_X, POINT_X);
  fieldMultiply(VALUE_P, VALUE_P, VALUE_R);
  fieldSubtract(VALUE_R, VALUE_P, VALUE_Q);
  if (!isZeroAt(VALUE_R)) {
    fieldAdd(VALUE_R, VALUE_P, VALUE_Q);
    if (!isZeroAt(VALUE_R)) return false;
    curveTake(VALUE_R, CURVE_ROOT);
    fieldMultiply(POINT_X, POINT_X, VALUE_R);
  }
  const odd = load<u8>(KEY, 31) >> 7;
  // A negative zero is no encoding.
  if (isZeroAt(POINT_X) && odd != 0) return false;
  fieldEncode(DIGEST, POINT_X);
  if ((load<u8>(DIGEST) & 1) != odd) negateX();
  fieldAdd(NEGATIVE, POINT_Y, POINT_X);
  fieldSubtract(NEGATIVE + FIELD_BYTES, POINT_Y, POINT_X);
  const last = NEGATIVE + 2 * FIELD_BYTES;
  curveTake(VALUE_R, CURVE_D);
  fieldAdd(VALUE_R, VALUE_R, VALUE_R);
  negateX();
  fieldMultiply(last, POINT_X, POINT_Y);
  fieldMultiply(last, last, VALUE_R);
  clear(POINT_Z, FIELD_BYTES);
  store<u16>(POINT_Z, 1);
  return true;
}

function negateX(): void {
  clear(VALUE_P, FIELD_BYTES);
  fieldSubtract(POINT_X, VALUE_P, POINT_X);
}

// Where eight times the key is the neutral element, its order is small. No other such multiple has x = 0.
function order(): void {
  if (isZeroAt(POINT_X)) return next(Check.None);
  pointStart();
  next(Check.Multiply);
}

// For each bit a doubling, an addition of B where it is one of S, and one of -A where it is one of k.
function multiply(): void {
  for (; step < 3 * (HIGHEST + 1); step++) {
    const place = HIGHEST - step / 3;
    const part = step % 3;
    if (part == 0) pointDouble();
    else if (part == 1 && bitOf(SIGNATURE + KEY_BYTES, place) != 0) pointAdd(0);
    else if (part == 2 && bitOf(FACTOR, place) != 0) pointAdd(NEGATIVE);
    else continue;
    step += 1;
    return;
  }
  invertStart();
  next(Check.Invert);
}
