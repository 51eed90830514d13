// Sums and differences of doubles on the emulated board: of each pair of the test, both, in two halves each.
#include <string.h>

#include "probe.h"

extern const uint64_t numbers[];
extern const uint32_t numbers_count;

static void sums_print(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  probe_print_number((uint32_t)(bits >> 32));
  probe_print_number((uint32_t)bits);
}

int main(void) {
  for (uint32_t i = 0; i < numbers_count; i += 2) {
    double a;
    double b;
    memcpy(&a, &numbers[i], sizeof a);
    memcpy(&b, &numbers[i + 1], sizeof b);
    sums_print(a + b);
    sums_print(a - b);
    probe_print_text("\n");
  }
  probe_end_run(0);
}
