// The main thread is metertime's, which makes all calls of metertime.h; another one reads the time.
//
// What always holds: the time goes from one to the other under a mutex, with the tick that it is of.
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "metertime.h"
#include "port.h"

static K_MUTEX_DEFINE(told_lock);
static struct {
  uint64_t tick;
  bool known;
  struct core_time time;
} told;

static void tell_time(void) {
  struct core_time time;
  const bool known = metertime_ask_time(&time);
  const uint64_t tick = metertime_read_ticks();
  k_mutex_lock(&told_lock, K_FOREVER);
  told.tick = tick;
  told.known = known;
  told.time = time;
  k_mutex_unlock(&told_lock);
}

static void run_application(void *a, void *b, void *c) {
  ARG_UNUSED(a);
  ARG_UNUSED(b);
  ARG_UNUSED(c);
  for (;;) {
    k_mutex_lock(&told_lock, K_FOREVER);
    const bool known = told.known;
    const int64_t unix_seconds = told.time.utc_ns / 1000000000;
    const uint64_t age = metertime_read_ticks() - told.tick;
    k_mutex_unlock(&told_lock);
    if (known) printk("unix %lld, %llu ticks ago\n", (long long)unix_seconds, (unsigned long long)age);
    k_sleep(K_SECONDS(5));
  }
}

K_THREAD_DEFINE(application, 1024, run_application, NULL, NULL, NULL, 10, 0, 0);

int main(void) {
  if (!port_find_devices()) {
    printk("a device is not there\n");
    return 0;
  }
  uint8_t cause;
  uint32_t trap_code;
  port_read_reset(&cause, &trap_code);
  metertime_start(cause, trap_code);
  uint64_t next = metertime_read_ticks();
  for (;;) {
    metertime_run_until(next);
    if (metertime_read_ticks() < next) continue;
    next += METERTIME_TICK_HZ;
    tell_time();
  }
}
