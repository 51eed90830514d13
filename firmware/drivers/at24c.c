// 24Cxx EEPROM with two address bytes as storage.
//
// Its duties: pages in ascending order, each read back before the next is written, so that a power cut leaves a
// prefix of what was asked for and one page in doubt. Which of two copies counts is the core's matter.
// A part that still programs a page is waited for, before reads and writes alike.
#include "i2c.h"
#include "platform.h"

// A page is ready within its write cycle; asking for twice as long finds a part that is gone.
#define READY_TICKS ((uint64_t)BOARD_TICK_HZ * 2u * BOARD_STORAGE_WRITE_MS / 1000u)
#define POLL_TICKS (BOARD_TICK_HZ / 2000u)

static bool storage_check_range(uint32_t offset, uint32_t length) {
  return offset <= BOARD_STORAGE_BYTES && length <= BOARD_STORAGE_BYTES - offset;
}

void storage_start_device(void) {
  i2c_start_bus();
}

// While it programs a page the part does not acknowledge its address; after a reset of the processor alone, that may
// be a page from before it.
static bool storage_await_ready(void) {
  uint64_t start = tick_read_now();
  while (!i2c_write_bytes(BOARD_STORAGE_ADDRESS, NULL, 0, NULL, 0)) {
    uint64_t now = tick_read_now();
    if (now - start > READY_TICKS) return false;
    tick_sleep_until(now + POLL_TICKS);
  }
  return true;
}

bool storage_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  if (!storage_check_range(offset, length)) return false;
  if (length == 0) return true;
  const uint8_t head[2] = {(uint8_t)(offset >> 8), (uint8_t)offset};
  return storage_await_ready() && i2c_read_bytes(BOARD_STORAGE_ADDRESS, head, sizeof head, into, length);
}

static bool storage_verify_bytes(uint32_t offset, const uint8_t *expected, uint32_t length) {
  uint8_t there[16];
  for (uint32_t at = 0; at < length; at += sizeof there) {
    uint32_t part = length - at < sizeof there ? length - at : sizeof there;
    if (!storage_read_bytes(offset + at, there, part)) return false;
    for (uint32_t i = 0; i < part; i++) {
      if (there[i] != expected[at + i]) return false;
    }
  }
  return true;
}

bool storage_write_bytes(uint32_t offset, const uint8_t *from, uint32_t length) {
  if (!storage_check_range(offset, length)) return false;
  while (length > 0) {
    uint32_t part = BOARD_STORAGE_PAGE_BYTES - offset % BOARD_STORAGE_PAGE_BYTES;
    if (part > length) part = length;
    const uint8_t head[2] = {(uint8_t)(offset >> 8), (uint8_t)offset};
    if (!storage_await_ready()) return false;
    if (!i2c_write_bytes(BOARD_STORAGE_ADDRESS, head, sizeof head, from, part)) return false;
    if (!storage_verify_bytes(offset, from, part)) return false;
    offset += part;
    from += part;
    length -= part;
  }
  return true;
}
