// A meter around the core (device.h). Ticks are nanoseconds since its start.
#include "device.h"

#include "fuzz_data.h"

enum { QUEUE_MAX = 16, EVENTS_MAX = 64 };

const uint8_t device_keys[2 * ANSWER_KEY_BYTES] = {9, 8, 7, [ANSWER_KEY_BYTES] = 6, 5, 4};

typedef struct {
  uint32_t event;
  uint32_t length;
  uint8_t payload[4 + STORAGE_MAP_SETTINGS_BYTES];
} queued;

uint64_t device_utc(const device *meter) {
  return FUZZ_START_UTC_NS + meter->tick;
}

void device_init(device *meter) {
  memset(meter, 0, sizeof *meter);
  memset(meter->storage, 0xff, sizeof meter->storage);
  memcpy(meter->storage + STORAGE_MAP_SETTINGS, fuzz_settings, sizeof fuzz_settings);
  memcpy(meter->storage + STORAGE_MAP_SEED_A, fuzz_seed, sizeof fuzz_seed);
  meter->rtc[0] = RTC_STATUS_ABSENT;
}

static bool fails(device *meter) {
  bool now = meter->failing & 1;
  meter->failing >>= 1;
  return now;
}

// Seals what a state slot holds, behind its count, as the meter would have.
static void seal_state(uint8_t *slot) {
  uint32_t at = message_place(slot, STORAGE_MAP_STATE_BYTES);
  w2c_core_fuzzSealState(&core, at);
  memcpy(slot, memory_at(at), STORAGE_MAP_STATE_BYTES);
}

static void read_storage(device *meter, queued *answer, const uint8_t *payload) {
  uint32_t offset = get_u32(payload);
  uint32_t length = get_u32(payload + 4);
  if (length > sizeof answer->payload - 4) fuzz_fail("a read of %u bytes", length);
  put_u32(answer->payload, offset);
  memcpy(answer->payload + 4, meter->storage + offset, length);
  if (offset == STORAGE_MAP_STATE_A && length == 2 * STORAGE_MAP_STATE_BYTES) {
    for (uint32_t i = 0; i < 2; i++) {
      if (meter->sealing >> i & 1) seal_state(answer->payload + 4 + i * STORAGE_MAP_STATE_BYTES);
    }
  }
  answer->event = EVENT_STORAGE_DATA;
  answer->length = 4 + (fails(meter) ? length / 2 : length);
}

static void write_storage(device *meter, queued *answer, const uint8_t *payload, uint32_t length) {
  bool failed = fails(meter);
  if (!failed) memcpy(meter->storage + get_u32(payload), payload + 4, length - 4);
  memcpy(answer->payload, payload, 4);
  answer->payload[4] = failed ? 1 : 0;
  answer->event = EVENT_STORAGE_DONE;
  answer->length = 5;
}

static void note_message(device *meter, const uint8_t *payload, uint32_t length) {
  const uint8_t *message = payload + 1;
  uint32_t bytes = length - 1;
  switch (message[0]) {
    case MESSAGE_TLS_OPEN:
    case MESSAGE_TLS_WRITE:
    case MESSAGE_TLS_EXPORT:
      meter->asked = message[0];
      meter->connection = message[1];
      if (message[0] == MESSAGE_TLS_EXPORT) meter->tag |= (uint8_t)(1 << (message[2] & 1));
      break;
    case MESSAGE_UDP_OPEN:
      meter->asked = message[0];
      meter->socket = message[1];
      break;
    case MESSAGE_UDP_SEND:
      if (bytes < 4 + 48) fuzz_fail("a datagram of %u bytes", bytes);
      meter->exchange = (uint16_t)get_u16(message + 2);
      request_read(&meter->request, message + 4, bytes - 4);
      break;
  }
}

static void note_frame(device *meter, const uint8_t *payload, uint32_t length) {
  // COBS between two zeros: no byte is zero, so distances lead from zero to zero.
  uint32_t at = 1;
  uint32_t end = length - 1;
  memcpy(meter->frame, payload, length);
  while (at < end) {
    uint32_t distance = meter->frame[at];
    meter->frame[at] = 0;
    at += distance;
  }
  if (at != end || length < 3 + 17) fuzz_fail("a frame of %u bytes that cannot be decoded", length);
  meter->frame_length = length - 3;
  memmove(meter->frame, meter->frame + 2, meter->frame_length);
  meter->unsent++;
}

void device_feed(device *meter, uint32_t event, const uint8_t *payload, uint32_t length) {
  static queued queue[QUEUE_MAX];
  uint32_t first = 0;
  uint32_t last = 0;
  core_handle(event, meter->tick, payload, length);
  for (uint32_t events = 0;; events++) {
    // What one event leads to comes to an end, also when all storage fails.
    if (events == EVENTS_MAX) fuzz_fail("an event leads to %u others", events);
    core_action action;
    for (uint32_t position = 0; action_next(&position, &action);) {
      queued *answer = &queue[last % QUEUE_MAX];
      answer->event = 0;
      switch (action.kind) {
        case ACTION_WAKE:
          meter->wake = get_u64(action.payload);
          break;
        case ACTION_STORAGE_READ:
          read_storage(meter, answer, action.payload);
          break;
        case ACTION_STORAGE_WRITE:
          write_storage(meter, answer, action.payload, action.length);
          break;
        case ACTION_RTC_READ:
          answer->event = EVENT_RTC_TIME;
          answer->length = sizeof meter->rtc;
          memcpy(answer->payload, meter->rtc, sizeof meter->rtc);
          break;
        case ACTION_RTC_SET:
          answer->event = EVENT_RTC_DONE;
          answer->length = 1;
          answer->payload[0] = fails(meter) ? 1 : 0;
          break;
        case ACTION_MESSAGE:
          if (action.payload[0] != CHANNEL_CONTROL) note_message(meter, action.payload, action.length);
          break;
        case ACTION_FRAME_SEND:
          note_frame(meter, action.payload, action.length);
          break;
      }
      if (answer->event != 0 && ++last - first > QUEUE_MAX - 1) fuzz_fail("too many actions that want an answer");
    }
    if (first == last) return;
    const queued *next = &queue[first++ % QUEUE_MAX];
    core_handle(next->event, meter->tick, next->payload, next->length);
  }
}

