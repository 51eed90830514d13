// The probe on the machine that runs the tests.
#include <stdio.h>
#include <stdlib.h>

#include "probe.h"

// Below any stack: its depth is not what is tested here.
unsigned char wasm_stack_floor[1];

void probe_print_text(const char *text) {
  fputs(text, stdout);
}

_Noreturn void probe_end_run(int code) {
  exit(code);
}
