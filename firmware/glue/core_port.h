// The compiled core as the rest of the glue sees it: an event goes in, its actions are carried out.
#ifndef CORE_PORT_H_
#define CORE_PORT_H_

#include <stdbool.h>
#include <stdint.h>

#include "core_time.h"

/// Instantiates the core and checks that its buffers lie within its memory. Once, first.
void core_start_instance(void);

/// Where an event's payload is to be put, and how many bytes fit.
uint8_t *core_get_payload(void);
uint32_t core_get_capacity(void);

/// Hands the core an event with `length` bytes of payload and carries out its actions.
void core_handle_event(uint32_t event, uint64_t tick, uint32_t length);

/// Tick at which the core wants to be woken; UINT64_MAX for never.
uint64_t core_get_wake(void);
void core_clear_wake(void);

/// What was asked for and is to be answered by an event of its own.
struct core_answer {
  /// When it was done; of a read of storage or slot, which is still to be done, UINT64_MAX.
  uint64_t tick;
  uint32_t offset;
  uint16_t length;
  uint8_t event;
  /// The payload, but of a read of storage, slot or registers.
  uint8_t payload[8];
};

/// The oldest unanswered one, or NULL.
const struct core_answer *core_peek_answer(void);
void core_drop_answer(void);

/// Writes the payload of an answer that is not a read of storage or slot.
void core_put_answer(const struct core_answer *answer, uint8_t *payload);

/// For the application, from the main loop: a transaction begins or ends, or an operator accepts the correction that was
/// refused. The core is told in its turn; false when too much is waiting for that, and nothing is told.
bool core_tell_transaction(bool runs);
bool core_tell_acceptance(void);

/// For the main loop, in the same way: the stack was used deeper than before.
bool core_tell_stack(uint32_t used_bytes, uint32_t total_bytes);

/// Asks the core, once it is started, for the time at `tick`; false when there is none. What happened before has to be
/// handed over before: an application uses loop_ask_time.
bool core_ask_time(uint64_t tick, struct core_time *time);

/// Ends the firmware: the core broke the interface.
_Noreturn void core_refuse_action(void);

#endif