void device_start(device *meter, uint32_t capabilities) {
  uint8_t start[sizeof fuzz_start];
  memcpy(start, fuzz_start, sizeof start);
  start[START_FIELD_CAPABILITIES] = (uint8_t)capabilities;
  device_feed(meter, EVENT_START, start, sizeof start);
}

void device_wake(device *meter) {
  if (meter->wake > meter->tick) meter->tick = meter->wake;
  device_feed(meter, EVENT_WAKE, NULL, 0);
}

void device_tell(device *meter, uint32_t channel, const uint8_t *message, uint32_t length) {
  uint8_t payload[1 + 2048];
  if (length > sizeof payload - 1) fuzz_fail("a message of %u bytes", length);
  payload[0] = (uint8_t)channel;
  memcpy(payload + 1, message, length);
  device_feed(meter, EVENT_MESSAGE, payload, 1 + length);
}

// ---------------------------------------------------------------- a good gateway

static void tell_opened(device *meter) {
  uint8_t message[TLS_OPENED_FIELD_TEXTS + 8] = {MESSAGE_TLS_OPENED, meter->connection};
  put_u64(message + TLS_OPENED_FIELD_NOT_AFTER, 1ull << 40);
  memcpy(message + TLS_OPENED_FIELD_TEXTS, "\7ntske/1", 8);
  device_tell(meter, CHANNEL_STREAM, message, sizeof message);
}

static void tell_ke_answer(device *meter) {
  enum { PIECE = 235 };
  for (uint32_t at = 0; at < sizeof fuzz_ke_answer; at += PIECE) {
    uint8_t message[2 + PIECE] = {MESSAGE_TLS_DATA, meter->connection};
    uint32_t length = sizeof fuzz_ke_answer - at < PIECE ? (uint32_t)sizeof fuzz_ke_answer - at : PIECE;
    memcpy(message + 2, fuzz_ke_answer + at, length);
    device_tell(meter, CHANNEL_STREAM, message, 2 + length);
  }
}

static void tell_keys(device *meter) {
  for (uint32_t tag = 0; tag < 2; tag++) {
    uint8_t message[3 + ANSWER_KEY_BYTES] = {MESSAGE_TLS_EXPORTED, meter->connection, (uint8_t)tag};
    memcpy(message + 3, device_keys + tag * ANSWER_KEY_BYTES, ANSWER_KEY_BYTES);
    device_tell(meter, CHANNEL_STREAM, message, sizeof message);
  }
}

static void tell_socket(device *meter) {
  const uint8_t message[4 + 16] = {MESSAGE_UDP_OPENED, meter->socket, 6, 1};
  device_tell(meter, CHANNEL_STREAM, message, sizeof message);
}

static void answer_asked(device *meter) {
  uint8_t asked = meter->asked;
  meter->asked = 0;
  switch (asked) {
    case MESSAGE_TLS_OPEN:
      return tell_opened(meter);
    case MESSAGE_TLS_WRITE:
      return tell_ke_answer(meter);
    case MESSAGE_TLS_EXPORT:
      return tell_keys(meter);
    case MESSAGE_UDP_OPEN:
      return tell_socket(meter);
    default:
      return device_wake(meter);
  }
}

static void answer_datagram(device *meter) {
  uint8_t message[UDP_RECEIVED_FIELD_PAYLOAD + ANSWER_MAX_BYTES] = {MESSAGE_UDP_RECEIVED, meter->socket};
  put_u16(message + UDP_RECEIVED_FIELD_EXCHANGE, meter->exchange);
  // A round trip of 10 ms.
  uint64_t ntp_time = ntp_time_of(device_utc(meter) + 5000000);
  meter->tick += 10000000;
  uint32_t length =
    answer_make(message + UDP_RECEIVED_FIELD_PAYLOAD, &meter->request, device_keys + ANSWER_KEY_BYTES, ntp_time, 1);
  meter->request.sent = false;
  device_tell(meter, CHANNEL_TIME, message, UDP_RECEIVED_FIELD_PAYLOAD + length);
}

void device_bring_up_connection(device *meter) {
  device_init(meter);
  device_start(meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK);
  for (uint32_t steps = 0; meter->asked != MESSAGE_TLS_OPEN; steps++) {
    if (steps == 100) fuzz_fail("the meter does not open a connection");
    device_wake(meter);
  }
}

void device_bring_up(device *meter, uint32_t answers) {
  device_init(meter);
  device_start(meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK);
  for (uint32_t steps = 0; steps < 1000; steps++) {
    if (!meter->request.sent) answer_asked(meter);
    else if (answers == 0) return;
    else if (answers-- > 0) answer_datagram(meter);
  }
  fuzz_fail("the meter does not poll");
}
