// Targets that give a whole meter its events: a start with any storage, lives with reserves of keys and cookies in it, and
// messages of the gateway to a meter that polls.
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
  uint32_t mode = input_byte(input);
  device_init(&meter, 1 + input_byte(input) % SOURCES);
  meter.failing = input_u16(input);
  input_copy(input, meter.rtc, sizeof meter.rtc);
  uint8_t *storage = meter.storage;
  read_settings(input, mode, storage + STORAGE_MAP_SETTINGS);
  if (mode & OWN_SEED_A) read_seed(input, storage + STORAGE_MAP_SEED_A);
  if (mode & OWN_SEED_B) read_seed(input, storage + STORAGE_MAP_SEED_B);
  // Count and record; the rest of a slot is not used.
  enum { STATE_COUNT_BYTES = 4, STATE_RECORD = 20, STATE_RECORD_BYTES = 224 };
  for (uint32_t i = 0; i < 2; i++) {
    uint8_t *slot = storage + (i == 0 ? STORAGE_MAP_STATE_A : STORAGE_MAP_STATE_B);
    if (!(mode & (SEALED_STATE_A << i)) && input_left(input) == 0) continue;
    input_copy(input, slot, STATE_COUNT_BYTES);
    input_copy(input, slot + STATE_RECORD, STATE_RECORD_BYTES);
    if (mode & (SEALED_STATE_A << i)) meter.sealing |= 1u << i;
  }
  uint32_t capabilities = CAPABILITY_STORAGE | CAPABILITY_RTC | CAPABILITY_THERMOMETER;
  if (!(mode & LINKED)) capabilities |= CAPABILITY_OWN_NETWORK;
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

// ---------------------------------------------------------------- steps of a meter's life

/// What the input did so far with the keys of servers: bits of sources.
typedef struct {
  uint32_t sealed;
  uint32_t lied;
} deeds;

static uint32_t count_of(uint32_t sources) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < SOURCES; i++) count += sources >> i & 1;
  return count;
}

// One liar of three or four moves no clock off the truth; without any, nothing does.
static void check_truth(const device *meter, const deeds *done) {
  uint32_t liars = count_of(done->lied);
  if (liars > (meter->servers >= 3 ? 1 : 0)) return;
  if (w2c_core_fuzzClockStatus(&core) == CLOCK_STATUS_UNSYNCHRONISED) return;
  int64_t error = (int64_t)(w2c_core_fuzzClockUtc(&core, meter->tick) - device_utc(meter));
  int64_t bound = (int64_t)w2c_core_fuzzClockBound(&core, meter->tick);
  if (error > bound || -error > bound) {
    fuzz_fail("%u of %u servers lie, and the error is %lld ns, the bound %lld ns", liars, meter->servers,
      (long long)error, (long long)bound);
  }
}

// The source that the input names, or one whose request waits.
static device_source *choose(device *meter, fuzz_input *input) {
  enum { NO_OTHER = 0x80 };
  uint32_t byte = input_byte(input);
  for (uint32_t i = 0; i < SOURCES && !(byte & NO_OTHER); i++) {
    device_source *source = &meter->source[(byte + i) & 3];
    if (source->request.sent) return source;
  }
  return &meter->source[byte & 3];
}

static void tell_datagram(device *meter, fuzz_input *input, deeds *done) {
  device_source *source = choose(meter, input);
  uint8_t message[UDP_RECEIVED_FIELD_PAYLOAD + ANSWER_MAX_BYTES] = {MESSAGE_UDP_RECEIVED, source->socket};
  put_u16(message + UDP_RECEIVED_FIELD_EXCHANGE, source->exchange);
  input_copy(input, message + UDP_RECEIVED_FIELD_FORWARD_RESIDENCE_NS, 8);
  answer_kind kind;
  uint32_t length = answer_read(input, message + UDP_RECEIVED_FIELD_PAYLOAD, &source->request,
    ntp_time_of(device_utc(meter)), &kind);
  if (kind.authentic) {
    source->request.sent = false;
    done->sealed |= 1u << source->request.source;
    if (!kind.plausible) done->lied |= 1u << source->request.source;
  }
  uint32_t most = LINK_LIMIT_DATAGRAM_BYTES;
  length += UDP_RECEIVED_FIELD_PAYLOAD;
  device_tell(meter, CHANNEL_TIME, message, length < most ? length : most);
}

