// TMP105 thermometer (data sheet SLLS648 "TMP105, Digital Temperature Sensor with Two-Wire Interface", tables 1 to 8).
//
//   0  temperature, two bytes, the higher first: 12 bits of 1/16 °C in two's complement, then four zeros
//   1  configuration: bit 0 shutdown, bits 5 and 6 resolution, 9 to 12 bits
//
// What always holds: nothing waits for a measurement, which takes 0.22 s of this part, as it measures all the time. After
// its power came on, when it says 0 °C until it has measured, a read configures it and fails.
#include "i2c.h"
#include "platform.h"

enum { TEMPERATURE = 0, CONFIGURATION = 1 };
enum { SHUTDOWN = 0x01, TWELVE_BITS = 0x60 };

static bool thermometer_read_register(uint8_t number, uint8_t *into, uint32_t length) {
  return i2c_read_bytes(BOARD_THERMOMETER_ADDRESS, &number, 1, into, length);
}

// After power-on the part has 9 bits. The other bits concern its alert output, which nothing reads.
static bool thermometer_check_configuration(void) {
  const uint8_t number = CONFIGURATION;
  const uint8_t wanted = TWELVE_BITS;
  uint8_t there;
  if (!thermometer_read_register(CONFIGURATION, &there, 1)) return false;
  if ((there & (SHUTDOWN | TWELVE_BITS)) == wanted) return true;
  i2c_write_bytes(BOARD_THERMOMETER_ADDRESS, &number, 1, &wanted, 1);
  return false;
}

bool thermometer_read_temperature(int32_t *milli_celsius) {
  uint8_t bytes[2];
  if (!thermometer_check_configuration() || !thermometer_read_register(TEMPERATURE, bytes, sizeof bytes)) return false;
  // In 1/256 °C; 1000/256 is 125/32.
  int32_t value = (int16_t)(bytes[0] << 8 | bytes[1]);
  *milli_celsius = value * 125 / 32;
  return true;
}
