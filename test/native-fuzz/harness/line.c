// Target that gives both ends of a link its frames: damaged ones, and forged ones with the right CRC-32 in a session.
#include "device.h"
#include "fuzz.h"
#include "fuzz_data.h"

enum { HEADER = FRAME_FIELD_PAYLOAD, DECODED_MAX_BYTES = 600, FRAMES_IN_FLIGHT = 8 };

static struct {
  device end;
  core_image *image;
  uint32_t session;
} ends[2];

/// 0: the meter's end, 1: the gateway's.
static uint32_t role;
/// Sequences to come, by channel; counts from 0 in a session.
static uint8_t next_sequence[4];
/// Sequence of the last frame of the other end, by channel.
static uint8_t heard[4];

static uint32_t session_of(const device *end) {
  return get_u16(end->frame + FRAME_FIELD_SESSION);
}

static void hear(device *end) {
  if (end->frame_length == 0) return;
  heard[end->frame[0] & 3] = end->frame[FRAME_FIELD_SEQUENCE];
  end->frame_length = 0;
}

static void feed_encoded(device *end, const uint8_t *encoded, uint32_t length) {
  uint8_t payload[8 + 1 + DECODED_MAX_BYTES + 4];
  put_u64(payload, end->tick);
  memcpy(payload + 8, encoded, length);
  end->tick += 1000 + 87000ull * length;
  device_feed(end, EVENT_FRAME, payload, 8 + length);
}

// Header and payload at `decoded`, with room for the CRC-32 behind them; longer than a frame may be, too.
static void feed_decoded(device *end, uint8_t *decoded, uint32_t length) {
  uint8_t encoded[1 + DECODED_MAX_BYTES + 4];
  put_u32(decoded + length, crc32_of(decoded, length));
  length += 4;
  uint32_t code = 0;
  memcpy(encoded + 1, decoded, length);
  for (uint32_t at = 1; at <= length; at++) {
    if (encoded[at] != 0) continue;
    encoded[code] = (uint8_t)(at - code);
    code = at;
  }
  encoded[code] = (uint8_t)(length + 1 - code);
  feed_encoded(end, encoded, 1 + length);
}

static void feed_control(device *end, uint32_t session, const uint8_t *payload, uint32_t length) {
  uint8_t decoded[HEADER + HELLO_FIELD_MOST_BYTES + 4] = {FRAME_SIZE_VERSION << 4 | CHANNEL_CONTROL};
  put_u16(decoded + FRAME_FIELD_SESSION, session);
  memcpy(decoded + HEADER, payload, length);
  feed_decoded(end, decoded, HEADER + length);
}

static void feed_sent(device *end) {
  if (end->unsent == 0) return;
  end->unsent--;
  end->tick += 1000000;
  device_feed(end, EVENT_FRAME_SENT, NULL, 0);
}

// Lets an end run until it sends a control frame of this kind.
static void await_control(device *end, uint32_t kind) {
  for (uint32_t steps = 0; steps < 100; steps++) {
    if (end->frame_length > HEADER && (end->frame[0] & 15) == CHANNEL_CONTROL && end->frame[HEADER] == kind) return;
    end->frame_length = 0;
    if (end->unsent > 0) feed_sent(end);
    else device_wake(end);
  }
  fuzz_fail("no control frame %u", kind);
}

static void start_meter(device *end) {
  enum { SESSION = 0x1234 };
  device_init(end, SOURCES);
  device_start(end, CAPABILITY_STORAGE);
  await_control(end, CONTROL_HELLO);
  uint8_t answer[ANSWER_FIELD_PROOF] = {0};
  memcpy(answer, end->frame + HEADER, OPEN_FIELD_BYTES);
  answer[OPEN_FIELD_KIND] = CONTROL_ANSWER;
  answer[OPEN_FIELD_STREAM_CREDIT] = CREDIT_GATEWAY_STREAM;
  answer[OPEN_FIELD_REPORT_CREDIT] = CREDIT_GATEWAY_REPORT;
  feed_control(end, SESSION, answer, sizeof answer);
  await_control(end, CONTROL_STATUS);
  if (session_of(end) != SESSION) fuzz_fail("the meter takes another session");
  static const uint8_t status[STATUS_FIELD_BYTES] = {CONTROL_STATUS, 0, 0, CREDIT_GATEWAY_STREAM, 0,
    CREDIT_GATEWAY_REPORT};
  feed_control(end, SESSION, status, sizeof status);
  ends[0].session = SESSION;
}

