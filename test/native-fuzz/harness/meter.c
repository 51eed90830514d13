// Targets that give a whole meter its events: a start with any storage, and messages of the gateway to one that polls.
#include "device.h"
#include "fuzz.h"
#include "fuzz_data.h"

// ---------------------------------------------------------------- start

/// First byte of an input.
enum {
  OWN_START = 1,
  OWN_SETTINGS = 2,
  OWN_ITEMS = 4,
  OWN_SEED_A = 8,
  OWN_SEED_B = 16,
  SEALED_STATE_A = 32,
  SEALED_STATE_B = 64,
  LINKED = 128,
};

static void read_settings(fuzz_input *input, uint32_t mode, uint8_t *block) {
  if (!(mode & (OWN_SETTINGS | OWN_ITEMS))) return;
  uint32_t length = input_u16(input) % (STORAGE_MAP_SETTINGS_BYTES + 1);
  memset(block, 0, STORAGE_MAP_SETTINGS_BYTES);
  input_copy(input, block, length);
  if (mode & OWN_ITEMS) {
    uint32_t most = STORAGE_MAP_SETTINGS_BYTES - SETTINGS_FIELD_ITEMS - 4;
    uint32_t items = length < most ? length : most;
    memmove(block + SETTINGS_FIELD_ITEMS, block, items);
    put_u32(block, SETTINGS_FORMAT_MAGIC);
    put_u16(block + SETTINGS_FIELD_VERSION, SETTINGS_FORMAT_VERSION);
    put_u16(block + SETTINGS_FIELD_ITEMS_BYTES, items);
    put_u32(block + SETTINGS_FIELD_ITEMS + items, crc32_of(block, SETTINGS_FIELD_ITEMS + items));
  }
}

// A seed slot of the input; its CRC-32 is right where the count is even.
static void read_seed(fuzz_input *input, uint8_t *slot) {
  input_copy(input, slot, SEED_FIELD_CRC);
  if ((slot[0] & 1) == 0) put_u32(slot + SEED_FIELD_CRC, crc32_of(slot, SEED_FIELD_CRC));
}

static void start_run(fuzz_input *input) {
  enum { WAKES = 4, START_MAX_BYTES = 200 };
  device meter;
  device_init(&meter);
  uint32_t mode = input_byte(input);
  meter.failing = input_u16(input);
  input_copy(input, meter.rtc, sizeof meter.rtc);
  uint8_t *storage = meter.storage;
  read_settings(input, mode, storage + STORAGE_MAP_SETTINGS);
  if (mode & OWN_SEED_A) read_seed(input, storage + STORAGE_MAP_SEED_A);
  if (mode & OWN_SEED_B) read_seed(input, storage + STORAGE_MAP_SEED_B);
  // Count and record; the rest of a slot is not used.
  enum { STATE_COUNT_BYTES = 4, STATE_RECORD = 20, STATE_RECORD_BYTES = 40 };
  for (uint32_t i = 0; i < 2; i++) {
    uint8_t *slot = storage + (i == 0 ? STORAGE_MAP_STATE_A : STORAGE_MAP_STATE_B);
    if (!(mode & (SEALED_STATE_A << i)) && input_left(input) == 0) continue;
    input_copy(input, slot, STATE_COUNT_BYTES);
    input_copy(input, slot + STATE_RECORD, STATE_RECORD_BYTES);
    if (mode & (SEALED_STATE_A << i)) meter.sealing |= 1u << i;
  }
  uint32_t capabilities = CAPABILITY_STORAGE | CAPABILITY_RTC | (mode & LINKED ? 0 : CAPABILITY_OWN_NETWORK);
  if (mode & OWN_START) {
    uint8_t start[START_MAX_BYTES];
    uint32_t length = input_byte(input) % sizeof start;
    memset(start, 0, sizeof start);
    memcpy(start, fuzz_start, sizeof fuzz_start);
    // Bytes of the input over those of a right start.
    for (uint32_t i = 0; i < length; i++) start[i] ^= input_byte(input);
    device_feed(&meter, EVENT_START, start, length);
  } else {
    device_start(&meter, capabilities);
  }
  for (uint32_t i = 0; i < WAKES; i++) device_wake(&meter);
  if (meter.sealing == 0 && w2c_core_fuzzClockStatus(&core) != CLOCK_STATUS_UNSYNCHRONISED) {
    fuzz_fail("a real-time clock is believed without a proof");
  }
}

const fuzz_target target_start = {"start", NULL, start_run};

// ---------------------------------------------------------------- messages

/// Local time at which clocks are compared: far behind any slew.
#define FAR_LOCAL_NS (1ll << 55)

/// What a meter is doing when an input begins: it opens a connection for keys, polls for the first time, or has a time.
enum { ESTABLISHING, POLLING, SYNCHRONISED, STATES };

static struct {
  device meter;
  core_image *image;
  uint32_t status;
  int64_t utc;
  int64_t bound;
} states[STATES];

