// The processor as the glue sees it, by the port.
#ifndef CPU_H_
#define CPU_H_

#include <stdatomic.h>

#include "metertime_platform.h"

static inline uint32_t cpu_hold_interrupts(void) {
  return metertime_hold_interrupts();
}

static inline void cpu_restore_interrupts(uint32_t before) {
  metertime_restore_interrupts(before);
}

/// A fence for the compiler, and for processors that do not keep the order of stores by themselves.
static inline void cpu_order_stores(void) {
  atomic_thread_fence(memory_order_release);
}

#endif
