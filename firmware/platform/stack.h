// The stack as start-up leaves it, and its high-water mark.
#ifndef STACK_H_
#define STACK_H_

#include <stdint.h>

extern uint32_t stack_bottom[], stack_top[];

/// Start-up writes it over the unused stack; debuggers and emulators look for it too.
#define STACK_PAINT 0x5AA5C33Cu

#endif
