// The meter's end of `metertime conformance`: does one thing at a time that it is asked for on the line, and says what came
// of it. What that is worth, the other end decides.
//
// What always holds: a frame is text between two zeros. A question is a letter that numbers it, a letter that says what to
// do, and more where that needs it; its answer begins with the same two letters. Until the first question, the two letters
// of a greeting are sent again and again.
//
//   i  who it is                         a  reads the ticks many times      w  waits, four times
//   n  when the question came            o  the same bytes back             d  sums of doubles
//   c  replays what a core was told      e  entropy, twice                  s  tries the storage (S: whatever is in it)
//   k  writes something to be kept       q  reads it                        r  restarts
//   x  reads the real-time clock         X  sets it                         h  reads the thermometer
//   g  reads the registers
#include "conformance.h"

#include <string.h>

#include "bytes.h"
#include "core.h"
#include "firmware_identity.h"
#include "metertime.h"
#include "platform.h"
#include "trace.h"

#define GREETING "~~"
#define GREETING_TICKS (METERTIME_TICK_HZ / 4u)
#define ANSWER_MOST 250u
/// What the restart is to hand over.
#define RESTART_CODE 4711u

static uint8_t answer[ANSWER_MOST];
static uint32_t answer_length;
static uint64_t sent_tick;
static uint8_t reset_cause;
static uint32_t reset_code;

static void put_byte(uint8_t byte) {
  if (answer_length < ANSWER_MOST) answer[answer_length++] = byte;
}

static void put_text(const char *text) {
  while (*text != 0) put_byte((uint8_t)*text++);
}

static void put_number(int64_t number) {
  put_text(number < 0 ? " -" : " ");
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  char digits[20];
  uint32_t count = 0;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  while (count > 0) put_byte((uint8_t)digits[--count]);
}

static void put_tick(uint64_t tick) {
  put_number((int64_t)tick);
}

static void put_hex(const uint8_t *bytes, uint32_t length) {
  put_byte(' ');
  for (uint32_t i = 0; i < length; i++) {
    put_byte((uint8_t)"0123456789abcdef"[bytes[i] >> 4]);
    put_byte((uint8_t)"0123456789abcdef"[bytes[i] & 15]);
  }
}

// Sends what was put together; waits until the line is free.
static void send_answer(void) {
  uint8_t frame[ANSWER_MOST + 2];
  frame[0] = 0;
  memcpy(frame + 1, answer, answer_length);
  frame[answer_length + 1] = 0;
  while (!link_send_bytes(frame, answer_length + 2)) metertime_wait_until(metertime_read_ticks() + METERTIME_TICK_HZ / 1000u);
}

static void note_sent(void) {
  if (link_peek_sent(&sent_tick)) link_drop_sent();
}

// ---- ticks

static void try_ticks(void) {
  enum { READINGS = 20000 };
  uint64_t before = metertime_read_ticks();
  const uint64_t first = before;
  uint32_t back = 0;
  for (uint32_t i = 0; i < READINGS; i++) {
    const uint64_t now = metertime_read_ticks();
    if (now < before) back++;
    before = now;
  }
  put_number(back);
  put_tick(before - first);
}

// How many ticks later than asked for it was awake: the best of three tries for each of four times.
static void try_waits(void) {
  static const uint32_t parts[] = {1000, 100, 10, 3};
  for (uint32_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    uint64_t late = UINT64_MAX;
    for (uint32_t turn = 0; turn < 3; turn++) {
      const uint64_t target = metertime_read_ticks() + METERTIME_TICK_HZ / parts[i];
      uint64_t now;
      do {
        metertime_wait_until(target);
        now = metertime_read_ticks();
      } while (now < target);
      if (now - target < late) late = now - target;
    }
    put_tick(late);
  }
}

// ---- core

