// SHA-256 (FIPS 180-4) of bytes that lie in one piece.
//
//   block     64 bytes, words big-endian                                    5.2.1
//   padding   0x80, zeros, length in bits as a u64 in the last 8 bytes      5.1.1
//   rounds    64 a block, each with a word of its schedule                 6.2.2
#include "sha256.h"

#include <string.h>

#define BLOCK_BYTES 64u
#define WORDS 8u

/// Of the cube roots of the first 64 primes: the first 32 bits of their fractions (4.2.2).
static const uint32_t sha256_constants[64] = {
    0x428A2F98u, 0x71374491u, 0xB5C0FBCFu, 0xE9B5DBA5u, 0x3956C25Bu, 0x59F111F1u, 0x923F82A4u, 0xAB1C5ED5u,
    0xD807AA98u, 0x12835B01u, 0x243185BEu, 0x550C7DC3u, 0x72BE5D74u, 0x80DEB1FEu, 0x9BDC06A7u, 0xC19BF174u,
    0xE49B69C1u, 0xEFBE4786u, 0x0FC19DC6u, 0x240CA1CCu, 0x2DE92C6Fu, 0x4A7484AAu, 0x5CB0A9DCu, 0x76F988DAu,
    0x983E5152u, 0xA831C66Du, 0xB00327C8u, 0xBF597FC7u, 0xC6E00BF3u, 0xD5A79147u, 0x06CA6351u, 0x14292967u,
    0x27B70A85u, 0x2E1B2138u, 0x4D2C6DFCu, 0x53380D13u, 0x650A7354u, 0x766A0ABBu, 0x81C2C92Eu, 0x92722C85u,
    0xA2BFE8A1u, 0xA81A664Bu, 0xC24B8B70u, 0xC76C51A3u, 0xD192E819u, 0xD6990624u, 0xF40E3585u, 0x106AA070u,
    0x19A4C116u, 0x1E376C08u, 0x2748774Cu, 0x34B0BCB5u, 0x391C0CB3u, 0x4ED8AA4Au, 0x5B9CCA4Fu, 0x682E6FF3u,
    0x748F82EEu, 0x78A5636Fu, 0x84C87814u, 0x8CC70208u, 0x90BEFFFAu, 0xA4506CEBu, 0xBEF9A3F7u, 0xC67178F2u,
};

/// Of the square roots of the first eight (5.3.3).
static const uint32_t sha256_start[WORDS] = {
    0x6A09E667u, 0xBB67AE85u, 0x3C6EF372u, 0xA54FF53Au, 0x510E527Fu, 0x9B05688Cu, 0x1F83D9ABu, 0x5BE0CD19u,
};

static uint32_t sha256_rotate(uint32_t word, uint32_t right) {
  return word >> right | word << (32 - right);
}

static uint32_t sha256_get_word(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void sha256_put_word(uint8_t *at, uint32_t word) {
  for (uint32_t i = 0; i < 4; i++) at[i] = (uint8_t)(word >> (24 - 8 * i));
}

static void sha256_add_block(uint32_t state[WORDS], const uint8_t *block) {
  uint32_t schedule[64];
  for (uint32_t t = 0; t < 16; t++) schedule[t] = sha256_get_word(block + 4 * t);
  for (uint32_t *word = schedule + 16; word < schedule + 64; word++) {
    uint32_t sigma1 = sha256_rotate(word[-2], 17) ^ sha256_rotate(word[-2], 19) ^ word[-2] >> 10;
    uint32_t sigma0 = sha256_rotate(word[-15], 7) ^ sha256_rotate(word[-15], 18) ^ word[-15] >> 3;
    *word = sigma1 + word[-7] + sigma0 + word[-16];
  }
  uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
  uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
  for (uint32_t t = 0; t < 64; t++) {
    uint32_t sum1 = sha256_rotate(e, 6) ^ sha256_rotate(e, 11) ^ sha256_rotate(e, 25);
    uint32_t sum0 = sha256_rotate(a, 2) ^ sha256_rotate(a, 13) ^ sha256_rotate(a, 22);
    uint32_t first = h + sum1 + ((e & f) ^ (~e & g)) + sha256_constants[t] + schedule[t];
    uint32_t second = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + first;
    d = c;
    c = b;
    b = a;
    a = first + second;
  }
  const uint32_t added[WORDS] = {a, b, c, d, e, f, g, h};
  for (uint32_t i = 0; i < WORDS; i++) state[i] += added[i];
}

void sha256_compute_hash(const uint8_t *bytes, uint32_t length, uint8_t hash[SHA256_BYTES]) {
  uint32_t state[WORDS];
  memcpy(state, sha256_start, sizeof state);
  uint32_t left = length;
  for (; left >= BLOCK_BYTES; left -= BLOCK_BYTES) {
    sha256_add_block(state, bytes);
    bytes += BLOCK_BYTES;
  }
  uint8_t last[BLOCK_BYTES] = {0};
  memcpy(last, bytes, left);
  last[left] = 0x80;
  if (left >= BLOCK_BYTES - 8) {
    sha256_add_block(state, last);
    memset(last, 0, sizeof last);
  }
  sha256_put_word(last + BLOCK_BYTES - 8, length >> 29);
  sha256_put_word(last + BLOCK_BYTES - 4, length << 3);
  sha256_add_block(state, last);
  for (uint32_t i = 0; i < WORDS; i++) sha256_put_word(hash + 4 * i, state[i]);
}
