// A meter around the core: storage, real-time clock, wake-ups, and what it asked the gateway for.
#ifndef DEVICE_H_
#define DEVICE_H_

#include "answer.h"
#include "fuzz.h"

typedef struct {
  uint64_t tick;
  uint64_t wake;
  uint8_t storage[STORAGE_MAP_BYTES];
  uint8_t rtc[RTC_FIELD_BYTES];
  /// Storage operations that fail, the next one in bit 0.
  uint32_t failing;
  /// Which state slots are sealed with the meter's key when they are read: bits 0 and 1.
  uint32_t sealing;
  // The ids in use, and the request that waits for its answer.
  uint8_t connection;
  uint8_t socket;
  uint16_t exchange;
  ntp_request request;
  /// What was asked last on the stream channel, a `Message`; and the tag of a key asked for.
  uint8_t asked;
  uint8_t tag;
  /// The frame that the core sent last on the link, decoded; its length 0 when it has been seen.
  uint8_t frame[LINK_LIMIT_FRAME_BYTES];
  uint32_t frame_length;
  /// Frames that have not been reported as sent.
  uint32_t unsent;
} device;

/// The keys of every association here, client to server first.
extern const uint8_t device_keys[2 * ANSWER_KEY_BYTES];

/// A provisioned storage, and a real-time clock that is absent.
void device_init(device *meter);

/// Hands over an event and does what the core asks for in answer to it: storage and real-time clock at once.
void device_feed(device *meter, uint32_t event, const uint8_t *payload, uint32_t length);

/// The start event with these capabilities.
void device_start(device *meter, uint32_t capabilities);

/// Lets time pass to the wake-up that was asked for.
void device_wake(device *meter);

/// A message from the gateway, to a meter with a network of its own.
void device_tell(device *meter, uint32_t channel, const uint8_t *message, uint32_t length);

/// A meter with a network of its own, with keys, whose request waits for its answer; `answers` were good ones before.
void device_bring_up(device *meter, uint32_t answers);

/// A meter with a network of its own that waits for its first connection.
void device_bring_up_connection(device *meter);

/// UTC at a tick, ns.
uint64_t device_utc(const device *meter);

#endif
