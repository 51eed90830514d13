// An I2C bus with one master: whole transfers only, so that no driver can leave the bus half-way.
#ifndef I2C_H_
#define I2C_H_

#include <stdbool.h>
#include <stdint.h>

/// Frees the bus from a part that a reset interrupted in mid-byte; what it had of a byte that was being written to it
/// is forgotten.
void i2c_start_bus(void);

/// Writes a head (register or memory address) and a body in one transfer; false when the part does not acknowledge.
/// Both may be empty: then it only asks whether the part answers.
bool i2c_write_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, const uint8_t *body,
                     uint32_t body_length);

/// Writes a head, then reads after a repeated start, or after a stop where the master has none; false when the part does not acknowledge.
bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length);

#endif
