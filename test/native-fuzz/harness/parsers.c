// Targets that call one parser: NTS-KE records, sealed texts, NTP answers, the settings block.
#include "answer.h"
#include "fuzz.h"
#include "fuzz_data.h"

enum { REJECTED_NOT = REJECT_NONE, COOKIES = 8, KE_ANSWER_MAX_BYTES = 16384 };

// ---------------------------------------------------------------- NTS-KE

// The two runs get an answer in different pieces, and must come to the same.
static void ke_run(fuzz_input *input) {
  static uint8_t repeated[KE_ANSWER_MAX_BYTES + 1024];
  uint32_t piece = 1 + input_byte(input);
  uint32_t length = input_left(input);
  const uint8_t *bytes = input->at;
  if (piece == 256 && length > 0 && bytes[length - 1] == 0xff) {
    // The longest answers that are read, and longer ones; seldom, as they take a hundred times longer.
    uint32_t longer = length < sizeof repeated / 64 ? 64 * length : (uint32_t)sizeof repeated;
    for (uint32_t at = 0; at < longer; at++) repeated[at] = bytes[at % length];
    bytes = repeated;
    length = longer;
  }
  // Where a piece takes an answer beyond its most bytes, none of that piece counts.
  if (fuzz_run == 1 && length <= KE_ANSWER_MAX_BYTES) piece = piece == 1 ? 235 : 1 + piece / 3;
  w2c_core_fuzzKeBegin(&core);
  for (uint32_t at = 0; at < length; at += piece) {
    uint32_t now = length - at < piece ? length - at : piece;
    w2c_core_fuzzKeRead(&core, message_place(bytes + at, now), now);
  }
  uint32_t verdict = w2c_core_fuzzKeFinish(&core);
  uint32_t held = w2c_core_fuzzCookiesHeld(&core);
  uint32_t cookie_bytes = w2c_core_fuzzCookieBytes(&core);
  trace_add(verdict);
  trace_add(w2c_core_fuzzKeFacts(&core));
  if (held > COOKIES) fuzz_fail("%u cookies are held", held);
  if (verdict == KE_ERROR_NONE) {
    bool whole = held > 0 && cookie_bytes >= 1 && cookie_bytes <= 256 && w2c_core_fuzzKeEnded(&core);
    if (!whole) fuzz_fail("an answer is taken with %u cookies of %u bytes", held, cookie_bytes);
    if (length > KE_ANSWER_MAX_BYTES) fuzz_fail("an answer of %u bytes is taken", length);
  }
  // Its detail tells the bytes read up to then, which pieces decide.
  if (verdict == KE_ERROR_TRAILING_DATA) w2c_core_fuzzKeBegin(&core);
}

const fuzz_target target_ke = {"ke", NULL, ke_run};

// ---------------------------------------------------------------- sealed texts

// Key, nonce, data and sealed text, in an order in which any of the last two ends the memory.
static void aead_run(fuzz_input *input) {
  enum { OPENED_AS_IT_IS = 4, TAMPERED = 8, DATA_LAST = 16, OWN_NONCE = 32, KEY = 64, TAG = 16, GCM_SIV = 30 };
  static const uint32_t algorithms[] = {15, 16, 17, GCM_SIV};
  uint8_t bytes[KEY + 255 + 255 + 255];
  uint8_t text[255];
  uint32_t mode = input_byte(input);
  uint32_t algorithm = algorithms[mode & 3];
  uint32_t nonce_bytes = mode & OWN_NONCE ? input_byte(input) : algorithm == GCM_SIV ? 12 : 16;
  uint32_t data_bytes = input_byte(input);
  uint32_t sealed_bytes = input_byte(input);
  bool right = !(mode & (OPENED_AS_IT_IS | TAMPERED));
  // What cannot be sealed is only opened.
  if (sealed_bytes < TAG || nonce_bytes == 0 || (algorithm == GCM_SIV && nonce_bytes != 12)) mode |= OPENED_AS_IT_IS;
  uint32_t length = KEY + nonce_bytes + data_bytes + sealed_bytes;
  input_copy(input, bytes, length);
  uint32_t key = message_place(bytes, length);
  uint32_t nonce = key + KEY;
  uint32_t data = nonce + nonce_bytes + (mode & DATA_LAST ? sealed_bytes : 0);
  uint32_t sealed = nonce + nonce_bytes + (mode & DATA_LAST ? 0 : data_bytes);
  uint32_t text_at = sealed + w2c_core_fuzzAeadTextOffset(&core, algorithm);
  uint32_t text_bytes = sealed_bytes - TAG;
  if (!(mode & OPENED_AS_IT_IS)) {
    memcpy(text, memory_at(text_at), text_bytes);
    w2c_core_fuzzAeadSeal(&core, algorithm, key, data, data_bytes, nonce, nonce_bytes, sealed, text_bytes);
    trace_bytes(memory_at(sealed), sealed_bytes);
    if (mode & TAMPERED) {
      uint32_t place = nonce + input_u16(input) % (length - KEY);
      *memory_at(place) ^= (uint8_t)(1u << (input_byte(input) & 7));
    }
  } else {
    right = false;
  }
  bool opened = w2c_core_fuzzAeadOpen(&core, algorithm, key, data, data_bytes, nonce, nonce_bytes, sealed, sealed_bytes);
  if (opened != right) fuzz_fail("AEAD %u: %s", algorithm, opened ? "what nobody sealed opens" : "what was sealed does not open");
  if (right && memcmp(text, memory_at(text_at), text_bytes) != 0) fuzz_fail("AEAD %u: another text", algorithm);
}

