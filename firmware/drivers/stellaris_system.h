// What every driver of the Stellaris LM3S6965 begins with: its device's clock and its pins (data sheet "Stellaris LM3S6965
// Microcontroller", chapters "System Control" and "General-Purpose Input/Outputs").
#ifndef STELLARIS_SYSTEM_H_
#define STELLARIS_SYSTEM_H_

#include <stdint.h>

#define SYSTEM_REGISTER(offset) (*(volatile uint32_t *)(0x400FE000u + (offset)))

/// RCGC0 to RCGC2: a bit for each device. They hold in sleep too, as ACG of RCC stays 0.
enum { SYSTEM_GATES_0 = 0x100, SYSTEM_GATES_1 = 0x104, SYSTEM_GATES_2 = 0x108 };

/// Gives a device its clock. Its registers are there three cycles later.
static inline void system_open_gate(uint32_t gates, uint32_t bit) {
  SYSTEM_REGISTER(gates) |= 1u << bit;
  __asm__ volatile("nop\n\tnop\n\tnop" ::: "memory");
}

#define PORT_REGISTER(port, offset) \
  (*(volatile uint32_t *)(((port) < 4u ? 0x40004000u + 0x1000u * (port) : 0x40020000u + 0x1000u * (port)) + (offset)))

/// GPIODATA: address bits 2 to 9 say which pins are read or written.
#define PORT_PINS(port, pins) PORT_REGISTER(port, (pins) << 2)

enum {
  PORT_DIRECTION = 0x400,
  PORT_FUNCTION = 0x420,
  PORT_OPEN_DRAIN = 0x50C,
  PORT_DIGITAL = 0x51C,
};

/// Ports are 0 for A to 6 for G.
static inline void port_open_gate(uint32_t port) {
  system_open_gate(SYSTEM_GATES_2, port);
}

#endif
