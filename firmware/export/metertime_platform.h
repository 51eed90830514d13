// What a port does for metertime: its ticks, its line, its storage, and the parts that it has.
//
// What always holds: everything is called from one thread of execution, the one that calls metertime_step, and none of it
// is called from an interrupt handler. A local tick is 1/METERTIME_TICK_HZ s, counted in 64 bits, and never runs backwards.
// The port's numbers stand in its own metertime_config.h.
#ifndef METERTIME_PLATFORM_H_
#define METERTIME_PLATFORM_H_

#include <stdbool.h>
#include <stdint.h>

#include "metertime_config.h"

// ---- ticks

/// The local tick now. Also asked by metertime_accept_byte and metertime_next_byte, which interrupt handlers may call.
uint64_t metertime_read_ticks(void);

/// Ends when this tick has come, or earlier; UINT64_MAX for never. A byte accepted or sent ends it at once, also one that
/// came between the check of metertime_read_wake and this call.
void metertime_wait_until(uint64_t tick);

/// Holds back the interrupts whose handlers call metertime_accept_byte or metertime_next_byte; returns what
/// metertime_restore_interrupts takes. Calls may be nested. Where both are called from the thread itself, nothing is to do.
uint32_t metertime_hold_interrupts(void);
void metertime_restore_interrupts(uint32_t before);

// ---- line to the gateway: bytes in both directions

/// Opens the line: from now on what comes is handed to metertime_accept_byte. Called once, by metertime_start.
void metertime_start_line(void);

/// Sends the first byte of a frame; interrupts are held back. The rest is asked for, byte by byte, by
/// metertime_next_byte: from an interrupt handler as the line becomes free, or right here.
void metertime_send_byte(uint8_t byte);

// ---- storage of METERTIME_STORAGE_BYTES, addressed by the byte; what a power cut may leave in doubt is one page of at most
// 64 bytes, which begins at a multiple of its size

/// Reads `length` bytes; false when they cannot be read. Asked again later then.
bool metertime_read_storage(uint32_t offset, uint8_t *into, uint32_t length);

/// Writes in ascending order; true only when all bytes are in the storage for good.
bool metertime_write_storage(uint32_t offset, const uint8_t *from, uint32_t length);

// ---- restart

/// Restarts, and hands these numbers to metertime_start (enum ResetCause, enum TrapCode in core_abi.h): the core trapped, or asks for it after it was provisioned over the line.
/// Each start writes to the storage, so one that traps again and again has to wait longer each time.
_Noreturn void metertime_restart(uint8_t cause, uint32_t trap_code);

// ---- identification: where METERTIME_HAS_IMAGE_HASH is defined

/// SHA-256 of the whole firmware as it is now, this one included, for reports and records. Once, by metertime_start.
void metertime_hash_image(uint8_t hash[32]);

// ---- entropy: where METERTIME_HAS_ENTROPY is defined

/// Fills 32 bytes from a source of random bits; false when it does not give them.
bool metertime_read_entropy(uint8_t into[32]);

// ---- real-time clock, in UTC: where METERTIME_HAS_RTC is defined

struct metertime_rtc_time {
  /// enum RtcStatus: running, stopped (the time was lost), or absent. Ignored by metertime_set_rtc.
  uint8_t status;
  uint8_t second;
  uint8_t minute;
  uint8_t hour;
  /// 1 to 31.
  uint8_t day;
  /// 1 to 12.
  uint8_t month;
  uint16_t year;
};

/// Reads it; the fields count where the status is running.
void metertime_read_rtc(struct metertime_rtc_time *time);

/// Sets it, restarts its second, and clears its mark of a stopped oscillator; false when it does not keep what was
/// written. Cut off anywhere, it has the time before, the new one, or one in 2000 or 2001.
bool metertime_set_rtc(const struct metertime_rtc_time *time);

// ---- thermometer beside the oscillator: where METERTIME_HAS_THERMOMETER is defined

/// The last measured temperature, thousandths of a degree Celsius; false when there is none.
bool metertime_read_temperature(int32_t *milli_celsius);

// ---- the application's registers: where METERTIME_HAS_REGISTERS is defined

/// Reads up to four, in the order and units of the meter's settings; returns how many there are.
uint32_t metertime_read_registers(int64_t values[4]);

/// From now on this tariff applies. `doubtful`: the time is not good enough to bill by. `since_unix_seconds`: when it took
/// effect, 0 where that is not known.
void metertime_switch_tariff(uint16_t tariff, bool doubtful, int64_t since_unix_seconds);

#endif
