// Reading and writing bytes of outside formats: big-endian numbers, texts with a length byte, fills and copies.

/** Unsigned 16-bit number in network order. */
export function loadBe16(at: usize): u32 {
  return bswap<u16>(load<u16>(at));
}

/** Unsigned 32-bit number in network order. */
export function loadBe32(at: usize): u32 {
  return bswap<u32>(load<u32>(at));
}

/** Writes a 16-bit number in network order. */
export function storeBe16(at: usize, value: u32): void {
  store<u16>(at, bswap<u16>(<u16>value));
}

/** Copies `length` bytes, upwards; areas that overlap need the target below the source. */
export function copy(target: usize, source: usize, length: u32): void {
  // Each access is checked: eight bytes cost hardly more than one.
  const end = target + length;
  for (; end - target >= 8; target += 8, source += 8) store<u64>(target, load<u64>(source));
  for (; target < end; target++, source++) store<u8>(target, load<u8>(source));
}

/** Sets `length` bytes to zero. */
export function clear(target: usize, length: u32): void {
  const end = target + length;
  for (; end - target >= 8; target += 8) store<u64>(target, 0);
  for (; target < end; target++) store<u8>(target, 0);
}

/** Whether all `length` bytes are zero. */
export function isZero(at: usize, length: u32): bool {
  let bits: u32 = 0;
  for (let i: u32 = 0; i < length; i++) bits |= load<u8>(at + i);
  return bits == 0;
}

/** Whether `length` bytes of the storage were never written, or erased. */
export function isBlank(at: usize, length: u32): bool {
  const first: u32 = load<u8>(at);
  if (first != 0 && first != 0xff) return false;
  for (let i: u32 = 1; i < length; i++) {
    if (load<u8>(at + i) != first) return false;
  }
  return true;
}

/** Of two slots that begin with a count, of which one at least holds: whether the second is in force. */
export function isSecondNewer(holdsA: bool, holdsB: bool, a: usize, b: usize): bool {
  return holdsB && (!holdsA || <i32>(load<u32>(b) - load<u32>(a)) > 0);
}

/** Whether the text at `at` is UTF-8 (The Unicode Standard, table 3-7). */
export function isText(at: usize): bool {
  const end = at + 1 + load<u8>(at);
  let left: u32 = 0;
  let low: u32 = 0x80;
  let high: u32 = 0xbf;
  for (let next = at + 1; next < end; next++) {
    const byte: u32 = load<u8>(next);
    if (left != 0) {
      if (byte < low || byte > high) return false;
      left -= 1;
      low = 0x80;
      high = 0xbf;
    } else if (byte >= 0x80) {
      if (byte < 0xc2 || byte > 0xf4) return false;
      left = 1 + (byte >= 0xe0 ? 1 : 0) + (byte >= 0xf0 ? 1 : 0);
      if (byte == 0xe0) low = 0xa0;
      else if (byte == 0xed) high = 0x9f;
      else if (byte == 0xf0) low = 0x90;
      else if (byte == 0xf4) high = 0x8f;
    }
  }
  return left == 0;
}

/** Appends the text at `source` (length byte and bytes) at `target`; returns the place behind it. */
export function appendText(target: usize, source: usize): usize {
  const length: u32 = 1 + load<u8>(source);
  copy(target, source, length);
  return target + length;
}
