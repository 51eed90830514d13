// Makes each access of the table and compares: the value loaded, what changed in memory, the trap.
// Prints "cases failures traps" and one line for each of the first failures.
#include "cases.h"
#include "probe.h"
#include "wasm_rt.h"

#define STORED_VALUE 0x8182838485868788ull

static void *resume[5];
static volatile uint32_t trapped;

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
  trapped = trap;
  __builtin_longjmp(resume, 1);
}

static uint8_t probe_pattern_byte(uint32_t at) {
  return (uint8_t)(at * 37u + 11u);
}

__attribute__((noinline)) static uint64_t probe_run_case(const struct probe_case *one) {
  trapped = 0;
  if (__builtin_setjmp(resume) == 0) return one->access(one->base, STORED_VALUE);
  return 0;
}

// Whether every byte of memory and of the room behind it is what it must be after the case.
static int probe_check_memory(const struct probe_case *one) {
  int right = 1;
  for (uint32_t at = 0; at < WASM_MEMORY_ROOM; at++) {
    uint8_t expected = probe_pattern_byte(at);
    if (one->stores && one->trap == 0 && at - one->at < one->bytes) {
      expected = (uint8_t)(STORED_VALUE >> (8u * (at - one->at)));
    }
    if (wasm_memory[at] != expected) right = 0;
    wasm_memory[at] = probe_pattern_byte(at);
  }
  return right;
}

int main(void) {
  uint32_t failures = 0;
  uint32_t traps = 0;
  probe_start_instance();
  for (uint32_t at = 0; at < WASM_MEMORY_ROOM; at++) wasm_memory[at] = probe_pattern_byte(at);
  for (uint32_t i = 0; i < probe_count; i++) {
    const struct probe_case *one = &probe_cases[i];
    uint64_t loaded = probe_run_case(one);
    int right = trapped == one->trap && probe_check_memory(one);
    if (trapped == 0 && !one->stores && loaded != one->loaded) right = 0;
    if (trapped != 0) traps++;
    if (!right && failures++ < 5) {
      probe_print_text("case ");
      probe_print_number(i);
      probe_print_text("\n");
    }
  }
  probe_print_number(probe_count);
  probe_print_number(failures);
  probe_print_number(traps);
  probe_print_text("\n");
  probe_end_run(failures == 0 ? 0 : 1);
}
