// CMSDK APB UART: one byte in each direction at a time, by interrupt.
#include "cpu.h"
#include "line.h"
#include "platform.h"

#define UART_DATA (*(volatile uint32_t *)(BOARD_UART_BASE + 0x00u))
#define UART_STATE (*(volatile uint32_t *)(BOARD_UART_BASE + 0x04u))
#define UART_CONTROL (*(volatile uint32_t *)(BOARD_UART_BASE + 0x08u))
#define UART_INTERRUPT (*(volatile uint32_t *)(BOARD_UART_BASE + 0x0Cu))
#define UART_DIVIDER (*(volatile uint32_t *)(BOARD_UART_BASE + 0x10u))

enum { STATE_RECEIVED = 1u << 1 };
enum { CONTROL_ALL = 0xFu };  // transmitter and receiver, each with its interrupt
enum { INTERRUPT_TRANSMIT = 1u << 0, INTERRUPT_RECEIVE = 1u << 1 };

void uart_start_device(void) {
  UART_DIVIDER = BOARD_CLOCK_HZ / BOARD_LINK_BAUD;
  UART_INTERRUPT = INTERRUPT_TRANSMIT | INTERRUPT_RECEIVE;
  UART_CONTROL = CONTROL_ALL;
  cpu_enable_interrupt(BOARD_UART_RECEIVE_IRQ);
  cpu_enable_interrupt(BOARD_UART_TRANSMIT_IRQ);
}

void uart_send_byte(uint8_t byte) {
  UART_DATA = byte;
}

void uart_on_receive(void) {
  UART_INTERRUPT = INTERRUPT_RECEIVE;
  while (UART_STATE & STATE_RECEIVED) line_accept_byte((uint8_t)UART_DATA);
}

void uart_on_transmit(void) {
  uint8_t byte;
  UART_INTERRUPT = INTERRUPT_TRANSMIT;
  if (line_next_byte(&byte)) UART_DATA = byte;
}
