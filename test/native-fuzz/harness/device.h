// A meter around the core: storage, real-time clock, wake-ups, and what it asked the gateway for.
#ifndef DEVICE_H_
#define DEVICE_H_

#include "answer.h"
#include "fuzz.h"

enum { PARTS = 3, COOKIES_KNOWN = 4096 };

/// Parts of a reserve as they lie in the storage (as/meter/reserve.ts): the first has the keys, the others a cookie each.
enum { PART_NUMBER = 0, PART_RECORD = 20, PART_KEYS = 0, RECORD_COOKIE = 2, RECORD_NTP_HOST = 192 };

/// What a gateway knows of one of the meter's time servers.
typedef struct {
  uint8_t connection;
  uint8_t socket;
  uint16_t exchange;
  ntp_request request;
  /// What was asked and not answered yet.
  bool opens;
  bool writes;
  bool wants_socket;
  uint8_t tags;
  uint8_t key_bytes;
  /// Good answers that it had.
  uint32_t answers;
} device_source;

typedef struct {
  uint64_t tick;
  uint64_t wake;
  uint32_t servers;
  uint8_t storage[STORAGE_MAP_FULL_BYTES];
  uint8_t rtc[RTC_FIELD_BYTES];
  /// Storage operations that fail, the next one in bit 0.
  uint32_t failing;
  /// Which state slots are sealed with the meter's key when they are read: bits 0 and 1.
  uint32_t sealing;
  /// The same for parts of reserves, until the core writes them; and what a part is changed by after that.
  bool sealing_part[SOURCES][PARTS];
  struct {
    uint16_t at;
    uint8_t by;
  } spoilt[SOURCES][PARTS];
  /// Offset at which a read waits for `device_release`, 0 for none; and whether one does.
  uint32_t hold;
  bool held;
  device_source source[SOURCES];
  /// Number of the next cookie, and which were sent.
  uint32_t cookies;
  uint8_t sent[COOKIES_KNOWN / 8];
  /// The frame that the core sent last on the link, decoded; its length 0 when it has been seen.
  uint8_t frame[LINK_LIMIT_FRAME_BYTES];
  uint32_t frame_length;
  /// Frames that have not been reported as sent.
  uint32_t unsent;
} device;

/// A provisioned storage with as many servers, nothing else in it, and a real-time clock that is absent.
void device_init(device *meter, uint32_t servers);

/// Hands over an event and does what the core asks for in answer to it: storage and real-time clock at once. What a
/// thermometer answers is an event of the input.
void device_feed(device *meter, uint32_t event, const uint8_t *payload, uint32_t length);

/// The start event with these capabilities.
void device_start(device *meter, uint32_t capabilities);

/// The power fails and comes back: a new core, with the storage as it is.
void device_restart(device *meter, const core_image *off);

/// Where a part of a source's reserve lies in the storage; and one as the meter would have written it there, unsealed.
uint32_t device_part_offset(uint32_t source, uint32_t part);
uint8_t *device_part(device *meter, uint32_t source, uint32_t part);
void device_put_part(device *meter, uint32_t source, uint32_t part);

/// The part for which the meter waits is read: as many bytes of it, and zeros behind them.
void device_release(device *meter, uint32_t length);

/// Lets time pass to the wake-up that was asked for.
void device_wake(device *meter);

/// A message from the gateway, to a meter with a network of its own.
void device_tell(device *meter, uint32_t channel, const uint8_t *message, uint32_t length);

/// A good gateway answers one thing that was asked for, datagrams aside; false when there is nothing.
bool device_answer_asked(device *meter);

/// A good server answers a request that waits, with `cookies` cookies; false when there is none.
bool device_answer_datagram(device *meter, uint32_t cookies);

/// A meter with a network of its own; each server gave it keys and as many good answers, and some wait for an answer.
void device_bring_up(device *meter, uint32_t servers, uint32_t answers);

/// A meter with a network of its own that waits for its first connections.
void device_bring_up_connections(device *meter, uint32_t servers);

/// The AEAD that a source of a meter with as many servers gets; and whether record 1024 is among its server's answer.
uint32_t device_aead(uint32_t servers, uint32_t source);

/// UTC at a tick, ns.
uint64_t device_utc(const device *meter);

#endif
