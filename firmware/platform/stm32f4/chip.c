// The STM32F4's clock tree, device gates and pins (RM0090: 3 flash interface, 7 RCC, 8 GPIO).
//
// What always holds: the processor runs from the crystal through the PLL, or not at all. The clock security system ends in
// the NMI, so in a restart, when the crystal fails later.
#include "chip.h"

#include "platform.h"

#define RCC_BASE 0x40023800u
#define RCC_CONTROL (*(volatile uint32_t *)(RCC_BASE + 0x00u))
#define RCC_PLL (*(volatile uint32_t *)(RCC_BASE + 0x04u))
#define RCC_CONFIGURATION (*(volatile uint32_t *)(RCC_BASE + 0x08u))
#define RCC_AHB1_GATES (*(volatile uint32_t *)(RCC_BASE + 0x30u))
#define RCC_APB1_GATES (*(volatile uint32_t *)(RCC_BASE + 0x40u))
#define RCC_APB2_GATES (*(volatile uint32_t *)(RCC_BASE + 0x44u))
#define FLASH_ACCESS (*(volatile uint32_t *)0x40023C00u)

#define APB2_BASE 0x40010000u
#define GPIO_BASE 0x40020000u

// 7.3.1 RCC_CR
enum {
  CONTROL_INTERNAL_ON = 1u << 0,
  CONTROL_CRYSTAL_ON = 1u << 16,
  CONTROL_CRYSTAL_READY = 1u << 17,
  CONTROL_SECURITY_ON = 1u << 19,
  CONTROL_PLL_ON = 1u << 24,
  CONTROL_PLL_READY = 1u << 25,
};

// 7.3.2 RCC_PLLCFGR: 25 MHz / 25 * 336 / 2 = 168 MHz; / 7 = 48 MHz for USB.
#define PLL_FROM_CRYSTAL (25u << 0 | 336u << 6 | 0u << 16 | 1u << 22 | 7u << 24)
_Static_assert(BOARD_CLOCK_HZ == 25000000u / 25u * 336u / 2u, "the PLL gives the board's clock");

// 7.3.3 RCC_CFGR
enum {
  CONFIGURATION_PLL = 2u << 0,
  CONFIGURATION_IN_USE = 3u << 2,
  CONFIGURATION_PLL_IN_USE = 2u << 2,
  CONFIGURATION_APB1_BY_4 = 5u << 10,
  CONFIGURATION_APB2_BY_2 = 4u << 13,
};

// 3.5.1, table 10: five wait states above 150 MHz at 2.7 to 3.6 V; prefetch and both caches.
#define FLASH_FOR_168_MHZ (5u | 1u << 8 | 1u << 9 | 1u << 10)

// The crystal takes 2 ms to start (DS8626, 5.3.8), which is 32,000 cycles of the 16 MHz that the loop then runs at.
#define READY_TURNS 1000000u

bool chip_has_clock_control(void) {
  // Only 0 once something else is the system clock, and nothing here switches it off.
  return (RCC_CONTROL & CONTROL_INTERNAL_ON) != 0;
}

static void chip_await_bits(volatile uint32_t *where, uint32_t mask, uint32_t expected) {
  for (uint32_t turn = 0; turn < READY_TURNS; turn++) {
    if ((*where & mask) == expected) return;
  }
  // As the clock security system tells it: exception 2, the NMI.
  reset_restart_board(RESET_CAUSE_TRAP, TRAP_CODE_FAULT + 2);
}

void chip_start_clock(void) {
  if (!chip_has_clock_control()) return;
  RCC_CONTROL |= CONTROL_CRYSTAL_ON;
  chip_await_bits(&RCC_CONTROL, CONTROL_CRYSTAL_READY, CONTROL_CRYSTAL_READY);
  RCC_PLL = PLL_FROM_CRYSTAL;
  RCC_CONTROL |= CONTROL_PLL_ON;
  chip_await_bits(&RCC_CONTROL, CONTROL_PLL_READY, CONTROL_PLL_READY);
  FLASH_ACCESS = FLASH_FOR_168_MHZ;
  RCC_CONFIGURATION = CONFIGURATION_APB1_BY_4 | CONFIGURATION_APB2_BY_2;
  RCC_CONFIGURATION |= CONFIGURATION_PLL;
  chip_await_bits(&RCC_CONFIGURATION, CONFIGURATION_IN_USE, CONFIGURATION_PLL_IN_USE);
  RCC_CONTROL |= CONTROL_SECURITY_ON;
}

// 7.3.10 to 7.3.14: each device's bit is its number on its bus, of 1 KB each.
void chip_enable_device(uint32_t base) {
  volatile uint32_t *gates = &RCC_APB1_GATES;
  if (base >= APB2_BASE) gates = &RCC_APB2_GATES;
  if (base >= GPIO_BASE) gates = &RCC_AHB1_GATES;
  *gates |= 1u << (base >> 10 & 31u);
  // A gate takes two cycles to open (7.2.14): a read of it is longer.
  (void)*gates;
}

static void chip_put_field(uint32_t address, uint32_t index, uint32_t width, uint32_t value) {
  volatile uint32_t *where = (volatile uint32_t *)address;
  uint32_t mask = (1u << width) - 1u;
  *where = (*where & ~(mask << (index * width))) | value << (index * width);
}

// 8.4: MODER, PUPDR, AFRL and AFRH.
void chip_give_pin_to_usart(uint32_t pin) {
  uint32_t port = GPIO_BASE + 0x400u * (pin / 16u);
  uint32_t number = pin % 16u;
  chip_enable_device(port);
  chip_put_field(port + 0x20u + 4u * (number / 8u), number % 8u, 4, 7);
  chip_put_field(port + 0x0Cu, number, 2, 1);
  chip_put_field(port + 0x00u, number, 2, 2);
}
