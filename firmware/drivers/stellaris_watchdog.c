// Watchdog of a Stellaris LM3S6965 (data sheet, chapter "Watchdog Timer"): its first expiry is an interrupt that records
// the cause and restarts the board; its second one, when even that did not run, resets the hardware. Its count is part of
// the ticks (stellaris_counter.c).
#include "cpu.h"
#include "platform.h"
#include "stellaris_system.h"
#include "stellaris_ticks.h"

#define WATCHDOG_REGISTER(offset) (*(volatile uint32_t *)(BOARD_WATCHDOG_BASE + (offset)))
#define WATCHDOG_LOAD WATCHDOG_REGISTER(0x000u)
#define WATCHDOG_VALUE WATCHDOG_REGISTER(0x004u)
#define WATCHDOG_CONTROL WATCHDOG_REGISTER(0x008u)
#define WATCHDOG_CLEAR WATCHDOG_REGISTER(0x00Cu)
#define WATCHDOG_LOCK WATCHDOG_REGISTER(0xC00u)

enum { CONTROL_INTERRUPT = 1u << 0, CONTROL_RESET = 1u << 1 };

#define WATCHDOG_UNLOCK 0x1ACCE551u
#define WATCHDOG_TICKS (BOARD_CLOCK_HZ / 1000u * BOARD_WATCHDOG_MS)
_Static_assert(BOARD_CLOCK_HZ / 1000u <= 0xFFFFFFFFu / BOARD_WATCHDOG_MS, "more than 32 bits count");

enum { GATE = 3 };

// Until it runs.
static bool stopped = true;

uint32_t watchdog_count_ticks(void) {
  return stopped ? 0 : WATCHDOG_TICKS - WATCHDOG_VALUE;
}

void watchdog_start_timer(void) {
  system_open_gate(SYSTEM_GATES_0, GATE);
  uint32_t held = cpu_hold_interrupts();
  WATCHDOG_LOCK = WATCHDOG_UNLOCK;
  WATCHDOG_LOAD = WATCHDOG_TICKS;
  tick_move_anchor();
  // Only a reset ends it.
  WATCHDOG_CONTROL = CONTROL_INTERRUPT | CONTROL_RESET;
  stopped = false;
  WATCHDOG_LOCK = 0;
  cpu_enable_interrupt(BOARD_WATCHDOG_IRQ);
  cpu_restore_interrupts(held);
}

void watchdog_feed_timer(void) {
  uint32_t held = cpu_hold_interrupts();
  WATCHDOG_LOCK = WATCHDOG_UNLOCK;
  tick_move_anchor();
  WATCHDOG_CLEAR = 1;  // any value reloads the counter
  WATCHDOG_LOCK = 0;
  cpu_restore_interrupts(held);
}

void watchdog_on_expiry(void) {
  reset_restart_board(RESET_CAUSE_WATCHDOG, 0);
}
