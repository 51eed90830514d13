// The few processor instructions that C has no words for.
#ifndef CPU_H_
#define CPU_H_

#include <stdint.h>

/// Holds all interrupts back; returns what cpu_restore_interrupts takes.
static inline uint32_t cpu_hold_interrupts(void) {
  uint32_t before;
  __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(before)::"memory");
  return before;
}

static inline void cpu_restore_interrupts(uint32_t before) {
  __asm__ volatile("msr primask, %0" ::"r"(before) : "memory");
}

/// What was stored before this is in memory when an interrupt handler sees what is stored after it. The processor
/// keeps the order by itself; the compiler does not.
static inline void cpu_order_stores(void) {
  __asm__ volatile("" ::: "memory");
}

/// Sleeps until an interrupt is pending, also while interrupts are held back: so nothing that comes between a check
/// and the sleep is missed.
static inline void cpu_wait_for_interrupt(void) {
  __asm__ volatile("dsb\n\twfi\n\tisb" ::: "memory");
}

/// Lets one interrupt line of the NVIC through.
static inline void cpu_enable_interrupt(uint32_t line) {
  *(volatile uint32_t *)(0xE000E100u + 4u * (line / 32u)) = 1u << (line % 32u);
}

/// Calls an interrupt line's handler as soon as interrupts are let through.
static inline void cpu_pend_interrupt(uint32_t line) {
  *(volatile uint32_t *)(0xE000E200u + 4u * (line / 32u)) = 1u << (line % 32u);
}

/// Resets processor and devices; RAM keeps what it holds (Armv7-M ARM, B3.2.6 AIRCR).
_Noreturn static inline void cpu_reset_board(void) {
  __asm__ volatile("dsb" ::: "memory");
  *(volatile uint32_t *)0xE000ED0Cu = 0x05FA0004u;
  for (;;) {
  }
}

#endif