// A message of any bytes; those that name an id name one in use, unless the input says so.
static void tell_any(device *meter, fuzz_input *input) {
  static const uint8_t types[] = {MESSAGE_UDP_RECEIVED, MESSAGE_TIME_PROBE, MESSAGE_UDP_FAILED, MESSAGE_TLS_OPENED,
    MESSAGE_TLS_DATA, MESSAGE_TLS_EXPORTED, MESSAGE_TLS_CLOSED, MESSAGE_UDP_OPENED, MESSAGE_UDP_OPEN_FAILED,
    MESSAGE_EVENT_ACK};
  uint8_t message[2 + 5 * 255];
  const device_source *source = &meter->source[input_byte(input) & 3];
  uint32_t kind = input_byte(input);
  uint32_t length = input_byte(input);
  if (kind & 0x80) length *= 5;
  uint8_t type = types[kind % sizeof types];
  if (kind & 0x40) type = input_byte(input);
  uint32_t channel = type < MESSAGE_TLS_OPEN ? CHANNEL_TIME : type < MESSAGE_INFO ? CHANNEL_STREAM : CHANNEL_REPORT;
  message[0] = type;
  message[1] = channel == CHANNEL_TIME || type >= MESSAGE_UDP_OPENED ? source->socket : source->connection;
  uint32_t given = channel == CHANNEL_REPORT ? 1 : 2;
  if (kind & 0x20) given = 1;
  input_copy(input, message + given, length);
  if (type == MESSAGE_UDP_FAILED && !(kind & 0x20)) put_u16(message + 2, source->exchange);
  length += given;
  if (length > LINK_LIMIT_DATAGRAM_BYTES) length = LINK_LIMIT_DATAGRAM_BYTES;
  device_tell(meter, channel, message, length);
}

// Time passes: microseconds to hours.
static void pass_time(device *meter, fuzz_input *input, uint32_t shift) {
  meter->tick += (uint64_t)input_u16(input) << shift;
}

// ---------------------------------------------------------------- messages

/// Local time at which clocks are compared: far behind any slew.

/// What a meter is doing when an input begins: it opens connections for keys, polls for the first time, or has a time.
enum { ESTABLISHING, POLLING, SYNCHRONISED, STATES };

/// Each with one to four servers.
static struct {
  device meter;
  core_image *image;
  uint32_t status;
} states[SOURCES][STATES];

static void messages_prepare(void) {
  core_image *off = image_save();
  for (uint32_t i = 0; i < SOURCES * STATES; i++) {
    uint32_t servers = 1 + i / STATES;
    uint32_t state = i % STATES;
    __typeof__(states[0][0]) *made = &states[servers - 1][state];
    image_load(off);
    if (state == ESTABLISHING) device_bring_up_connections(&made->meter, servers);
    else device_bring_up(&made->meter, servers, state == POLLING ? 0 : 6);
    made->image = image_save();
    made->status = w2c_core_fuzzClockStatus(&core);
    uint32_t expected = state == SYNCHRONISED ? CLOCK_STATUS_SYNCHRONISED : CLOCK_STATUS_UNSYNCHRONISED;
    if (made->status != expected) fuzz_fail("%u servers, state %u: the clock is %u", servers, state, made->status);
  }
  free(off);
}

