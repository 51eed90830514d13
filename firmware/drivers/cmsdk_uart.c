// CMSDK APB UART as link: receives into a ring of frames split at 0x00, sends from a copy, all by interrupt.
//
// Its duties: a tick for a frame's first byte and for the zero that ends it, and for the last byte sent. It never
// looks at a byte except to tell zero from the rest, and never waits.
// The last byte sent is stamped before it is handed to the part: the meter's bound rests on nobody having it earlier.
// What always holds: `received` is written by the receive handler only, `dropped` by the main loop only; the frame
// being received is frames[received % FRAMES] and nobody else's while received - dropped < FRAMES.
#include <string.h>

#include "cpu.h"
#include "platform.h"

#define UART_DATA (*(volatile uint32_t *)(BOARD_LINK_UART_BASE + 0x00u))
#define UART_STATE (*(volatile uint32_t *)(BOARD_LINK_UART_BASE + 0x04u))
#define UART_CONTROL (*(volatile uint32_t *)(BOARD_LINK_UART_BASE + 0x08u))
#define UART_INTERRUPT (*(volatile uint32_t *)(BOARD_LINK_UART_BASE + 0x0Cu))
#define UART_DIVIDER (*(volatile uint32_t *)(BOARD_LINK_UART_BASE + 0x10u))

enum { STATE_RECEIVED = 1u << 1 };
enum { CONTROL_ALL = 0xFu };  // transmitter and receiver, each with its interrupt
enum { INTERRUPT_TRANSMIT = 1u << 0, INTERRUPT_RECEIVE = 1u << 1 };

#define FRAMES 4u

static struct link_frame frames[FRAMES];
static volatile uint32_t received;
static volatile uint32_t dropped;
// No frame was free when this one began: its bytes are skipped up to the next zero.
static bool skipping;

static uint8_t outgoing[LINK_FRAME_BYTES];
static volatile uint32_t outgoing_length;
static volatile uint32_t outgoing_next;
static volatile bool sent;
static uint64_t sent_tick;

void link_start_uart(void) {
  UART_DIVIDER = BOARD_CLOCK_HZ / BOARD_LINK_BAUD;
  UART_INTERRUPT = INTERRUPT_TRANSMIT | INTERRUPT_RECEIVE;
  UART_CONTROL = CONTROL_ALL;
  cpu_enable_interrupt(BOARD_LINK_RECEIVE_IRQ);
  cpu_enable_interrupt(BOARD_LINK_TRANSMIT_IRQ);
}

static void link_accept_byte(uint8_t byte, uint64_t tick) {
  struct link_frame *frame = &frames[received % FRAMES];
  bool room = received - dropped < FRAMES;
  if (byte != 0) {
    if (!room) skipping = true;
    if (skipping) return;
    if (frame->length == 0) frame->first_tick = tick;
    if (frame->length < LINK_FRAME_BYTES) frame->bytes[frame->length++] = byte;
    return;
  }
  if (skipping) {
    skipping = false;
    return;
  }
  if (!room || frame->length == 0) return;
  frame->last_tick = tick;
  received = received + 1;
}

void link_on_receive(void) {
  UART_INTERRUPT = INTERRUPT_RECEIVE;
  while (UART_STATE & STATE_RECEIVED) {
    uint8_t byte = (uint8_t)UART_DATA;
    link_accept_byte(byte, tick_read_now());
  }
}

const struct link_frame *link_peek_frame(void) {
  return received == dropped ? NULL : &frames[dropped % FRAMES];
}

// Cleared, as it may have carried keys.
void link_drop_frame(void) {
  struct link_frame *frame = &frames[dropped % FRAMES];
  memset(frame->bytes, 0, frame->length);
  frame->length = 0;
  cpu_order_stores();
  dropped = dropped + 1;
}

bool link_send_bytes(const uint8_t *bytes, uint32_t length) {
  if (outgoing_next < outgoing_length || length == 0 || length > LINK_FRAME_BYTES) return false;
  for (uint32_t i = 0; i < length; i++) outgoing[i] = bytes[i];
  uint32_t held = cpu_hold_interrupts();
  sent = false;
  outgoing_length = length;
  outgoing_next = 1;
  sent_tick = tick_read_now();
  UART_DATA = outgoing[0];
  cpu_restore_interrupts(held);
  return true;
}

void link_on_transmit(void) {
  UART_INTERRUPT = INTERRUPT_TRANSMIT;
  if (outgoing_next < outgoing_length) {
    if (outgoing_next + 1 == outgoing_length) sent_tick = tick_read_now();
    UART_DATA = outgoing[outgoing_next];
    outgoing_next = outgoing_next + 1;
  } else if (outgoing_length > 0) {
    outgoing_length = 0;
    outgoing_next = 0;
    sent = true;
  }
}

bool link_peek_sent(uint64_t *tick) {
  if (!sent) return false;
  *tick = sent_tick;
  return true;
}

void link_drop_sent(void) {
  sent = false;
}
