// Alarm of a Stellaris LM3S6965: a general-purpose timer as one of 32 bits that counts down once (data sheet, chapter
// "General-Purpose Timers").
#include "alarm.h"
#include "cpu.h"
#include "platform.h"
#include "stellaris_system.h"
#include "stellaris_ticks.h"

#define TIMER_REGISTER(offset) (*(volatile uint32_t *)(BOARD_ALARM_BASE + (offset)))
#define TIMER_CONFIGURATION TIMER_REGISTER(0x00u)
#define TIMER_MODE TIMER_REGISTER(0x04u)
#define TIMER_CONTROL TIMER_REGISTER(0x0Cu)
#define TIMER_INTERRUPTS TIMER_REGISTER(0x18u)
#define TIMER_CLEAR TIMER_REGISTER(0x24u)
#define TIMER_LOAD TIMER_REGISTER(0x28u)

enum { CONFIGURATION_32_BITS = 0, MODE_ONE_SHOT = 1, CONTROL_ENABLE = 1, INTERRUPT_TIMEOUT = 1 };

void tick_start_alarm(void) {
  system_open_gate(SYSTEM_GATES_1, BOARD_ALARM_GATE);
  TIMER_CONTROL = 0;
  TIMER_CONFIGURATION = CONFIGURATION_32_BITS;
  TIMER_MODE = MODE_ONE_SHOT;
  TIMER_CLEAR = INTERRUPT_TIMEOUT;
  TIMER_INTERRUPTS = INTERRUPT_TIMEOUT;
  cpu_enable_interrupt(BOARD_ALARM_IRQ);
}

void tick_arm_alarm(uint64_t at) {
  uint32_t wait = alarm_limit_wait(tick_read_now(), at);
  TIMER_CONTROL = 0;
  TIMER_CLEAR = INTERRUPT_TIMEOUT;
  TIMER_LOAD = wait;
  TIMER_CONTROL = CONTROL_ENABLE;
}

void tick_on_alarm(void) {
  TIMER_CONTROL = 0;
  TIMER_CLEAR = INTERRUPT_TIMEOUT;
}
