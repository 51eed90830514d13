// I2C by hand on ARM's SBCon: two bits to set, two to clear, one to read.
//
// What always holds: outside a transfer both lines are released. Half a clock period is at least HALF_TICKS, which
// is at most the bus speed of the board's slowest part.
#include "i2c.h"
#include "platform.h"

#define I2C_SET (*(volatile uint32_t *)(BOARD_I2C_BASE + 0x0u))
#define I2C_CLEAR (*(volatile uint32_t *)(BOARD_I2C_BASE + 0x4u))
#define I2C_LEVEL (*(volatile uint32_t *)(BOARD_I2C_BASE + 0x0u))

enum { CLOCK_LINE = 1u << 0, DATA_LINE = 1u << 1 };

#define HALF_TICKS ((BOARD_TICK_HZ + 2u * BOARD_I2C_HZ - 1u) / (2u * BOARD_I2C_HZ))

static void i2c_wait_half(void) {
  uint64_t start = tick_read_now();
  while (tick_read_now() - start < HALF_TICKS) {
  }
}

static void i2c_set_clock(bool high) {
  if (high) {
    I2C_SET = CLOCK_LINE;
  } else {
    I2C_CLEAR = CLOCK_LINE;
  }
  i2c_wait_half();
}

static void i2c_set_data(bool high) {
  if (high) {
    I2C_SET = DATA_LINE;
  } else {
    I2C_CLEAR = DATA_LINE;
  }
  i2c_wait_half();
}

static bool i2c_clock_bit(bool out) {
  i2c_set_data(out);
  i2c_set_clock(true);
  bool in = (I2C_LEVEL & DATA_LINE) != 0;
  i2c_set_clock(false);
  return in;
}

// Start, or repeated start.
static void i2c_send_start(void) {
  i2c_set_data(true);
  i2c_set_clock(true);
  i2c_set_data(false);
  i2c_set_clock(false);
}

static void i2c_send_stop(void) {
  i2c_set_data(false);
  i2c_set_clock(true);
  i2c_set_data(true);
}

static bool i2c_send_byte(uint8_t byte) {
  for (uint32_t bit = 0x80; bit != 0; bit >>= 1) i2c_clock_bit((byte & bit) != 0);
  return !i2c_clock_bit(true);
}

static uint8_t i2c_receive_byte(bool more) {
  uint32_t byte = 0;
  for (int bit = 0; bit < 8; bit++) byte = byte << 1 | (i2c_clock_bit(true) ? 1u : 0u);
  i2c_clock_bit(!more);
  return (uint8_t)byte;
}

static bool i2c_send_bytes(const uint8_t *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    if (!i2c_send_byte(bytes[i])) return false;
  }
  return true;
}

// A part that was sending may hold the data line: it is clocked until it lets go. One that was receiving gets no clock
// more than it has to, or it would take ones for the rest of its byte; a start makes it forget that byte.
void i2c_start_bus(void) {
  i2c_set_data(true);
  i2c_set_clock(true);
  for (int clock = 0; clock < 9 && (I2C_LEVEL & DATA_LINE) == 0; clock++) {
    i2c_set_clock(false);
    i2c_set_clock(true);
  }
  i2c_send_start();
  i2c_send_stop();
}

bool i2c_write_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, const uint8_t *body,
                     uint32_t body_length) {
  i2c_send_start();
  bool done = i2c_send_byte((uint8_t)(address << 1)) && i2c_send_bytes(head, head_length) &&
              i2c_send_bytes(body, body_length);
  i2c_send_stop();
  return done;
}

bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length) {
  i2c_send_start();
  bool done = i2c_send_byte((uint8_t)(address << 1)) && i2c_send_bytes(head, head_length);
  if (done) {
    i2c_send_start();
    done = i2c_send_byte((uint8_t)(address << 1 | 1));
  }
  for (uint32_t i = 0; done && i < length; i++) into[i] = i2c_receive_byte(i + 1 < length);
  i2c_send_stop();
  return done;
}
