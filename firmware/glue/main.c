// Main program of a board: starts the core, hands over what happens, and sleeps in between.
//
// What always holds: nothing waits but in WFI, and a check and the sleep after it are one, as interrupts are held back
// around them. The watchdog is fed here only.
#include "cpu.h"
#include "loop.h"
#include "platform.h"

#define NEVER UINT64_MAX

// A meter that fails again and again restarts ever more slowly, up to this: each start writes to the storage, which
// wears out.
#define RESTART_MOST_SECONDS 64u

// Having run this long after the core's start, it is healthy; the delay before that does not count.
#define HEALTHY_TICKS ((uint64_t)BOARD_TICK_HZ * 60u)

static void main_feed_watchdog(void) {
#ifdef BOARD_WATCHDOG_MS
  watchdog_feed_timer();
#endif
}

static void main_delay_restart(uint32_t failures) {
  if (failures < 2) return;
  uint32_t seconds = failures < 8 ? 1u << (failures - 2) : RESTART_MOST_SECONDS;
  for (uint32_t slept = 0; slept < seconds; slept++) {
    main_feed_watchdog();
    tick_sleep_until(tick_read_now() + BOARD_TICK_HZ);
  }
}

// True when the core is to be told.
static bool main_measure_stack(void) {
  static uint32_t told_bytes;
  struct stack_use use;
  stack_read_use(&use);
  if (use.used_bytes <= told_bytes || !core_tell_stack(use.used_bytes, use.total_bytes)) return false;
  told_bytes = use.used_bytes;
  return true;
}

static void main_sleep(void) {
  uint32_t held = cpu_hold_interrupts();
  uint64_t end = loop_read_idle_end();
  if (end > tick_read_now()) {
    tick_arm_alarm(end);
    cpu_wait_for_interrupt();
  }
  cpu_restore_interrupts(held);
}

#ifdef BOARD_PROCESS
int main(int argc, char **argv) {
  process_start(argc, argv);
#else
int main(void) {
#endif
  struct reset_report reset;
  reset_read_report(&reset);
  tick_start_counter();
#ifdef BOARD_WATCHDOG_MS
  watchdog_start_timer();
#endif
  main_delay_restart(reset.failures);
  storage_start_device();
  loop_start_core(&reset);
  uint64_t healthy_at = tick_read_now() + HEALTHY_TICKS;
  for (;;) {
    main_feed_watchdog();
    if (!loop_step() && !main_measure_stack()) main_sleep();
    if (tick_read_now() > healthy_at) {
      healthy_at = NEVER;
      reset_clear_failures();
    }
  }
}
