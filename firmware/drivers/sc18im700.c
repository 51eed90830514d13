// I2C behind an SC18IM700, a bridge on a serial port (NXP, SC18IM700 Rev. 02; 7.1 message format, 7.2 registers).
//
//   S address count bytes P                      write
//   S address count bytes S address|1 count P    write, repeated start, read: answered with the bytes read
//   W register value ... P     R register P      its own registers
//
// What always holds: a message fits the bridge's 16 bytes, and so does an answer. The bridge forgets a message that
// pauses for 655 ms.
#include "i2c.h"
#include "platform.h"
#include "serial_port.h"

#define FIFO_BYTES 16u

enum {
  REGISTER_DIVIDER_LOW = 0x00,
  REGISTER_DIVIDER_HIGH = 0x01,
  REGISTER_CLOCK_LOW = 0x07,
  REGISTER_CLOCK_HIGH = 0x08,
  REGISTER_STATUS = 0x0A,
};
enum { STATUS_DONE = 0xF0 };

// 7.2.1, 7.2.6: both rates are divided from 7.3728 MHz.
#define BRIDGE_HZ 7372800u
#define START_BAUD 9600u
#define BAUD 115200u
#define DIVIDER (BRIDGE_HZ / BAUD - 16u)
#define HALF_CLOCK ((BRIDGE_HZ + 4u * BOARD_I2C_HZ - 1u) / (4u * BOARD_I2C_HZ))
_Static_assert(HALF_CLOCK >= 5u, "the bridge has at most 368 kHz");

#define FORGET_TICKS ((uint64_t)BOARD_TICK_HZ * 7u / 10u)
#define START_ATTEMPTS 4u
#define START_ANSWER_TICKS ((uint64_t)BOARD_TICK_HZ / 20u)
// What is left of a message when its last bytes are handed over.
#define START_LINE_TICKS ((uint64_t)BOARD_TICK_HZ * 2u * 10u / START_BAUD)
#define ANSWER_TICKS ((uint64_t)BOARD_TICK_HZ * 2u)
// What is left of a message on the line when its last bytes are handed over, then the longest transfer on the bus.
#define LINE_TICKS (2u * 10u * BOARD_TICK_HZ / BAUD)
#define BUS_TICKS (FIFO_BYTES * 9u * 4u * HALF_CLOCK * (BOARD_TICK_HZ / 1000u) / (BRIDGE_HZ / 1000u))

static bool bridge_receive_bytes(uint8_t *into, uint32_t length, uint64_t ticks) {
  uint64_t until = tick_read_now() + ticks;
  for (uint32_t i = 0; i < length; i++) {
    if (!serial_receive_byte(&into[i], until)) return false;
  }
  return true;
}

static bool bridge_has_register(uint8_t number, uint8_t expected, uint64_t ticks) {
  const uint8_t message[3] = {'R', number, 'P'};
  uint8_t value;
  serial_drop_received();
  serial_send_bytes(message, sizeof message);
  return bridge_receive_bytes(&value, 1, ticks) && value == expected;
}

// After a reset of the processor alone the bridge is as it was set, after power-on it has 9,600 baud. What it may take for
// the rest of a write that the reset cut off goes to the page that is in doubt anyway.
void i2c_start_bus(void) {
  const uint8_t set_up[] = {
      'W',
      REGISTER_CLOCK_LOW,
      HALF_CLOCK,
      REGISTER_CLOCK_HIGH,
      HALF_CLOCK,
      REGISTER_DIVIDER_LOW,
      DIVIDER & 0xFFu,
      REGISTER_DIVIDER_HIGH,
      DIVIDER >> 8,
      'P',
  };
  for (uint32_t attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if (attempt > 1) tick_sleep_until(tick_read_now() + FORGET_TICKS);
    serial_start_port(BAUD);
    if (bridge_has_register(REGISTER_DIVIDER_LOW, DIVIDER & 0xFFu, START_ANSWER_TICKS)) return;
    if (attempt > 1) tick_sleep_until(tick_read_now() + FORGET_TICKS);
    serial_start_port(START_BAUD);
    serial_send_bytes(set_up, sizeof set_up);
    tick_sleep_until(tick_read_now() + START_LINE_TICKS);
  }
}

bool i2c_write_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, const uint8_t *body,
                     uint32_t body_length) {
  uint8_t start[3] = {'S', (uint8_t)(address << 1), (uint8_t)(head_length + body_length)};
  const uint8_t stop = 'P';
  if (sizeof start + head_length + body_length + sizeof stop > FIFO_BYTES) return false;
  serial_send_bytes(start, sizeof start);
  serial_send_bytes(head, head_length);
  serial_send_bytes(body, body_length);
  serial_send_bytes(&stop, sizeof stop);
  // Its status is told at once, even of a transfer under way (7.1.3).
  tick_sleep_until(tick_read_now() + LINE_TICKS + BUS_TICKS);
  return bridge_has_register(REGISTER_STATUS, STATUS_DONE, ANSWER_TICKS);
}

bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length) {
  const uint8_t start[3] = {'S', (uint8_t)(address << 1), (uint8_t)head_length};
  const uint8_t again[4] = {'S', (uint8_t)(address << 1 | 1), (uint8_t)length, 'P'};
  if (sizeof start + head_length + sizeof again > FIFO_BYTES || length > FIFO_BYTES) return false;
  serial_drop_received();
  serial_send_bytes(start, sizeof start);
  serial_send_bytes(head, head_length);
  serial_send_bytes(again, sizeof again);
  return bridge_receive_bytes(into, length, ANSWER_TICKS);
}
