// An application in the firmware's main loop, as a meter's own would be; a test talks to it over the second UART.
// What always holds: it waits for nothing but room for a byte sent. Each command is one letter, each answer one line of
// numbers of 16 hex digits, what the function returned first.
//
//   a        asks for the time
//   b, e, c  tells that a transaction begins, that it ends, that the refused correction is accepted
//   f        tells as often as it can that it is accepted, asks for the time, and tells again: how many were taken
//            before, and how many after it
//   w        asks for the time as soon as a frame waits: whether the core had the frame before
#include "loop.h"
#include "platform.h"

#define UART_BASE 0x40005000u
#define UART_DATA (*(volatile uint32_t *)(UART_BASE + 0x00u))
#define UART_STATE (*(volatile uint32_t *)(UART_BASE + 0x04u))
#define UART_CONTROL (*(volatile uint32_t *)(UART_BASE + 0x08u))
#define UART_DIVIDER (*(volatile uint32_t *)(UART_BASE + 0x10u))

enum { STATE_FULL = 1u << 0, STATE_RECEIVED = 1u << 1, CONTROL_BOTH = 3u, DIVIDER_LEAST = 16u };

static void application_put(char byte) {
  while ((UART_STATE & STATE_FULL) != 0) {
  }
  UART_DATA = (uint8_t)byte;
}

static void application_put_number(uint64_t number) {
  for (int shift = 60; shift >= 0; shift -= 4) application_put("0123456789abcdef"[(number >> shift) & 15]);
  application_put(' ');
}

static void application_tell_time(void) {
  struct core_time time;
  application_put_number(loop_ask_time(&time));
  application_put_number(time.status);
  application_put_number(time.flags);
  application_put_number(time.invalidations);
  application_put_number((uint64_t)time.utc_ns);
  application_put_number(time.bound_ns);
  application_put_number(time.uncertainty_ns);
  application_put_number(time.noise_ns);
  application_put_number(time.asymmetry_ns);
  application_put_number(time.server_ns);
  application_put_number(time.stamps_ns);
  application_put_number(time.slew_ns);
  application_put_number((uint64_t)time.frequency_ppt);
  application_put_number(time.frequency_uncertainty_ppt);
  application_put_number((uint64_t)time.sample_age_ns);
}

static uint32_t application_fill_queue(void) {
  uint32_t taken = 0;
  while (core_tell_acceptance()) taken++;
  return taken;
}

static void application_ask_between(void) {
  struct core_time time;
  application_put_number(application_fill_queue());
  loop_ask_time(&time);
  application_put_number(application_fill_queue());
}

static bool awaits_frame;

static void application_ask_behind_frame(uint64_t tick) {
  struct core_time time;
  loop_ask_time(&time);
  const struct link_frame *frame = link_peek_frame();
  application_put_number(frame == NULL || frame->last_tick > tick);
  application_put('\n');
}

/// Called by the main loop between two steps.
void application_step(void) {
  UART_DIVIDER = DIVIDER_LEAST;
  UART_CONTROL = CONTROL_BOTH;
  const struct link_frame *frame = link_peek_frame();
  if (awaits_frame && frame != NULL) {
    awaits_frame = false;
    application_ask_behind_frame(frame->last_tick);
  }
  if ((UART_STATE & STATE_RECEIVED) == 0) return;
  const char command = (char)UART_DATA;
  awaits_frame = command == 'w';
  if (awaits_frame) return;
  if (command == 'a') application_tell_time();
  if (command == 'b' || command == 'e') application_put_number(core_tell_transaction(command == 'b'));
  if (command == 'c') application_put_number(core_tell_acceptance());
  if (command == 'f') application_ask_between();
  application_put('\n');
}
