// What the board's application does for the core: registers that records carry, and tariffs that it switches.
//
// What always holds: both are called from the main loop, between two steps, and have to be short.
#ifndef APPLICATION_H_
#define APPLICATION_H_

#include <stdbool.h>
#include <stdint.h>

/// Registers that a record has room for.
#define APPLICATION_REGISTERS 4u

/// Reads the registers, in the order and units of the meter's settings; returns how many there are.
uint32_t application_read_registers(int64_t values[APPLICATION_REGISTERS]);

/// From now on this tariff applies. `doubtful`: the time is not good enough to bill by. `since_unix_seconds`: when it
/// took effect, 0 where that is not known.
void application_switch_tariff(uint16_t tariff, bool doubtful, int64_t since_unix_seconds);

#endif
