// A serial line to a part that answers only when it is asked.
#ifndef SERIAL_PORT_H_
#define SERIAL_PORT_H_

#include <stdbool.h>
#include <stdint.h>

void serial_start_port(uint32_t baud);

/// Sends them all, and returns when there is room for the next.
void serial_send_bytes(const uint8_t *bytes, uint32_t length);

/// The next byte received, of which 16 wait at most; false when none has come before this tick. Sleeps until then.
bool serial_receive_byte(uint8_t *byte, uint64_t until);

/// Forgets what was received.
void serial_drop_received(void);

#endif
