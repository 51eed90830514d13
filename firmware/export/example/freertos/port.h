// What FreeRTOS's part of the port offers to the firmware around it.
#ifndef PORT_H_
#define PORT_H_

#include <stdbool.h>
#include <stdint.h>

/// The task that calls it is metertime's from now on. Once, before metertime_start.
void port_begin_task(void);

/// For the line's interrupt handlers, whose priority has to let them call FreeRTOS: a byte has come; the line is free for
/// the next one, or false when all have left.
void port_on_receive(uint8_t byte);
bool port_on_transmit(uint8_t *byte);

/// What the last run ended with, for metertime_start: your board's, as all of metertime_platform.h that port.c has not.
void board_read_reset(uint8_t *cause, uint32_t *trap_code);

#endif
