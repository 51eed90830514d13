// The numbers of this port: a board with Zephyr. All of them are your device's: these are an example's.
#ifndef METERTIME_CONFIG_H_
#define METERTIME_CONFIG_H_

#define METERTIME_BOARD_NAME "zephyr"
/// Of k_uptime_ticks: the finer, the better the time can be measured.
#define METERTIME_TICK_HZ CONFIG_SYS_CLOCK_TICKS_PER_SEC
/// The largest error that the oscillator may have over its life and temperature range.
#define METERTIME_MAX_FREQUENCY_ERROR_PPB 100000u
/// Of the EEPROM at the alias eeprom-0.
#define METERTIME_STORAGE_BYTES 8192u
#define METERTIME_LINK_FRAMES 4u
#define METERTIME_HAS_ENTROPY 1
// #define METERTIME_HAS_IMAGE_HASH 1
// #define METERTIME_HAS_DATA_CACHE 1
// #define METERTIME_HAS_RTC 1
// #define METERTIME_HAS_THERMOMETER 1
// #define METERTIME_HAS_REGISTERS 1

#endif
