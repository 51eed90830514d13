// Parallel NOR flash with the Intel command set as what flash_store.c keeps its log in: two 16-bit parts side by side on a
// bus of 32 bits (JEDEC JEP137, command set 0001; commands and status bits as in the data sheets of Intel's J3 and P30).
//
// What always holds: outside of these functions both parts give back what is in them. Firmware must not run from the same
// parts, and the units must not be locked: a part that refuses says so, and then nothing was changed. A part that does not
// come to an end is left alone after several times what the data sheets allow.
#include "flash_device.h"
#include "platform.h"

enum {
  COMMAND_ERASE = 0x20,
  COMMAND_PROGRAM = 0x40,
  COMMAND_CLEAR_STATUS = 0x50,
  COMMAND_READ_STATUS = 0x70,
  COMMAND_CONFIRM = 0xd0,
  COMMAND_READ_ARRAY = 0xff,
};

// Both parts take the same command, and answer each in its half of the word.
#define BOTH(half) ((uint32_t)(half) * 0x10001u)
#define STATUS_READY BOTH(0x80)
// The erase failed, the program failed, the supply is too low, the unit is locked.
#define STATUS_FAILED BOTH(0x20 | 0x10 | 0x08 | 0x02)

#define ERASE_TICKS (5ull * BOARD_TICK_HZ)
#define PROGRAM_TICKS (BOARD_TICK_HZ / 100u + 1u)

_Static_assert(BOARD_STORAGE_PROGRAM_BYTES == 4, "a word is programmed at once");
_Static_assert(BOARD_STORAGE_BASE % BOARD_STORAGE_UNIT_BYTES == 0, "units are sectors");

static volatile uint32_t *flash_locate_word(uint32_t offset) {
  return (volatile uint32_t *)(uintptr_t)(BOARD_STORAGE_BASE + offset);
}

// Waits until both parts have ended what they do, and leaves them to be read.
static bool flash_await_end(volatile uint32_t *at, uint64_t limit_ticks) {
  uint64_t start = tick_read_now();
  uint32_t status;
  *at = BOTH(COMMAND_READ_STATUS);
  do {
    status = *at;
  } while ((status & STATUS_READY) != STATUS_READY && tick_read_now() - start < limit_ticks);
  *at = BOTH(COMMAND_CLEAR_STATUS);
  *at = BOTH(COMMAND_READ_ARRAY);
  return (status & STATUS_READY) == STATUS_READY && (status & STATUS_FAILED) == 0;
}

// An erase goes on over a reset of the processor alone, and a program may still wait for its word: the first one written
// is that, and ones change nothing.
void flash_start_device(void) {
  volatile uint32_t *at = flash_locate_word(0);
  *at = 0xffffffffu;
  flash_await_end(at, ERASE_TICKS);
}

bool flash_erase_unit(uint32_t unit) {
  volatile uint32_t *at = flash_locate_word(unit * BOARD_STORAGE_UNIT_BYTES);
  *at = BOTH(COMMAND_ERASE);
  *at = BOTH(COMMAND_CONFIRM);
  return flash_await_end(at, ERASE_TICKS);
}

bool flash_program_words(uint32_t offset, const uint8_t *from, uint32_t length) {
  for (uint32_t i = 0; i < length; i += 4) {
    volatile uint32_t *at = flash_locate_word(offset + i);
    *at = BOTH(COMMAND_PROGRAM);
    *at = from[i] | (uint32_t)from[i + 1] << 8 | (uint32_t)from[i + 2] << 16 | (uint32_t)from[i + 3] << 24;
    if (!flash_await_end(at, PROGRAM_TICKS)) return false;
  }
  return true;
}

bool flash_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  const volatile uint8_t *from = (const volatile uint8_t *)(uintptr_t)(BOARD_STORAGE_BASE + offset);
  while (length-- > 0) *into++ = *from++;
  return true;
}