// Of x from 2^-33 on up to 2^-32, libgcc has half of the 1 - x one unit off on Thumb-2 (src/double_add.c).
static void try_doubles(void) {
  static const uint64_t parts[][2] = {
      {0x3DEF2A7452E6B438u, 0x3FEFFFFFFFE0D58Cu},
      {0x3DE65132269E0D37u, 0x3FEFFFFFFFE9AECEu},
      {0x3DE0C5C7A6A3A450u, 0x3FEFFFFFFFEF3A38u},
      {0x3DED23F0128B2F33u, 0x3FEFFFFFFFE2DC10u},
      {0x3DE1818E892F902Bu, 0x3FEFFFFFFFEE7E71u},
      {0x3DE953195D9DC9F8u, 0x3FEFFFFFFFE6ACE7u},
      {0x3DEE8E250ED90475u, 0x3FEFFFFFFFE171DBu},
      {0x3DE36F6781E74EF5u, 0x3FEFFFFFFFEC9098u},
  };
  uint32_t wrong = 0;
  for (uint32_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    volatile double x;
    double taken;
    memcpy(&taken, &parts[i][0], sizeof taken);
    x = taken;
    const double rest = 1.0 - x;
    uint64_t bits;
    memcpy(&bits, &rest, sizeof bits);
    if (bits != parts[i][1]) wrong++;
  }
  put_number(wrong);
}

// Tick, event, length of the payload, checksum (FNV-1a) over all actions up to here, payload; at multiples of eight.
static void try_core(void) {
  static w2c_core core;
  uint32_t checksum = 2166136261u;
  uint32_t events = 0;
  uint32_t differs = 0;
#ifndef WASM_INSTANTIATES_ANEW
  memset(wasm_memory, 0, WASM_MEMORY_BYTES);
#endif
  wasm2c_core_instantiate(&core);
  const uint8_t *at = conformance_trace;
  for (uint32_t event = bytes_get_u16(at + 8); event != 0; event = bytes_get_u16(at + 8)) {
    const uint32_t length = bytes_get_u16(at + 10);
    const uint32_t buffer = w2c_core_eventBuffer(&core);
    if (buffer + ABI_EVENT_HEADER_BYTES + length > WASM_MEMORY_BYTES) break;
    memcpy(wasm_memory + buffer, at, 8);
    memcpy(wasm_memory + buffer + ABI_EVENT_HEADER_BYTES, at + 16, length);
    const uint32_t left = w2c_core_handle(&core, event, length);
    const uint32_t actions = w2c_core_actionBuffer(&core);
    if (actions > WASM_MEMORY_BYTES || left > WASM_MEMORY_BYTES - actions) break;
    for (uint32_t i = 0; i < left; i++) checksum = (checksum ^ wasm_memory[actions + i]) * 16777619u;
    events++;
    if (differs == 0 && checksum != bytes_get_u32(at + 12)) differs = events;
    at += (16 + length + 7) & ~7u;
  }
  put_number(events);
  put_number(checksum);
  put_number(differs);
}

// ---- storage

static uint8_t block[STORAGE_MAP_RESERVE_PART_BYTES];

static uint8_t pattern_byte(uint32_t seed, uint32_t at) {
  const uint32_t mixed = (seed * 2654435761u) ^ (at * 2246822519u);
  return (uint8_t)(mixed >> 11 ^ mixed >> 23);
}

static bool write_pattern(uint32_t seed, uint32_t offset, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) block[i] = pattern_byte(seed, offset + i);
  return metertime_write_storage(offset, block, length);
}

static bool has_pattern(uint32_t seed, uint32_t offset, uint32_t length) {
  memset(block, 0, sizeof block);
  if (!metertime_read_storage(offset, block, length)) return false;
  for (uint32_t i = 0; i < length; i++) {
    if (block[i] != pattern_byte(seed, offset + i)) return false;
  }
  return true;
}

// Each says which place it found wrong, or STORAGE_RIGHT.
#define STORAGE_RIGHT UINT32_MAX

static uint32_t try_addresses(void) {
  enum { TAG_BYTES = 4 };
  for (uint32_t turn = 0; turn < 2; turn++) {
    for (uint32_t offset = 0; offset <= METERTIME_STORAGE_BYTES - TAG_BYTES; offset = offset == 0 ? TAG_BYTES : 2 * offset) {
      const bool right = turn == 0 ? write_pattern(offset, offset, TAG_BYTES) : has_pattern(offset, offset, TAG_BYTES);
      if (!right) return offset;
    }
    const uint32_t last = METERTIME_STORAGE_BYTES - TAG_BYTES;
    if (!(turn == 0 ? write_pattern(last, last, TAG_BYTES) : has_pattern(last, last, TAG_BYTES))) return last;
  }
  return STORAGE_RIGHT;
}

