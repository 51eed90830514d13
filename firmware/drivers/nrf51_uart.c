// UART of the nRF51 (nRF51 Series Reference Manual 3.0, chapter 29): one byte in each direction at a time, by interrupt.
//
// What always holds: an event is cleared before the byte is read or written that can set it again, so none is lost. The
// receiver has six bytes of its own, each with an event: a byte that waited there is stamped late, never early.
#include "cpu.h"
#include "line.h"
#include "platform.h"

#define UART_REGISTER(offset) (*(volatile uint32_t *)(BOARD_UART_BASE + (offset)))
#define UART_START_RECEIVER UART_REGISTER(0x000u)
#define UART_START_TRANSMITTER UART_REGISTER(0x008u)
#define UART_RECEIVED UART_REGISTER(0x108u)
#define UART_SENT UART_REGISTER(0x11Cu)
#define UART_INTERRUPT_SET UART_REGISTER(0x304u)
#define UART_ENABLE UART_REGISTER(0x500u)
#define UART_SELECT_RTS UART_REGISTER(0x508u)
#define UART_SELECT_TXD UART_REGISTER(0x50Cu)
#define UART_SELECT_CTS UART_REGISTER(0x510u)
#define UART_SELECT_RXD UART_REGISTER(0x514u)
#define UART_RECEIVE_DATA UART_REGISTER(0x518u)
#define UART_SEND_DATA UART_REGISTER(0x51Cu)
#define UART_BAUD UART_REGISTER(0x524u)
#define UART_CONFIG UART_REGISTER(0x56Cu)

enum { INTERRUPT_RECEIVED = 1u << 2, INTERRUPT_SENT = 1u << 7 };
enum { ENABLE_UART = 4 };
#define PIN_NONE 0xFFFFFFFFu

// 14.2, "GPIO": pins of the port.
#define PORT_OUTPUT_SET (*(volatile uint32_t *)0x50000508u)
#define PORT_PIN(pin) (*(volatile uint32_t *)(0x50000700u + 4u * (pin)))
enum { PIN_OUTPUT = 1u << 0, PIN_NO_INPUT = 1u << 1, PIN_PULL_UP = 3u << 2 };

// 29.10.11, "BAUDRATE": the values that the manual gives; no others are specified.
#if BOARD_LINK_BAUD == 9600
#define BAUD 0x00275000u
#elif BOARD_LINK_BAUD == 19200
#define BAUD 0x004EA000u
#elif BOARD_LINK_BAUD == 38400
#define BAUD 0x009D5000u
#elif BOARD_LINK_BAUD == 57600
#define BAUD 0x00EBF000u
#elif BOARD_LINK_BAUD == 115200
#define BAUD 0x01D7E000u
#elif BOARD_LINK_BAUD == 230400
#define BAUD 0x03AFB000u
#elif BOARD_LINK_BAUD == 460800
#define BAUD 0x075F7000u
#elif BOARD_LINK_BAUD == 921600
#define BAUD 0x0EBEDFA4u
#else
#error "the nRF51's UART has no such baud rate"
#endif

void uart_start_device(void) {
  // What the pins do is decided by the port until the UART is on: the line idles high.
  PORT_OUTPUT_SET = 1u << BOARD_UART_TRANSMIT_PIN;
  PORT_PIN(BOARD_UART_TRANSMIT_PIN) = PIN_OUTPUT | PIN_NO_INPUT;
  PORT_PIN(BOARD_UART_RECEIVE_PIN) = PIN_PULL_UP;
  UART_ENABLE = 0;
  UART_SELECT_TXD = BOARD_UART_TRANSMIT_PIN;
  UART_SELECT_RXD = BOARD_UART_RECEIVE_PIN;
  UART_SELECT_RTS = PIN_NONE;
  UART_SELECT_CTS = PIN_NONE;
  UART_BAUD = BAUD;
  UART_CONFIG = 0;  // no parity, no flow control
  UART_ENABLE = ENABLE_UART;
  UART_RECEIVED = 0;
  UART_SENT = 0;
  UART_INTERRUPT_SET = INTERRUPT_RECEIVED | INTERRUPT_SENT;
  UART_START_TRANSMITTER = 1;
  UART_START_RECEIVER = 1;
  cpu_enable_interrupt(BOARD_UART_IRQ);
}

void uart_send_byte(uint8_t byte) {
  UART_SEND_DATA = byte;
}

void uart_on_interrupt(void) {
  while (UART_RECEIVED != 0) {
    UART_RECEIVED = 0;
    line_accept_byte((uint8_t)UART_RECEIVE_DATA);
  }
  if (UART_SENT != 0) {
    uint8_t byte;
    UART_SENT = 0;
    if (line_next_byte(&byte)) UART_SEND_DATA = byte;
  }
}
