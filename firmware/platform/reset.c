// Remembers over a reset why it happened, in RAM that start-up leaves alone.
//
// What always holds: the record is valid only with its check word, which RAM after power-on has by chance once in
// 2^64. While the firmware runs, the record says "watchdog": a reset that nobody announced, because everything hung,
// is told from power-on by that.
#include "cpu.h"
#include "platform.h"

struct reset_record {
  uint32_t magic;
  uint32_t cause;
  uint32_t trap_code;
  uint32_t failures;
  uint32_t check;
};

#define RESET_MAGIC 0x4D545231u

__attribute__((section(".noinit"))) static volatile struct reset_record record;

static uint32_t reset_compute_check(void) {
  return ~(record.magic ^ (record.cause << 24) ^ record.trap_code ^ (record.failures << 8));
}

static void reset_write_record(uint32_t cause, uint32_t trap_code, uint32_t failures) {
  record.magic = RESET_MAGIC;
  record.cause = cause;
  record.trap_code = trap_code;
  record.failures = failures;
  record.check = reset_compute_check();
}

void reset_read_report(struct reset_report *report) {
  *report = (struct reset_report){.cause = RESET_CAUSE_POWER_ON};
  if (record.magic == RESET_MAGIC && record.check == reset_compute_check()) {
    report->cause = (uint8_t)record.cause;
    report->trap_code = record.trap_code;
    report->failures = record.failures;
    if (report->cause != RESET_CAUSE_SOFTWARE) report->failures++;
  }
  reset_write_record(RESET_CAUSE_WATCHDOG, 0, report->failures);
}

void reset_clear_failures(void) {
  reset_write_record(RESET_CAUSE_WATCHDOG, 0, 0);
}

_Noreturn void reset_restart_board(uint8_t cause, uint32_t trap_code) {
  reset_write_record(cause, trap_code, record.failures);
  cpu_reset_board();
}
