// Drivers of clock and EEPROM against parts that misbehave as real ones can and the emulator's cannot: a stopped
// oscillator, registers that are no date, a part that is busy, gone or worn out. The parts are models on the bus;
// drivers are the firmware's own. Prints each check that fails, then "checks failures".
#include "i2c.h"
#include "platform.h"
#include "probe.h"

static uint32_t checks;
static uint32_t failures;

static void parts_check(bool right, const char *what) {
  checks++;
  if (right) return;
  failures++;
  probe_print_text("fails: ");
  probe_print_text(what);
  probe_print_text("\n");
}

// ---- bus

static uint8_t clock_registers[8];
static bool clock_absent;
static bool clock_ignores_writes;
static bool clock_was_invalid;
static bool clock_second_last;

static uint8_t memory[BOARD_STORAGE_BYTES];
static uint32_t memory_pointer;
static uint32_t memory_busy_polls;
static uint32_t memory_busy_left;
static bool memory_worn;
static bool memory_crossed_page;
static uint32_t memory_last_offset;
static bool memory_descended;
static uint64_t now;

uint64_t tick_read_now(void) {
  return now += 25;
}

void tick_sleep_until(uint64_t at) {
  if (now < at) now = at;
}

void i2c_start_bus(void) {}

static uint32_t parts_days_in_month(uint32_t month, uint32_t year) {
  if (month == 2) return year % 4 == 0 ? 29 : 28;
  return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static uint32_t parts_decode_bcd(uint8_t bcd) {
  return (bcd >> 4) * 10u + (bcd & 15u);
}

static bool clock_write(uint8_t first, const uint8_t *values, uint32_t count) {
  if (clock_absent) return false;
  for (uint32_t i = 0; i < count && !clock_ignores_writes; i++) clock_registers[first + i] = values[i];
  uint32_t days = parts_days_in_month(parts_decode_bcd(clock_registers[5]), parts_decode_bcd(clock_registers[6]));
  if (parts_decode_bcd(clock_registers[4]) > days) clock_was_invalid = true;
  clock_second_last = first == 0 && count == 1;
  return true;
}

static bool memory_write(const uint8_t *head, const uint8_t *body, uint32_t length) {
  if (memory_busy_left > 0) {
    memory_busy_left--;
    return false;
  }
  if (head == NULL) return true;
  memory_pointer = (uint32_t)(head[0] << 8 | head[1]);
  if (length == 0) return true;
  if (memory_pointer % BOARD_STORAGE_PAGE_BYTES + length > BOARD_STORAGE_PAGE_BYTES) memory_crossed_page = true;
  if (memory_pointer < memory_last_offset) memory_descended = true;
  memory_last_offset = memory_pointer;
  for (uint32_t i = 0; i < length; i++) memory[memory_pointer + i] = body[i];
  if (memory_worn) memory[memory_pointer + length - 1] ^= 0x10;
  memory_busy_left = memory_busy_polls;
  return true;
}

bool i2c_write_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, const uint8_t *body,
                     uint32_t body_length) {
  if (address == BOARD_RTC_ADDRESS && head_length == 1) return clock_write(head[0], body, body_length);
  return address == BOARD_STORAGE_ADDRESS && memory_write(head, body, body_length);
}

bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length) {
  if (address == BOARD_RTC_ADDRESS) {
    for (uint32_t i = 0; i < length; i++) into[i] = clock_registers[(head[0] + i) % 8];
    return !clock_absent;
  }
  if (!memory_write(head, NULL, 0) || head_length != 2) return false;
  for (uint32_t i = 0; i < length; i++) into[i] = memory[memory_pointer + i];
  return true;
}

// ---- clock

static uint8_t parts_read_status(uint32_t position, uint8_t value) {
  static const uint8_t valid[8] = {0x59, 0x58, 0x23, 0x03, 0x29, 0x02, 0x28, 0x00};
  for (uint32_t i = 0; i < 8; i++) clock_registers[i] = valid[i];
  clock_registers[position] = value;
  struct rtc_time time;
  rtc_read_time(&time);
  if (time.status != RTC_STATUS_RUNNING && (time.second != 0 || time.minute != 0 || time.hour != 0 || time.day != 0 ||
                                            time.month != 0 || time.year != 0)) {
    return 0xFF;
  }
  return time.status;
}

