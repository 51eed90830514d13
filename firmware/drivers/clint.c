// Core-local interruptor's timer (SiFive FU540-C000 manual, "CLINT"; RISC-V Privileged Architecture 1.12, 3.2.1) of hart 0:
// mtime counts ticks in 64 bits, mtimecmp ends waits.
//
// What always holds: the timer's interrupt has no line of the interrupt controller; start-up calls tick_on_alarm.
#include "cpu.h"
#include "platform.h"

#define ALARM_LOW (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x4000u))
#define ALARM_HIGH (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x4004u))
#define TIME_LOW (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0xBFF8u))
#define TIME_HIGH (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0xBFFCu))

// Not every reset clears mtime.
static uint64_t start;

static uint64_t clint_read_time(void) {
  uint32_t high;
  uint32_t low;
  do {
    high = TIME_HIGH;
    low = TIME_LOW;
  } while (high != TIME_HIGH);
  return (uint64_t)high << 32 | low;
}

// In this order no value in between is earlier than both.
static void clint_write_alarm(uint64_t at) {
  ALARM_HIGH = 0xFFFFFFFFu;
  ALARM_LOW = (uint32_t)at;
  ALARM_HIGH = (uint32_t)(at >> 32);
}

void tick_start_counter(void) {
  clint_write_alarm(UINT64_MAX);
  start = clint_read_time();
  __asm__ volatile("csrs mie, %0" ::"r"(MIE_TIMER));
}

uint64_t tick_read_now(void) {
  return clint_read_time() - start;
}

void tick_arm_alarm(uint64_t at) {
  clint_write_alarm(at < UINT64_MAX - start ? start + at : UINT64_MAX);
}

void tick_on_alarm(void) {
  clint_write_alarm(UINT64_MAX);
}
