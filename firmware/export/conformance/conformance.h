// Tries a port: whether its functions keep what metertime_platform.h asks, and whether the core decides on its processor
// as it does elsewhere.
#ifndef CONFORMANCE_H_
#define CONFORMANCE_H_

#include <stdint.h>

/// In the place of metertime_start, and with what that would be given. Answers on the line what `metertime conformance`
/// asks at its other end; never returns. Overwrites the storage when it is told to.
_Noreturn void conformance_run(uint8_t cause, uint32_t trap_code);

#endif
