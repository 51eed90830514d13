// Numbers as text, for all machines.
#include "probe.h"

void probe_print_number(uint32_t number) {
  char digits[12];
  int at = 11;
  digits[at] = 0;
  digits[--at] = ' ';
  do {
    digits[--at] = (char)('0' + number % 10u);
    number /= 10u;
  } while (number > 0);
  probe_print_text(&digits[at]);
}
