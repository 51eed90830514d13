// The hash of the image as it lies in flash: all that was written there, from the vector table to the first values of
// data.
//
// What always holds: it is computed anew at each start, so what is reported is what runs, not what was built.
#include "platform.h"
#include "protection.h"
#include "sha256.h"

extern const uint8_t image_start[], image_end[];

void image_compute_hash(uint8_t hash[IMAGE_HASH_BYTES]) {
  protection_open_null(true);
  sha256_compute_hash(image_start, (uint32_t)(image_end - image_start), hash);
  protection_open_null(false);
}
