// CMSDK APB watchdog: its first expiry is an NMI that records the cause and restarts the board; its second one, when
// even that did not run, resets the hardware.
#include "platform.h"

#define WATCHDOG_LOAD (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0x000u))
#define WATCHDOG_CONTROL (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0x008u))
#define WATCHDOG_CLEAR (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0x00Cu))
#define WATCHDOG_LOCK (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + 0xC00u))

enum { CONTROL_INTERRUPT = 1u << 0, CONTROL_RESET = 1u << 1 };

#define WATCHDOG_UNLOCK 0x1ACCE551u

void watchdog_start_timer(void) {
  WATCHDOG_LOCK = WATCHDOG_UNLOCK;
  WATCHDOG_LOAD = BOARD_CLOCK_HZ / 1000u * BOARD_WATCHDOG_MS;
  WATCHDOG_CONTROL = CONTROL_INTERRUPT | CONTROL_RESET;
  WATCHDOG_LOCK = 0;
}

void watchdog_feed_timer(void) {
  WATCHDOG_LOCK = WATCHDOG_UNLOCK;
  WATCHDOG_CLEAR = 1;  // any value reloads the counter
  WATCHDOG_LOCK = 0;
}

void watchdog_on_expiry(void) {
  reset_restart_board(RESET_CAUSE_WATCHDOG, 0);
}
