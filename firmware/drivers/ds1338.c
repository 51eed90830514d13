// DS1338 real-time clock (data sheet "DS1338 I2C RTC with 56-Byte NV RAM", table 3).
//
//   0  clock halt (bit 7), seconds      4  date
//   1  minutes                          5  month
//   2  hours, bit 6: 12-hour mode       6  year, 00 to 99 for 2000 to 2099
//   3  day of week                      7  control: bit 5 oscillator-stop flag
//
// What always holds: all registers are read in one transfer, which the part takes from one moment. Numbers are BCD.
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

// What was written, or one second later; a carry beyond the seconds is taken for right.
static bool rtc_matches_time(const struct rtc_time *time, const struct rtc_time *wanted) {
  if (time->status != RTC_STATUS_RUNNING) return false;
  if (wanted->second == 59 && time->second == 0) return true;
  return (time->second == wanted->second || time->second == wanted->second + 1) && time->minute == wanted->minute &&
         time->hour == wanted->hour && time->day == wanted->day && time->month == wanted->month &&
         time->year == wanted->year;
}

bool rtc_set_time(const struct rtc_time *time) {
  if (time->year < 2000 || time->year > 2099) return false;
  // Seconds go to zero first, so that no carry can come while the rest is written, and to their value last: that
  // restarts the second. The date is 01 until month and year stand, or a part that checks dates would roll 31 over.
  const uint8_t start[5] = {0, bcd_encode_number(time->minute), bcd_encode_number(time->hour), 1, 1};
  const uint8_t month[2] = {bcd_encode_number(time->month), bcd_encode_number(time->year % 100u)};
  const uint8_t date = bcd_encode_number(time->day);
  const uint8_t control = 0;
  const uint8_t second = bcd_encode_number(time->second);
  if (!rtc_write_registers(0, start, sizeof start) || !rtc_write_registers(5, month, sizeof month) ||
      !rtc_write_registers(4, &date, 1) || !rtc_write_registers(7, &control, 1) ||
      !rtc_write_registers(0, &second, 1)) {
    return false;
  }
  struct rtc_time now;
  rtc_read_time(&now);
  return rtc_matches_time(&now, time);
}
