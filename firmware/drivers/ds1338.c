// DS1338 real-time clock (data sheet "DS1338 I2C RTC with 56-Byte NV RAM", table 3).
//
//   0  clock halt (bit 7), seconds      4  date
//   1  minutes                          5  month
//   2  hours, bit 6: 12-hour mode       6  year, 00 to 99 for 2000 to 2099
//   3  day of week                      7  control: bit 5 oscillator-stop flag
//
// What always holds: all registers are read in one transfer, which the part takes from one moment. Numbers are BCD.
// Wherever a setting is cut off, the part has the old time, the new one, or one in 2000 or 2001, which is behind every
// time floor.
#include "i2c.h"
#include "platform.h"

enum { REGISTERS = 8 };
enum { CLOCK_HALT = 0x80, TWELVE_HOURS = 0x40, OSCILLATOR_STOPPED = 0x20 };

static uint8_t bcd_encode_number(uint32_t number) {
  return (uint8_t)(number / 10u << 4 | number % 10u);
}

// Digits above 9, or a number out of range, are no date.
static bool bcd_decode_number(uint8_t bcd, uint32_t least, uint32_t most, uint8_t *number) {
  uint32_t tens = bcd >> 4;
  uint32_t ones = bcd & 15u;
  uint32_t value = tens * 10u + ones;
  *number = (uint8_t)value;
  return tens <= 9 && ones <= 9 && value >= least && value <= most;
}

static bool rtc_read_registers(uint8_t *registers) {
  const uint8_t first = 0;
  return i2c_read_bytes(BOARD_RTC_ADDRESS, &first, 1, registers, REGISTERS);
}

static bool rtc_write_registers(uint8_t first, const uint8_t *values, uint32_t count) {
  return i2c_write_bytes(BOARD_RTC_ADDRESS, &first, 1, values, count);
}

static uint8_t rtc_decode_registers(const uint8_t *registers, struct rtc_time *time) {
  uint8_t year;
  if ((registers[0] & CLOCK_HALT) != 0 || (registers[7] & OSCILLATOR_STOPPED) != 0) return RTC_STATUS_STOPPED;
  if ((registers[2] & TWELVE_HOURS) != 0 || !bcd_decode_number(registers[0], 0, 59, &time->second) ||
      !bcd_decode_number(registers[1], 0, 59, &time->minute) ||
      !bcd_decode_number(registers[2], 0, 23, &time->hour) || !bcd_decode_number(registers[4], 1, 31, &time->day) ||
      !bcd_decode_number(registers[5], 1, 12, &time->month) || !bcd_decode_number(registers[6], 0, 99, &year)) {
    return RTC_STATUS_ABSENT;
  }
  time->year = (uint16_t)(2000u + year);
  return RTC_STATUS_RUNNING;
}

void rtc_read_time(struct rtc_time *time) {
  uint8_t registers[REGISTERS];
  *time = (struct rtc_time){.status = RTC_STATUS_ABSENT};
  if (!rtc_read_registers(registers)) return;
  struct rtc_time read = {0};
  uint8_t status = rtc_decode_registers(registers, &read);
  if (status == RTC_STATUS_RUNNING) *time = read;
  time->status = status;
}

static uint8_t rtc_count_days(const struct rtc_time *time) {
  if (time->month == 2) return time->year % 4u == 0 ? 29 : 28;
  return time->month == 4 || time->month == 6 || time->month == 9 || time->month == 11 ? 30 : 31;
}

static void rtc_add_second(struct rtc_time *time) {
  if (++time->second <= 59) return;
  time->second = 0;
  if (++time->minute <= 59) return;
  time->minute = 0;
  if (++time->hour <= 23) return;
  time->hour = 0;
  if (++time->day <= rtc_count_days(time)) return;
  time->day = 1;
  if (++time->month <= 12) return;
  time->month = 1;
  time->year++;
}

static bool rtc_equals_time(const struct rtc_time *a, const struct rtc_time *b) {
  return a->second == b->second && a->minute == b->minute && a->hour == b->hour && a->day == b->day &&
         a->month == b->month && a->year == b->year;
}

// Whether the part keeps what was written: that, or one second later.
static bool rtc_keeps_time(const struct rtc_time *wanted) {
  struct rtc_time now;
  struct rtc_time next = *wanted;
  rtc_add_second(&next);
  rtc_read_time(&now);
  return now.status == RTC_STATUS_RUNNING && (rtc_equals_time(&now, wanted) || rtc_equals_time(&now, &next));
}

// No time is believed that lies so far back: what a setting that did not come to its end leaves.
static bool rtc_invalidate_year(void) {
  const uint8_t year = 0;
  return rtc_write_registers(6, &year, 1);
}

// Power can fail, or the part cease to answer, after any byte. So the year is 2000 from the first byte written until
// all else stands; a second that carries on the way makes it 2001 at most. Then all registers in one transfer: the
// seconds come first, which restarts the second, so that no carry can come before the year; the oscillator-stop flag
// comes last. The date is a 1st of January until then, or a part that checks dates would roll 31 over.
bool rtc_set_time(const struct rtc_time *time) {
  if (time->year < 2000 || time->year > 2099) return false;
  const uint8_t date[2] = {1, 1};
  const uint8_t all[REGISTERS] = {
      bcd_encode_number(time->second), bcd_encode_number(time->minute), bcd_encode_number(time->hour),         1,
      bcd_encode_number(time->day),    bcd_encode_number(time->month),  bcd_encode_number(time->year % 100u), 0,
  };
  if (!rtc_invalidate_year() || !rtc_write_registers(4, date, sizeof date) ||
      !rtc_write_registers(0, all, sizeof all)) {
    return false;
  }
  if (rtc_keeps_time(time)) return true;
  rtc_invalidate_year();
  return false;
}
