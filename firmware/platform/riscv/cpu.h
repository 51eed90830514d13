// The few processor instructions that C has no words for (RISC-V Privileged Architecture 1.12), machine mode only.
#ifndef CPU_H_
#define CPU_H_

#include <stdint.h>

/// Bits of mstatus and of mie.
enum { MSTATUS_MIE = 1u << 3 };
enum { MIE_TIMER = 1u << 7, MIE_EXTERNAL = 1u << 11 };

/// Holds all interrupts back; returns what cpu_restore_interrupts takes.
static inline uint32_t cpu_hold_interrupts(void) {
  uint32_t before;
  __asm__ volatile("csrrci %0, mstatus, %1" : "=r"(before) : "i"(MSTATUS_MIE) : "memory");
  return before & MSTATUS_MIE;
}

static inline void cpu_restore_interrupts(uint32_t before) {
  __asm__ volatile("csrs mstatus, %0" ::"r"(before) : "memory");
}

/// What was stored before this is in memory when an interrupt handler sees what is stored after it. One hart sees its
/// own stores in their order; the compiler has to keep it.
static inline void cpu_order_stores(void) {
  __asm__ volatile("" ::: "memory");
}

/// Sleeps until an interrupt is pending, also while interrupts are held back (3.3.3): so nothing that comes between a
/// check and the sleep is missed.
static inline void cpu_wait_for_interrupt(void) {
  __asm__ volatile("fence\n\twfi" ::: "memory");
}

/// Lets one interrupt line through. The interrupt controller's driver does it.
void cpu_enable_interrupt(uint32_t line);

/// Calls the handler of the line that is pending with the highest priority.
void cpu_serve_line(void);

/// Resets processor and devices; RAM keeps what it holds. The board's reset device does it.
_Noreturn void cpu_reset_board(void);

#endif
