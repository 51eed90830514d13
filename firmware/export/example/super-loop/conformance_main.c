// The conformance program for this port: `metertime conformance unix-listen:PATH` at the other end of the line.
#include <stdio.h>

#include "conformance.h"
#include "port.h"

int main(int count, char **arguments) {
  if (count != 3) {
    fprintf(stderr, "usage: %s LINE STORAGE\n", arguments[0]);
    return 2;
  }
  port_open_parts(arguments[1], arguments[2], arguments);
  uint8_t cause;
  uint32_t trap_code;
  port_read_reset(&cause, &trap_code);
  conformance_run(cause, trap_code);
}
