// Two tasks: metertime's own, which makes all calls of metertime.h, and one that wants to know the time.
//
// What always holds: the time goes from one to the other through a queue of one place, with the tick that it is of.
#include "FreeRTOS.h"
#include "metertime.h"
#include "port.h"
#include "queue.h"
#include "task.h"

// The core needs some 1.1 KB (metertime export prints it), your functions of the port come on top.
#define METERTIME_STACK_WORDS 768u
#define METERTIME_PRIORITY 2u

struct told_time {
  uint64_t tick;
  bool known;
  struct core_time time;
};

static QueueHandle_t told;

static void run_metertime(void *unused) {
  (void)unused;
  uint8_t cause;
  uint32_t trap_code;
  port_begin_task();
  board_read_reset(&cause, &trap_code);
  metertime_start(cause, trap_code);
  uint64_t next = metertime_read_ticks();
  for (;;) {
    metertime_run_until(next);
    if (metertime_read_ticks() < next) continue;
    next += METERTIME_TICK_HZ;
    struct told_time now;
    now.known = metertime_ask_time(&now.time);
    now.tick = metertime_read_ticks();
    xQueueOverwrite(told, &now);
  }
}

// Nanoseconds since 1970 by the last time that was told; false when there is none. From any task.
static bool read_clock(int64_t *utc_ns) {
  struct told_time last;
  if (xQueuePeek(told, &last, 0) != pdTRUE || !last.known) return false;
  const uint64_t passed = metertime_read_ticks() - last.tick;
  *utc_ns = last.time.utc_ns + (int64_t)(passed * (1000000000u / METERTIME_TICK_HZ));
  return true;
}

/// What your application does with the time.
void application_take_time(int64_t utc_ns);

static void run_application(void *unused) {
  (void)unused;
  for (;;) {
    int64_t utc_ns;
    if (read_clock(&utc_ns)) application_take_time(utc_ns);
    vTaskDelay(pdMS_TO_TICKS(500));
  }
}

int main(void) {
  told = xQueueCreate(1, sizeof(struct told_time));
  if (told == NULL) return 1;
  if (xTaskCreate(run_metertime, "metertime", METERTIME_STACK_WORDS, NULL, METERTIME_PRIORITY, NULL) != pdPASS) return 1;
  if (xTaskCreate(run_application, "application", METERTIME_STACK_WORDS, NULL, 1, NULL) != pdPASS) return 1;
  vTaskStartScheduler();
  return 1;
}