static void messages_step(device *meter, fuzz_input *input, deeds *done) {
  uint32_t kind = input_byte(input);
  switch (kind & 7) {
    case 0:
      return tell_datagram(meter, input, done);
    case 1:
    case 2:
      return tell_any(meter, input);
    case 3:
      return device_wake(meter);
    case 4:
      return pass_time(meter, input, kind >> 3);
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

/// Parts of a million: what a clock may gain or lose by the rate that it learned and by what it still slews.
enum { DRIFT_PPM = 1000 };

/// A clock at an instant.
typedef struct {
  int64_t tick;
  int64_t difference;
  int64_t bound;
} look;

static look look_at(const device *meter) {
  int64_t tick = (int64_t)meter->tick;
  return (look){tick, (int64_t)w2c_core_fuzzClockUtc(&core, tick) - tick, (int64_t)w2c_core_fuzzClockBound(&core, tick)};
}

/// Where nobody sealed an answer a clock goes on as it went, and is no surer than before.
static void check_goes_on(const look *before, const look *now) {
  int64_t most = (now->tick - before->tick) / 1000000 * DRIFT_PPM + 1000;
  int64_t moved = now->difference - before->difference;
  if (moved > most || moved < -most) fuzz_fail("nobody sealed an answer, and the clock has moved by %lld ns", (long long)moved);
  if (before->bound - now->bound > most) fuzz_fail("nobody sealed an answer, and the clock is surer");
}

static void messages_run(fuzz_input *input) {
  enum { STEPS = 40 };
  uint32_t which = input_byte(input) % (STATES * SOURCES);
  uint32_t state = which % STATES;
  const __typeof__(states[0][0]) *from = &states[which / STATES][state];
  device meter = from->meter;
  deeds done = {0, 0};
  image_load(from->image);
  look before = look_at(&meter);
  for (uint32_t i = 0; i < STEPS && input_left(input) > 0; i++) {
    messages_step(&meter, input, &done);
    check_truth(&meter, &done);
    if (done.sealed != 0) continue;
    uint32_t status = w2c_core_fuzzClockStatus(&core);
    bool holds =
      status == from->status || (from->status == CLOCK_STATUS_SYNCHRONISED && status == CLOCK_STATUS_HOLDOVER);
    if (!holds) fuzz_fail("nobody sealed an answer, and the clock's status is %u", status);
    look now = look_at(&meter);
    if (state == SYNCHRONISED) check_goes_on(&before, &now);
    before = now;
  }
}

const fuzz_target target_messages = {"messages", messages_prepare, messages_run};

// ---------------------------------------------------------------- reserves

static core_image *off_image;

static void reserve_prepare(void) {
  off_image = image_save();
}

// What the input does to one part: nothing to a right one, or bytes changed before it is sealed, or after, or no seal.
static void change_part(device *meter, fuzz_input *input) {
  enum { UNSEALED = 16, SPOILT = 32, RANDOM = 64 };
  uint32_t which = input_byte(input);
  uint32_t source = which & 3;
  uint32_t part = (which >> 2 & 3) % PARTS;
  uint8_t *data = device_part(meter, source, part);
  meter->sealing_part[source][part] = !(which & UNSEALED);
  if (which & SPOILT) {
    meter->spoilt[source][part].at = input_u16(input) % STORAGE_MAP_RESERVE_PART_BYTES;
    meter->spoilt[source][part].by = input_byte(input);
  }
  uint32_t changes = input_byte(input) % 16;
  for (uint32_t i = 0; i < changes; i++) {
    uint32_t at = input_u16(input) % STORAGE_MAP_RESERVE_PART_BYTES;
    data[at] = which & RANDOM ? input_byte(input) : data[at] ^ input_byte(input);
  }
  // A cookie that is known again, whatever its length.
  if (part != PART_KEYS) cookie_make(data + PART_RECORD + RECORD_COOKIE, meter->cookies++);
}

static bool keys_hold(const device *meter, uint32_t source) {
  return meter->sealing_part[source][PART_KEYS] && meter->spoilt[source][PART_KEYS].by == 0;
}

/// What takes long: there is so much of it in an input.
typedef struct {
  uint32_t answers;
  uint32_t restarts;
} effort;

static void reserve_step(device *meter, fuzz_input *input, deeds *done, effort *left) {
  uint32_t kind = input_byte(input);
  switch (kind & 7) {
    case 0:
      return tell_datagram(meter, input, done);
    case 1:
      return tell_any(meter, input);
    case 2:
      // A good gateway answers all that is asked for, and good servers as often as the input says.
      for (uint32_t answers = kind >> 3;; answers--) {
        while (device_answer_asked(meter)) continue;
        if (answers == 0 || left->answers == 0) return;
        left->answers--;
        if (!device_answer_datagram(meter, 1 + (answers & 3))) device_wake(meter);
      }
    case 3:
      return device_wake(meter);
    case 4:
      return pass_time(meter, input, kind >> 3);
    case 5:
      meter->failing = input_u16(input);
      return;
    case 6:
      if (left->restarts == 0) return;
      left->restarts--;
      return device_restart(meter, off_image);
    default:
      // Hours, until something of the storage is due.
      meter->tick += (uint64_t)(kind >> 3) * 3600000000000ull;
      return device_wake(meter);
  }
}

static void reserve_run(fuzz_input *input) {
  enum { STEPS = 24, CHANGES_MAX = 16, ONLY_SOME = 4 };
  effort left = {.answers = 32, .restarts = 3};
  device meter;
  uint32_t mode = input_byte(input);
  device_init(&meter, 1 + (mode & 3));
  deeds done = {0, 0};
  for (uint32_t i = 0; i < SOURCES * PARTS; i++) {
    device_put_part(&meter, i / PARTS, i % PARTS);
    meter.sealing_part[i / PARTS][i % PARTS] = !(mode & ONLY_SOME);
  }
  uint32_t changes = (mode >> 3) % CHANGES_MAX;
  meter.failing = input_u16(input);
  for (uint32_t i = 0; i < changes; i++) change_part(&meter, input);
  bool held[SOURCES];
  for (uint32_t i = 0; i < SOURCES; i++) held[i] = keys_hold(&meter, i);
  device_start(&meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK);
  for (uint32_t i = 0; i < SOURCES; i++) {
    if (!held[i] && w2c_core_fuzzExchangeAead(&core, i) != 0) fuzz_fail("keys that the meter did not seal count");
  }
  for (uint32_t i = 0; i < STEPS && input_left(input) > 0; i++) {
    reserve_step(&meter, input, &done, &left);
    check_truth(&meter, &done);
  }
}

const fuzz_target target_reserve = {"reserve", reserve_prepare, reserve_run};
