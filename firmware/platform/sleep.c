// Sleeping until a tick, whatever counts ticks and ends waits on the board.
#include "cpu.h"
#include "platform.h"

// The check and the sleep after it are one: an alarm between them would be missed.
void tick_sleep_until(uint64_t at) {
  for (;;) {
    uint32_t held = cpu_hold_interrupts();
    bool due = tick_read_now() >= at;
    if (!due) {
      tick_arm_alarm(at);
      cpu_wait_for_interrupt();
    }
    cpu_restore_interrupts(held);
    if (due) return;
  }
}
