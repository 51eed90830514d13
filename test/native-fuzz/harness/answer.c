// NTP answers made from an input (answer.h). Fields and lengths: RFC 5905 7.3, RFC 8915 5.
#include "answer.h"

enum {
  HEADER_BYTES = 48,
  FIELD_IDENTIFIER = 0x0104,
  FIELD_COOKIE = 0x0204,
  FIELD_AUTHENTICATOR = 0x0404,
  TAG_BYTES = 16,
  GCM_SIV = 30,
  GCM_SIV_NONCE_BYTES = 12,
};

/// First byte of an answer in an input.
enum {
  RIGHT_ORIGIN = 1,
  RIGHT_IDENTIFIER = 2,
  SEALED = 4,
  PLAUSIBLE = 8,
  TAMPERED = 16,
  CUT = 32,
  OTHER_CONTEXT = 64,
  OTHER_SOURCE = 128,
};

uint64_t ntp_time_of(uint64_t utc_ns) {
  uint64_t seconds = utc_ns / 1000000000u + 2208988800u;
  return seconds << 32 | ((utc_ns % 1000000000u) << 32) / 1000000000u;
}

const uint8_t *answer_key(uint32_t source, uint32_t which) {
  static uint8_t keys[SOURCES][KEYS][ANSWER_KEY_BYTES];
  uint8_t *key = keys[source][which];
  for (uint32_t i = 0; i < ANSWER_KEY_BYTES; i++) key[i] = (uint8_t)(1 + 61 * (source * KEYS + which) + 29 * i);
  return key;
}

void request_read(ntp_request *request, uint32_t source, const uint8_t *packet, uint32_t length) {
  if (length < HEADER_BYTES + 36) fuzz_fail("a request of %u bytes", length);
  request->source = source;
  request->aead = w2c_core_fuzzExchangeAead(&core, source);
  memcpy(request->origin, packet + 40, 8);
  memcpy(request->identifier, packet + HEADER_BYTES + 4, 32);
  request->sent = true;
}

const uint8_t *request_cookie(const uint8_t *packet, uint32_t length, uint32_t *bytes) {
  for (uint32_t at = HEADER_BYTES; at + 4 <= length;) {
    uint32_t type = (uint32_t)packet[at] << 8 | packet[at + 1];
    uint32_t field = (uint32_t)packet[at + 2] << 8 | packet[at + 3];
    if (field < 16 || field > length - at) fuzz_fail("a request with a field of %u bytes", field);
    *bytes = field - 4;
    if (type == FIELD_COOKIE) return packet + at + 4;
    at += field;
  }
  return NULL;
}

static const uint8_t cookie_magic[8] = {0xc0, 0x0c, 0x1e, 0xa7, 0x5e, 0xe9, 0xf3, 0x9b};

void cookie_make(uint8_t *cookie, uint32_t number) {
  memset(cookie, (int)(number & 0xff), ANSWER_COOKIE_BYTES);
  put_u32(cookie, number);
  memcpy(cookie + 4, cookie_magic, sizeof cookie_magic);
}

uint32_t cookie_number(const uint8_t *cookie, uint32_t bytes) {
  bool known = bytes >= 4 + sizeof cookie_magic && memcmp(cookie + 4, cookie_magic, sizeof cookie_magic) == 0;
  return known ? get_u32(cookie) : 0;
}

static uint32_t put_field(uint8_t *packet, uint32_t at, uint32_t type, const uint8_t *value, uint32_t bytes) {
  put_be16(packet + at, type);
  put_be16(packet + at + 2, 4 + bytes);
  if (value != NULL) memcpy(packet + at + 4, value, bytes);
  return at + 4 + bytes;
}

static void put_plausible(uint8_t *packet, uint64_t ntp_time) {
  packet[0] = 0x24;
  packet[1] = 1;
  memset(packet + 4, 0, 8);
  put_be64(packet + 32, ntp_time);
  put_be64(packet + 40, ntp_time);
}

// Adds the authenticator over all `at` bytes before it: `text` sealed, nonce and ciphertext padded. Returns the end.
static uint32_t put_authenticator(uint8_t *packet, uint32_t at, uint32_t aead, const uint8_t *key, const uint8_t *nonce,
  uint32_t nonce_bytes, const uint8_t *text, uint32_t text_bytes) {
  uint32_t nonce_room = (nonce_bytes + 3) & ~3u;
  uint32_t sealed_bytes = TAG_BYTES + text_bytes;
  uint32_t sealed_room = (sealed_bytes + 3) & ~3u;
  uint32_t value = at + 4;
  uint32_t sealed = value + 4 + nonce_room;
  uint32_t end = sealed + sealed_room;
  memset(packet + at, 0, end - at);
  put_field(packet, at, FIELD_AUTHENTICATOR, NULL, end - value);
  put_be16(packet + value, nonce_bytes);
  put_be16(packet + value + 2, sealed_bytes);
  memcpy(packet + value + 4, nonce, nonce_bytes);
  memcpy(packet + sealed + w2c_core_fuzzAeadTextOffset(&core, aead), text, text_bytes);
  // Without keys, or with a nonce that no server could use, nothing is sealed.
  if (aead == 0 || (aead == GCM_SIV && nonce_bytes != GCM_SIV_NONCE_BYTES)) return end;
  // The core's own cipher, in its own memory.
  uint32_t message = message_room(end + ANSWER_KEY_BYTES);
  memcpy(memory_at(message), packet, end);
  memcpy(memory_at(message + end), key, ANSWER_KEY_BYTES);
  w2c_core_fuzzAeadSeal(&core, aead, message + end, message, at, message + value + 4, nonce_bytes, message + sealed,
    text_bytes);
  memcpy(packet, memory_at(message), end);
  return end;
}

