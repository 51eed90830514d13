// A serial port on an STM32 USART (RM0090, 30): sends by waiting for room, receives by interrupt.
//
// What always holds: `received` is written by the handler only, `taken` by the main loop only; what comes while
// RECEIVED_BYTES wait is lost.
#include "serial_port.h"

#include "chip.h"
#include "cpu.h"
#include "platform.h"
#include "stm32_usart.h"

#define USART ((struct stm32_usart *)BOARD_I2C_BASE)
#define RECEIVED_BYTES 16u

static volatile uint8_t bytes_received[RECEIVED_BYTES];
static volatile uint32_t received;
static volatile uint32_t taken;

void serial_start_port(uint32_t baud) {
  chip_enable_device(BOARD_I2C_BASE);
  chip_give_pin_to_usart(BOARD_I2C_TRANSMIT_PIN);
  chip_give_pin_to_usart(BOARD_I2C_RECEIVE_PIN);
  USART->control = 0;
  USART->divider = stm32_usart_divider(BOARD_I2C_INPUT_HZ, baud);
  USART->control =
      USART_CONTROL_ENABLE | USART_CONTROL_TRANSMIT | USART_CONTROL_RECEIVE | USART_CONTROL_RECEIVE_INTERRUPT;
  cpu_enable_interrupt(BOARD_I2C_IRQ);
}

void serial_send_bytes(const uint8_t *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) {
    USART->data = bytes[i];
    while (!(USART->status & USART_STATUS_ROOM)) {
    }
  }
}

void serial_on_interrupt(void) {
  uint32_t status = USART->status;
  // Reading the data clears an overrun too.
  if (!(status & (USART_STATUS_RECEIVED | USART_STATUS_OVERRUN))) return;
  uint8_t byte = (uint8_t)USART->data;
  if (!(status & USART_STATUS_RECEIVED) || received - taken == RECEIVED_BYTES) return;
  bytes_received[received % RECEIVED_BYTES] = byte;
  received = received + 1;
}

bool serial_receive_byte(uint8_t *byte, uint64_t until) {
  while (received == taken) {
    if (tick_read_now() > until) return false;
    uint32_t held = cpu_hold_interrupts();
    if (received == taken) {
      tick_arm_alarm(until);
      cpu_wait_for_interrupt();
    }
    cpu_restore_interrupts(held);
  }
  *byte = bytes_received[taken % RECEIVED_BYTES];
  taken = taken + 1;
  return true;
}

void serial_drop_received(void) {
  taken = received;
}
