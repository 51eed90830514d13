// I2C master of a Stellaris LM3S6965 (data sheet, chapter "Inter-Integrated Circuit Interface").
//
// What always holds: outside a transfer the bus is free. A head that is written before a read ends with a stop, not with a
// repeated start: the parts keep where they are (there is one master), and QEMU's model of this device knows no repeated
// start. The device cannot ask for an acknowledgement alone: whether a part answers is found out by reading a byte.
#include "i2c.h"
#include "cpu.h"
#include "platform.h"
#include "stellaris_system.h"

#define I2C_REGISTER(offset) (*(volatile uint32_t *)(BOARD_I2C_BASE + (offset)))
#define I2C_ADDRESS I2C_REGISTER(0x00u)
#define I2C_COMMAND I2C_REGISTER(0x04u)
#define I2C_STATE I2C_REGISTER(0x04u)
#define I2C_DATA I2C_REGISTER(0x08u)
#define I2C_PERIOD I2C_REGISTER(0x0Cu)
#define I2C_CONFIGURATION I2C_REGISTER(0x20u)

enum { COMMAND_RUN = 1u << 0, COMMAND_START = 1u << 1, COMMAND_STOP = 1u << 2, COMMAND_ACKNOWLEDGE = 1u << 3 };
enum { STATE_BUSY = 1u << 0, STATE_ERROR = 1u << 1 };
enum { CONFIGURATION_MASTER = 1u << 4 };

// A period of the bus has 20 x (1 + I2CMTPR) cycles.
#define PERIOD ((BOARD_CLOCK_HZ + 20u * BOARD_I2C_HZ - 1u) / (20u * BOARD_I2C_HZ) - 1u)
_Static_assert(PERIOD >= 1 && PERIOD <= 127, "no such speed of the bus");

#define CLOCK_LINE (1u << BOARD_I2C_FIRST_PIN)
#define DATA_LINE (2u << BOARD_I2C_FIRST_PIN)
#define LINES (CLOCK_LINE | DATA_LINE)
#define HALF_TICKS ((BOARD_TICK_HZ + 2u * BOARD_I2C_HZ - 1u) / (2u * BOARD_I2C_HZ))

static void i2c_pull_lines(uint32_t low) {
  PORT_REGISTER(BOARD_I2C_PORT, PORT_DIRECTION) = (PORT_REGISTER(BOARD_I2C_PORT, PORT_DIRECTION) & ~LINES) | low;
  uint64_t start = tick_read_now();
  while (tick_read_now() - start < HALF_TICKS) {
  }
}

// By hand, as the device has no command for it: a part that was sending may hold the data line and is clocked until it lets
// go. One that was receiving gets no clock more than it has to, or it would take ones for the rest of its byte; a start
// makes it forget that byte. Pins as inputs are released, as outputs low.
void i2c_start_bus(void) {
  port_open_gate(BOARD_I2C_PORT);
  system_open_gate(SYSTEM_GATES_1, BOARD_I2C_GATE);
  PORT_REGISTER(BOARD_I2C_PORT, PORT_FUNCTION) &= ~LINES;
  PORT_REGISTER(BOARD_I2C_PORT, PORT_OPEN_DRAIN) |= LINES;
  PORT_REGISTER(BOARD_I2C_PORT, PORT_DIGITAL) |= LINES;
  PORT_PINS(BOARD_I2C_PORT, LINES) = 0;
  i2c_pull_lines(0);
  for (int clock = 0; clock < 9 && PORT_PINS(BOARD_I2C_PORT, DATA_LINE) == 0; clock++) {
    i2c_pull_lines(CLOCK_LINE);
    i2c_pull_lines(0);
  }
  i2c_pull_lines(DATA_LINE);
  i2c_pull_lines(0);
  PORT_REGISTER(BOARD_I2C_PORT, PORT_FUNCTION) |= LINES;
  I2C_CONFIGURATION = CONFIGURATION_MASTER;
  I2C_PERIOD = PERIOD;
}

// A byte that is not acknowledged ends the transfer.
static bool i2c_run_command(uint32_t command) {
  I2C_COMMAND = command;
  while ((I2C_STATE & STATE_BUSY) != 0) {
  }
  if ((I2C_STATE & STATE_ERROR) == 0) return true;
  if ((command & COMMAND_STOP) == 0) {
    I2C_COMMAND = COMMAND_STOP;
    while ((I2C_STATE & STATE_BUSY) != 0) {
    }
  }
  return false;
}

static uint32_t i2c_bound_transfer(bool first, bool last) {
  return COMMAND_RUN | (first ? COMMAND_START : 0) | (last ? COMMAND_STOP : 0);
}

static bool i2c_receive_bytes(uint8_t address, uint8_t *into, uint32_t length) {
  I2C_ADDRESS = (uint32_t)address << 1 | 1u;
  for (uint32_t i = 0; i < length; i++) {
    bool last = i + 1 == length;
    if (!i2c_run_command(i2c_bound_transfer(i == 0, last) | (last ? 0 : COMMAND_ACKNOWLEDGE))) return false;
    into[i] = (uint8_t)I2C_DATA;
  }
  return true;
}

bool i2c_write_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, const uint8_t *body,
                     uint32_t body_length) {
  uint32_t length = head_length + body_length;
  uint8_t unread;
  if (length == 0) return i2c_receive_bytes(address, &unread, 1);
  I2C_ADDRESS = (uint32_t)address << 1;
  for (uint32_t i = 0; i < length; i++) {
    I2C_DATA = i < head_length ? head[i] : body[i - head_length];
    if (!i2c_run_command(i2c_bound_transfer(i == 0, i + 1 == length))) return false;
  }
  return true;
}

bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length) {
  return i2c_write_bytes(address, head, head_length, NULL, 0) && i2c_receive_bytes(address, into, length);
}
