// What the core is told about board, reset and software. The image's own hash is put into `identity` after linking.
#include "start_event.h"

#include "bytes.h"
#include "core_port.h"
#include "firmware_identity.h"

struct identity {
  uint8_t core_sha256[32];
  /// SHA-256 of the image with these 32 bytes zero.
  uint8_t image_sha256[32];
};

// Read through a volatile pointer, or the compiler would take the zeros for the hash.
__attribute__((section(".identity"), used)) const volatile struct identity firmware_identity = {
    .core_sha256 = FIRMWARE_CORE_SHA256,
};

static void start_copy_hash(uint8_t *to, const volatile uint8_t *from) {
  for (uint32_t i = 0; i < 32; i++) to[i] = from[i];
}

static uint32_t start_put_text(uint8_t *at, const char *text, uint32_t length) {
  at[0] = (uint8_t)length;
  memcpy(at + 1, text, length);
  return 1 + length;
}

uint32_t start_write_payload(uint8_t *payload, uint32_t capacity, const struct reset_report *reset) {
  const uint32_t board = sizeof BOARD_NAME - 1;
  const uint32_t version = sizeof FIRMWARE_VERSION - 1;
  const uint32_t length = START_FIELD_NAMES + 1 + board + 1 + version;
  if (length > capacity) core_refuse_action();
  memset(payload, 0, length);
  bytes_put_u16(payload + START_FIELD_ABI_VERSION, ABI_VERSION);
  payload[START_FIELD_RESET_CAUSE] = reset->cause;
  payload[START_FIELD_CAPABILITIES] = BOARD_CAPABILITIES;
  bytes_put_u32(payload + START_FIELD_TICK_HZ, BOARD_TICK_HZ);
  bytes_put_u32(payload + START_FIELD_MAX_FREQUENCY_ERROR_PPB, BOARD_MAX_FREQUENCY_ERROR_PPB);
  bytes_put_u32(payload + START_FIELD_STORAGE_BYTES, BOARD_STORAGE_BYTES);
  bytes_put_u64(payload + START_FIELD_BUILD_UNIX_SECONDS, FIRMWARE_BUILD_UNIX_SECONDS);
#ifdef BOARD_ENTROPY_BASE
  // Zeros say that there is none.
  uint8_t *entropy = payload + START_FIELD_ENTROPY;
  if (!entropy_read_bytes(entropy)) memset(entropy, 0, ENTROPY_BYTES);
#endif
  start_copy_hash(payload + START_FIELD_CORE_SHA256, firmware_identity.core_sha256);
  start_copy_hash(payload + START_FIELD_IMAGE_SHA256, firmware_identity.image_sha256);
  bytes_put_u32(payload + START_FIELD_TRAP_CODE, reset->trap_code);
  uint8_t *names = payload + START_FIELD_NAMES;
  names += start_put_text(names, BOARD_NAME, board);
  start_put_text(names, FIRMWARE_VERSION, version);
  return length;
}
