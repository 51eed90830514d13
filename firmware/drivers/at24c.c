// 24Cxx EEPROMs with two address bytes as storage: one of up to 64 KB, or several of 64 KB at addresses in a row, as one
// part of 256 KB has them too.
//
// Its duties: pages in ascending order, each read back before the next is written, so that a power cut leaves a
// prefix of what was asked for and one page in doubt. Which of two copies counts is the core's matter.
// A part that still programs a page is waited for, before reads and writes alike.
#include "i2c.h"
#include "platform.h"

// A page is ready within its write cycle; asking for twice as long finds a part that is gone.
#define READY_TICKS ((uint64_t)BOARD_TICK_HZ * 2u * BOARD_STORAGE_WRITE_CYCLE_MS / 1000u)
#define POLL_TICKS (BOARD_TICK_HZ / 2000u)

// What one address of the bus reaches.
#define PART_BYTES 0x10000u

// What one transfer reads at most.
#ifdef BOARD_I2C_READ_BYTES
#define READ_BYTES BOARD_I2C_READ_BYTES
#else
#define READ_BYTES PART_BYTES
#endif

static bool storage_check_range(uint32_t offset, uint32_t length) {
  return offset <= BOARD_STORAGE_BYTES && length <= BOARD_STORAGE_BYTES - offset;
}

void storage_start_device(void) {
  i2c_start_bus();
}

// While it programs a page the part does not acknowledge its address; after a reset of the processor alone, that may
// be a page from before it.
static bool storage_await_ready(uint8_t address) {
  if (BOARD_STORAGE_WRITE_CYCLE_MS == 0) return true;
  uint64_t start = tick_read_now();
  while (!i2c_write_bytes(address, NULL, 0, NULL, 0)) {
    uint64_t now = tick_read_now();
    if (now - start > READY_TICKS) return false;
    tick_sleep_until(now + POLL_TICKS);
  }
  return true;
}

// Address on the bus of the part that holds this offset.
static uint8_t storage_locate_part(uint32_t offset) {
  return (uint8_t)(BOARD_STORAGE_ADDRESS + offset / PART_BYTES);
}

bool storage_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  if (!storage_check_range(offset, length)) return false;
  while (length > 0) {
    uint32_t part = PART_BYTES - offset % PART_BYTES;
    if (part > length) part = length;
    if (part > READ_BYTES) part = READ_BYTES;
    uint8_t address = storage_locate_part(offset);
    const uint8_t head[2] = {(uint8_t)(offset >> 8), (uint8_t)offset};
    if (!storage_await_ready(address)) return false;
    if (!i2c_read_bytes(address, head, sizeof head, into, part)) return false;
    offset += part;
    into += part;
    length -= part;
  }
  return true;
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
    uint8_t address = storage_locate_part(offset);
    const uint8_t head[2] = {(uint8_t)(offset >> 8), (uint8_t)offset};
    if (!storage_await_ready(address)) return false;
    if (!i2c_write_bytes(address, head, sizeof head, from, part)) return false;
    if (!storage_verify_bytes(offset, from, part)) return false;
    offset += part;
    from += part;
    length -= part;
  }
  return true;
}
