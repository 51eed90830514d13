// The processor's SysTick ends waits: 24 bits, counting down from the reference clock (Armv7-M ARM, B3.3).
#include "cpu.h"
#include "platform.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)

enum { CONTROL_ENABLE = 1u << 0, CONTROL_INTERRUPT = 1u << 1 };

// A shorter alarm than 10 us could be over before the wait begins; it costs nothing to wake so much later.
#define ALARM_LEAST_TICKS (BOARD_TICK_HZ / 100000u)
#define ALARM_MOST_TICKS (BOARD_TICK_HZ / 2u)
_Static_assert(BOARD_ALARM_INPUT_HZ / 2u < 1u << 24, "the longest wait fits SysTick");

void tick_arm_alarm(uint64_t at) {
  uint64_t now = tick_read_now();
  uint32_t wait = ALARM_LEAST_TICKS;
  if (at > now + ALARM_LEAST_TICKS) {
    wait = at - now < ALARM_MOST_TICKS ? (uint32_t)(at - now) : ALARM_MOST_TICKS;
  }
  SYSTICK_CONTROL = 0;
  SYSTICK_RELOAD = (uint32_t)((uint64_t)wait * BOARD_ALARM_INPUT_HZ / BOARD_TICK_HZ);
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = CONTROL_ENABLE | CONTROL_INTERRUPT;
}

void tick_on_alarm(void) {
  SYSTICK_CONTROL = 0;
}

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
