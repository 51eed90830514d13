// Start of a Cortex-M: vector table, memory, stack with a high-water mark, faults.
//
// What always holds: the stack lies at the lowest addresses of RAM, so that one that grows too far leaves RAM and
// faults instead of writing over data. A fault, also one of the stack, ends in a restart that reports it.
#include "cpu.h"
#include "platform.h"
#include "protection.h"
#include "stack.h"

extern uint32_t data_start[], data_end[], data_image[];
extern uint32_t bss_start[], bss_end[];

int main(void);
_Noreturn void startup_on_reset(void);
_Noreturn void startup_handle_fault(uint32_t exception);

_Noreturn void startup_on_reset(void) {
#ifdef PROTECTION_MPU
  protection_start_regions();
#endif
  const uint32_t *from = data_image;
  for (uint32_t *to = data_start; to < data_end; to++) *to = *from++;
  for (uint32_t *to = bss_start; to < bss_end; to++) *to = 0;
  uint32_t *here = __builtin_frame_address(0);
  for (uint32_t *to = stack_bottom; to + 16 < here; to++) *to = STACK_PAINT;
  main();
  startup_handle_fault(0);
}

enum { HARD_FAULT = 3, MEM_MANAGE = 4, BUS_FAULT = 5, USAGE_FAULT = 6 };

// All faults come as HardFault, as the others are off. Where there are others, CFSR says which it was (Armv7-M ARM,
// B3.2.15); an M0 has one kind only.
static uint32_t startup_find_kind(uint32_t exception) {
#if __ARM_ARCH_ISA_THUMB >= 2
  uint32_t status = *(volatile uint32_t *)0xE000ED28u;
  if (exception == HARD_FAULT && status != 0) {
    return (status & 0xFFu) != 0 ? MEM_MANAGE : (status & 0xFF00u) != 0 ? BUS_FAULT : USAGE_FAULT;
  }
#endif
  return exception;
}

_Noreturn void startup_handle_fault(uint32_t exception) {
  reset_restart_board(RESET_CAUSE_TRAP, TRAP_CODE_FAULT + startup_find_kind(exception));
}

// The stack pointer itself may be what faulted: it starts anew.
__attribute__((naked)) static void startup_on_fault(void) {
  __asm__ volatile(
      "ldr r0, =stack_top\n\t"
      "mov sp, r0\n\t"
      "mrs r0, ipsr\n\t"
      "bl startup_handle_fault\n\t");
}

typedef void (*handler_t)(void);

struct vector_table {
  uint32_t *stack;
  handler_t handlers[15 + BOARD_INTERRUPTS];
};

#define EXCEPTION(number) ((number) - 1)
#define INTERRUPT(line) (15 + (line))

#define DECLARE_HANDLER(line, function) void function(void);
#define PLACE_HANDLER(line, function) [INTERRUPT(line)] = function,
BOARD_HANDLERS(DECLARE_HANDLER)

// Every entry is a fault unless something better is said below.
#pragma GCC diagnostic ignored "-Woverride-init"
__attribute__((section(".vectors"), used)) static const struct vector_table vectors = {
    .stack = stack_top,
    .handlers =
        {
            [0 ... 14 + BOARD_INTERRUPTS] = startup_on_fault,
            [EXCEPTION(1)] = startup_on_reset,
#ifdef BOARD_WATCHDOG_NMI
            [EXCEPTION(2)] = watchdog_on_expiry,
#endif
            BOARD_HANDLERS(PLACE_HANDLER)
        },
};
