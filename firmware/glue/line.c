// The link's line: received bytes are split into frames at 0x00, a frame to send is handed out byte by byte. What moves
// the bytes is the board's UART driver.
//
// Its duties: a tick for a frame's first byte and for the zero that ends it, and for the last byte sent. It never
// looks at a byte except to tell zero from the rest, and never waits.
// The last byte sent is stamped before it is handed to the part: the meter's bound rests on nobody having it earlier.
// What always holds: `received` is written by the receive handler only, `dropped` by the main loop only; the frame
// being received is frames[received % FRAMES] and nobody else's while received - dropped < FRAMES.
#include "line.h"

#include <string.h>

#include "cpu.h"
#include "platform.h"

#define FRAMES BOARD_LINK_FRAMES

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

void line_accept_byte(uint8_t byte) {
  uint64_t tick = tick_read_now();
  struct link_frame *frame = &frames[received % FRAMES];
  bool room = received - dropped < FRAMES;
  if (byte != 0) {
    if (!room) skipping = true;
    if (skipping) return;
    if (frame->length == 0) frame->first_tick = tick;
    if (frame->length < LINK_FRAME_INNER_BYTES) frame->bytes[frame->length++] = byte;
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
  uart_send_byte(outgoing[0]);
  cpu_restore_interrupts(held);
  return true;
}

bool line_next_byte(uint8_t *byte) {
  if (outgoing_next < outgoing_length) {
    if (outgoing_next + 1 == outgoing_length) sent_tick = tick_read_now();
    *byte = outgoing[outgoing_next];
    outgoing_next = outgoing_next + 1;
    return true;
  }
  if (outgoing_length > 0) {
    outgoing_length = 0;
    outgoing_next = 0;
    sent = true;
  }
  return false;
}

bool link_peek_sent(uint64_t *tick) {
  if (!sent) return false;
  *tick = sent_tick;
  return true;
}

void link_drop_sent(void) {
  sent = false;
}
