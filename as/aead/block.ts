// Operations on blocks of 16 bytes, the unit of everything built on AES here.
//
// What always holds:
// - A block may lie at any address, also an unaligned one.
// - No branch and no address depends on a block's content.
// - Words are read from the highest offset down: once the last word is known to lie inside the
//   memory, the compiler of the generated C drops the bounds checks of the lower ones.

/** Size of an AES block. */
export const BLOCK_BYTES: u32 = 16;

/** target = 0 */
export function clearBlock(target: usize): void {
  store<u32>(target, 0, 12);
  store<u32>(target, 0, 8);
  store<u32>(target, 0, 4);
  store<u32>(target, 0);
}

/** target = source */
export function copyBlock(target: usize, source: usize): void {
  store<u32>(target, load<u32>(source, 12), 12);
  store<u32>(target, load<u32>(source, 8), 8);
  store<u32>(target, load<u32>(source, 4), 4);
  store<u32>(target, load<u32>(source));
}

/** target = target xor source */
export function xorBlock(target: usize, source: usize): void {
  store<u32>(target, load<u32>(target, 12) ^ load<u32>(source, 12), 12);
  store<u32>(target, load<u32>(target, 8) ^ load<u32>(source, 8), 8);
  store<u32>(target, load<u32>(target, 4) ^ load<u32>(source, 4), 4);
  store<u32>(target, load<u32>(target) ^ load<u32>(source));
}

/** target = target xor source, for the first `length` bytes of a block. */
export function xorBytes(target: usize, source: usize, length: u32): void {
  for (let i: u32 = 0; i < length; i++) {
    store<u8>(target + i, load<u8>(target + i) ^ load<u8>(source + i));
  }
}

/** target = source, for the first `length` bytes of a block. */
export function copyBytes(target: usize, source: usize, length: u32): void {
  for (let i: u32 = 0; i < length; i++) {
    store<u8>(target + i, load<u8>(source + i));
  }
}

/** target = dbl(source), multiplication by x in GF(2^128) (RFC 4493 2.3, RFC 5297 2.3). */
export function doubleBlock(target: usize, source: usize): void {
  const d = bswap<u32>(load<u32>(source, 12));
  const c = bswap<u32>(load<u32>(source, 8));
  const b = bswap<u32>(load<u32>(source, 4));
  const a = bswap<u32>(load<u32>(source));
  const reduction: u32 = (0 - (a >> 31)) & 0x87;
  store<u32>(target, bswap<u32>((d << 1) ^ reduction), 12);
  store<u32>(target, bswap<u32>((c << 1) | (d >> 31)), 8);
  store<u32>(target, bswap<u32>((b << 1) | (c >> 31)), 4);
  store<u32>(target, bswap<u32>((a << 1) | (b >> 31)));
}

/** target = target + 1, as a big-endian number modulo 2^128. */
export function incrementBlock(target: usize): void {
  let carry: u32 = 1;
  for (let offset: i32 = 12; offset >= 0; offset -= 4) {
    const word = bswap<u32>(load<u32>(target + offset)) + carry;
    store<u32>(target + offset, bswap<u32>(word));
    carry &= u32(word === 0);
  }
}
