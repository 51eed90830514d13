// What this port offers to its main program beside metertime_platform.h.
#ifndef PORT_H_
#define PORT_H_

#include <stdbool.h>
#include <stdint.h>

/// Whether all of its devices are there. Once, before metertime_start.
bool port_find_devices(void);

/// What the last run ended with, for metertime_start.
void port_read_reset(uint8_t *cause, uint32_t *trap_code);

#endif
