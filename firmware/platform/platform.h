// What the glue may ask of a board; each part is implemented by one driver, chosen in the board's data.
//
// What always holds: no driver knows what the bytes mean that it carries. A local tick is 1/BOARD_TICK_HZ s, counted
// in 64 bits from about 0 at the start, and never runs backwards. Functions are called from the main loop unless they
// are named `..._on_...`: those are interrupt handlers (BOARD_HANDLERS, made from the board's data, says which serves
// which line). All interrupts have one priority, so handlers do not nest.
#ifndef PLATFORM_H_
#define PLATFORM_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "board_config.h"
#include "core_abi.h"

// ---- ticks

void tick_start_counter(void);

/// The local tick now; also for interrupt handlers. Must be called at least once in 2^32 ticks.
uint64_t tick_read_now(void);

/// Ends a wait for interrupts at this tick or earlier. Replaces the alarm before.
void tick_arm_alarm(uint64_t at);

/// Sleeps until this tick has come; uses the alarm.
void tick_sleep_until(uint64_t at);

// ---- link: a serial line, split at 0x00 only

/// Largest number of bytes of a frame, with the zeros around it.
#define LINK_FRAME_BYTES 256u
/// Largest number of bytes between two zeros that is handed on; of a longer frame, which is none of the link's, the rest is not.
#define LINK_FRAME_INNER_BYTES 254u

struct link_frame {
  /// When the first byte after a zero came, and when the zero came that ended the frame.
  uint64_t first_tick;
  uint64_t last_tick;
  uint16_t length;
  uint8_t bytes[LINK_FRAME_INNER_BYTES];
};

/// The oldest frame received and not dropped yet, or NULL.
const struct link_frame *link_peek_frame(void);

/// Drops it and clears its bytes.
void link_drop_frame(void);

/// Sends bytes as they are; false while the last ones are still leaving or when they are too many.
bool link_send_bytes(const uint8_t *bytes, uint32_t length);

/// Whether the bytes of the last link_send_bytes have left since link_drop_sent, and when the last of them did.
bool link_peek_sent(uint64_t *tick);
void link_drop_sent(void);

// ---- UART: moves the link's bytes; its handlers call what line.h declares

/// Both directions on, each with its interrupt; a FIFO, where the part has one, off: each byte has its own tick.
void uart_start_device(void);

/// Hands the idle part the first byte of a frame; interrupts are held back. The rest it asks for by line_next_byte.
void uart_send_byte(uint8_t byte);

// ---- storage

/// Frees the storage, and what shares its bus, from what a reset interrupted.
void storage_start_device(void);

/// Reads `length` bytes, once the storage has ended a write from before a reset; false when it does not answer.
bool storage_read_bytes(uint32_t offset, uint8_t *into, uint32_t length);

/// Writes in ascending order and reads back; true only when all bytes are in the storage for good.
bool storage_write_bytes(uint32_t offset, const uint8_t *from, uint32_t length);

// ---- slots: on boards that define BOARD_UPDATE_SLOT_BYTES, whose software can be replaced
//
// Two slots in code flash, each for one image, with a trailer in an erase unit of its own. A bootloader chooses at each
// start (docs/update.md): what is complete and not tried is marked as tried and runs, where its hash holds; else of those that are
// confirmed the one with the highest sequence whose hash holds. All but slot_confirm_image are about the slot that does
// not run; no function ever touches the code that runs. Each returns when it is in the flash for good; interrupts may be held back
// for as long as the flash takes for a unit. host/meter/slots.ts does the same in TypeScript.

struct slot_report {
  uint8_t slot;      // enum Slot: the one that runs
  uint8_t flags;     // enum SlotFlag
  uint32_t version;  // of the image that runs, as its trailer has it
};

struct slot_image {
  uint32_t length;
  uint32_t version;
  /// The first 32 bytes of SHA-512 of the image.
  uint8_t hash[32];
};

/// What the bootloader chose, and why.
void slot_read_report(struct slot_report *report);

/// Erases the units that begin in these bytes, `offset` counted from the slot's begin; what lies beyond the slot is left
/// alone. At offset 0 the trailer is erased first, also where a cut left it in the midst: from then on the slot counts as empty.
bool slot_erase_bytes(uint32_t offset, uint32_t length);

/// Writes bytes that were erased, or are the same already, as those that a cut write left; reads back. Four divides
/// offset and length.
bool slot_write_bytes(uint32_t offset, const uint8_t *from, uint32_t length);

bool slot_read_bytes(uint32_t offset, uint8_t *into, uint32_t length);

/// Writes the trailer: a sequence above that of both slots, what is told of the image, and last, in a word of its own,
/// that all this is complete. Cut off anywhere before that word, the slot counts as empty.
bool slot_commit_image(const struct slot_image *image);

