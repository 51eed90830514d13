// What the STM32F4's drivers share: its clock, the gates of its devices, its pins.
//
// Pins count from PA0, 16 of each port. Device addresses are those of RM0090, 2.3 "Memory map".
#ifndef CHIP_H_
#define CHIP_H_

#include <stdbool.h>
#include <stdint.h>

/// Brings the processor to BOARD_CLOCK_HZ, AHB / 4 on APB1 and AHB / 2 on APB2, all from the crystal. Where the crystal
/// does not start the board restarts: ticks of a clock of unknown error are never counted.
void chip_start_clock(void);

/// Whether the chip has its clock control. QEMU's has none: it runs at BOARD_CLOCK_HZ from the start, and its timers at
/// 1 GHz.
bool chip_has_clock_control(void);

/// Lets a device of APB1, APB2 or AHB1 have its clock.
void chip_enable_device(uint32_t base);

/// Gives a pin to the USARTs 1 to 3 (alternate function 7), with its pull-up: an open line is an idle one.
void chip_give_pin_to_usart(uint32_t pin);

#endif
