// The firmware's square root on the emulated board: of each number of the test, the root's two halves.
#include <math.h>
#include <string.h>

#include "probe.h"

extern const uint64_t numbers[];
extern const uint32_t numbers_count;

int main(void) {
  for (uint32_t i = 0; i < numbers_count; i++) {
    double x;
    memcpy(&x, &numbers[i], sizeof x);
    x = sqrt(x);
    uint64_t root;
    memcpy(&root, &x, sizeof root);
    probe_print_number((uint32_t)(root >> 32));
    probe_print_number((uint32_t)root);
    probe_print_text("\n");
  }
  probe_end_run(0);
}
