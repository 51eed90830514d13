// Watchdog of a process: starts it anew when it has used the processor for so long without coming round its main loop.
//
// It counts the time of the processor, not that of the world: a process that is held up by the machine, by a debugger or
// by a slow disk is not hanging.
#define _GNU_SOURCE
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

#include "platform.h"

static void watchdog_on_signal(int signal) {
  (void)signal;
  reset_restart_board(RESET_CAUSE_WATCHDOG, 0);
}

void watchdog_start_timer(void) {
  const struct sigaction expiry = {.sa_handler = watchdog_on_signal};
  sigaction(SIGPROF, &expiry, NULL);
  watchdog_feed_timer();
}

void watchdog_feed_timer(void) {
  const struct itimerval once = {
      .it_value = {.tv_sec = BOARD_WATCHDOG_MS / 1000u, .tv_usec = BOARD_WATCHDOG_MS % 1000u * 1000u},
  };
  setitimer(ITIMER_PROF, &once, NULL);
}