static void parts_test_clock_reading(void) {
  parts_check(parts_read_status(0, 0x59) == RTC_STATUS_RUNNING, "a valid time is running");
  parts_check(parts_read_status(0, 0xD9) == RTC_STATUS_STOPPED, "clock halt is stopped");
  parts_check(parts_read_status(7, 0x20) == RTC_STATUS_STOPPED, "the oscillator-stop flag is stopped");
  parts_check(parts_read_status(7, 0xB3) == RTC_STATUS_STOPPED, "the flag counts among others");
  parts_check(parts_read_status(7, 0x93) == RTC_STATUS_RUNNING, "other control bits do not matter");
  static const uint8_t refused[][2] = {
      {0, 0x60}, {0, 0x5A}, {1, 0x60}, {1, 0xA0}, {2, 0x24}, {2, 0x65}, {4, 0x00}, {4, 0x32},
      {4, 0x1F}, {5, 0x00}, {5, 0x13}, {5, 0x0A}, {6, 0xA0}, {6, 0x0A}, {6, 0xFF},
  };
  for (uint32_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
    parts_check(parts_read_status(refused[i][0], refused[i][1]) == RTC_STATUS_ABSENT, "what is no date is absent");
  }
  clock_absent = true;
  parts_check(parts_read_status(0, 0x59) == RTC_STATUS_ABSENT, "no answer is absent");
  clock_absent = false;
}

static void parts_test_clock_setting(void) {
  static const struct rtc_time times[] = {
      {.second = 59, .minute = 59, .hour = 23, .day = 31, .month = 12, .year = 2099},
      {.second = 0, .minute = 0, .hour = 0, .day = 29, .month = 2, .year = 2000},
      {.second = 7, .minute = 28, .hour = 6, .day = 31, .month = 1, .year = 2036},
      {.second = 8, .minute = 14, .hour = 3, .day = 30, .month = 4, .year = 2038},
  };
  for (uint32_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    for (uint32_t before = 0; before < sizeof times / sizeof times[0]; before++) {
      rtc_set_time(&times[before]);
      clock_registers[7] = 0x20;
      clock_was_invalid = false;
      parts_check(rtc_set_time(&times[i]), "a valid time is set");
      parts_check(!clock_was_invalid, "no date in between is invalid");
      parts_check(clock_second_last, "the seconds are set last");
      struct rtc_time time;
      rtc_read_time(&time);
      parts_check(time.status == RTC_STATUS_RUNNING, "setting clears the flag");
      parts_check(time.second == times[i].second && time.minute == times[i].minute && time.hour == times[i].hour &&
                      time.day == times[i].day && time.month == times[i].month && time.year == times[i].year,
                  "what was set is read");
    }
  }
  struct rtc_time beyond = times[0];
  beyond.year = 2100;
  parts_check(!rtc_set_time(&beyond), "a year that the part has not is refused");
  beyond.year = 1999;
  parts_check(!rtc_set_time(&beyond), "a year before the part's first is refused");
  clock_ignores_writes = true;
  clock_registers[1] = 0x11;
  parts_check(!rtc_set_time(&times[0]), "a part that does not keep the time is found out");
  clock_ignores_writes = false;
  clock_absent = true;
  parts_check(!rtc_set_time(&times[0]), "a part that is gone is found out");
  clock_absent = false;
}

// ---- storage

static void parts_test_storage(void) {
  uint8_t bytes[200];
  for (uint32_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 7 + 3);
  memory_busy_polls = 5;
  parts_check(storage_write_bytes(17, bytes, sizeof bytes), "a busy part is waited for");
  parts_check(!memory_crossed_page, "no write crosses a page");
  parts_check(!memory_descended, "writes ascend");
  uint8_t there[200];
  parts_check(storage_read_bytes(17, there, sizeof there), "it reads back");
  bool same = true;
  for (uint32_t i = 0; i < sizeof bytes; i++) same = same && there[i] == bytes[i];
  parts_check(same, "it holds what was written");
  memory_last_offset = 0;
  memory_worn = true;
  parts_check(!storage_write_bytes(64, bytes, 40), "a worn cell is found out");
  memory_worn = false;
  memory_busy_polls = 1000000;
  uint64_t before = now;
  parts_check(!storage_write_bytes(0, bytes, 8), "a part that stays busy is given up");
  uint64_t limit = (uint64_t)BOARD_TICK_HZ * BOARD_STORAGE_WRITE_MS / 1000u * 3u;
  parts_check(now - before < limit, "it is given up in time");
  memory_busy_left = 0;
  memory_busy_polls = 0;
  parts_check(!storage_read_bytes(BOARD_STORAGE_BYTES, there, 1), "reading past the end fails");
  parts_check(!storage_write_bytes(BOARD_STORAGE_BYTES - 1, bytes, 2), "writing past the end fails");
  parts_check(!storage_write_bytes(0xFFFFFFFFu, bytes, 2), "an offset near 2^32 fails");
  parts_check(!storage_read_bytes(1, there, 0xFFFFFFFFu), "a length near 2^32 fails");
  parts_check(storage_read_bytes(BOARD_STORAGE_BYTES, there, 0), "nothing can be read anywhere");
}

int main(void) {
  parts_test_clock_reading();
  parts_test_clock_setting();
  parts_test_storage();
  probe_print_number(checks);
  probe_print_number(failures);
  probe_print_text("\n");
  probe_end_run(failures == 0 ? 0 : 1);
}