static void messages_prepare(void) {
  core_image *off = image_save();
  for (uint32_t i = 0; i < STATES; i++) {
    image_load(off);
    if (i == ESTABLISHING) device_bring_up_connection(&states[i].meter);
    else device_bring_up(&states[i].meter, i == POLLING ? 0 : 6);
    states[i].image = image_save();
    states[i].status = w2c_core_fuzzClockStatus(&core);
    states[i].utc = (int64_t)w2c_core_fuzzClockUtc(&core, FAR_LOCAL_NS);
    states[i].bound = (int64_t)w2c_core_fuzzClockBound(&core, FAR_LOCAL_NS);
  }
  if (states[POLLING].status != CLOCK_STATUS_UNSYNCHRONISED ||
      states[SYNCHRONISED].status != CLOCK_STATUS_SYNCHRONISED) {
    fuzz_fail("clocks are %u and %u", states[POLLING].status, states[SYNCHRONISED].status);
  }
  free(off);
}

static void tell_datagram(device *meter, fuzz_input *input, bool *authentic) {
  uint8_t message[UDP_RECEIVED_FIELD_PAYLOAD + ANSWER_MAX_BYTES] = {MESSAGE_UDP_RECEIVED, meter->socket};
  put_u16(message + UDP_RECEIVED_FIELD_EXCHANGE, meter->exchange);
  input_copy(input, message + UDP_RECEIVED_FIELD_FORWARD_RESIDENCE_NS, 8);
  bool sealed = false;
  uint32_t length = answer_read(input, message + UDP_RECEIVED_FIELD_PAYLOAD, &meter->request,
    device_keys + ANSWER_KEY_BYTES, ntp_time_of(device_utc(meter)), &sealed);
  if (sealed) *authentic = true;
  uint32_t most = LINK_LIMIT_DATAGRAM_BYTES;
  length += UDP_RECEIVED_FIELD_PAYLOAD;
  device_tell(meter, CHANNEL_TIME, message, length < most ? length : most);
}

// A message of any bytes; those that name an id name the one in use, unless the input says so.
static void tell_any(device *meter, fuzz_input *input) {
  static const uint8_t types[] = {MESSAGE_UDP_RECEIVED, MESSAGE_TIME_PROBE, MESSAGE_UDP_FAILED, MESSAGE_TLS_OPENED,
    MESSAGE_TLS_DATA, MESSAGE_TLS_EXPORTED, MESSAGE_TLS_CLOSED, MESSAGE_UDP_OPENED, MESSAGE_UDP_OPEN_FAILED,
    MESSAGE_EVENT_ACK};
  uint8_t message[2 + 5 * 255];
  uint32_t kind = input_byte(input);
  uint32_t length = input_byte(input);
  if (kind & 0x80) length *= 5;
  uint8_t type = types[kind % sizeof types];
  if (kind & 0x40) type = input_byte(input);
  uint32_t channel = type < MESSAGE_TLS_OPEN ? CHANNEL_TIME : type < MESSAGE_INFO ? CHANNEL_STREAM : CHANNEL_REPORT;
  message[0] = type;
  message[1] = channel == CHANNEL_TIME || type >= MESSAGE_UDP_OPENED ? meter->socket : meter->connection;
  uint32_t given = channel == CHANNEL_REPORT ? 1 : 2;
  if (kind & 0x20) given = 1;
  input_copy(input, message + given, length);
  if (type == MESSAGE_UDP_FAILED && !(kind & 0x20)) put_u16(message + 2, meter->exchange);
  length += given;
  if (length > LINK_LIMIT_DATAGRAM_BYTES) length = LINK_LIMIT_DATAGRAM_BYTES;
  device_tell(meter, channel, message, length);
}

static void step(device *meter, fuzz_input *input, bool *authentic) {
  uint32_t kind = input_byte(input);
  switch (kind & 7) {
    case 0:
      return tell_datagram(meter, input, authentic);
    case 1:
    case 2:
      return tell_any(meter, input);
    case 3:
      return device_wake(meter);
    case 4:
      // Time passes: microseconds to hours.
      meter->tick += (uint64_t)input_u16(input) << (kind >> 3);
      return;
    case 5:
      meter->failing = input_byte(input);
      return;
    case 6: {
      uint8_t payload[256];
      uint32_t length = input_byte(input);
      input_copy(input, payload, length);
      return device_feed(meter, kind >> 3, payload, length);
    }
    default:
      return device_feed(meter, EVENT_TIME_ASK, NULL, 0);
  }
}

static void messages_run(fuzz_input *input) {
  enum { STEPS = 40 };
  uint32_t state = input_byte(input) % STATES;
  device meter = states[state].meter;
  bool authentic = false;
  image_load(states[state].image);
  for (uint32_t i = 0; i < STEPS && input_left(input) > 0; i++) {
    step(&meter, input, &authentic);
    if (authentic) continue;
    uint32_t status = w2c_core_fuzzClockStatus(&core);
    bool holds = status == states[state].status ||
      (states[state].status == CLOCK_STATUS_SYNCHRONISED && status == CLOCK_STATUS_HOLDOVER);
    if (!holds) fuzz_fail("nobody sealed an answer, and the clock's status is %u", status);
    if (state == SYNCHRONISED && ((int64_t)w2c_core_fuzzClockUtc(&core, FAR_LOCAL_NS) != states[state].utc ||
                        (int64_t)w2c_core_fuzzClockBound(&core, FAR_LOCAL_NS) != states[state].bound)) {
      fuzz_fail("nobody sealed an answer, and the clock is another one");
    }
  }
}

const fuzz_target target_messages = {"messages", messages_prepare, messages_run};
