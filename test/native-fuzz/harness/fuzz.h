// What all native fuzz targets share: the compiled core in a memory that is watched, and an input read byte by byte.
//
// What always holds, for every input:
// - The core ends each call without a trap. A call that takes longer than libFuzzer's -timeout is a finding.
// - A message lies against the end of the linear memory, so that a read or write behind it traps. Bytes in front of it
//   are poisoned, except for at most seven that AddressSanitizer cannot tell apart; these differ in the second run.
// - Around each static region of the core, and around each server's part of it, lies a red zone (build.ts puts it there),
//   poisoned and compared: an access that leaves its region, or leads from one server to the next, is AddressSanitizer's
//   finding, even though it stays inside the linear memory. The same holds between the buffers of actions and events.
// - The linear memory never grows; the core has no other.
// - Every input runs twice, from the same state, with other bytes around its messages and in the core's buffers: results,
//   actions, globals and all static memory must be the same.
// - An event's header stays as it was; actions are whole, known, and no longer than their buffer.
// - Without an answer that was sealed with the server's key or a state sealed with the meter's, the clock stays as it was;
//   of three or four servers one that lies with the right keys never moves it off the truth.
// - No cookie is sent twice, across restarts and failures of the storage, nor while the storage still holds it; keys of a
//   reserve count only where the meter sealed them.
#ifndef FUZZ_H_
#define FUZZ_H_

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "core_abi.h"

typedef struct {
  const uint8_t *at;
  const uint8_t *end;
} fuzz_input;

uint32_t input_left(const fuzz_input *input);
/// The next byte; 0 behind the end.
uint8_t input_byte(fuzz_input *input);
uint16_t input_u16(fuzz_input *input);
/// Copies `length` bytes; zeros behind the end.
void input_copy(fuzz_input *input, uint8_t *target, uint32_t length);
/// The next `length` bytes where they lie, or as many as there are; `length` becomes their number.
const uint8_t *input_take(fuzz_input *input, uint32_t *length);

/// The one instance.
extern w2c_core core;

/// Something that must never happen did: prints it and ends the process, as a sanitizer would.
_Noreturn void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/// State of the core between events.
typedef struct core_image core_image;
core_image *image_save(void);
void image_load(const core_image *image);

/// A message against the end of memory: `message_place` copies it there, `message_room` leaves it to be written. The
/// one before is poisoned again. Addresses are the core's.
uint32_t message_place(const uint8_t *bytes, uint32_t length);
uint32_t message_room(uint32_t length);
uint8_t *memory_at(uint32_t address);

/// Adds to what both runs of an input must have in common.
void trace_add(uint64_t value);
void trace_bytes(const uint8_t *bytes, uint32_t length);

/// Which of the two runs of an input this is: 0 or 1.
extern int fuzz_run;

/// Hands the core an event. Its actions are checked and then found by `action_next`.
void core_handle(uint32_t event, uint64_t tick, const uint8_t *payload, uint32_t length);

typedef struct {
  uint32_t kind;
  const uint8_t *payload;
  uint32_t length;
} core_action;

/// Actions of the last event, one by one, from `*position` = 0 on; false behind the last.
bool action_next(uint32_t *position, core_action *action);

uint32_t get_u16(const uint8_t *at);
uint32_t get_u32(const uint8_t *at);
uint64_t get_u64(const uint8_t *at);
void put_u16(uint8_t *at, uint32_t value);
void put_u32(uint8_t *at, uint32_t value);
void put_u64(uint8_t *at, uint64_t value);
void put_be16(uint8_t *at, uint32_t value);
void put_be64(uint8_t *at, uint64_t value);

uint32_t crc32_of(const uint8_t *bytes, uint32_t length);

typedef struct {
  const char *name;
  /// Makes the states that inputs start from; once.
  void (*prepare)(void);
  /// One run of one input.
  void (*run)(fuzz_input *input);
} fuzz_target;

extern const fuzz_target target_ke, target_aead, target_answer, target_settings, target_start, target_part,
  target_reserve, target_messages, target_frames;

#endif
