// Registers of an STM32 USART (RM0090, 30.6), for the drivers that use one.
#ifndef STM32_USART_H_
#define STM32_USART_H_

#include <stdint.h>

struct stm32_usart {
  volatile uint32_t status;
  volatile uint32_t data;
  volatile uint32_t divider;
  volatile uint32_t control;
};

enum {
  USART_STATUS_OVERRUN = 1u << 3,
  USART_STATUS_RECEIVED = 1u << 5,
  USART_STATUS_SENT = 1u << 6,
  USART_STATUS_ROOM = 1u << 7,
};

enum {
  USART_CONTROL_RECEIVE = 1u << 2,
  USART_CONTROL_TRANSMIT = 1u << 3,
  USART_CONTROL_RECEIVE_INTERRUPT = 1u << 5,
  USART_CONTROL_SENT_INTERRUPT = 1u << 6,
  USART_CONTROL_ENABLE = 1u << 13,
};

/// 30.3.4: sixteen samples a bit; the divider counts sixteenths of them.
static inline uint32_t stm32_usart_divider(uint32_t input_hz, uint32_t baud) {
  return (input_hz + baud / 2u) / baud;
}

#endif