// The longest write of the core, from the middle of a page on, leaves what is before and behind it.
static uint32_t try_neighbours(uint32_t from) {
  const uint32_t before = 40;
  const uint32_t length = STORAGE_MAP_RESERVE_PART_BYTES;
  if (!write_pattern(1, from, before) || !write_pattern(2, from + before + length, before)) return from;
  if (!write_pattern(3, from + before, length)) return from + before;
  if (!has_pattern(1, from, before)) return from;
  if (!has_pattern(3, from + before, length)) return from + before;
  return has_pattern(2, from + before + length, before) ? STORAGE_RIGHT : from + before + length;
}

// A byte takes any value after any other, and a page is what was written last.
static uint32_t try_rewriting(uint32_t at) {
  static const uint8_t values[] = {0x00, 0xff, 0x55, 0xaa, 0x00};
  for (uint32_t i = 0; i < sizeof values; i++) {
    uint8_t read = (uint8_t)~values[i];
    if (!metertime_write_storage(at + 1, &values[i], 1) || !metertime_read_storage(at + 1, &read, 1)) return at + 1;
    if (read != values[i]) return at + 1;
  }
  for (uint32_t seed = 10; seed < 14; seed++) {
    if (!write_pattern(seed, at, 64) || !has_pattern(seed, at, 64)) return at;
  }
  return STORAGE_RIGHT;
}

static void try_storage(bool even_if_used) {
  uint8_t magic[4] = {0};
  if (!metertime_read_storage(STORAGE_MAP_SETTINGS, magic, sizeof magic)) {
    put_text(" unread");
    return;
  }
  if (!even_if_used && bytes_get_u32(magic) == SETTINGS_FORMAT_MAGIC) {
    put_text(" used");
    return;
  }
  // No settings are left that a meter could take for its own.
  memset(magic, 0, sizeof magic);
  uint32_t wrong = metertime_write_storage(STORAGE_MAP_SETTINGS, magic, sizeof magic) ? STORAGE_RIGHT : STORAGE_MAP_SETTINGS;
  const char *what = "addresses";
  if (wrong == STORAGE_RIGHT) wrong = try_addresses();
  if (wrong == STORAGE_RIGHT) {
    what = "neighbours";
    wrong = try_neighbours(64 + 24);
  }
  if (wrong == STORAGE_RIGHT) {
    what = "rewriting";
    wrong = try_rewriting(512);
  }
  if (wrong == STORAGE_RIGHT) {
    put_text(" right");
  } else {
    put_text(" wrong ");
    put_text(what);
    put_number(wrong);
  }
}

#define KEPT_AT 640u
#define KEPT_BYTES 128u

// ---- parts

static void read_entropy(void) {
#ifdef METERTIME_HAS_ENTROPY
  for (uint32_t i = 0; i < 2; i++) {
    uint8_t bytes[32] = {0};
    if (metertime_read_entropy(bytes)) {
      put_hex(bytes, sizeof bytes);
    } else {
      put_text(" failed");
    }
  }
#else
  put_text(" none");
#endif
}

static void read_rtc(void) {
#ifdef METERTIME_HAS_RTC
  struct metertime_rtc_time time = {.status = RTC_STATUS_ABSENT};
  const uint64_t tick = metertime_read_ticks();
  metertime_read_rtc(&time);
  put_number(time.status);
  put_number(time.year);
  put_number(time.month);
  put_number(time.day);
  put_number(time.hour);
  put_number(time.minute);
  put_number(time.second);
  put_tick(tick);
#else
  put_text(" none");
#endif
}

static void set_rtc(void) {
#ifdef METERTIME_HAS_RTC
  const struct metertime_rtc_time time = {.year = 2027, .month = 12, .day = 31, .hour = 23, .minute = 59, .second = 58};
  put_text(metertime_set_rtc(&time) ? " set" : " failed");
  put_tick(metertime_read_ticks());
#else
  put_text(" none");
#endif
}

