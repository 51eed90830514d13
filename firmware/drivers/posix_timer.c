// Ticks and the alarm of a process: CLOCK_MONOTONIC_RAW, the counter that nobody sets or slews.
//
// CLOCK_MONOTONIC will not do: whoever disciplines the system's clock changes its rate, by more than the board guarantees.
#include "posix_timer.h"

#include "alarm.h"
#include "platform.h"

#define TICK_NS (1000000000u / BOARD_TICK_HZ)

_Static_assert(TICK_NS * BOARD_TICK_HZ == 1000000000u, "a tick is a whole number of ns");

static uint64_t started_ns;
static uint64_t alarm_tick;

static uint64_t timer_read_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void tick_start_counter(void) {
  started_ns = timer_read_ns();
}

uint64_t tick_read_now(void) {
  return (timer_read_ns() - started_ns) / TICK_NS;
}

void tick_arm_alarm(uint64_t at) {
  alarm_tick = at;
}

void timer_read_left(uint64_t tick, struct timespec *left) {
  uint64_t at = tick < alarm_tick ? tick : alarm_tick;
  uint64_t ns = (uint64_t)alarm_limit_wait(tick_read_now(), at) * TICK_NS;
  *left = (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}
