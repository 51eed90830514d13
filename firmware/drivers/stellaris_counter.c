// Tick counter of a Stellaris LM3S6965: SysTick has the lower 24 bits, the watchdog's count tells which turn they are in.
//
// What always holds: the processor's clock is 1/4 of the PLL's 200 MHz, from the crystal. The watchdog's count begins anew
// whenever it is fed, at a tick known by SysTick, and is a few cycles behind from there on: so a tick is the first one
// from it on that has SysTick's bits. No interrupt takes part, and between both readings nearly a whole turn, a third of a
// second, may pass. Only where the processor is held up for longer than the watchdog waits would a turn be missed, and then
// the board restarts. (The general-purpose timers have 32 bits, but their count cannot be read in QEMU.)
#include "cpu.h"
#include "platform.h"
#include "stellaris_system.h"
#include "stellaris_ticks.h"

#ifndef BOARD_WATCHDOG_MS
#error "the ticks of a Stellaris need its watchdog"
#endif

#define COUNTER_CONTROL (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x0u))
#define COUNTER_RELOAD (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x4u))
#define COUNTER_VALUE (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x8u))

enum { CONTROL_ENABLE = 1u << 0, CONTROL_PROCESSOR_CLOCK = 1u << 2 };

#define COUNTER_MASK 0xFFFFFFu

// SysTick, which is read after the watchdog, is ahead of it but for some cycles of how the two were started.
#define BEHIND_MOST 0x10000u

// Chapter "System Control".
#define SYSTEM_IDENTITY SYSTEM_REGISTER(0x000u)
#define SYSTEM_REGULATOR SYSTEM_REGISTER(0x034u)
#define SYSTEM_EVENTS SYSTEM_REGISTER(0x050u)
#define SYSTEM_CLEAR SYSTEM_REGISTER(0x058u)
#define SYSTEM_CLOCK SYSTEM_REGISTER(0x060u)

#define EVENT_PLL_LOCKED (1u << 6)

// RCC.
#define CLOCK_DIVIDER(by) (((by) - 1u) << 23)
#define CLOCK_DIVIDER_MASK (15u << 23)
#define CLOCK_USE_DIVIDER (1u << 22)
#define CLOCK_PLL_OFF (3u << 12)
#define CLOCK_BYPASS_PLL (1u << 11)
#define CLOCK_CRYSTAL_8_MHZ (14u << 6)
#define CLOCK_CRYSTAL_MASK (15u << 6)
#define CLOCK_SOURCE_MASK (3u << 4)
#define CLOCK_CRYSTAL_OFF (1u << 0)

#define PLL_HZ 200000000u
#define PLL_DIVIDER (PLL_HZ / BOARD_CLOCK_HZ)
_Static_assert(PLL_DIVIDER * BOARD_CLOCK_HZ == PLL_HZ && PLL_DIVIDER >= 4 && PLL_DIVIDER <= 16, "no clock of this chip");

// DID0, and LDOPCTL for 2.75 V: at less the PLL of revision A2 is not reliable (errata of that revision).
#define REVISION_MASK 0xFFFFu
#define REVISION_A2 2u
#define REGULATOR_2_75_V 0x1Bu

// The crystal starts within 20 ms; the internal oscillator has at most 16 MHz, and one turn takes some eight cycles.
#define CRYSTAL_TURNS (16000000u / 1000u * 20u / 4u)

// The steps of section "Initialization and Configuration".
static void clock_start_pll(void) {
  if ((SYSTEM_IDENTITY & REVISION_MASK) == REVISION_A2) SYSTEM_REGULATOR = REGULATOR_2_75_V;
  uint32_t clock = (SYSTEM_CLOCK | CLOCK_BYPASS_PLL) & ~CLOCK_USE_DIVIDER;
  SYSTEM_CLOCK = clock;
  clock &= ~CLOCK_CRYSTAL_OFF;
  SYSTEM_CLOCK = clock;
  for (volatile uint32_t turn = 0; turn < CRYSTAL_TURNS; turn++) {
  }
  SYSTEM_CLEAR = EVENT_PLL_LOCKED;
  clock &= ~(CLOCK_CRYSTAL_MASK | CLOCK_SOURCE_MASK | CLOCK_PLL_OFF);
  clock |= CLOCK_CRYSTAL_8_MHZ;
  SYSTEM_CLOCK = clock;
  clock &= ~CLOCK_DIVIDER_MASK;
  clock |= CLOCK_DIVIDER(PLL_DIVIDER) | CLOCK_USE_DIVIDER;
  SYSTEM_CLOCK = clock;
  while ((SYSTEM_EVENTS & EVENT_PLL_LOCKED) == 0) {
  }
  SYSTEM_CLOCK = clock & ~CLOCK_BYPASS_PLL;
}

// Tick at which the watchdog's count began.
static uint64_t anchor;

void tick_start_counter(void) {
  clock_start_pll();
  COUNTER_RELOAD = COUNTER_MASK;
  COUNTER_VALUE = 0;  // whatever is written
  COUNTER_CONTROL = CONTROL_ENABLE | CONTROL_PROCESSOR_CLOCK;
  tick_start_alarm();
}

uint64_t tick_read_now(void) {
  uint32_t held = cpu_hold_interrupts();
  uint64_t near = anchor + watchdog_count_ticks();
  uint32_t count = 0u - COUNTER_VALUE;
  cpu_restore_interrupts(held);
  if (near < BEHIND_MOST) return near + ((count - (uint32_t)near) & COUNTER_MASK);
  return near - BEHIND_MOST + ((count - (uint32_t)near + BEHIND_MOST) & COUNTER_MASK);
}

void tick_move_anchor(void) {
  anchor = tick_read_now();
}