const fuzz_target target_aead = {"aead", NULL, aead_run};

// ---------------------------------------------------------------- NTP

static const uint8_t keys[2 * ANSWER_KEY_BYTES] = {1, 2, 3, [ANSWER_KEY_BYTES] = 4, 5, 6};
static core_image *asked;
static ntp_request request;

static void answer_prepare(void) {
  enum { REQUEST_MAX_BYTES = 1232, RANDOM_BYTES = 56, COOKIE_BYTES = 100 };
  uint8_t bytes[sizeof keys + COOKIE_BYTES] = {0};
  memcpy(bytes, keys, sizeof keys);
  uint32_t at = message_place(bytes, sizeof bytes);
  w2c_core_fuzzExchangeBegin(&core, at, at + sizeof keys, COOKIE_BYTES);
  at = message_room(REQUEST_MAX_BYTES + RANDOM_BYTES);
  for (uint32_t i = 0; i < RANDOM_BYTES; i++) *memory_at(at + REQUEST_MAX_BYTES + i) = (uint8_t)(i * 7 + 1);
  uint32_t length = w2c_core_fuzzExchangeRequest(&core, at, at + REQUEST_MAX_BYTES);
  request_read(&request, memory_at(at), length);
  asked = image_save();
}

static void answer_run(fuzz_input *input) {
  uint8_t packet[ANSWER_MAX_BYTES];
  bool authentic;
  image_load(asked);
  uint64_t now = ntp_time_of(FUZZ_START_UTC_NS);
  uint32_t held = w2c_core_fuzzCookiesHeld(&core);
  uint32_t length = answer_read(input, packet, &request, keys + ANSWER_KEY_BYTES, now, &authentic);
  uint32_t at = message_place(packet, length);
  uint32_t verdict = w2c_core_fuzzExchangeAnswer(&core, at, length, FUZZ_BUILD_UNIX_SECONDS);
  trace_add(verdict);
  bool waits = w2c_core_fuzzExchangeOpen(&core);
  if (authentic) {
    if (w2c_core_fuzzCookiesHeld(&core) > COOKIES) fuzz_fail("more than %u cookies", COOKIES);
    return;
  }
  if (verdict == REJECTED_NOT) fuzz_fail("an answer that nobody sealed is accepted");
  if (!waits) fuzz_fail("an answer that nobody sealed ends the exchange");
  if (w2c_core_fuzzCookiesHeld(&core) != held) fuzz_fail("an answer that nobody sealed brings cookies");
}

const fuzz_target target_answer = {"answer", answer_prepare, answer_run};

// ---------------------------------------------------------------- settings

static void settings_run(fuzz_input *input) {
  enum { MENDED = 1, ANY_LENGTH = 2 };
  uint8_t block[STORAGE_MAP_SETTINGS_BYTES + 256];
  uint32_t mode = input_byte(input);
  uint32_t length = STORAGE_MAP_SETTINGS_BYTES;
  if (mode & ANY_LENGTH) length = input_u16(input) % sizeof block;
  memset(block, 0, sizeof block);
  if ((mode & MENDED) && length == STORAGE_MAP_SETTINGS_BYTES) {
    // Items of the input between a header and a CRC-32 that are right.
    uint32_t items = STORAGE_MAP_SETTINGS_BYTES - SETTINGS_FIELD_ITEMS - 4;
    if (input_left(input) < items) items = input_left(input);
    put_u32(block, SETTINGS_FORMAT_MAGIC);
    put_u16(block + SETTINGS_FIELD_VERSION, SETTINGS_FORMAT_VERSION);
    put_u16(block + SETTINGS_FIELD_ITEMS_BYTES, items);
    input_copy(input, block + SETTINGS_FIELD_ITEMS, items);
    put_u32(block + SETTINGS_FIELD_ITEMS + items, crc32_of(block, SETTINGS_FIELD_ITEMS + items));
  } else {
    input_copy(input, block, length);
  }
  uint32_t error = w2c_core_fuzzSettingsRead(&core, message_place(block, length), length);
  uint32_t servers = w2c_core_fuzzSettingsServers(&core);
  trace_add(error);
  trace_add(servers);
  if ((error == SETTINGS_ERROR_NONE) != (servers > 0)) fuzz_fail("%u servers of settings with error %u", servers, error);
}

const fuzz_target target_settings = {"settings", NULL, settings_run};
