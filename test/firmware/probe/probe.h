// What a test program in C finds on the machine below it: the emulated board, or the one that runs the tests.
#ifndef PROBE_H_
#define PROBE_H_

#include <stdint.h>

void probe_print_text(const char *text);

/// Prints a number and a space.
void probe_print_number(uint32_t number);

_Noreturn void probe_end_run(int code);

#endif
