// The link on an STM32 USART (RM0090, 30): one byte in each direction at a time, by interrupt.
//
// What always holds: the next byte is handed over when the last bit of the one before has left, so no more than one is
// under way after its tick.
#include "stm32_usart.h"

#include "chip.h"
#include "cpu.h"
#include "line.h"
#include "platform.h"

#define USART ((struct stm32_usart *)BOARD_UART_BASE)

void uart_start_device(void) {
  chip_enable_device(BOARD_UART_BASE);
  chip_give_pin_to_usart(BOARD_UART_TRANSMIT_PIN);
  chip_give_pin_to_usart(BOARD_UART_RECEIVE_PIN);
  USART->divider = stm32_usart_divider(BOARD_UART_INPUT_HZ, BOARD_LINK_BAUD);
  USART->control = USART_CONTROL_ENABLE | USART_CONTROL_TRANSMIT | USART_CONTROL_RECEIVE |
                   USART_CONTROL_RECEIVE_INTERRUPT | USART_CONTROL_SENT_INTERRUPT;
  cpu_enable_interrupt(BOARD_UART_IRQ);
}

// QEMU's USART sends at once and has no interrupt for it: the handler is asked for. On the chip it then finds the byte
// still leaving.
void uart_send_byte(uint8_t byte) {
  USART->data = byte;
  cpu_pend_interrupt(BOARD_UART_IRQ);
}

void uart_on_interrupt(void) {
  uint32_t status = USART->status;
  // Reading the data clears an overrun too.
  if (status & (USART_STATUS_RECEIVED | USART_STATUS_OVERRUN)) {
    uint8_t byte = (uint8_t)USART->data;
    if (status & USART_STATUS_RECEIVED) line_accept_byte(byte);
  }
  if (status & USART_STATUS_SENT) {
    uint8_t byte;
    USART->status = ~(uint32_t)USART_STATUS_SENT;
    if (line_next_byte(&byte)) uart_send_byte(byte);
  }
}
