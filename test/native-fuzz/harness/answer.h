// NTP answers made from an input: any bytes, or as a server would make them, with what it may not do.
#ifndef ANSWER_H_
#define ANSWER_H_

#include "fuzz.h"

enum { ANSWER_MAX_BYTES = 1400, ANSWER_KEY_BYTES = 64, ANSWER_COOKIE_BYTES = 64, SOURCES = 4 };

/// Which key of a source: as `Message.TlsExport` tags them (direction, exporter context).
enum { KEY_REQUEST, KEY_ANSWER, KEY_REQUEST_OTHER, KEY_ANSWER_OTHER, KEYS };

/// What a server saw of the request that waits for its answer.
typedef struct {
  bool sent;
  uint32_t source;
  uint32_t aead;
  uint8_t origin[8];
  uint8_t identifier[32];
} ntp_request;

/// What stands behind an answer of the input.
typedef struct {
  /// It was sealed with a key of the source, and left as it was.
  bool authentic;
  /// Its time is the right one, and it claims no error of its own.
  bool plausible;
} answer_kind;

/// A key of a source's server, ANSWER_KEY_BYTES; each is another one.
const uint8_t *answer_key(uint32_t source, uint32_t which);

/// Reads origin and unique identifier from a request of a source.
void request_read(ntp_request *request, uint32_t source, const uint8_t *packet, uint32_t length);

/// The cookie that a request carries, NULL where it has none; `*bytes` with its padding.
const uint8_t *request_cookie(const uint8_t *packet, uint32_t length, uint32_t *bytes);

/// A cookie of ANSWER_COOKIE_BYTES that no other is like: known again by its number, from 1 on.
void cookie_make(uint8_t *cookie, uint32_t number);
/// Number of such a cookie; 0 for another one.
uint32_t cookie_number(const uint8_t *cookie, uint32_t bytes);

/// What a server says, without the input's help: authentic, plausible, with `cookies` cookies numbered from `*number` on.
uint32_t answer_make(uint8_t *packet, const ntp_request *request, uint64_t ntp_time, uint32_t cookies, uint32_t *number);

/// An answer from the input.
uint32_t answer_read(fuzz_input *input, uint8_t *packet, const ntp_request *request, uint64_t ntp_time,
  answer_kind *kind);

/// UTC in ns as an NTP timestamp.
uint64_t ntp_time_of(uint64_t utc_ns);

#endif
