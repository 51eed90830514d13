// Hands over what happened to the core, in the order in which it happened.
//
// What always holds: of what waits, the earliest is handed over first. Its tick lies before that of the event before it
// only where a frame sent is stamped two bytes before its end, where an answer waited behind an earlier read of the
// storage, and where frames come just as an application asks for the time. A wake-up that is due comes before anything
// later, so a flooded line cannot hold it back.
#include "loop.h"

#include "bytes.h"
#include "cpu.h"
#include "platform.h"
#include "start_event.h"

#define NEVER UINT64_MAX

// More events than can wait at once: the frames, one that was sent, eight answers, a wake-up.
#define ASK_STEPS (BOARD_LINK_FRAMES + 12u)

void loop_start_core(const struct reset_report *reset) {
  core_start_instance();
  uint32_t length = start_write_payload(core_get_payload(), core_get_capacity(), reset);
  uint64_t tick = tick_read_now();
  uart_start_device();
  core_handle_event(EVENT_START, tick, length);
}

static void loop_hand_over_frame(void) {
  const struct link_frame *frame = link_peek_frame();
  uint8_t *payload = core_get_payload();
  uint64_t tick = frame->last_tick;
  uint32_t length = frame->length;
  if (core_get_capacity() < 8 + LINK_FRAME_INNER_BYTES) core_refuse_action();
  bytes_put_u64(payload, frame->first_tick);
  memcpy(payload + 8, frame->bytes, length);
  link_drop_frame();
  core_handle_event(EVENT_FRAME, tick, 8 + length);
}

#ifdef BOARD_DATAGRAMS
static uint64_t loop_read_datagram_tick(void) {
  const struct datagram *datagram = datagram_peek_answer();
  return datagram == NULL ? NEVER : datagram->tick;
}

// From one tick to another, ns, as a message has it.
static uint32_t loop_count_ns(uint64_t from, uint64_t to) {
  uint64_t ns = to <= from ? 0 : (to - from) * 1000000000u / BOARD_TICK_HZ;
  return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

static void loop_hand_over_datagram(void) {
  const struct datagram *datagram = datagram_peek_answer();
  uint8_t *payload = core_get_payload();
  uint8_t *message = payload + 1;
  uint64_t tick = datagram->tick;
  uint32_t length = datagram->length;
  if (core_get_capacity() < 1 + UDP_RECEIVED_FIELD_PAYLOAD + DATAGRAM_BYTES) core_refuse_action();
  payload[0] = CHANNEL_TIME;
  message[UDP_RECEIVED_FIELD_SOCKET] = datagram->socket;
  bytes_put_u16(message + UDP_RECEIVED_FIELD_EXCHANGE, datagram->exchange);
  if (datagram->failure != FAILURE_NONE) {
    message[0] = MESSAGE_UDP_FAILED;
    message[4] = datagram->failure;
    length = 5;
  } else {
    message[0] = MESSAGE_UDP_RECEIVED;
    uint32_t forward_ns = loop_count_ns(datagram->asked_tick, datagram->sent_tick);
    bytes_put_u32(message + UDP_RECEIVED_FIELD_FORWARD_RESIDENCE_NS, forward_ns);
    bytes_put_u32(message + UDP_RECEIVED_FIELD_BACK_RESIDENCE_NS, loop_count_ns(datagram->arrived_tick, tick));
    memcpy(message + UDP_RECEIVED_FIELD_PAYLOAD, datagram->bytes, length);
    length += UDP_RECEIVED_FIELD_PAYLOAD;
  }
  datagram_drop_answer();
  core_handle_event(EVENT_MESSAGE, tick, 1 + length);
}
#else
static uint64_t loop_read_datagram_tick(void) {
  return NEVER;
}

static void loop_hand_over_datagram(void) {
}
#endif

// `tick` is that of a read of storage or slot, which has none of its own before it is done.
static void loop_hand_over_answer(uint64_t tick) {
  const struct core_answer *answer = core_peek_answer();
  uint8_t *payload = core_get_payload();
  uint32_t event = answer->event;
  uint32_t length = answer->length;
  if (event == EVENT_STORAGE_DATA) {
    bytes_put_u32(payload, answer->offset);
    length = storage_read_bytes(answer->offset, payload + 4, length) ? 4 + length : 4;
#ifdef BOARD_UPDATE_SLOT_BYTES
  } else if (event == EVENT_SLOT_DATA) {
    bytes_put_u32(payload, answer->offset);
    length = slot_read_bytes(answer->offset, payload + 4, length) ? 4 + length : 4;
#endif
  } else {
    tick = answer->tick;
    core_put_answer(answer, payload);
  }
  core_drop_answer();
  core_handle_event(event, tick, length);
}

// Tick now, when nothing from an interrupt waits to be handed over; else NEVER.
static uint64_t loop_read_quiet_tick(void) {
  uint32_t held = cpu_hold_interrupts();
  uint64_t tick;
  if (link_peek_frame() != NULL || link_peek_sent(&tick) || loop_read_datagram_tick() != NEVER) {
    tick = NEVER;
  } else {
    tick = tick_read_now();
  }
  cpu_restore_interrupts(held);
  return tick;
}

static void loop_wake_core(uint64_t tick) {
  core_clear_wake();
  core_handle_event(EVENT_WAKE, tick, 0);
}

bool loop_step(void) {
  const struct link_frame *frame = link_peek_frame();
  const struct core_answer *answer = core_peek_answer();
  uint64_t frame_tick = frame != NULL ? frame->last_tick : NEVER;
  uint64_t answer_tick = answer != NULL ? answer->tick : NEVER;
  uint64_t sent_tick;
  if (!link_peek_sent(&sent_tick)) sent_tick = NEVER;
  uint64_t first = frame_tick < sent_tick ? frame_tick : sent_tick;
  if (answer_tick < first) first = answer_tick;
  uint64_t datagram_tick = loop_read_datagram_tick();
  if (datagram_tick < first) first = datagram_tick;

  if (first == NEVER) {
    uint64_t quiet = loop_read_quiet_tick();
    if (quiet == NEVER) return true;
    if (core_get_wake() <= quiet) {
      loop_wake_core(quiet);
    } else if (answer != NULL) {
      loop_hand_over_answer(quiet);
    } else {
      return false;
    }
  } else if (core_get_wake() <= first) {
    loop_wake_core(first);
  } else if (first == answer_tick) {
    loop_hand_over_answer(answer_tick);
  } else if (first == datagram_tick) {
    loop_hand_over_datagram();
  } else if (first == sent_tick) {
    link_drop_sent();
    core_handle_event(EVENT_FRAME_SENT, sent_tick, 0);
  } else {
    loop_hand_over_frame();
  }
  return true;
}

bool loop_ask_time(struct core_time *time) {
  for (uint32_t steps = 0; steps < ASK_STEPS && loop_step(); steps++) {
  }
  return core_ask_time(tick_read_now(), time);
}

uint64_t loop_read_idle_end(void) {
  uint64_t tick;
  bool waits = link_peek_frame() != NULL || link_peek_sent(&tick) || core_peek_answer() != NULL;
  return waits || loop_read_datagram_tick() != NEVER ? 0 : core_get_wake();
}
