// Puts the port (metertime_platform.h) under the glue, and the glue under what metertime.h offers.
#include "names.h"

#include <float.h>
#include <string.h>

#include "application.h"
#include "firmware_identity.h"
#include "line.h"
#include "loop.h"
#include "metertime.h"
#include "platform.h"

_Static_assert(METERTIME_TICK_HZ >= 1000, "ticks are 1 ms or shorter");
_Static_assert(METERTIME_LINK_FRAMES >= 4, "the core grants its gateway three frames on one channel and one on another");
_Static_assert(METERTIME_STORAGE_BYTES >= STORAGE_MAP_BYTES, "settings, seeds and state have their place in the storage");
_Static_assert(sizeof METERTIME_BOARD_NAME <= 32 && sizeof FIRMWARE_VERSION <= 32, "a name has at most 31 bytes");
// Otherwise the core takes other decisions than the gateway that replays what it was told.
_Static_assert(FLT_EVAL_METHOD == 0 || FLT_EVAL_METHOD == 1, "doubles are computed as doubles, not wider");

// ---- what the glue asks for

uint64_t tick_read_now(void) {
  return metertime_read_ticks();
}

void uart_start_device(void) {
  metertime_start_line();
}

void uart_send_byte(uint8_t byte) {
  metertime_send_byte(byte);
}

bool storage_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  return metertime_read_storage(offset, into, length);
}

bool storage_write_bytes(uint32_t offset, const uint8_t *from, uint32_t length) {
  return metertime_write_storage(offset, from, length);
}

_Noreturn void reset_restart_board(uint8_t cause, uint32_t trap_code) {
  metertime_restart(cause, trap_code);
}

// Zeros say that there is none.
void image_compute_hash(uint8_t hash[IMAGE_HASH_BYTES]) {
#ifdef METERTIME_HAS_IMAGE_HASH
  metertime_hash_image(hash);
#else
  memset(hash, 0, IMAGE_HASH_BYTES);
#endif
}

#ifdef METERTIME_HAS_ENTROPY
bool entropy_read_bytes(uint8_t into[ENTROPY_BYTES]) {
  return metertime_read_entropy(into);
}
#endif

#ifdef METERTIME_HAS_RTC
void rtc_read_time(struct rtc_time *time) {
  struct metertime_rtc_time read = {.status = RTC_STATUS_ABSENT};
  metertime_read_rtc(&read);
  *time = (struct rtc_time){.status = read.status};
  if (read.status != RTC_STATUS_RUNNING) return;
  time->second = read.second;
  time->minute = read.minute;
  time->hour = read.hour;
  time->day = read.day;
  time->month = read.month;
  time->year = read.year;
}

bool rtc_set_time(const struct rtc_time *time) {
  const struct metertime_rtc_time set = {
      .second = time->second,
      .minute = time->minute,
      .hour = time->hour,
      .day = time->day,
      .month = time->month,
      .year = time->year,
  };
  return metertime_set_rtc(&set);
}
#endif

#ifdef METERTIME_HAS_THERMOMETER
bool thermometer_read_temperature(int32_t *milli_celsius) {
  return metertime_read_temperature(milli_celsius);
}
#endif

#ifdef METERTIME_HAS_REGISTERS
uint32_t application_read_registers(int64_t values[APPLICATION_REGISTERS]) {
  return metertime_read_registers(values);
}

void application_switch_tariff(uint16_t tariff, bool doubtful, int64_t since_unix_seconds) {
  metertime_switch_tariff(tariff, doubtful, since_unix_seconds);
}
#endif

// ---- what it offers

void metertime_start(uint8_t cause, uint32_t trap_code) {
  const struct reset_report reset = {.cause = cause, .trap_code = trap_code};
  loop_start_core(&reset);
}

bool metertime_step(void) {
  return loop_step();
}

uint64_t metertime_read_wake(void) {
  return loop_read_idle_end();
}

void metertime_run_until(uint64_t tick) {
  while (loop_step()) {
  }
  const uint64_t wake = metertime_read_wake();
  metertime_wait_until(wake < tick ? wake : tick);
}

bool metertime_ask_time(struct core_time *time) {
  return loop_ask_time(time);
}

bool metertime_tell_transaction(bool runs) {
  return core_tell_transaction(runs);
}

bool metertime_tell_acceptance(void) {
  return core_tell_acceptance();
}

void metertime_accept_byte(uint8_t byte) {
  line_accept_byte(byte);
}

bool metertime_next_byte(uint8_t *byte) {
  return line_next_byte(byte);
}
