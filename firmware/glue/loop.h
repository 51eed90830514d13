// Hands over to the core what waits for it; also what an application beside it may call between two steps.
#ifndef LOOP_H_
#define LOOP_H_

#include "core_port.h"
#include "platform.h"

/// Starts the core and the line, and tells the core what it runs on. Once, first.
void loop_start_core(const struct reset_report *reset);

/// Hands over the earliest of what happened; false when nothing did.
bool loop_step(void);

/// The tick at which the core has something to do if nothing comes from an interrupt before; 0 when something waits, and
/// UINT64_MAX for never. With interrupts held back, so that what comes after it ends the sleep after it.
uint64_t loop_read_idle_end(void);

/// The time now; false when there is none. Hands over first what waits for that, so that the core takes things in their
/// order and what the application told it counts; it lasts as long as these steps do. A flooded line does not keep it.
bool loop_ask_time(struct core_time *time);

#endif
