// The processor's SysTick ends waits: 24 bits, counting down from the reference clock (Armv7-M ARM, B3.3).
#include "alarm.h"
#include "platform.h"

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_VALUE (*(volatile uint32_t *)0xE000E018u)

enum { CONTROL_ENABLE = 1u << 0, CONTROL_INTERRUPT = 1u << 1 };

_Static_assert(BOARD_ALARM_INPUT_HZ / 2u < 1u << 24, "the longest wait fits SysTick");

void tick_arm_alarm(uint64_t at) {
  uint32_t wait = alarm_limit_wait(tick_read_now(), at);
  SYSTICK_CONTROL = 0;
  SYSTICK_RELOAD = (uint32_t)((uint64_t)wait * BOARD_ALARM_INPUT_HZ / BOARD_TICK_HZ);
  SYSTICK_VALUE = 0;
  SYSTICK_CONTROL = CONTROL_ENABLE | CONTROL_INTERRUPT;
}

void tick_on_alarm(void) {
  SYSTICK_CONTROL = 0;
}