uint32_t answer_make(uint8_t *packet, const ntp_request *request, uint64_t ntp_time, uint32_t cookies,
  uint32_t *number) {
  enum { COOKIES_MAX = 8 };
  uint8_t text[COOKIES_MAX * (4 + ANSWER_COOKIE_BYTES)];
  uint8_t nonce[16] = {1};
  uint32_t text_bytes = 0;
  memset(packet, 0, HEADER_BYTES);
  put_plausible(packet, ntp_time);
  memcpy(packet + 24, request->origin, 8);
  uint32_t at = put_field(packet, HEADER_BYTES, FIELD_IDENTIFIER, request->identifier, 32);
  for (uint32_t i = 0; i < cookies && i < COOKIES_MAX; i++) {
    uint8_t cookie[ANSWER_COOKIE_BYTES];
    cookie_make(cookie, (*number)++);
    text_bytes = put_field(text, text_bytes, FIELD_COOKIE, cookie, sizeof cookie);
  }
  return put_authenticator(packet, at, request->aead, answer_key(request->source, KEY_ANSWER), nonce,
    w2c_core_fuzzAeadNonceBytes(&core, request->aead), text, text_bytes);
}

uint32_t answer_read(fuzz_input *input, uint8_t *packet, const ntp_request *request, uint64_t ntp_time,
  answer_kind *kind) {
  uint32_t mode = input_byte(input);
  uint32_t at = HEADER_BYTES;
  input_copy(input, packet, HEADER_BYTES);
  if (mode & PLAUSIBLE) put_plausible(packet, ntp_time);
  if (mode & RIGHT_ORIGIN) memcpy(packet + 24, request->origin, 8);
  if (mode & RIGHT_IDENTIFIER) at = put_field(packet, at, FIELD_IDENTIFIER, request->identifier, 32);
  uint32_t fields_bytes = input_u16(input) % 1024;
  const uint8_t *fields = input_take(input, &fields_bytes);
  memcpy(packet + at, fields, fields_bytes);
  at += fields_bytes;
  kind->authentic = false;
  kind->plausible = mode & PLAUSIBLE;
  if (mode & SEALED) {
    enum { NONCE_MAX_BYTES = 64, OWN_NONCE = 64 };
    uint8_t nonce[NONCE_MAX_BYTES];
    uint32_t nonce_mode = input_byte(input);
    uint32_t nonce_bytes = 1 + nonce_mode % NONCE_MAX_BYTES;
    if (request->aead == GCM_SIV && !(nonce_mode & OWN_NONCE)) nonce_bytes = GCM_SIV_NONCE_BYTES;
    input_copy(input, nonce, nonce_bytes);
    uint32_t room = ANSWER_MAX_BYTES - at - 4 - 4 - NONCE_MAX_BYTES - TAG_BYTES - 4;
    uint32_t text_bytes = input_u16(input) % 700;
    if (text_bytes > room) text_bytes = room;
    const uint8_t *text = input_take(input, &text_bytes);
    uint32_t sealed_at = at + 8 + ((nonce_bytes + 3) & ~3u);
    uint32_t authenticator = at;
    uint32_t whose = mode & OTHER_SOURCE ? (request->source + 1) % SOURCES : request->source;
    const uint8_t *key = answer_key(whose, mode & OTHER_CONTEXT ? KEY_ANSWER_OTHER : KEY_ANSWER);
    at = put_authenticator(packet, at, request->aead, key, nonce, nonce_bytes, text, text_bytes);
    kind->authentic = !(mode & OTHER_SOURCE);
    if (mode & TAMPERED) {
      // Anywhere but in padding, which nothing protects.
      uint32_t place = input_u16(input) % (authenticator + nonce_bytes + TAG_BYTES + text_bytes);
      if (place >= authenticator + nonce_bytes) place += sealed_at - authenticator - nonce_bytes;
      else if (place >= authenticator) place += 8;
      packet[place] ^= (uint8_t)(1u << (input_byte(input) & 7));
      kind->authentic = false;
    }
  }
  if (mode & CUT) {
    uint32_t less = input_byte(input);
    at = less < at ? at - less : 0;
    if (less != 0) kind->authentic = false;
  }
  return at;
}
