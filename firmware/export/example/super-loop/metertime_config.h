// The numbers of this port: a process under Linux, with a file for its storage.
#ifndef METERTIME_CONFIG_H_
#define METERTIME_CONFIG_H_

/// What the meter's reports and records call this board; at most 31 bytes.
#define METERTIME_BOARD_NAME "super-loop"

/// Local ticks per second, 1,000 or more.
#define METERTIME_TICK_HZ 1000000u

/// The largest error that the oscillator may have over its life and temperature range. The hard bound on the time's error
/// grows with it between samples: it must never be too small.
#define METERTIME_MAX_FREQUENCY_ERROR_PPB 100000u

/// As large as what `metertime provision --bytes` made.
#define METERTIME_STORAGE_BYTES 8192u

/// Received frames that wait for the core, 4 or more, of some 280 bytes each. More where steps of other work are long.
#define METERTIME_LINK_FRAMES 4u

// What this port has. Without a definition the functions for it are not needed.
#define METERTIME_HAS_ENTROPY 1
// #define METERTIME_HAS_IMAGE_HASH 1
// A data cache of the processor, which others could watch: AES without a table.
// #define METERTIME_HAS_DATA_CACHE 1
// #define METERTIME_HAS_RTC 1
// #define METERTIME_HAS_THERMOMETER 1
// #define METERTIME_HAS_REGISTERS 1

#endif
