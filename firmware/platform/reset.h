// What is remembered over a reset: in RAM that start-up leaves alone, or that a process hands to the one that takes its
// place.
#ifndef RESET_H_
#define RESET_H_

#include <stdint.h>

struct reset_record {
  uint32_t magic;
  uint32_t cause;
  uint32_t trap_code;
  uint32_t failures;
  uint32_t check;
};

extern volatile struct reset_record reset_record;

#endif
