// SHA-256; see sha256.c.
#ifndef SHA256_H_
#define SHA256_H_

#include <stdint.h>

#define SHA256_BYTES 32u

void sha256_compute_hash(const uint8_t *bytes, uint32_t length, uint8_t hash[SHA256_BYTES]);

#endif
