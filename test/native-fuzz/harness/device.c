// A meter around the core (device.h). Ticks are nanoseconds since its start.
#include "device.h"

#include "fuzz_data.h"

enum { QUEUE_MAX = 16, EVENTS_MAX = 64, MESSAGE_MAX_BYTES = 2048 };

typedef struct {
  uint32_t event;
  uint32_t length;
  uint8_t payload[4 + STORAGE_MAP_SETTINGS_BYTES];
} queued;

uint64_t device_utc(const device *meter) {
  return FUZZ_START_UTC_NS + meter->tick;
}

// Servers of each kind, as data.ts orders their answers: AEAD 30 with record 1024 and without, and the others.
enum { WITH_RECORD, SIV_256, SIV_384, SIV_512, WITHOUT_RECORD, SERVER_KINDS };

// Up to four servers have each AEAD once; AEAD 30 has its record where there is a single server or four.
static uint32_t kind_of(uint32_t servers, uint32_t source) {
  uint32_t kind = (servers - 1 + source) % 4;
  return kind == WITH_RECORD && servers == 3 ? (uint32_t)WITHOUT_RECORD : kind;
}

uint32_t device_aead(uint32_t servers, uint32_t source) {
  static const uint8_t aeads[SERVER_KINDS] = {30, 15, 16, 17, 30};
  return aeads[kind_of(servers, source)];
}

