// SHA-256 of messages of every length up to some blocks, chained, and how long one of 96 KiB takes. The test reads
// `hashes_log` from outside.
#include "cpu.h"
#include "platform.h"
#include "sha256.h"

#include <string.h>

/// Messages: what was hashed before (32 bytes), then as many bytes of their own: 0 to LENGTHS - 1.
#define LENGTHS 160u
#define LONG_BYTES 98304u
#define WORDS (SHA256_BYTES / 4u)

/// CMSDK APB timer 0: CTRL, VALUE, RELOAD.
#define TIMER0 ((volatile uint32_t *)0x40000000u)

struct hashes_log {
  /// 1 when the rest is there.
  volatile uint32_t done;
  uint32_t chained[WORDS];
  uint32_t ticks;
};

struct hashes_log hashes_log;

int main(void) {
  static uint8_t message[SHA256_BYTES + LENGTHS];
  for (uint32_t i = 0; i < LENGTHS; i++) message[SHA256_BYTES + i] = (uint8_t)(7u * i);
  for (uint32_t length = 0; length < LENGTHS; length++) {
    uint8_t hash[SHA256_BYTES];
    sha256_compute_hash(message, SHA256_BYTES + length, hash);
    memcpy(message, hash, sizeof hash);
  }
  memcpy(hashes_log.chained, message, sizeof hashes_log.chained);
  TIMER0[2] = UINT32_MAX;
  TIMER0[1] = UINT32_MAX;
  TIMER0[0] = 1;
  uint32_t from = TIMER0[1];
  // Behind the vector table, which is closed.
  sha256_compute_hash((const uint8_t *)4096u, LONG_BYTES, message);
  hashes_log.ticks = from - TIMER0[1];
  cpu_order_stores();
  hashes_log.done = 1;
  for (;;) {
  }
}

#define EMPTY_HANDLER(line, function) \
  void function(void) {}
BOARD_HANDLERS(EMPTY_HANDLER)
void watchdog_on_expiry(void) {}
