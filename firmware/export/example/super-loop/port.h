// What this port's main program asks of it beside metertime_platform.h.
#ifndef PORT_H_
#define PORT_H_

#include <stdint.h>

/// Opens the line (a unix socket that a gateway listens at, or a terminal) and the storage's file.
/// Ends the process where they cannot be opened.
void port_open_parts(const char *line, const char *storage, char *const *arguments);

/// What the last run ended with, for metertime_start.
void port_read_reset(uint8_t *cause, uint32_t *trap_code);

#endif
