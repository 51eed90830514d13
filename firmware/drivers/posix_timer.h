// How long a process may wait.
#ifndef POSIX_TIMER_H_
#define POSIX_TIMER_H_

#include <stdint.h>
#include <time.h>

/// Until the alarm or `tick`, but no longer than the main loop may sleep.
void timer_read_left(uint64_t tick, struct timespec *left);

#endif
