// NOR flash as a reset may leave it: what was begun is ended by the next start, and nothing is changed by that.
#include "flash_device.h"
#include "platform.h"

enum { DONE, PROGRAMMED, KEPT, READ, ERASED, AGAIN, RESULTS };

volatile uint32_t nor_log[RESULTS];

static const uint8_t pattern[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void nor_send_command(uint32_t offset, uint32_t command) {
  *(volatile uint32_t *)(BOARD_STORAGE_BASE + offset) = command * 0x10001u;
}

static bool nor_holds_pattern(uint32_t offset) {
  uint8_t there[sizeof pattern];
  if (!flash_read_bytes(offset, there, sizeof there)) return false;
  for (uint32_t i = 0; i < sizeof there; i++) {
    if (there[i] != pattern[i]) return false;
  }
  return true;
}

static bool nor_is_erased(uint32_t offset) {
  uint8_t there[sizeof pattern];
  if (!flash_read_bytes(offset, there, sizeof there)) return false;
  for (uint32_t i = 0; i < sizeof there; i++) {
    if (there[i] != 0xff) return false;
  }
  return true;
}

int main(void) {
  const uint32_t next = BOARD_STORAGE_UNIT_BYTES;
  flash_start_device();
  nor_log[PROGRAMMED] = flash_erase_unit(0) && flash_erase_unit(1) && flash_program_words(16, pattern, sizeof pattern) &&
                        flash_program_words(next, pattern, sizeof pattern) && nor_holds_pattern(16);
  // A program that waits for its word. What is programmed takes the place of what was there in QEMU, so there it can be
  // seen in erased words only; an erase does not wait to be confirmed there.
  nor_send_command(0, 0x40);
  flash_start_device();
  nor_log[KEPT] = nor_is_erased(0) && nor_holds_pattern(16) && nor_holds_pattern(next);
  // Left to say its status.
  nor_send_command(next, 0x70);
  flash_start_device();
  nor_log[READ] = nor_holds_pattern(next);
  nor_log[ERASED] = flash_erase_unit(0) && nor_is_erased(0) && nor_holds_pattern(next);
  nor_log[AGAIN] = flash_program_words(0, pattern, sizeof pattern) && nor_holds_pattern(0);
  nor_log[DONE] = 1;
  for (;;) {
  }
}

// Time flies: QEMU's flash is not ready in its status once that was cleared, until something was programmed or erased.
static uint64_t now;

uint64_t tick_read_now(void) {
  return now += BOARD_TICK_HZ / 10u;
}

#define EMPTY_HANDLER(line, function) \
  void function(void) {}
BOARD_HANDLERS(EMPTY_HANDLER)
void tick_on_alarm(void) {}
