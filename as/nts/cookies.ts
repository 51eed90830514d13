// The cookies of one association (RFC 8915 5.7).
// What always holds: at most eight, of 1 to 256 bytes each, lengths may differ; a cookie leaves when it is taken, so
// none is ever sent twice; the oldest leaves first.
//
//   slot   0  length  u16
//          2  zero    u16
//          4  cookie  256

import { clear, copy } from '../abi/bytes';

/** How many cookies a client holds (RFC 8915 5.7). */
export const COOKIES_MAX: u32 = 8;

/** Longest cookie that is accepted. */
export const COOKIE_MAX_BYTES: u32 = 256;

const SLOT_BYTES: u32 = 4 + COOKIE_MAX_BYTES;
const SLOTS: usize = memory.data(2080, 4);

let first: u32 = 0;
let held: u32 = 0;

function slotAt(index: u32): usize {
  return SLOTS + ((first + index) % COOKIES_MAX) * SLOT_BYTES;
}

/** Forgets all cookies and wipes them. */
export function cookiesClear(): void {
  clear(SLOTS, COOKIES_MAX * SLOT_BYTES);
  first = 0;
  held = 0;
}

/** Cookies held. */
export function cookiesHeld(): u32 {
  return held;
}

/** Length of the oldest cookie, 0 without any. */
export function cookieBytes(): u32 {
  return held == 0 ? 0 : load<u16>(slotAt(0));
}

/** Adds a cookie of 1 to 256 bytes; one too many is dropped. */
export function cookieAdd(cookie: usize, length: u32): void {
  if (held == COOKIES_MAX) return;
  const slot = slotAt(held);
  store<u16>(slot, <u16>length);
  copy(slot + 4, cookie, length);
  held += 1;
}

/** Takes the oldest cookie: copies it to `target` and wipes it. Returns its length, 0 without any. */
export function cookieTake(target: usize): u32 {
  const length = cookieBytes();
  if (length == 0) return 0;
  const slot = slotAt(0);
  copy(target, slot + 4, length);
  clear(slot, SLOT_BYTES);
  first = (first + 1) % COOKIES_MAX;
  held -= 1;
  return length;
}
