// Targets that call one parser: NTS-KE records, sealed texts, NTP answers, the settings block.
#include "answer.h"
#include "fuzz.h"
#include "fuzz_data.h"

enum { REJECTED_NOT = REJECT_NONE, COOKIES = 8, KE_ANSWER_MAX_BYTES = 65536 };

// ---------------------------------------------------------------- NTS-KE

/// Second byte of an input.
enum { KE_SOURCE = 3, KE_OFFER = 12, KE_OLD = 16, KE_COUNTS = 32, KE_REPEATED = 0xc0 };

static void ke_begin(uint32_t mode) {
  enum { OLD_COOKIES = 3, OLD_BYTES = 200 };
  static const uint8_t offers[4][5] = {{4, 30, 15, 16, 17}, {1, 15}, {2, 17, 16}, {1, 30}};
  const uint8_t *offer = offers[(mode & KE_OFFER) >> 2];
  uint8_t bytes[4 + OLD_BYTES] = {0};
  memcpy(bytes, offer + 1, offer[0]);
  uint32_t at = message_place(bytes, sizeof bytes);
  w2c_core_fuzzKeBegin(&core, mode & KE_SOURCE, at, offer[0], mode & KE_OLD ? OLD_COOKIES : 0, at + 4, OLD_BYTES);
}

