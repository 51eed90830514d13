// A timer of the nRF51 (nRF51 Series Reference Manual 3.0, chapter 18), 32 bits wide: counts ticks without end, and one of
// its compare registers ends waits. Only TIMER0 has 32 bits.
//
// What always holds: it runs from the crystal, as without it ticks have no error that a bound could count with. The
// count is extended at each reading, which the main loop does at least twice in 2^32 ticks because it never waits longer
// than half a second; no interrupt takes part, so no carry can be missed.
#include "alarm.h"
#include "cpu.h"
#include "platform.h"

#if BOARD_ALARM_BASE != BOARD_COUNTER_BASE
#error "one timer of the nRF51 does both"
#endif

// Chapter 13, "Clock management".
#define CLOCK_START_CRYSTAL (*(volatile uint32_t *)0x40000000u)
#define CLOCK_CRYSTAL_STARTED (*(volatile uint32_t *)0x40000100u)

#define TIMER_REGISTER(offset) (*(volatile uint32_t *)(BOARD_COUNTER_BASE + (offset)))
#define TIMER_START TIMER_REGISTER(0x000u)
#define TIMER_STOP TIMER_REGISTER(0x004u)
#define TIMER_CLEAR TIMER_REGISTER(0x00Cu)
#define TIMER_CAPTURE(number) TIMER_REGISTER(0x040u + 4u * (number))
#define TIMER_REACHED(number) TIMER_REGISTER(0x140u + 4u * (number))
#define TIMER_INTERRUPT_SET TIMER_REGISTER(0x304u)
#define TIMER_INTERRUPT_CLEAR TIMER_REGISTER(0x308u)
#define TIMER_MODE TIMER_REGISTER(0x504u)
#define TIMER_WIDTH TIMER_REGISTER(0x508u)
#define TIMER_PRESCALER TIMER_REGISTER(0x510u)
#define TIMER_COMPARE(number) TIMER_REGISTER(0x540u + 4u * (number))

enum { NOW = 0, ALARM = 1 };
enum { MODE_TIMER = 0, WIDTH_32_BITS = 3 };
#define INTERRUPT_REACHED(number) (1u << (16 + (number)))

// The timers' clock is divided by 2^PRESCALER.
#define TIMER_CLOCK_HZ 16000000u
#define PRESCALER __builtin_ctz(TIMER_CLOCK_HZ / BOARD_TICK_HZ)
_Static_assert(BOARD_TICK_HZ << PRESCALER == TIMER_CLOCK_HZ && PRESCALER <= 9, "no tick rate of this timer");

static uint64_t last;

void tick_start_counter(void) {
  CLOCK_CRYSTAL_STARTED = 0;
  CLOCK_START_CRYSTAL = 1;
  while (CLOCK_CRYSTAL_STARTED == 0) {
  }
  TIMER_STOP = 1;
  TIMER_MODE = MODE_TIMER;
  TIMER_WIDTH = WIDTH_32_BITS;
  TIMER_PRESCALER = PRESCALER;
  TIMER_CLEAR = 1;
  TIMER_START = 1;
  cpu_enable_interrupt(BOARD_ALARM_IRQ);
}

static uint32_t tick_read_count(void) {
  TIMER_CAPTURE(NOW) = 1;
  return TIMER_COMPARE(NOW);
}

uint64_t tick_read_now(void) {
  uint32_t held = cpu_hold_interrupts();
  last += (uint32_t)(tick_read_count() - (uint32_t)last);
  uint64_t now = last;
  cpu_restore_interrupts(held);
  return now;
}

void tick_arm_alarm(uint64_t at) {
  uint64_t now = tick_read_now();
  uint32_t wait = alarm_limit_wait(now, at);
  // The event comes when the count equals the register: one that has passed it meanwhile, as where the emulator was
  // held up, would come a whole turn later.
  uint32_t start = (uint32_t)now;
  do {
    TIMER_COMPARE(ALARM) = start + wait;
    TIMER_REACHED(ALARM) = 0;
    uint32_t count = tick_read_count();
    if (count - start < wait) break;
    start = count;
    wait = ALARM_LEAST_TICKS;
  } while (TIMER_REACHED(ALARM) == 0);
  TIMER_INTERRUPT_SET = INTERRUPT_REACHED(ALARM);
}

void tick_on_alarm(void) {
  TIMER_INTERRUPT_CLEAR = INTERRUPT_REACHED(ALARM);
  TIMER_REACHED(ALARM) = 0;
}
