// Tries what memory protection forbids, one thing a start, and notes how each start was reported. The test reads
// `faults_log` from outside.
#include "platform.h"

extern uint32_t stack_bottom[], stack_top[];

enum { WRITE_CODE, EXECUTE_DATA, EXECUTE_STACK, OVERRUN_STACK, READ_BEHIND, WRITE_BEHIND, READ_NULL, WRITE_NULL, TRIES };

struct faults_log {
  /// Things tried and reported; TRIES when all are.
  uint32_t done;
  /// Of each: `ResetCause`, or NOT_REFUSED where it was let through, and `TrapCode`.
  uint32_t causes[TRIES];
  uint32_t codes[TRIES];
};

#define NOT_REFUSED 0xFFu

__attribute__((section(".noinit"))) volatile struct faults_log faults_log;

// The instruction that returns: `bx lr` of Thumb, `c.jr ra` of RISC-V; a Thumb function's address is odd.
#ifdef __arm__
#define RETURN 0x4770u
#define FUNCTION_AT(place) ((void (*)(void))((uintptr_t)(place) | 1u))
#else
#define RETURN 0x8082u
#define FUNCTION_AT(place) ((void (*)(void))(uintptr_t)(place))
#endif

static uint32_t returning = RETURN;

__attribute__((noinline)) static uint32_t faults_overrun_stack(uint32_t depth) {
  volatile uint32_t room[32];
  room[depth % 32u] = depth;
  // Half of what is kept free below the stack.
  if ((uintptr_t)room < (uintptr_t)stack_bottom - 2048u) return depth;
  return faults_overrun_stack(depth + 1) + room[0];
}

static void faults_try(uint32_t what) {
  // Not known to the compiler, which would make a trap of it.
  uint32_t *volatile null = 0;
  volatile uint32_t on_stack[2] = {RETURN, RETURN};
  volatile uint32_t *behind = (volatile uint32_t *)(BOARD_RAM_ORIGIN + BOARD_RAM_BYTES);
  if (what == WRITE_CODE) {
    // With what it holds, for where nothing refuses it.
    volatile uint32_t *code = (volatile uint32_t *)((uintptr_t)faults_try & ~3u);
    code[0] = code[0];
  } else if (what == EXECUTE_DATA) {
    FUNCTION_AT(&returning)();
  } else if (what == EXECUTE_STACK) {
    FUNCTION_AT(on_stack)();
  } else if (what == OVERRUN_STACK) {
    faults_overrun_stack(0);
  } else if (what == READ_BEHIND) {
    (void)*behind;
  } else if (what == WRITE_BEHIND) {
    *behind = 1;
  } else if (what == READ_NULL) {
    (void)*(volatile uint32_t *)null;
  } else {
    *(volatile uint32_t *)null = 1;
  }
}

static void faults_note(uint32_t cause, uint32_t code) {
  uint32_t done = faults_log.done;
  if (done >= TRIES) return;
  faults_log.causes[done] = cause;
  faults_log.codes[done] = code;
  faults_log.done = done + 1;
}

int main(void) {
  struct reset_report report;
  reset_read_report(&report);
  if (report.cause == RESET_CAUSE_POWER_ON) {
    faults_log.done = 0;
  } else {
    faults_note(report.cause, report.trap_code);
  }
  while (faults_log.done < TRIES) {
    faults_try(faults_log.done);
    faults_note(NOT_REFUSED, 0);
  }
  for (;;) {
  }
}

// Start-up names these; no interrupt is let through.
#define EMPTY_HANDLER(line, function) \
  void function(void) {}
BOARD_HANDLERS(EMPTY_HANDLER)
#ifdef BOARD_WATCHDOG_NMI
void watchdog_on_expiry(void) {}
#endif
#ifdef __riscv
void tick_on_alarm(void) {}
#endif
