// CRC-32 of IEEE 802.3: reflected polynomial 0xedb88320, starts with all ones, result inverted. A table entry for each
// half byte: 64 bytes of memory instead of 1,024.

// Entry i: i shifted through the polynomial by four bits.
const TABLE: usize = memory.data<u32>([
  0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320,
  0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
]);

/** CRC-32 of `length` bytes. */
export function crc32(ptr: usize, length: u32): u32 {
  let crc: u32 = 0xffffffff;
  const end = ptr + length;
  // Half a byte is taken out by two shifts, which ARM has as one instruction (`aead/aes.ts`); a word is one access to check.
  for (; end - ptr >= 4; ptr += 4) {
    crc ^= load<u32>(ptr);
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
  }
  for (; ptr < end; ptr++) {
    crc ^= load<u8>(ptr);
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
    crc = (crc >> 4) ^ load<u32>(TABLE + (((crc << 28) >> 28) << 2));
  }
  return ~crc;
}
