// What the core is told about board, reset and software.
#include "start_event.h"

#include "bytes.h"
#include "core_port.h"
#include "firmware_identity.h"

static const uint8_t core_sha256[32] = FIRMWARE_CORE_SHA256;

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
#ifdef BOARD_ENTROPY
  // Zeros say that there is none.
  uint8_t *entropy = payload + START_FIELD_ENTROPY;
  if (!entropy_read_bytes(entropy)) memset(entropy, 0, ENTROPY_BYTES);
#endif
  memcpy(payload + START_FIELD_CORE_SHA256, core_sha256, sizeof core_sha256);
  image_compute_hash(payload + START_FIELD_IMAGE_SHA256);
  bytes_put_u32(payload + START_FIELD_TRAP_CODE, reset->trap_code);
#ifdef BOARD_UPDATE_SLOT_BYTES
  struct slot_report slots;
  slot_read_report(&slots);
  bytes_put_u32(payload + START_FIELD_IMAGE_VERSION, slots.version);
  bytes_put_u32(payload + START_FIELD_SLOT_BYTES, BOARD_UPDATE_SLOT_BYTES);
  payload[START_FIELD_SLOT] = slots.slot;
  payload[START_FIELD_SLOT_FLAGS] = slots.flags;
#endif
  uint8_t *names = payload + START_FIELD_NAMES;
  names += start_put_text(names, BOARD_NAME, board);
  start_put_text(names, FIRMWARE_VERSION, version);
  return length;
}
