// Drivers of clock, thermometer and EEPROM against parts that misbehave as real ones can and the emulator's cannot: a stopped
// oscillator, registers that are no date, power cut within a setting, a part that is busy, gone or worn out. The parts
// are models on the bus; drivers are the firmware's own. Prints each check that fails, then "checks failures".
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
// Steps are acknowledgements: one for a transfer's beginning, one for each register written.
#define NEVER_STEP UINT32_MAX
static uint32_t clock_steps;
// At this step it does not acknowledge; or, with its power, at none from there on.
static uint32_t clock_fails_at = NEVER_STEP;
static bool clock_loses_power;
// Before this step its second ends, unless writing the seconds restarted it.
static uint32_t clock_carries_at = NEVER_STEP;
static bool clock_keeps_phase;

static uint8_t sensor_configuration;
static int16_t sensor_temperature;
static uint32_t sensor_settings;
// Transfers, and the one that it does not acknowledge.
static uint32_t sensor_transfers;
static uint32_t sensor_fails_at = NEVER_STEP;

static uint8_t memory[BOARD_STORAGE_BYTES];
static uint32_t memory_pointer;
static uint32_t memory_busy_polls;
static uint32_t memory_busy_left;
static uint64_t memory_busy_until;
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

static uint8_t parts_encode_bcd(uint32_t number) {
  return (uint8_t)(number / 10 << 4 | number % 10);
}

static void clock_end_second(uint8_t *registers) {
  static const uint8_t place[6] = {0, 1, 2, 4, 5, 6};
  static const uint32_t least[6] = {0, 0, 0, 1, 1, 0};
  uint32_t most[6] = {59, 59, 23, 0, 12, 99};
  most[3] = parts_days_in_month(parts_decode_bcd(registers[5]), parts_decode_bcd(registers[6]));
  for (uint32_t i = 0; i < 6; i++) {
    uint32_t number = parts_decode_bcd(registers[place[i]]) + 1;
    registers[place[i]] = parts_encode_bcd(number > most[i] ? least[i] : number);
    if (number <= most[i]) return;
  }
}

static bool clock_acknowledge(void) {
  uint32_t step = clock_steps++;
  if (step == clock_carries_at) clock_end_second(clock_registers);
  return !clock_absent && step != clock_fails_at && (!clock_loses_power || step < clock_fails_at);
}

static bool clock_write(uint8_t first, const uint8_t *values, uint32_t count) {
  if (!clock_acknowledge()) return false;
  for (uint32_t i = 0; i < count; i++) {
    if (!clock_acknowledge()) return false;
    if (clock_ignores_writes) continue;
    clock_registers[first + i] = values[i];
    if (first + i == 0 && !clock_keeps_phase) clock_carries_at = NEVER_STEP;
    uint32_t days = parts_days_in_month(parts_decode_bcd(clock_registers[5]), parts_decode_bcd(clock_registers[6]));
    if (parts_decode_bcd(clock_registers[4]) > days) clock_was_invalid = true;
  }
  return true;
}

static bool sensor_write(uint8_t number, const uint8_t *values, uint32_t count) {
  if (sensor_transfers++ == sensor_fails_at || number != 1 || count != 1) return false;
  sensor_configuration = values[0];
  sensor_settings++;
  return true;
}

static bool sensor_read(uint8_t number, uint8_t *into, uint32_t length) {
  if (sensor_transfers++ == sensor_fails_at || number > 1 || length != (number == 0 ? 2u : 1u)) return false;
  into[0] = number == 0 ? (uint8_t)((uint16_t)sensor_temperature >> 8) : sensor_configuration;
  if (number == 0) into[1] = (uint8_t)sensor_temperature;
  return true;
}

static bool memory_write(const uint8_t *head, const uint8_t *body, uint32_t length) {
  if (now < memory_busy_until) return false;
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
  if (address == BOARD_THERMOMETER_ADDRESS && head_length == 1) return sensor_write(head[0], body, body_length);
  return address == BOARD_STORAGE_ADDRESS && memory_write(head, body, body_length);
}

bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length) {
  if (address == BOARD_RTC_ADDRESS) {
    if (!clock_acknowledge()) return false;
    for (uint32_t i = 0; i < length; i++) into[i] = clock_registers[(head[0] + i) % 8];
    return true;
  }
  if (address == BOARD_THERMOMETER_ADDRESS) return head_length == 1 && sensor_read(head[0], into, length);
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
  static const uint8_t full_minute[8] = {0x00, 0x14, 0x09, 0x05, 0x20, 0x11, 0x26, 0x00};
  for (uint32_t i = 0; i < 8; i++) clock_registers[i] = full_minute[i];
  parts_check(!rtc_set_time(&times[0]), "nor does a full minute pass for the carry of any 59th second");
  clock_ignores_writes = false;
  clock_absent = true;
  parts_check(!rtc_set_time(&times[0]), "a part that is gone is found out");
  clock_absent = false;
}

