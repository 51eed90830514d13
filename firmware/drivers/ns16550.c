// NS16550 UART (TI "TL16C550C", SLLS177; the 16450's registers), FIFOs off: one byte in each direction at a time, by
// interrupt.
#include "cpu.h"
#include "line.h"
#include "platform.h"

#define UART_REGISTER(number) (*(volatile uint8_t *)(BOARD_UART_BASE + (number) * BOARD_UART_REGISTER_STRIDE))
#define UART_DATA UART_REGISTER(0u)         // with the divisor latch: low byte of the divisor
#define UART_INTERRUPTS UART_REGISTER(1u)   // with the divisor latch: high byte
#define UART_CAUSE UART_REGISTER(2u)        // read; written: FIFO control
#define UART_LINE_CONTROL UART_REGISTER(3u)
#define UART_MODEM_CONTROL UART_REGISTER(4u)
#define UART_LINE_STATUS UART_REGISTER(5u)

enum { INTERRUPT_RECEIVED = 1u << 0, INTERRUPT_EMPTY = 1u << 1 };
enum { LINE_8N1 = 3u, LINE_DIVISOR = 1u << 7 };
// OUT2 lets the interrupt out of the part on many boards.
enum { MODEM_OUT2 = 1u << 3 };
enum { STATUS_RECEIVED = 1u << 0 };
// Bits 0 to 3: 1 without an interrupt; else what it is (table 5).
enum { CAUSE_MASK = 0xFu, CAUSE_EMPTY = 2u };

#define DIVISOR ((BOARD_UART_INPUT_HZ + 8u * BOARD_LINK_BAUD) / (16u * BOARD_LINK_BAUD))
_Static_assert(DIVISOR >= 1 && DIVISOR <= 0xFFFF, "the divisor has 16 bits");

void uart_start_device(void) {
  UART_INTERRUPTS = 0;
  UART_LINE_CONTROL = LINE_8N1 | LINE_DIVISOR;
  UART_DATA = (uint8_t)DIVISOR;
  UART_INTERRUPTS = (uint8_t)(DIVISOR >> 8);
  UART_LINE_CONTROL = LINE_8N1;
  UART_CAUSE = 0;
  UART_MODEM_CONTROL = MODEM_OUT2;
  UART_INTERRUPTS = INTERRUPT_RECEIVED | INTERRUPT_EMPTY;
  cpu_enable_interrupt(BOARD_UART_IRQ);
}

void uart_send_byte(uint8_t byte) {
  UART_DATA = byte;
}

// Reading the cause takes back an empty transmitter's interrupt; reading the byte, that of a byte received, which is
// told first.
void uart_on_interrupt(void) {
  uint32_t cause = UART_CAUSE & CAUSE_MASK;
  while (UART_LINE_STATUS & STATUS_RECEIVED) line_accept_byte(UART_DATA);
  uint8_t byte;
  if (cause == CAUSE_EMPTY && line_next_byte(&byte)) UART_DATA = byte;
}
