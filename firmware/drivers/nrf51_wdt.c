// Watchdog of the nRF51 (nRF51 Series Reference Manual 3.0, chapter 24), on the 32,768 Hz clock, which it starts itself.
//
// What always holds: once started, nothing but a reset of its own kind stops or changes it; it outlasts a restart by
// software, and then the start below has no effect. It goes on while the processor sleeps, and rests under a debugger.
// The emulator has no such device: there these writes do nothing, and what hangs stays so.
#include "platform.h"

#define WATCHDOG_REGISTER(offset) (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + (offset)))
#define WATCHDOG_START WATCHDOG_REGISTER(0x000u)
#define WATCHDOG_RELOAD_VALUE WATCHDOG_REGISTER(0x504u)
#define WATCHDOG_RELOAD_ENABLE WATCHDOG_REGISTER(0x508u)
#define WATCHDOG_CONFIG WATCHDOG_REGISTER(0x50Cu)
#define WATCHDOG_RELOAD WATCHDOG_REGISTER(0x600u)

enum { RELOAD_REQUEST_0 = 1u << 0 };
enum { CONFIG_RUN_IN_SLEEP = 1u << 0 };

#define WATCHDOG_HZ 32768u
#define RELOAD_KEY 0x6E524635u

void watchdog_start_timer(void) {
  WATCHDOG_CONFIG = CONFIG_RUN_IN_SLEEP;
  WATCHDOG_RELOAD_VALUE = (uint32_t)((uint64_t)WATCHDOG_HZ * BOARD_WATCHDOG_MS / 1000u) - 1;
  WATCHDOG_RELOAD_ENABLE = RELOAD_REQUEST_0;
  WATCHDOG_START = 1;
}

void watchdog_feed_timer(void) {
  WATCHDOG_RELOAD = RELOAD_KEY;
}