// The two runs get an answer in different pieces, and must come to the same.
static void ke_run(fuzz_input *input) {
  static uint8_t repeated[KE_ANSWER_MAX_BYTES + 1024];
  uint32_t piece = 1 + input_byte(input);
  uint32_t mode = input_byte(input);
  uint32_t length = input_left(input);
  const uint8_t *bytes = input->at;
  if (piece == 256 && (mode & KE_REPEATED) == KE_REPEATED && length > 0 && bytes[length - 1] == 0xff) {
    // The longest answers that are read, and longer ones; seldom, as they take hundreds of times longer.
    uint32_t longer = length < sizeof repeated / 256 ? 256 * length : (uint32_t)sizeof repeated;
    for (uint32_t at = 0; at < longer; at++) repeated[at] = bytes[at % length];
    bytes = repeated;
    length = longer;
  }
  // Where a piece takes an answer beyond its most bytes, none of that piece counts.
  if (fuzz_run == 1 && length <= KE_ANSWER_MAX_BYTES) piece = piece == 1 ? 235 : 1 + piece / 3;
  ke_begin(mode);
  uint32_t source = mode & KE_SOURCE;
  uint32_t old = w2c_core_fuzzCookiesHeld(&core, source);
  for (uint32_t at = 0; at < length; at += piece) {
    uint32_t now = length - at < piece ? length - at : piece;
    w2c_core_fuzzKeRead(&core, message_place(bytes + at, now), now);
  }
  uint32_t verdict = w2c_core_fuzzKeFinish(&core);
  uint32_t held = w2c_core_fuzzCookiesHeld(&core, source);
  trace_add(verdict);
  trace_add(w2c_core_fuzzKeFacts(&core));
  if (held > COOKIES || held < old) fuzz_fail("%u cookies are held, %u were", held, old);
  bool counts = verdict == KE_ERROR_NONE && (mode & KE_COUNTS);
  w2c_core_fuzzKeKeep(&core, source, counts);
  uint32_t kept = w2c_core_fuzzCookiesHeld(&core, source);
  if (kept != (counts ? held - old : old)) fuzz_fail("%u cookies are kept of %u, %u of them old", kept, held, old);
  uint32_t cookie_bytes = w2c_core_fuzzCookieBytes(&core, source);
  if (verdict == KE_ERROR_NONE) {
    uint32_t aead = w2c_core_fuzzKeAead(&core);
    uint32_t context = w2c_core_fuzzKeContextAead(&core);
    bool whole = held > old && w2c_core_fuzzKeEnded(&core) && (kept == 0) == (cookie_bytes == 0) && cookie_bytes <= 256;
    if (!whole) fuzz_fail("an answer is taken with %u cookies, the next of %u bytes", held - old, cookie_bytes);
    if (length > KE_ANSWER_MAX_BYTES) fuzz_fail("an answer of %u bytes is taken", length);
    if (aead == 0 || (context != aead && (aead != 30 || context != 15))) fuzz_fail("AEAD %u, context %u", aead, context);
  }
  for (uint32_t i = 0; i < 4; i++) {
    if (i != source && w2c_core_fuzzCookiesHeld(&core, i) != 0) fuzz_fail("cookies of another source");
  }
  // Its detail tells the bytes read up to then, which pieces decide.
  if (verdict == KE_ERROR_TRAILING_DATA) ke_begin(0);
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

// Each source has keys of another AEAD, a request that waits, and six cookies: two more of 132 bytes fill its jar to the
// last byte.
static const uint8_t answer_aeads[SOURCES] = {15, 16, 17, 30};
static core_image *asked;
static ntp_request requests[SOURCES];

// A request, with what random bytes it wants; its length and place.
static uint32_t request(uint32_t source, uint32_t *at) {
  enum { REQUEST_MAX_BYTES = 1024, RANDOM_BYTES = 56 };
  *at = message_room(REQUEST_MAX_BYTES + RANDOM_BYTES);
  for (uint32_t i = 0; i < RANDOM_BYTES; i++) *memory_at(*at + REQUEST_MAX_BYTES + i) = (uint8_t)(i * 7 + 1 + source);
  return w2c_core_fuzzExchangeRequest(&core, source, *at, *at + REQUEST_MAX_BYTES);
}

static void ask(uint32_t source) {
  enum { COOKIE_BYTES = 100 };
  uint8_t bytes[2 * ANSWER_KEY_BYTES + COOKIE_BYTES] = {0};
  memcpy(bytes, answer_key(source, KEY_REQUEST), ANSWER_KEY_BYTES);
  memcpy(bytes + ANSWER_KEY_BYTES, answer_key(source, KEY_ANSWER), ANSWER_KEY_BYTES);
  uint32_t at = message_place(bytes, sizeof bytes);
  w2c_core_fuzzExchangeBegin(&core, source, answer_aeads[source], at, false, at + 2 * ANSWER_KEY_BYTES, COOKIE_BYTES);
  uint32_t length = request(source, &at);
  request_read(&requests[source], source, memory_at(at), length);
}

static void answer_prepare(void) {
  for (uint32_t i = 0; i < SOURCES; i++) ask(i);
  asked = image_save();
}

static void answer_run(fuzz_input *input) {
  uint8_t packet[ANSWER_MAX_BYTES];
  answer_kind kind;
  image_load(asked);
  uint32_t source = input_byte(input) % SOURCES;
  uint32_t held[SOURCES];
  for (uint32_t i = 0; i < SOURCES; i++) held[i] = w2c_core_fuzzCookiesHeld(&core, i);
  uint32_t length = answer_read(input, packet, &requests[source], ntp_time_of(FUZZ_START_UTC_NS), &kind);
  uint32_t at = message_place(packet, length);
  uint32_t verdict = w2c_core_fuzzExchangeAnswer(&core, source, at, length, FUZZ_BUILD_UNIX_SECONDS);
  trace_add(verdict);
  if (!kind.authentic && verdict == REJECTED_NOT) fuzz_fail("an answer that nobody sealed is accepted");
  if (w2c_core_fuzzCookiesHeld(&core, source) > COOKIES) fuzz_fail("more than %u cookies", COOKIES);
  for (uint32_t i = 0; i < SOURCES; i++) {
    if (kind.authentic && i == source) continue;
    if (!w2c_core_fuzzExchangeOpen(&core, i)) fuzz_fail("an answer that nobody sealed ends the exchange");
    if (w2c_core_fuzzCookiesHeld(&core, i) != held[i]) fuzz_fail("an answer that nobody sealed brings cookies");
  }
  if (!kind.authentic) return;
  // What it brought is used, the oldest first.
  uint32_t before = w2c_core_fuzzCookiesHeld(&core, source);
  trace_add(request(source, &at));
  if (w2c_core_fuzzCookiesHeld(&core, source) != before - 1) fuzz_fail("a request takes no cookie");
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