static void read_thermometer(void) {
#ifdef METERTIME_HAS_THERMOMETER
  int32_t milli_celsius = 0;
  if (metertime_read_temperature(&milli_celsius)) {
    put_number(milli_celsius);
  } else {
    put_text(" failed");
  }
#else
  put_text(" none");
#endif
}

static void read_registers(void) {
#ifdef METERTIME_HAS_REGISTERS
  int64_t values[4] = {0};
  const uint32_t count = metertime_read_registers(values);
  put_number(count);
  for (uint32_t i = 0; i < count && i < 4; i++) put_number(values[i]);
#else
  put_text(" none");
#endif
}

// ---- line

static void tell_identity(void) {
  static const uint8_t core_sha256[32] = FIRMWARE_CORE_SHA256;
  put_number(ABI_VERSION);
  put_number(METERTIME_TICK_HZ);
  put_number(METERTIME_MAX_FREQUENCY_ERROR_PPB);
  put_number(METERTIME_STORAGE_BYTES);
  put_number(CONFORMANCE_TRACE_EVENTS);
  put_number(CONFORMANCE_TRACE_CHECKSUM);
  put_number(reset_cause);
  put_number(reset_code);
  put_hex(core_sha256, sizeof core_sha256);
}

static void answer_question(const struct link_frame *frame) {
  const uint8_t question = frame->bytes[1];
  const uint32_t seed = frame->length > 2 ? frame->bytes[2] : 0;
  answer_length = 0;
  put_byte(frame->bytes[0]);
  put_byte(question);
  switch (question) {
    case 'i':
      tell_identity();
      break;
    case 'a':
      try_ticks();
      break;
    case 'w':
      try_waits();
      break;
    case 'n':
      put_tick(frame->first_tick);
      put_tick(frame->last_tick);
      put_tick(sent_tick);
      break;
    case 'o':
      for (uint32_t i = 2; i < frame->length; i++) put_byte(frame->bytes[i]);
      break;
    case 'd':
      try_doubles();
      break;
    case 'c':
      try_core();
      break;
    case 'e':
      read_entropy();
      break;
    case 's':
    case 'S':
      try_storage(question == 'S');
      break;
    case 'k':
      put_text(write_pattern(seed, KEPT_AT, KEPT_BYTES) ? " written" : " failed");
      break;
    case 'q':
      put_text(has_pattern(seed, KEPT_AT, KEPT_BYTES) ? " kept" : " lost");
      break;
    case 'x':
      read_rtc();
      break;
    case 'X':
      set_rtc();
      break;
    case 'h':
      read_thermometer();
      break;
    case 'g':
      read_registers();
      break;
    default:
      break;
  }
}

_Noreturn void conformance_run(uint8_t cause, uint32_t trap_code) {
  reset_cause = cause;
  reset_code = trap_code;
  metertime_start_line();
  bool asked = false;
  uint64_t greeting_at = metertime_read_ticks();
  for (;;) {
    note_sent();
    const struct link_frame *frame = link_peek_frame();
    if (frame == NULL) {
      const uint64_t now = metertime_read_ticks();
      if (!asked && now >= greeting_at) {
        greeting_at = now + GREETING_TICKS;
        answer_length = 0;
        put_text(GREETING);
        send_answer();
      }
      metertime_wait_until(asked ? now + GREETING_TICKS : greeting_at);
      continue;
    }
    const bool restarts = frame->length > 1 && frame->bytes[1] == 'r';
    const bool is_question = frame->length > 1;
    if (is_question) answer_question(frame);
    link_drop_frame();
    if (!is_question) continue;
    asked = true;
    send_answer();
    if (!restarts) continue;
    const uint64_t latest = metertime_read_ticks() + METERTIME_TICK_HZ;
    while (!link_peek_sent(&sent_tick) && metertime_read_ticks() < latest) {
      metertime_wait_until(metertime_read_ticks() + METERTIME_TICK_HZ / 1000u);
    }
    metertime_restart(RESET_CAUSE_TRAP, RESTART_CODE);
  }
}
