// The bus after a reset of the processor alone, with the emulator's clock on it: a byte that was being written or read
// then is forgotten, wherever it was cut off, and the next transfer is whole.
#include "../../../firmware/drivers/sbcon_i2c.c"

#include "probe.h"

static uint64_t now;

uint64_t tick_read_now(void) {
  return now += HALF_TICKS;
}

static const struct rtc_time before = {.second = 7, .minute = 8, .hour = 9, .day = 10, .month = 11, .year = 2025};

static bool recovery_read_year(uint16_t *year) {
  struct rtc_time time;
  rtc_read_time(&time);
  *year = time.year;
  return time.status == RTC_STATUS_RUNNING;
}

// Writes the year up to so many of its byte's bits, the acknowledgement counted. True when the part takes it: when all
// bits came, since letting the clock go is then the acknowledgement's.
static bool recovery_cut_write(uint8_t year, uint32_t bits) {
  i2c_send_start();
  i2c_send_byte(BOARD_RTC_ADDRESS << 1);
  i2c_send_byte(6);
  for (uint32_t i = 0; i < bits; i++) i2c_clock_bit(i == 8 || (year & 0x80u >> i) != 0);
  return bits >= 8;
}

// Reads the seconds up to so many bits.
static void recovery_cut_read(uint32_t bits) {
  const uint8_t first = 0;
  i2c_write_bytes(BOARD_RTC_ADDRESS, &first, 1, NULL, 0);
  i2c_send_start();
  i2c_send_byte(BOARD_RTC_ADDRESS << 1 | 1);
  for (uint32_t i = 0; i < bits; i++) i2c_clock_bit(true);
}

static bool recovery_test_write(uint8_t year, uint32_t bits, bool pins_let_go) {
  bool taken = recovery_cut_write(year, bits);
  if (pins_let_go) {
    i2c_set_data(true);
    i2c_set_clock(true);
  }
  i2c_start_bus();
  uint16_t there;
  return recovery_read_year(&there) && there == (taken ? 2000u + (year >> 4) * 10u + (year & 15u) : before.year);
}

int main(void) {
  static const uint8_t years[] = {0x26, 0x28, 0x36, 0x40, 0x00};
  i2c_start_bus();
  bool right = true;
  for (uint32_t i = 0; i < sizeof years; i++) {
    for (uint32_t bits = 0; bits <= 9; bits++) {
      right = rtc_set_time(&before) && recovery_test_write(years[i], bits, false) && right;
      right = rtc_set_time(&before) && recovery_test_write(years[i], bits, true) && right;
    }
  }
  if (!right) probe_print_text("fails: a byte written in part is not forgotten\n");
  right = rtc_set_time(&before);
  for (uint32_t bits = 0; bits <= 9; bits++) {
    uint16_t year;
    recovery_cut_read(bits);
    i2c_start_bus();
    right = recovery_read_year(&year) && year == before.year && right;
  }
  if (!right) probe_print_text("fails: the bus is not free after a read cut off\n");
  probe_print_text("ends\n");
  probe_end_run(0);
}
