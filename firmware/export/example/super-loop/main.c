// Super-loop: metertime's steps and the firmware's own work take turns, and the processor sleeps in between.
//
// What always holds: metertime is asked for its steps at least every WORK_TICKS, and its bytes are taken as they come; the
// own work between two steps has to be short.
#include <inttypes.h>
#include <stdio.h>

#include "metertime.h"
#include "port.h"

#define WORK_TICKS ((uint64_t)METERTIME_TICK_HZ)

static const char *const status_names[] = {"unsynchronised", "synchronised", "holdover"};

// Stands for what the firmware does besides; here it tells the time once a second.
static void work_show_time(void) {
  struct core_time time;
  if (!metertime_ask_time(&time)) {
    printf("{\"status\":\"%s\"}\n", status_names[time.status]);
  } else {
    printf("{\"status\":\"%s\",\"utcNs\":\"%" PRId64 "\",\"boundNs\":%" PRIu64 ",\"uncertaintyNs\":%" PRIu64 "}\n",
           status_names[time.status], time.utc_ns, time.bound_ns, time.uncertainty_ns);
  }
  fflush(stdout);
}

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: %s LINE STORAGE\n", arguments[0]);
    return 2;
  }
  port_open_parts(arguments[1], arguments[2], arguments);
  uint8_t cause;
  uint32_t trap_code;
  port_read_reset(&cause, &trap_code);
  metertime_start(cause, trap_code);
  uint64_t next_work = metertime_read_ticks();
  for (;;) {
    metertime_run_until(next_work);
    if (metertime_read_ticks() < next_work) continue;
    next_work += WORK_TICKS;
    work_show_time();
  }
}
