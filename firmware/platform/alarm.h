// How long an alarm may run that counts down, or up, from when it is set.
#ifndef ALARM_H_
#define ALARM_H_

#include <stdint.h>

#include "platform.h"

// A shorter alarm than 10 us could be over before the wait begins; it costs nothing to wake so much later.
#define ALARM_LEAST_TICKS (BOARD_TICK_HZ / 100000u)

// The main loop wakes at least twice a second.
#define ALARM_MOST_TICKS (BOARD_TICK_HZ / 2u)

/// Ticks from `now` to `at`, within these limits.
static inline uint32_t alarm_limit_wait(uint64_t now, uint64_t at) {
  if (at <= now + ALARM_LEAST_TICKS) return ALARM_LEAST_TICKS;
  return at - now < ALARM_MOST_TICKS ? (uint32_t)(at - now) : ALARM_MOST_TICKS;
}

#endif
