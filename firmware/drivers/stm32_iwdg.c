// The STM32's independent watchdog (RM0090, 21): it runs from an oscillator of its own and resets the chip.
//
// That oscillator has 17 to 47 kHz (DS8626, 5.3.9), so the time is between two thirds and twice what the board's data say.
#include "platform.h"

#define IWDG_KEY (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0x0u))
#define IWDG_PRESCALER (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0x4u))
#define IWDG_RELOAD (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0x8u))
#define IWDG_STATUS (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0xCu))

enum { KEY_UNLOCK = 0x5555u, KEY_FEED = 0xAAAAu, KEY_START = 0xCCCCu };

#define OSCILLATOR_HZ 32000u
#define PRESCALER_256 6u
#define RELOAD (BOARD_WATCHDOG_MS * (OSCILLATOR_HZ / 256u) / 1000u)
_Static_assert(RELOAD > 0 && RELOAD < 4096u, "the watchdog counts 12 bits");

// An update takes five cycles of its oscillator at most, 0.3 ms.
#define UPDATE_TICKS (BOARD_TICK_HZ / 1000u)

void watchdog_start_timer(void) {
  IWDG_KEY = KEY_START;
  IWDG_KEY = KEY_UNLOCK;
  IWDG_PRESCALER = PRESCALER_256;
  IWDG_RELOAD = RELOAD;
  uint64_t start = tick_read_now();
  while (IWDG_STATUS != 0 && tick_read_now() - start < UPDATE_TICKS) {
  }
  watchdog_feed_timer();
}

void watchdog_feed_timer(void) {
  IWDG_KEY = KEY_FEED;
}