// ---- a clock that is cut off while it is being set

static const struct rtc_time moments[] = {
    {.second = 37, .minute = 14, .hour = 9, .day = 20, .month = 11, .year = 2026},
    {.second = 0, .minute = 0, .hour = 0, .day = 1, .month = 12, .year = 2026},
    {.second = 59, .minute = 45, .hour = 17, .day = 1, .month = 12, .year = 2026},
    {.second = 59, .minute = 59, .hour = 23, .day = 31, .month = 12, .year = 2027},
    {.second = 0, .minute = 0, .hour = 0, .day = 1, .month = 1, .year = 2028},
    {.second = 59, .minute = 59, .hour = 23, .day = 31, .month = 1, .year = 2028},
    {.second = 59, .minute = 59, .hour = 23, .day = 28, .month = 2, .year = 2028},
    {.second = 59, .minute = 59, .hour = 23, .day = 29, .month = 2, .year = 2028},
    {.second = 12, .minute = 30, .hour = 12, .day = 31, .month = 10, .year = 2096},
};
enum { MOMENTS = sizeof moments / sizeof moments[0], STEPS = 24 };

static void parts_encode_time(uint8_t *registers, const struct rtc_time *time, uint8_t control) {
  registers[0] = parts_encode_bcd(time->second);
  registers[1] = parts_encode_bcd(time->minute);
  registers[2] = parts_encode_bcd(time->hour);
  registers[3] = 1;
  registers[4] = parts_encode_bcd(time->day);
  registers[5] = parts_encode_bcd(time->month);
  registers[6] = parts_encode_bcd(time->year % 100u);
  registers[7] = control;
}

static bool parts_has_time(const struct rtc_time *time, uint32_t seconds_later) {
  uint8_t wanted[8];
  parts_encode_time(wanted, time, 0);
  if (seconds_later > 0) clock_end_second(wanted);
  for (uint32_t i = 0; i < 7; i++) {
    if (i != 3 && clock_registers[i] != wanted[i]) return false;
  }
  return true;
}

// What the core refuses: no proof of a setting goes with a time floor before 2026.
static bool parts_refuses_time(void) {
  struct rtc_time time;
  clock_fails_at = NEVER_STEP;
  rtc_read_time(&time);
  return time.status != RTC_STATUS_RUNNING || time.year <= 2001;
}

static bool parts_set_from(const struct rtc_time *before, uint8_t control, const struct rtc_time *wanted) {
  parts_encode_time(clock_registers, before, control);
  clock_steps = 0;
  return rtc_set_time(wanted);
}

// Sets a clock that fails at one step, while its second ends before another.
static bool parts_survives_failure(const struct rtc_time *before, const struct rtc_time *wanted, uint32_t step,
                                   uint32_t carry) {
  for (uint32_t kind = 0; kind < 4; kind++) {
    clock_loses_power = (kind & 1) != 0;
    clock_fails_at = step;
    clock_carries_at = carry;
    bool stopped = (kind & 2) != 0;
    bool set = parts_set_from(before, stopped ? 0x20 : 0, wanted);
    if (parts_refuses_time() && !set) continue;
    bool kept = !set && !stopped && (parts_has_time(before, 0) || parts_has_time(before, 1));
    if (parts_refuses_time() || (!kept && !parts_has_time(wanted, 0))) return false;
  }
  return true;
}

// Sets a clock that, as the emulator's, does not restart its second.
static bool parts_survives_carry(const struct rtc_time *before, const struct rtc_time *wanted, uint32_t carry) {
  clock_keeps_phase = true;
  clock_carries_at = carry;
  bool set = parts_set_from(before, 0, wanted);
  clock_keeps_phase = false;
  bool right = parts_has_time(wanted, 0) || parts_has_time(wanted, 1);
  return set ? right : !right && parts_refuses_time();
}

