// Target that hands a meter one part of a reserve from its storage: sealed as the meter would have, whatever is in it.
#include "device.h"
#include "fuzz.h"

/// First byte of an input.
enum { OWN_LENGTH = 1, OWN_RECORD = 2, UNSEALED = 4, SPOILT = 8, LIVES_ON = 16, CHANGES = 0xe0 };

enum { NTP_HOST_MAX_BYTES = 65, COOKIE_MAX_BYTES = 256, STATES_MAX = 32 };

/// Meters with one to four servers that wait for a part of a source.
static struct {
  device meter;
  core_image *image;
  uint32_t source;
  uint32_t part;
} states[STATES_MAX];
static uint32_t states_count;

// The parts of this source alone are right. The second cookie is read where the first does not count.
static void prepare_state(const core_image *off, uint32_t servers, uint32_t source, uint32_t part) {
  device *meter = &states[states_count].meter;
  image_load(off);
  device_init(meter, servers);
  for (uint32_t i = 0; i < PARTS; i++) {
    device_put_part(meter, source, i);
    meter->sealing_part[source][i] = part != 2 || i != 1;
  }
  meter->hold = device_part_offset(source, part);
  device_start(meter, CAPABILITY_STORAGE | CAPABILITY_OWN_NETWORK);
  if (!meter->held) fuzz_fail("%u servers: part %u of source %u is not asked for", servers, part, source);
  states[states_count].image = image_save();
  states[states_count].source = source;
  states[states_count].part = part;
  states_count++;
}

static void part_prepare(void) {
  core_image *off = image_save();
  for (uint32_t servers = 1; servers <= SOURCES; servers++) {
    for (uint32_t i = 0; i < servers * PARTS; i++) prepare_state(off, servers, i / PARTS, i % PARTS);
  }
  free(off);
}

// What the input makes of a part, but for its number where other parts have it too. Returns how much of it is read.
static uint32_t change(device *meter, uint32_t source, uint32_t part, fuzz_input *input, uint32_t mode) {
  uint8_t *data = device_part(meter, source, part);
  uint32_t length = STORAGE_MAP_RESERVE_PART_BYTES;
  if (mode & OWN_LENGTH) length = input_u16(input) % (STORAGE_MAP_RESERVE_PART_BYTES + 64);
  if (mode & SPOILT) {
    meter->spoilt[source][part].at = input_u16(input) % STORAGE_MAP_RESERVE_PART_BYTES;
    meter->spoilt[source][part].by = input_byte(input);
  }
  uint32_t changes = mode / (CHANGES & -CHANGES);
  for (uint32_t i = 0; i < changes; i++) {
    uint32_t at = input_u16(input) % STORAGE_MAP_RESERVE_PART_BYTES;
    data[at] = input_byte(input);
  }
  if (mode & OWN_RECORD) input_copy(input, data + PART_RECORD, STORAGE_MAP_RESERVE_PART_BYTES - PART_RECORD);
  // A cookie that is known again, whatever its length.
  if (part != PART_KEYS) cookie_make(data + PART_RECORD + RECORD_COOKIE, meter->cookies++);
  meter->sealing_part[source][part] = !(mode & UNSEALED);
  return length;
}

// A second reading of a part with keys: their AEAD, 0 where they must not count.
static uint32_t aead_of(const device *meter, const uint8_t *data) {
  const uint8_t *record = data + PART_RECORD;
  uint32_t aead = get_u16(record);
  bool known = aead == 15 || aead == 16 || aead == 17 || aead == 30;
  bool named = (get_u32(data + PART_NUMBER) & 3) < meter->servers && record[RECORD_NTP_HOST] <= NTP_HOST_MAX_BYTES;
  return known && named ? aead : 0;
}

static void part_run(fuzz_input *input) {
  uint32_t mode = input_byte(input);
  uint32_t which = input_byte(input) % states_count;
  device meter = states[which].meter;
  uint32_t source = states[which].source;
  uint32_t part = states[which].part;
  const uint8_t *data = device_part(&meter, source, part);
  const uint8_t *keys = device_part(&meter, source, PART_KEYS);
  uint32_t number = get_u32(keys + PART_NUMBER);
  image_load(states[which].image);
  uint32_t length = change(&meter, source, part, input, mode);
  bool opens = length == STORAGE_MAP_RESERVE_PART_BYTES && !(mode & UNSEALED) && meter.spoilt[source][part].by == 0;
  if (part == PART_KEYS) {
    // The cookies belong to it, whatever its number.
    for (uint32_t i = 1; i < PARTS; i++) memcpy(device_part(&meter, source, i), data, 4);
  } else {
    opens = opens && get_u32(data + PART_NUMBER) == number;
  }
  uint32_t aead = part != PART_KEYS || opens ? aead_of(&meter, keys) : 0;
  uint32_t cookie_bytes = ANSWER_COOKIE_BYTES;
  if (part != PART_KEYS && opens) cookie_bytes = get_u16(data + PART_RECORD);
  else if (part == 2) cookie_bytes = 0;
  if (cookie_bytes > COOKIE_MAX_BYTES || aead == 0) cookie_bytes = 0;
  device_release(&meter, length);
  for (uint32_t i = 0; i < SOURCES; i++) {
    uint32_t found = w2c_core_fuzzExchangeAead(&core, i);
    uint32_t expected = i == source && cookie_bytes != 0 ? aead : 0;
    if (found != expected) fuzz_fail("source %u: AEAD %u instead of %u", i, found, expected);
    uint32_t held = w2c_core_fuzzCookieBytes(&core, i);
    uint32_t stored = i == source ? cookie_bytes : 0;
    if (held != stored) fuzz_fail("source %u: a cookie of %u bytes instead of %u", i, held, stored);
  }
  if (!(mode & LIVES_ON)) return;
  for (uint32_t steps = 0; steps < 8; steps++) {
    if (!device_answer_asked(&meter) && !device_answer_datagram(&meter, 2)) device_wake(&meter);
  }
}

const fuzz_target target_part = {"part", part_prepare, part_run};
