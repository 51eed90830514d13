// A 32-bit timer of the STM32 (TIM2 or TIM5) that counts ticks without end (RM0090, 18).
//
// What always holds: the counter's 32 bits are extended at each reading, which the main loop does at least twice in
// 2^32 ticks because it never waits longer than half a second; no interrupt takes part, so no carry can be missed.
#include "chip.h"
#include "cpu.h"
#include "platform.h"

#define TIMER_CONTROL (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x00u))
#define TIMER_EVENT (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x14u))
#define TIMER_COUNT (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x24u))
#define TIMER_PRESCALER (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x28u))
#define TIMER_RELOAD (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x2Cu))

enum { CONTROL_ENABLE = 1u << 0 };
enum { EVENT_UPDATE = 1u << 0 };

// Both clocks are divided to the same ticks, so that one image is right for both.
#define EMULATED_INPUT_HZ 1000000000u
_Static_assert(BOARD_COUNTER_INPUT_HZ % BOARD_TICK_HZ == 0, "ticks are whole cycles of the timer's clock");
_Static_assert(EMULATED_INPUT_HZ % BOARD_TICK_HZ == 0, "ticks are whole cycles of the emulated timer's clock");

static uint64_t last;

void tick_start_counter(void) {
  chip_start_clock();
  chip_enable_device(BOARD_COUNTER_BASE);
  uint32_t input_hz = chip_has_clock_control() ? BOARD_COUNTER_INPUT_HZ : EMULATED_INPUT_HZ;
  TIMER_PRESCALER = input_hz / BOARD_TICK_HZ - 1u;
  TIMER_RELOAD = 0xFFFFFFFFu;
  TIMER_EVENT = EVENT_UPDATE;  // takes over prescaler and reload, and clears the counter
  TIMER_CONTROL = CONTROL_ENABLE;
}

uint64_t tick_read_now(void) {
  uint32_t held = cpu_hold_interrupts();
  last += (uint32_t)(TIMER_COUNT - (uint32_t)last);
  uint64_t now = last;
  cpu_restore_interrupts(held);
  return now;
}
