// Remembers over a reset why it happened, in RAM that start-up leaves alone.
//
// What always holds: the record is valid only with its check word, which RAM after power-on has by chance once in
// 2^64. While the firmware runs, the record says "watchdog": a reset that nobody announced, because everything hung,
// is told from power-on by that.
#include "reset.h"

#include "cpu.h"
#include "platform.h"

#define RESET_MAGIC 0x4D545231u

__attribute__((section(".noinit"))) volatile struct reset_record reset_record;

static uint32_t reset_compute_check(void) {
  return ~(reset_record.magic ^ (reset_record.cause << 24) ^ reset_record.trap_code ^ (reset_record.failures << 8));
}

static void reset_write_record(uint32_t cause, uint32_t trap_code, uint32_t failures) {
  reset_record.magic = RESET_MAGIC;
  reset_record.cause = cause;
  reset_record.trap_code = trap_code;
  reset_record.failures = failures;
  reset_record.check = reset_compute_check();
}

void reset_read_report(struct reset_report *report) {
  *report = (struct reset_report){.cause = RESET_CAUSE_POWER_ON};
  if (reset_record.magic == RESET_MAGIC && reset_record.check == reset_compute_check()) {
    report->cause = (uint8_t)reset_record.cause;
    report->trap_code = reset_record.trap_code;
    report->failures = reset_record.failures;
    if (report->cause != RESET_CAUSE_SOFTWARE) report->failures++;
  }
  reset_write_record(RESET_CAUSE_WATCHDOG, 0, report->failures);
}

void reset_clear_failures(void) {
  reset_write_record(RESET_CAUSE_WATCHDOG, 0, 0);
}

_Noreturn void reset_restart_board(uint8_t cause, uint32_t trap_code) {
  reset_write_record(cause, trap_code, reset_record.failures);
  cpu_reset_board();
}
