// NTP answers made from an input: any bytes, or as a server would make them, with what it may not do.
#ifndef ANSWER_H_
#define ANSWER_H_

#include "fuzz.h"

enum { ANSWER_MAX_BYTES = 1400, ANSWER_KEY_BYTES = 32 };

/// What a server saw of the request that waits for its answer.
typedef struct {
  bool sent;
  uint8_t origin[8];
  uint8_t identifier[32];
} ntp_request;

/// Reads origin and unique identifier from a request.
void request_read(ntp_request *request, const uint8_t *packet, uint32_t length);

/// What a server says, without the input's help: authentic, plausible, with `cookies` cookies of 64 bytes.
uint32_t answer_make(uint8_t *packet, const ntp_request *request, const uint8_t *key, uint64_t ntp_time,
  uint32_t cookies);

/// An answer from the input; `*authentic` when it was sealed with `key` and left as it was.
uint32_t answer_read(fuzz_input *input, uint8_t *packet, const ntp_request *request, const uint8_t *key,
  uint64_t ntp_time, bool *authentic);

/// UTC in ns as an NTP timestamp.
uint64_t ntp_time_of(uint64_t utc_ns);

#endif
