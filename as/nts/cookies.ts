// The cookies of each server (RFC 8915 5.7), packed, lengths may differ.
// What always holds: at most eight of a server, of 1 to 256 bytes each, and no more than fit into its jar: eight of up to
// 108 bytes, five of 168, or three of 256; a cookie leaves when it is taken, so none is ever sent twice; the oldest leaves
// first.
// While new keys are being established, the last two of the old cookies stay in front of the new ones, so that the old
// keys serve on where no new ones come.
//
//   jar      0  held      u16   cookies
//            2  old       u16   how many of them, from the front, belong to the keys before
//            4  used      u16   bytes behind this header
//            6  zero      u16
//            8  cookies: length u16, cookie

import { clear, copy } from '../abi/bytes';

/** How many cookies a client holds (RFC 8915 5.7). */
export const COOKIES_MAX: u32 = 8;

/** Longest cookie that is accepted. */
export const COOKIE_MAX_BYTES: u32 = 256;

const OLD_MAX: u32 = 2;
const HEADER_BYTES: u32 = 8;
const ROOM_BYTES: u32 = 880;
const JAR_BYTES: u32 = HEADER_BYTES + ROOM_BYTES;
const JARS: usize = memory.data(<i32>(JAR_BYTES * <u32>SERVERS_MAX), 4);

function jarAt(source: u32): usize {
  return JARS + source * JAR_BYTES;
}

/** Memory of 880 bytes that is free, and all zeros, while there are no cookies; to be left so. */
export function cookiesSpare(): usize {
  return jarAt(0) + HEADER_BYTES;
}

/** Forgets all cookies of a server and wipes them. */
export function cookiesClear(source: u32): void {
  clear(jarAt(source), JAR_BYTES);
}

/** Cookies held for a server. */
export function cookiesHeld(source: u32): u32 {
  return load<u16>(jarAt(source));
}

/** Length of the oldest cookie, 0 without any. */
export function cookieBytes(source: u32): u32 {
  const jar = jarAt(source);
  return load<u16>(jar) == 0 ? 0 : load<u16>(jar, HEADER_BYTES);
}

/** How many cookies of `length` bytes a server can have; at least three. */
export function cookiesMost(length: u32): u32 {
  return min<u32>(COOKIES_MAX, ROOM_BYTES / (2 + length));
}

/** How many further cookies of `length` bytes would be kept. */
export function cookiesRoom(source: u32, length: u32): u32 {
  const jar = jarAt(source);
  return min<u32>(COOKIES_MAX - load<u16>(jar), (ROOM_BYTES - load<u16>(jar, 4)) / (2 + length));
}

/** Adds a cookie of 1 to 256 bytes; one too many is dropped. */
export function cookieAdd(source: u32, cookie: usize, length: u32): void {
  if (cookiesRoom(source, length) == 0) return;
  const jar = jarAt(source);
  const used: u32 = load<u16>(jar, 4);
  const slot = jar + HEADER_BYTES + used;
  store<u16>(slot, <u16>length);
  copy(slot + 2, cookie, length);
  store<u16>(jar, load<u16>(jar) + 1);
  store<u16>(jar, <u16>(used + 2 + length), 4);
}

/** Takes the oldest cookie: copies it to `target` and wipes it. Returns its length, 0 without any. */
export function cookieTake(source: u32, target: usize): u32 {
  const length = cookieBytes(source);
  if (length == 0) return 0;
  copy(target, jarAt(source) + HEADER_BYTES + 2, length);
  drop(source);
  return length;
}

// The oldest cookie leaves: the others move up.
function drop(source: u32): void {
  const jar = jarAt(source);
  const slot = jar + HEADER_BYTES;
  const bytes: u32 = 2 + load<u16>(slot);
  const left: u32 = load<u16>(jar, 4) - bytes;
  // From lower to higher addresses, so that the areas may overlap.
  copy(slot, slot + bytes, left);
  clear(slot + left, bytes);
  store<u16>(jar, load<u16>(jar) - 1);
  store<u16>(jar, <u16>left, 4);
  if (load<u16>(jar, 2) != 0) store<u16>(jar, load<u16>(jar, 2) - 1, 2);
}

/** New cookies follow, for keys that do not count yet: of the old ones two stay. */
export function cookiesRenew(source: u32): void {
  while (cookiesHeld(source) > OLD_MAX) drop(source);
  const jar = jarAt(source);
  store<u16>(jar, load<u16>(jar), 2);
}

/** New cookies that came since `cookiesRenew`. */
export function cookiesNew(source: u32): u32 {
  return load<u16>(jarAt(source)) - load<u16>(jarAt(source), 2);
}

/** The new keys count: the old cookies go. */
export function cookiesKeepNew(source: u32): void {
  while (load<u16>(jarAt(source), 2) != 0) drop(source);
}

/** No new keys came: what came since `cookiesRenew` goes, the old cookies stay. */
export function cookiesKeepOld(source: u32): void {
  const jar = jarAt(source);
  const old: u32 = load<u16>(jar, 2);
  let used: u32 = 0;
  for (let i: u32 = 0; i < old; i++) used += 2 + load<u16>(jar + HEADER_BYTES + used);
  clear(jar + HEADER_BYTES + used, load<u16>(jar, 4) - used);
  store<u16>(jar, <u16>old);
  store<u16>(jar, 0, 2);
  store<u16>(jar, <u16>used, 4);
}
