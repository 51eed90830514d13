// Inputs read byte by byte, and numbers in bytes.
#include "fuzz.h"

uint32_t input_left(const fuzz_input *input) {
  return (uint32_t)(input->end - input->at);
}

uint8_t input_byte(fuzz_input *input) {
  return input->at < input->end ? *input->at++ : 0;
}

uint16_t input_u16(fuzz_input *input) {
  uint32_t low = input_byte(input);
  return (uint16_t)(low | (uint32_t)input_byte(input) << 8);
}

const uint8_t *input_take(fuzz_input *input, uint32_t *length) {
  if (*length > input_left(input)) *length = input_left(input);
  const uint8_t *at = input->at;
  input->at += *length;
  return at;
}

void input_copy(fuzz_input *input, uint8_t *target, uint32_t length) {
  uint32_t there = length;
  const uint8_t *at = input_take(input, &there);
  if (there > 0) memcpy(target, at, there);
  if (there < length) memset(target + there, 0, length - there);
}

uint32_t get_u16(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8;
}

uint32_t get_u32(const uint8_t *at) {
  return get_u16(at) | get_u16(at + 2) << 16;
}

uint64_t get_u64(const uint8_t *at) {
  return get_u32(at) | (uint64_t)get_u32(at + 4) << 32;
}

void put_u16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

void put_u32(uint8_t *at, uint32_t value) {
  put_u16(at, value);
  put_u16(at + 2, value >> 16);
}

void put_u64(uint8_t *at, uint64_t value) {
  put_u32(at, (uint32_t)value);
  put_u32(at + 4, (uint32_t)(value >> 32));
}

void put_be16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

void put_be64(uint8_t *at, uint64_t value) {
  for (int i = 0; i < 8; i++) at[i] = (uint8_t)(value >> (56 - 8 * i));
}

// CRC-32 of IEEE 802.3.
uint32_t crc32_of(const uint8_t *bytes, uint32_t length) {
  uint32_t crc = 0xffffffffu;
  for (uint32_t i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}