void device_init(device *meter, uint32_t servers) {
  memset(meter, 0, sizeof *meter);
  meter->servers = servers;
  meter->cookies = 1;
  memset(meter->storage, 0xff, sizeof meter->storage);
  memcpy(meter->storage + STORAGE_MAP_SETTINGS, fuzz_settings[servers - 1].bytes, fuzz_settings[servers - 1].length);
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

// Seals a part of a reserve as the meter would have, and spoils it then where that is asked for.
static void seal_part(const device *meter, uint32_t source, uint32_t part, uint8_t *data) {
  uint32_t at = message_place(data, STORAGE_MAP_RESERVE_PART_BYTES);
  w2c_core_fuzzSealPart(&core, at, source, part);
  memcpy(data, memory_at(at), STORAGE_MAP_RESERVE_PART_BYTES);
  data[meter->spoilt[source][part].at % STORAGE_MAP_RESERVE_PART_BYTES] ^= meter->spoilt[source][part].by;
}

uint32_t device_part_offset(uint32_t source, uint32_t part) {
  return STORAGE_MAP_RESERVES + source * STORAGE_MAP_RESERVE_BYTES + part * STORAGE_MAP_RESERVE_PART_STRIDE;
}

uint8_t *device_part(device *meter, uint32_t source, uint32_t part) {
  return meter->storage + device_part_offset(source, part);
}

static void put_keys(device *meter, uint32_t source, uint8_t *record) {
  enum { PORT = 2, SINCE = 8, NOT_AFTER = 24, KEYS_AT = 64 };
  put_u16(record, device_aead(meter->servers, source));
  put_u16(record + PORT, 123);
  put_u64(record + SINCE, FUZZ_START_UTC_NS - 3600000000000ull);
  put_u64(record + NOT_AFTER, 1ull << 40);
  memcpy(record + KEYS_AT, answer_key(source, KEY_REQUEST), ANSWER_KEY_BYTES);
  memcpy(record + KEYS_AT + ANSWER_KEY_BYTES, answer_key(source, KEY_ANSWER), ANSWER_KEY_BYTES);
  memcpy(record + RECORD_NTP_HOST, "\4time", 5);
}

void device_put_part(device *meter, uint32_t source, uint32_t part) {
  uint8_t *data = device_part(meter, source, part);
  memset(data, 0, STORAGE_MAP_RESERVE_PART_BYTES);
  put_u32(data + PART_NUMBER, 0x1000 + 16 * source + 4 + source);
  if (part == PART_KEYS) return put_keys(meter, source, data + PART_RECORD);
  put_u16(data + PART_RECORD, ANSWER_COOKIE_BYTES);
  cookie_make(data + PART_RECORD + RECORD_COOKIE, meter->cookies++);
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
  for (uint32_t i = 0; i < SOURCES * PARTS; i++) {
    bool whole = offset == device_part_offset(i / PARTS, i % PARTS) && length == STORAGE_MAP_RESERVE_PART_BYTES;
    if (whole && meter->sealing_part[i / PARTS][i % PARTS]) seal_part(meter, i / PARTS, i % PARTS, answer->payload + 4);
  }
  answer->event = EVENT_STORAGE_DATA;
  answer->length = 4 + (fails(meter) ? length / 2 : length);
}

static void write_storage(device *meter, queued *answer, const uint8_t *payload, uint32_t length) {
  bool failed = fails(meter);
  uint32_t offset = get_u32(payload);
  if (!failed) memcpy(meter->storage + offset, payload + 4, length - 4);
  for (uint32_t i = 0; i < SOURCES * PARTS && !failed; i++) {
    if (offset == device_part_offset(i / PARTS, i % PARTS)) meter->sealing_part[i / PARTS][i % PARTS] = false;
  }
  memcpy(answer->payload, payload, 4);
  answer->payload[4] = failed ? 1 : 0;
  answer->event = EVENT_STORAGE_DONE;
  answer->length = 5;
}

// A cookie is sent once, and not while the storage still has it.
static void note_cookie(device *meter, const uint8_t *packet, uint32_t length) {
  uint32_t bytes = 0;
  const uint8_t *cookie = request_cookie(packet, length, &bytes);
  if (cookie == NULL) fuzz_fail("a request without a cookie");
  uint32_t number = cookie_number(cookie, bytes);
  if (number == 0 || number >= COOKIES_KNOWN) return;
  if (meter->sent[number / 8] >> number % 8 & 1) fuzz_fail("cookie %u is sent twice", number);
  meter->sent[number / 8] |= (uint8_t)(1u << number % 8);
  for (uint32_t i = 0; i < SOURCES * PARTS; i++) {
    const uint8_t *stored = meter->storage + device_part_offset(i / PARTS, i % PARTS) + PART_RECORD + RECORD_COOKIE;
    bool there = meter->sealing_part[i / PARTS][i % PARTS] && i % PARTS != 0;
    if (there && cookie_number(stored, ANSWER_COOKIE_BYTES) == number) {
      fuzz_fail("cookie %u is sent, and still in the storage", number);
    }
  }
}

static void note_message(device *meter, const uint8_t *payload, uint32_t length) {
  const uint8_t *message = payload + 1;
  uint32_t bytes = length - 1;
  if (message[0] >= MESSAGE_INFO || message[0] == MESSAGE_TIME_REPLY) return;
  device_source *source = &meter->source[message[1] & 3];
  switch (message[0]) {
    case MESSAGE_TLS_OPEN:
      source->connection = message[1];
      source->opens = true;
      source->writes = false;
      source->tags = 0;
      break;
    case MESSAGE_TLS_WRITE:
      source->writes = true;
      break;
    case MESSAGE_TLS_EXPORT:
      if (message[2] >= KEYS) fuzz_fail("a key of tag %u", message[2]);
      source->tags |= (uint8_t)(1u << message[2]);
      source->key_bytes = message[3];
      break;
    case MESSAGE_TLS_CLOSE:
      source->opens = false;
      source->writes = false;
      source->tags = 0;
      break;
    case MESSAGE_UDP_OPEN:
      source->socket = message[1];
      source->wants_socket = true;
      break;
    case MESSAGE_UDP_CLOSE:
      source->wants_socket = false;
      break;
    case MESSAGE_UDP_SEND:
      if (bytes < 4 + 48) fuzz_fail("a datagram of %u bytes", bytes);
      source->exchange = (uint16_t)get_u16(message + 2);
      request_read(&source->request, message[1] & 3, message + 4, bytes - 4);
      note_cookie(meter, message + 4, bytes - 4);
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
          meter->held = meter->hold != 0 && get_u32(action.payload) == meter->hold;
          if (meter->held) break;
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

void device_release(device *meter, uint32_t length) {
  queued answer = {0};
  uint8_t asked[8];
  put_u32(asked, meter->hold);
  put_u32(asked + 4, STORAGE_MAP_RESERVE_PART_BYTES);
  meter->hold = 0;
  meter->held = false;
  read_storage(meter, &answer, asked);
  device_feed(meter, answer.event, answer.payload, 4 + length);
}

void device_wake(device *meter) {
  if (meter->wake > meter->tick) meter->tick = meter->wake;
  device_feed(meter, EVENT_WAKE, NULL, 0);
}

void device_restart(device *meter, const core_image *off) {
  image_load(off);
  memset(meter->source, 0, sizeof meter->source);
  meter->wake = 0;
  device_start(meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK);
}

void device_tell(device *meter, uint32_t channel, const uint8_t *message, uint32_t length) {
  uint8_t payload[1 + MESSAGE_MAX_BYTES];
  if (length > MESSAGE_MAX_BYTES) fuzz_fail("a message of %u bytes", length);
  payload[0] = (uint8_t)channel;
  memcpy(payload + 1, message, length);
  device_feed(meter, EVENT_MESSAGE, payload, 1 + length);
}

// ---------------------------------------------------------------- a good gateway

static void tell_opened(device *meter, const device_source *source) {
  uint8_t message[TLS_OPENED_FIELD_TEXTS + 8] = {MESSAGE_TLS_OPENED, source->connection};
  put_u64(message + TLS_OPENED_FIELD_NOT_AFTER, 1ull << 40);
  memcpy(message + TLS_OPENED_FIELD_TEXTS, "\7ntske/1", 8);
  device_tell(meter, CHANNEL_STREAM, message, sizeof message);
}

static void tell_ke_answer(device *meter, uint32_t index) {
  enum { PIECE = 235, RECORD_HEADER = 4, RECORD_COOKIE = 5 };
  uint32_t kind = kind_of(meter->servers, index);
  uint8_t answer[sizeof fuzz_ke_answers[0].bytes];
  uint32_t length = fuzz_ke_answers[kind].length;
  memcpy(answer, fuzz_ke_answers[kind].bytes, length);
  for (uint32_t at = 0; at < length; at += RECORD_HEADER + ((uint32_t)answer[at + 2] << 8 | answer[at + 3])) {
    if (answer[at + 1] == RECORD_COOKIE) cookie_make(answer + at + RECORD_HEADER, meter->cookies++);
  }
  for (uint32_t at = 0; at < length; at += PIECE) {
    uint8_t message[2 + PIECE] = {MESSAGE_TLS_DATA, meter->source[index].connection};
    uint32_t piece = length - at < PIECE ? length - at : PIECE;
    memcpy(message + 2, answer + at, piece);
    device_tell(meter, CHANNEL_STREAM, message, 2 + piece);
  }
}

static void tell_keys(device *meter, uint32_t index, uint32_t tags) {
  uint32_t bytes = meter->source[index].key_bytes;
  for (uint32_t tag = 0; tag < KEYS; tag++) {
    if (!(tags >> tag & 1)) continue;
    uint8_t message[3 + ANSWER_KEY_BYTES] = {MESSAGE_TLS_EXPORTED, meter->source[index].connection, (uint8_t)tag};
    memcpy(message + 3, answer_key(index, tag), ANSWER_KEY_BYTES);
    device_tell(meter, CHANNEL_STREAM, message, 3 + bytes);
  }
}

static void tell_socket(device *meter, const device_source *source) {
  const uint8_t message[4 + 16] = {MESSAGE_UDP_OPENED, source->socket, 6, 1};
  device_tell(meter, CHANNEL_STREAM, message, sizeof message);
}

bool device_answer_asked(device *meter) {
  for (uint32_t i = 0; i < SOURCES; i++) {
    device_source *source = &meter->source[i];
    if (source->opens) {
      source->opens = false;
      tell_opened(meter, source);
    } else if (source->writes) {
      source->writes = false;
      tell_ke_answer(meter, i);
    } else if (source->tags != 0) {
      uint32_t tags = source->tags;
      source->tags = 0;
      tell_keys(meter, i, tags);
    } else if (source->wants_socket) {
      source->wants_socket = false;
      tell_socket(meter, source);
    } else {
      continue;
    }
    return true;
  }
  return false;
}

bool device_answer_datagram(device *meter, uint32_t cookies) {
  for (uint32_t i = 0; i < SOURCES; i++) {
    device_source *source = &meter->source[i];
    if (!source->request.sent) continue;
    uint8_t message[UDP_RECEIVED_FIELD_PAYLOAD + ANSWER_MAX_BYTES] = {MESSAGE_UDP_RECEIVED, source->socket};
    put_u16(message + UDP_RECEIVED_FIELD_EXCHANGE, source->exchange);
    // A round trip of 10 ms.
    uint64_t ntp_time = ntp_time_of(device_utc(meter) + 5000000);
    meter->tick += 10000000;
    uint32_t length =
      answer_make(message + UDP_RECEIVED_FIELD_PAYLOAD, &source->request, ntp_time, cookies, &meter->cookies);
    source->request.sent = false;
    source->answers++;
    device_tell(meter, CHANNEL_TIME, message, UDP_RECEIVED_FIELD_PAYLOAD + length);
    return true;
  }
  return false;
}

static uint32_t waiting(const device *meter) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < meter->servers; i++) count += meter->source[i].request.sent;
  return count;
}

static bool all_answered(const device *meter, uint32_t answers) {
  for (uint32_t i = 0; i < meter->servers; i++) {
    if (meter->source[i].answers < answers) return false;
  }
  return true;
}

void device_bring_up_connections(device *meter, uint32_t servers) {
  device_init(meter, servers);
  device_start(meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK | CAPABILITY_THERMOMETER);
  for (uint32_t i = 0; i < servers; i++) {
    for (uint32_t steps = 0; !meter->source[i].opens; steps++) {
      if (steps == 100) fuzz_fail("the meter does not open connection %u of %u", i, servers);
      device_wake(meter);
    }
  }
}

void device_bring_up(device *meter, uint32_t servers, uint32_t answers) {
  device_init(meter, servers);
  device_start(meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK | CAPABILITY_THERMOMETER);
  for (uint32_t steps = 0; steps < 2000; steps++) {
    if (device_answer_asked(meter)) continue;
    bool enough = all_answered(meter, answers);
    if (enough && waiting(meter) >= (answers == 0 ? servers : 1)) {
      for (uint32_t i = 0; i < servers; i++) {
        uint32_t aead = w2c_core_fuzzExchangeAead(&core, i);
        if (aead != device_aead(servers, i)) fuzz_fail("AEAD %u of source %u of %u", aead, i, servers);
      }
      return;
    }
    if (enough || !device_answer_datagram(meter, 1)) device_wake(meter);
  }
  fuzz_fail("the meter does not poll %u servers", servers);
}
