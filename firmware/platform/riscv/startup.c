// Start of a RISC-V in machine mode: stack with a high-water mark, memory, traps.
//
// What always holds: the stack lies at the lowest addresses of RAM, and what is below it cannot be written
// (protection.c), so that one that grows too far faults instead of writing over data. A fault, also one of the stack,
// ends in a restart that reports it: TRAP_CODE_FAULT and mcause. An interrupt is served on the stack of what it
// interrupts, and not interrupted itself.
#include "cpu.h"
#include "platform.h"
#include "protection.h"
#include "stack.h"

extern uint32_t data_start[], data_end[], data_image[];
extern uint32_t bss_start[], bss_end[];

int main(void);
void startup_enter(void);
void startup_on_trap(void);
void startup_on_interrupt(void);
void tick_on_alarm(void);
_Noreturn void startup_on_reset(void);
_Noreturn void startup_handle_fault(uint32_t exception);

/// mcause of interrupts (table 3.6).
#define CAUSE_TIMER 0x80000007u
#define CAUSE_EXTERNAL 0x8000000Bu

// The image's first instruction. What reset leaves in mie is not said.
__attribute__((naked, used, section(".vectors"))) void startup_enter(void) {
  __asm__ volatile(
      "csrw mie, zero\n\t"
      "la sp, stack_top\n\t"
      "la t0, startup_on_trap\n\t"
      "csrw mtvec, t0\n\t"
      "tail startup_on_reset\n\t");
}

_Noreturn void startup_on_reset(void) {
#ifdef BOARD_PROTECTION_PMP
  protection_start_regions();
#endif
  const uint32_t *from = data_image;
  for (uint32_t *to = data_start; to < data_end; to++) *to = *from++;
  for (uint32_t *to = bss_start; to < bss_end; to++) *to = 0;
  uint32_t *here = __builtin_frame_address(0);
  for (uint32_t *to = stack_bottom; to + 16 < here; to++) *to = STACK_PAINT;
  cpu_restore_interrupts(MSTATUS_MIE);
  main();
  startup_handle_fault(0);
}

_Noreturn void startup_handle_fault(uint32_t exception) {
  reset_restart_board(RESET_CAUSE_TRAP, TRAP_CODE_FAULT + exception);
}

// mtvec takes addresses of four bytes. The stack pointer itself may be what faulted: after a fault it starts anew.
__attribute__((naked, used, aligned(4))) void startup_on_trap(void) {
  __asm__ volatile(
      "csrw mscratch, t0\n\t"
      "csrr t0, mcause\n\t"
      "bltz t0, 1f\n\t"
      "mv a0, t0\n\t"
      "la sp, stack_top\n\t"
      "tail startup_handle_fault\n"
      "1:\n\t"
      "csrr t0, mscratch\n\t"
      "j startup_on_interrupt\n\t");
}

// The compiler saves what it uses and returns by mret.
__attribute__((interrupt("machine"), used)) void startup_on_interrupt(void) {
  uint32_t cause;
  __asm__ volatile("csrr %0, mcause" : "=r"(cause));
  if (cause == CAUSE_TIMER) {
    tick_on_alarm();
  } else if (cause == CAUSE_EXTERNAL) {
    cpu_serve_line();
  } else {
    startup_handle_fault(cause & 0xFFu);
  }
}
