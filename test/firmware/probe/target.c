// The probe on the emulated board: prints and ends by semihosting; has none of the firmware's drivers.
#include "platform.h"
#include "probe.h"

enum { SEMIHOSTING_WRITE = 0x04, SEMIHOSTING_EXIT_EXTENDED = 0x20, APPLICATION_EXIT = 0x20026 };

static void target_call_host(uintptr_t operation, const void *argument) {
  register uintptr_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

void probe_print_text(const char *text) {
  target_call_host(SEMIHOSTING_WRITE, text);
}

_Noreturn void probe_end_run(int code) {
  const uint32_t block[2] = {APPLICATION_EXIT, (uint32_t)code};
  target_call_host(SEMIHOSTING_EXIT_EXTENDED, block);
  for (;;) {
  }
}

// The vector table names these; a fault ends the run with a code of its own.
#define EMPTY_HANDLER(line, function) void function(void) {}
BOARD_HANDLERS(EMPTY_HANDLER)
void watchdog_on_expiry(void) {}

_Noreturn void reset_restart_board(uint8_t cause, uint32_t trap_code) {
  (void)cause;
  (void)trap_code;
  probe_print_text("fault\n");
  probe_end_run(2);
}
