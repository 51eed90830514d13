// Platform-level interrupt controller (RISC-V PLIC specification 1.0.0), for machine mode of hart 0.
//
// What always holds: all lines have one priority; of those that are pending the lowest number is served first.
#include "cpu.h"
#include "platform.h"

#define PLIC_PRIORITY(line) (*(volatile uint32_t *)(BOARD_INTERRUPT_CONTROLLER_BASE + 4u * (line)))
#define PLIC_ENABLE(line) (*(volatile uint32_t *)(BOARD_INTERRUPT_CONTROLLER_BASE + 0x2000u + 4u * ((line) / 32u)))
#define PLIC_THRESHOLD (*(volatile uint32_t *)(BOARD_INTERRUPT_CONTROLLER_BASE + 0x200000u))
#define PLIC_CLAIM (*(volatile uint32_t *)(BOARD_INTERRUPT_CONTROLLER_BASE + 0x200004u))

#define DECLARE_HANDLER(line, function) void function(void);
#define CALL_HANDLER(line, function) \
  case line:                         \
    function();                      \
    break;
BOARD_HANDLERS(DECLARE_HANDLER)

void cpu_enable_interrupt(uint32_t line) {
  PLIC_PRIORITY(line) = 1;
  PLIC_THRESHOLD = 0;
  PLIC_ENABLE(line) |= 1u << (line % 32u);
  __asm__ volatile("csrs mie, %0" ::"r"(MIE_EXTERNAL));
}

void cpu_serve_line(void) {
  uint32_t line = PLIC_CLAIM;
  switch (line) { BOARD_HANDLERS(CALL_HANDLER) }
  if (line != 0) PLIC_CLAIM = line;
}