static void start_gateway(device *end) {
  static const uint8_t start[LINK_START_FIELD_BYTES] = {0, 0xca, 0x9a, 0x3b, 1, 2, 3, 4, 5, 6, 7, 8, 1};
  device_init(end, 1);
  device_feed(end, EVENT_LINK_START, start, sizeof start);
  static const uint8_t hello[HELLO_FIELD_METER + 1] = {CONTROL_HELLO, FRAME_SIZE_VERSION, CREDIT_METER_STREAM,
    CREDIT_METER_REPORT, 5, 6, 7, 8};
  feed_control(end, 0, hello, sizeof hello);
  await_control(end, CONTROL_ANSWER);
  ends[1].session = session_of(end);
  static const uint8_t status[STATUS_FIELD_BYTES] = {CONTROL_STATUS, 0, 0, CREDIT_METER_STREAM, 0,
    CREDIT_METER_REPORT};
  feed_control(end, ends[1].session, status, sizeof status);
  await_control(end, CONTROL_STATUS);
}

static void frames_prepare(void) {
  core_image *off = image_save();
  for (uint32_t i = 0; i < 2; i++) {
    image_load(off);
    if (i == 0) start_meter(&ends[i].end);
    else start_gateway(&ends[i].end);
    ends[i].image = image_save();
  }
  free(off);
}

static uint32_t read_payload(fuzz_input *input, uint8_t *target, uint32_t most) {
  uint32_t length = input_byte(input);
  if (length > most) length = most;
  input_copy(input, target, length);
  return length;
}

// A frame of the session: what the input adds to sequence and acknowledgement is mostly nothing.
static void feed_forged(device *end, fuzz_input *input) {
  uint8_t decoded[DECODED_MAX_BYTES + 4] = {0};
  uint32_t kind = input_byte(input);
  uint32_t channel = kind & 3;
  uint8_t ahead = kind & 0x40 ? input_byte(input) : 0;
  uint8_t acknowledge = (uint8_t)(heard[channel] + 1 + (kind & 0x80 ? input_byte(input) : 0));
  decoded[FRAME_FIELD_VERSION_CHANNEL] = (uint8_t)(FRAME_SIZE_VERSION << 4 | channel);
  decoded[FRAME_FIELD_FLAGS] = kind >> 2 & 3;
  decoded[FRAME_FIELD_CREDIT] = kind & 0x20 ? input_byte(input) : 4;
  put_u16(decoded + FRAME_FIELD_SESSION, ends[role].session + (kind & 0x10 ? input_byte(input) : 0));
  decoded[FRAME_FIELD_SEQUENCE] = (uint8_t)(next_sequence[channel] + ahead);
  decoded[FRAME_FIELD_ACKNOWLEDGE] = acknowledge;
  if (channel != CHANNEL_CONTROL) next_sequence[channel] = (uint8_t)(decoded[FRAME_FIELD_SEQUENCE] + 1);
  uint32_t length = read_payload(input, decoded + HEADER, FRAME_SIZE_PAYLOAD_BYTES);
  feed_decoded(end, decoded, HEADER + length);
}

static void step(device *end, fuzz_input *input) {
  uint8_t bytes[DECODED_MAX_BYTES + 4];
  uint32_t kind = input_byte(input);
  switch (kind & 7) {
    case 0:
    case 1:
    case 2:
      return feed_forged(end, input);
    case 3: {
      uint32_t length = read_payload(input, bytes, 255);
      if (kind & 0x80) length += read_payload(input, bytes + length, 255);
      return feed_decoded(end, bytes, length);
    }
    case 4: {
      uint32_t length = read_payload(input, bytes, 255);
      if (kind & 0x80) length += read_payload(input, bytes + length, 255);
      return feed_encoded(end, bytes, length);
    }
    case 5:
      end->tick += (uint64_t)input_u16(input) << (kind >> 3);
      return;
    case 6:
      if (kind & 0x80) return device_wake(end);
      // Also when nothing was sent.
      if (end->unsent == 0) end->unsent = 1;
      return feed_sent(end);
    default: {
      uint32_t length = read_payload(input, bytes, 255);
      return device_feed(end, role == 1 && !(kind & 0x80) ? EVENT_LINK_SEND : kind >> 3, bytes, length);
    }
  }
}

static void frames_run(fuzz_input *input) {
  enum { STEPS = 40, LATE = 2 };
  uint32_t mode = input_byte(input);
  role = mode & 1;
  device end = ends[role].end;
  image_load(ends[role].image);
  memset(next_sequence, 0, sizeof next_sequence);
  memset(heard, 0xff, sizeof heard);
  for (uint32_t i = 0; i < STEPS && input_left(input) > 0; i++) {
    step(&end, input);
    hear(&end);
    // A frame has left when the next event comes, unless the line is slow.
    if (!(mode & LATE)) feed_sent(&end);
    hear(&end);
  }
  if (role == 0 && w2c_core_fuzzClockStatus(&core) != CLOCK_STATUS_UNSYNCHRONISED) {
    fuzz_fail("frames that nobody sealed set the clock");
  }
}

const fuzz_target target_frames = {"frames", frames_prepare, frames_run};
