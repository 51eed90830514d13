// Two CMSDK APB timers: one counts ticks without end, one ends waits.
//
// What always holds: the counter's 32 bits are extended at each reading, which the main loop does at least twice in
// 2^32 ticks because it never waits longer than half a second; no interrupt takes part, so no carry can be missed.
#include "alarm.h"
#include "cpu.h"
#include "platform.h"

#define COUNTER_CONTROL (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x0u))
#define COUNTER_VALUE (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x4u))
#define COUNTER_RELOAD (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x8u))
#define ALARM_CONTROL (*(volatile uint32_t *)(BOARD_ALARM_BASE + 0x0u))
#define ALARM_VALUE (*(volatile uint32_t *)(BOARD_ALARM_BASE + 0x4u))
#define ALARM_RELOAD (*(volatile uint32_t *)(BOARD_ALARM_BASE + 0x8u))
#define ALARM_INTERRUPT (*(volatile uint32_t *)(BOARD_ALARM_BASE + 0xCu))

enum { CONTROL_ENABLE = 1u << 0, CONTROL_INTERRUPT = 1u << 3 };

static uint64_t last;

void tick_start_counter(void) {
  COUNTER_CONTROL = 0;
  COUNTER_RELOAD = 0xFFFFFFFFu;
  COUNTER_VALUE = 0xFFFFFFFFu;
  COUNTER_CONTROL = CONTROL_ENABLE;
  cpu_enable_interrupt(BOARD_ALARM_IRQ);
}

uint64_t tick_read_now(void) {
  uint32_t held = cpu_hold_interrupts();
  uint32_t count = ~COUNTER_VALUE;
  last += (uint32_t)(count - (uint32_t)last);
  uint64_t now = last;
  cpu_restore_interrupts(held);
  return now;
}

void tick_arm_alarm(uint64_t at) {
  uint32_t wait = alarm_limit_wait(tick_read_now(), at);
  ALARM_CONTROL = 0;
  ALARM_INTERRUPT = 1;
  ALARM_RELOAD = wait;
  ALARM_VALUE = wait;
  ALARM_CONTROL = CONTROL_ENABLE | CONTROL_INTERRUPT;
}

void tick_on_alarm(void) {
  ALARM_CONTROL = 0;
  ALARM_INTERRUPT = 1;
}
