// UART of a Stellaris LM3S6965, a PL011 (data sheet, chapter "Universal Asynchronous Receivers/Transmitters"), without its
// FIFOs: one byte in each direction at a time, by one interrupt.
//
// What always holds: a received byte's interrupt ends by reading the byte and in no other way, so none is left unread.
#include "cpu.h"
#include "line.h"
#include "platform.h"
#include "stellaris_system.h"

#define UART_REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define UART_DATA UART_REGISTER(0x00u)
#define UART_FLAGS UART_REGISTER(0x18u)
#define UART_DIVIDER UART_REGISTER(0x24u)
#define UART_DIVIDER_64THS UART_REGISTER(0x28u)
#define UART_LINE UART_REGISTER(0x2Cu)
#define UART_CONTROL UART_REGISTER(0x30u)
#define UART_INTERRUPTS UART_REGISTER(0x38u)
#define UART_EVENTS UART_REGISTER(0x3Cu)
#define UART_CLEAR UART_REGISTER(0x44u)

enum { FLAG_NONE_RECEIVED = 1u << 4 };
enum { LINE_8_BITS = 3u << 5 };
enum { CONTROL_ENABLE = 1u << 0, CONTROL_TRANSMIT = 1u << 8, CONTROL_RECEIVE = 1u << 9 };
enum { EVENT_RECEIVED = 1u << 4, EVENT_TRANSMIT_FREE = 1u << 5 };

// 16 samples a bit, in 64ths of a cycle.
#define DIVIDER_64THS ((BOARD_CLOCK_HZ * 4u + BOARD_LINK_BAUD / 2u) / BOARD_LINK_BAUD)
_Static_assert(BOARD_CLOCK_HZ <= 0xFFFFFFFFu / 4u - BOARD_LINK_BAUD, "the divider is worked out in 32 bits");

#define PINS (3u << BOARD_UART_FIRST_PIN)

void uart_start_device(void) {
  system_open_gate(SYSTEM_GATES_1, BOARD_UART_GATE);
  port_open_gate(BOARD_UART_PORT);
  PORT_REGISTER(BOARD_UART_PORT, PORT_FUNCTION) |= PINS;
  PORT_REGISTER(BOARD_UART_PORT, PORT_DIGITAL) |= PINS;
  UART_CONTROL = 0;
  UART_DIVIDER = DIVIDER_64THS / 64u;
  UART_DIVIDER_64THS = DIVIDER_64THS % 64u;
  UART_LINE = LINE_8_BITS;  // takes the divider over
  UART_CLEAR = EVENT_TRANSMIT_FREE;
  UART_INTERRUPTS = EVENT_RECEIVED | EVENT_TRANSMIT_FREE;
  UART_CONTROL = CONTROL_ENABLE | CONTROL_TRANSMIT | CONTROL_RECEIVE;
  cpu_enable_interrupt(BOARD_UART_IRQ);
}

void uart_send_byte(uint8_t byte) {
  UART_DATA = byte;
}

void uart_on_interrupt(void) {
  while ((UART_FLAGS & FLAG_NONE_RECEIVED) == 0) line_accept_byte((uint8_t)UART_DATA);
  if ((UART_EVENTS & EVENT_TRANSMIT_FREE) == 0) return;
  uint8_t byte;
  UART_CLEAR = EVENT_TRANSMIT_FREE;
  if (line_next_byte(&byte)) UART_DATA = byte;
}
