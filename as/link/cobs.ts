// Consistent overhead byte stuffing (Cheshire and Baker, 1999), in place: after it no byte is zero, so a zero can
// separate frames.
//
// What always holds:
// - Data is at most 253 bytes, so that a code byte never needs its special value 255 and exactly one byte is added, in
//   front. Each zero of the data is replaced by the distance to the next one, and the byte in front is the distance to
//   the first.
// - Decoding reads and writes nothing outside the `length` bytes that it is given, whatever they hold.

/** Encodes the `length` bytes that follow `ptr`; the byte at `ptr` is overwritten. `length` + 1 bytes result. */
export function cobsEncode(ptr: usize, length: u32): void {
  const end = ptr + 1 + length;
  let code = ptr;
  for (let at = ptr + 1; at < end; at++) {
    if (load<u8>(at) == 0) {
      store<u8>(code, <u8>(at - code));
      code = at;
    }
  }
  store<u8>(code, <u8>(end - code));
}

/** Decodes `length` bytes; the data is then the `length` - 1 bytes that follow `ptr`. False when they are no COBS. */
export function cobsDecode(ptr: usize, length: u32): bool {
  const end = ptr + length;
  while (ptr < end) {
    const distance: usize = load<u8>(ptr);
    if (distance == 0) return false;
    store<u8>(ptr, 0);
    ptr += distance;
  }
  return ptr == end;
}
