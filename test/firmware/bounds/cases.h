// The table of accesses that bounds.test.ts makes: one entry an access, with what must come of it.
#ifndef CASES_H_
#define CASES_H_

#include <stdint.h>

struct probe_case {
  /// Does one access at base + an offset of its own; returns the bits loaded, or stores `value`.
  uint64_t (*access)(uint32_t base, uint64_t value);
  uint32_t base;
  /// First byte of the access within memory; meaningless where it must trap.
  uint32_t at;
  uint8_t bytes;
  uint8_t stores;
  /// enum TrapCode that must come; 0 for none.
  uint8_t trap;
  /// Bits that a load must give.
  uint64_t loaded;
};

extern const struct probe_case probe_cases[];
extern const uint32_t probe_count;

void probe_start_instance(void);

#endif
