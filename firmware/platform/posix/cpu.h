// What a process has in the place of the processor's interrupts: it looks for what has happened only while it waits, so
// none can come in between.
#ifndef CPU_H_
#define CPU_H_

#include <stdint.h>

static inline uint32_t cpu_hold_interrupts(void) {
  return 0;
}

static inline void cpu_restore_interrupts(uint32_t before) {
  (void)before;
}

static inline void cpu_order_stores(void) {
}

/// Sleeps until the alarm, or until a descriptor that is watched has something, and has that handled.
void cpu_wait_for_interrupt(void);

/// Starts the program anew in the place of this one.
_Noreturn void cpu_reset_board(void);

#endif
