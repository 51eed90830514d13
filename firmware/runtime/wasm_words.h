// How loads and stores of the compiled core move their bytes.
//
// What always holds: any address will do. A processor that faults on a word at an address that is no multiple of four, as the
// Cortex-M0, or may do so, as a RISC-V, is asked as the core runs whether it is one: most are, and a word at once takes half the
// instructions of one byte by byte. What lies astray goes by functions of their own, so that they stand in the image once.
// Where an address is a constant, the compiler answers.
#ifndef WASM_WORDS_H_
#define WASM_WORDS_H_

#if defined(__riscv) || (defined(__arm__) && !defined(__ARM_FEATURE_UNALIGNED))

#define WASM_ASTRAY static __attribute__((noinline, unused))

WASM_ASTRAY u32 wasm_fetch_astray(const u8 *at) {
  return at[0] | (u32)at[1] << 8 | (u32)at[2] << 16 | (u32)at[3] << 24;
}

WASM_ASTRAY u64 wasm_fetch_pair_astray(const u8 *at) {
  return wasm_fetch_astray(at) | (u64)wasm_fetch_astray(at + 4) << 32;
}

WASM_ASTRAY void wasm_place_astray(u8 *at, u32 word) {
  for (u32 i = 0; i < 4; i++) at[i] = (u8)(word >> 8 * i);
}

WASM_ASTRAY void wasm_place_pair_astray(u8 *at, u64 pair) {
  wasm_place_astray(at, (u32)pair);
  wasm_place_astray(at + 4, (u32)(pair >> 32));
}

WASM_ACCESS void wasm_fetch(void *value, const u8 *at, u32 bytes) {
  const u32 *words = (const u32 *)at;
  bool aligned = LIKELY(((uintptr_t)at & 3u) == 0);
  if (bytes == 4) {
    u32 word = aligned ? words[0] : wasm_fetch_astray(at);
    __builtin_memcpy(value, &word, sizeof word);
  } else if (bytes == 8) {
    u64 pair = aligned ? words[0] | (u64)words[1] << 32 : wasm_fetch_pair_astray(at);
    __builtin_memcpy(value, &pair, sizeof pair);
  } else {
    __builtin_memcpy(value, at, bytes);
  }
}

WASM_ACCESS void wasm_place(u8 *at, const void *value, u32 bytes) {
  u32 *words = (u32 *)at;
  bool aligned = LIKELY(((uintptr_t)at & 3u) == 0);
  if (bytes == 4) {
    u32 word;
    __builtin_memcpy(&word, value, sizeof word);
    if (aligned) {
      words[0] = word;
    } else {
      wasm_place_astray(at, word);
    }
  } else if (bytes == 8) {
    u64 pair;
    __builtin_memcpy(&pair, value, sizeof pair);
    if (aligned) {
      words[0] = (u32)pair;
      words[1] = (u32)(pair >> 32);
    } else {
      wasm_place_pair_astray(at, pair);
    }
  } else {
    __builtin_memcpy(at, value, bytes);
  }
}

#else

#define wasm_fetch(value, at, bytes) __builtin_memcpy(value, at, bytes)
#define wasm_place(at, value, bytes) __builtin_memcpy(at, value, bytes)

#endif

#endif