static void parts_test_clock_failing(void) {
  bool survives_failure = true;
  bool survives_carry = true;
  for (uint32_t pair = 0; pair < MOMENTS * MOMENTS; pair++) {
    const struct rtc_time *before = &moments[pair / MOMENTS];
    const struct rtc_time *wanted = &moments[pair % MOMENTS];
    for (uint32_t carry = 0; carry < STEPS; carry++) {
      survives_carry = survives_carry && parts_survives_carry(before, wanted, carry);
      for (uint32_t step = 0; step < STEPS; step++) {
        if (!survives_failure || parts_survives_failure(before, wanted, step, carry)) continue;
        survives_failure = false;
        probe_print_text("moment before, moment wanted, step, carry: ");
        probe_print_number(pair / MOMENTS);
        probe_print_number(pair % MOMENTS);
        probe_print_number(step);
        probe_print_number(carry);
        probe_print_text("\n");
      }
    }
  }
  parts_check(survives_failure, "a setting cut off leaves the old time, the new one, or one that is refused");
  parts_check(survives_carry, "a second that ends while the clock is being set does no harm, or is found out");
  clock_fails_at = NEVER_STEP;
  clock_carries_at = NEVER_STEP;
  parts_set_from(&moments[0], 0, &moments[1]);
  parts_check(clock_steps < STEPS, "all of a setting's steps were cut");
  const uint32_t read_back = clock_steps - 1;
  bool accepted = true;
  for (uint32_t i = 0; i < MOMENTS; i++) {
    clock_keeps_phase = true;
    clock_carries_at = read_back;
    accepted = accepted && parts_set_from(&moments[0], 0, &moments[i]) && parts_has_time(&moments[i], 1);
  }
  clock_keeps_phase = false;
  parts_check(accepted, "one second later is right, whatever it carries");
}

// ---- thermometer

// Whether it measured, and whether it was configured meanwhile.
static bool sensor_measures(uint8_t configuration, bool *configured) {
  int32_t value = -1;
  sensor_configuration = configuration;
  sensor_settings = 0;
  bool measured = thermometer_read_temperature(&value);
  *configured = sensor_settings == 1 && (sensor_configuration & 0x61) == 0x60;
  return measured;
}

static void parts_test_thermometer(void) {
  static const uint8_t others[] = {0x00, 0x20, 0x40, 0x61, 0xE1, 0x80};
  static const uint8_t good[] = {0x60, 0xE0, 0x7E, 0xFE};
  bool configured;
  for (uint32_t i = 0; i < sizeof others; i++) {
    parts_check(!sensor_measures(others[i], &configured), "what was measured with another configuration does not count");
    parts_check(configured, "the thermometer is configured");
    parts_check(sensor_measures(sensor_configuration, &configured), "then it measures");
  }
  for (uint32_t i = 0; i < sizeof good; i++) {
    parts_check(sensor_measures(good[i], &configured) && sensor_settings == 0, "its alert bits do not matter");
  }
  bool right = true;
  for (int32_t sixteenths = -2048; sixteenths < 2048; sixteenths++) {
    int32_t value = 0;
    sensor_temperature = (int16_t)(sixteenths * 16);
    right = thermometer_read_temperature(&value) && value == sixteenths * 625 / 10 && right;
  }
  parts_check(right, "all temperatures are read right");
  for (uint32_t step = 0; step < 2; step++) {
    sensor_transfers = 0;
    sensor_fails_at = step;
    parts_check(!sensor_measures(0x60, &configured), "a thermometer that does not answer is found out");
    sensor_transfers = 0;
    parts_check(!sensor_measures(0x00, &configured), "nor does one pass that cannot be configured");
  }
  sensor_fails_at = NEVER_STEP;
}

// ---- storage

static void parts_test_busy_storage(void) {
  uint8_t byte = 0;
  memory[99] = 0x5A;
  const uint64_t cycle = (uint64_t)BOARD_TICK_HZ * BOARD_STORAGE_WRITE_CYCLE_MS / 1000u;
  memory_busy_until = now + cycle;
  parts_check(storage_read_bytes(99, &byte, 1) && byte == 0x5A, "a read waits for a write from before a reset");
  byte = 0xA5;
  memory_busy_until = now + cycle;
  parts_check(storage_write_bytes(99, &byte, 1) && memory[99] == 0xA5, "so does a write");
  memory_busy_until = UINT64_MAX;
  uint64_t before = now;
  parts_check(!storage_read_bytes(99, &byte, 1), "a read of a part that stays busy is given up");
  parts_check(now - before < 3 * cycle, "a read is given up in time");
  memory_busy_until = 0;
}

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
  uint64_t limit = (uint64_t)BOARD_TICK_HZ * BOARD_STORAGE_WRITE_CYCLE_MS / 1000u * 3u;
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
  parts_test_clock_failing();
  parts_test_thermometer();
  parts_test_busy_storage();
  memory_last_offset = 0;
  parts_test_storage();
  probe_print_number(checks);
  probe_print_number(failures);
  probe_print_text("\n");
  probe_end_run(failures == 0 ? 0 : 1);
}
