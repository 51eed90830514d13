// Little-endian numbers at any address, as as/abi lays them out.
#ifndef BYTES_H_
#define BYTES_H_

#include <stdint.h>
#include <string.h>

static inline uint32_t bytes_get_u16(const uint8_t *at) {
  return (uint32_t)(at[0] | at[1] << 8);
}

static inline uint32_t bytes_get_u32(const uint8_t *at) {
  return bytes_get_u16(at) | bytes_get_u16(at + 2) << 16;
}

static inline uint64_t bytes_get_u64(const uint8_t *at) {
  return bytes_get_u32(at) | (uint64_t)bytes_get_u32(at + 4) << 32;
}

static inline void bytes_put_u16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

static inline void bytes_put_u32(uint8_t *at, uint32_t value) {
  bytes_put_u16(at, value);
  bytes_put_u16(at + 2, value >> 16);
}

static inline void bytes_put_u64(uint8_t *at, uint64_t value) {
  bytes_put_u32(at, (uint32_t)value);
  bytes_put_u32(at + 4, (uint32_t)(value >> 32));
}

#endif