/// Marks the image that runs as one to stay. Nothing where it is marked already.
bool slot_confirm_image(void);

// ---- real-time clock: on boards that define BOARD_RTC_ADDRESS; civil fields, no calendar arithmetic

struct rtc_time {
  uint8_t status;  // enum RtcStatus; ignored by rtc_set_time
  uint8_t second;
  uint8_t minute;
  uint8_t hour;
  uint8_t day;
  uint8_t month;
  uint16_t year;
};

/// Reads the clock; the fields are zero unless the status is RTC_STATUS_RUNNING.
void rtc_read_time(struct rtc_time *time);

/// Sets the clock and clears its mark of a stopped oscillator; false when it does not keep what was written. Cut off
/// anywhere, it leaves the time before, the new one, or one in 2000 or 2001, which is behind every time floor.
bool rtc_set_time(const struct rtc_time *time);

// ---- thermometer: on boards that define BOARD_THERMOMETER_ADDRESS

/// Reads the last measured temperature, thousandths of a degree Celsius, without waiting for a measurement; false when
/// none answers, or when it had to be configured first and so has to measure anew.
bool thermometer_read_temperature(int32_t *milli_celsius);

// ---- datagrams: on boards that define BOARD_DATAGRAMS, which have sockets of their own for them

/// Sockets at once: their numbers differ in the low two bits.
#define DATAGRAM_SOCKETS 4u

/// Largest datagram that is sent or handed on.
#define DATAGRAM_BYTES 1232u

/// What became of a request.
struct datagram {
  uint8_t socket;
  uint8_t failure;  // enum Failure; FAILURE_NONE where these are the bytes of an answer
  uint16_t exchange;
  /// Ticks: that was given with the request; when it left; when the answer came, as near as can be; and one that is not
  /// before that.
  uint64_t asked_tick;
  uint64_t sent_tick;
  uint64_t arrived_tick;
  uint64_t tick;
  uint32_t length;
  uint8_t bytes[DATAGRAM_BYTES];
};

/// Requests of this socket go there from now on; IPv4 has its address in the first four bytes.
void datagram_set_target(uint8_t socket, uint8_t family, uint16_t port, const uint8_t address[16]);

/// Sends a request from a fresh port; false where it cannot be sent. Answers to earlier ones of this socket are not heard
/// any more.
bool datagram_send(uint8_t socket, uint16_t exchange, uint64_t asked_tick, const uint8_t *bytes, uint32_t length);

/// What came of a request, or NULL.
const struct datagram *datagram_peek_answer(void);
void datagram_drop_answer(void);

// ---- stack

struct stack_use {
  /// At most since the start, and how many there are.
  uint32_t used_bytes;
  uint32_t total_bytes;
};

void stack_read_use(struct stack_use *use);

// ---- image

#define IMAGE_HASH_BYTES 32u

/// SHA-256 of the firmware as it is now, all of it: on a microcontroller what lies in flash, which takes some tenths of a
/// second; of a process its file.
void image_compute_hash(uint8_t hash[IMAGE_HASH_BYTES]);

// ---- entropy: on boards with a source of random bits, which define BOARD_ENTROPY

#define ENTROPY_BYTES 32u

/// Fills `into` with random bytes; false when the source does not give them in time.
bool entropy_read_bytes(uint8_t into[ENTROPY_BYTES]);

// ---- watchdog: on boards that define BOARD_WATCHDOG_MS; watchdog_on_expiry where it has an interrupt or the NMI

/// From here on the watchdog resets the board unless it is fed within BOARD_WATCHDOG_MS.
void watchdog_start_timer(void);
void watchdog_feed_timer(void);
void watchdog_on_expiry(void);

// ---- process: on boards that define BOARD_PROCESS, which are processes of an operating system

/// Takes the arguments, opens what they name and takes over what a restart has left; ends the process where it cannot.
/// First of all.
void process_start(int argc, char **argv);

/// Whether it was asked to compute AES with a table, which only simulations should.
bool process_wants_table(void);

// ---- reset

struct reset_report {
  /// enum ResetCause.
  uint8_t cause;
  /// enum TrapCode where the cause is RESET_CAUSE_TRAP, else 0.
  uint32_t trap_code;
  /// Restarts in a row that were not asked for, this one included.
  uint32_t failures;
};

/// Why the board started. Once, before anything else can fail.
void reset_read_report(struct reset_report *report);

/// The board has run long enough to call it healthy: forgets the failures before.
void reset_clear_failures(void);

/// Restarts the board and reports this cause afterwards.
_Noreturn void reset_restart_board(uint8_t cause, uint32_t trap_code);

#endif
