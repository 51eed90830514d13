// What metertime does for the firmware around it.
//
// What always holds: all but metertime_accept_byte and metertime_next_byte is called from one thread of execution, and
// none of it from within a function of metertime_platform.h, unless that says so.
#ifndef METERTIME_H_
#define METERTIME_H_

#include <stdbool.h>
#include <stdint.h>

#include "core_abi.h"
#include "core_time.h"
#include "metertime_platform.h"

/// Starts the core, once, before anything else here. What the last run ended with: RESET_CAUSE_POWER_ON and 0, or what
/// metertime_restart was given; RESET_CAUSE_WATCHDOG after a reset that nobody announced.
void metertime_start(uint8_t cause, uint32_t trap_code);

/// Hands the earliest of what happened to the core and does what it asks for; false when there was nothing. To be called
/// until it returns false before the firmware sleeps; each call takes some milliseconds at most on a microcontroller.
bool metertime_step(void);

/// The tick at which there is something to do if no byte comes or leaves before; 0 when there is something now, and
/// UINT64_MAX for never. Also from metertime_wait_until, with interrupts held back: what comes after it ends the sleep.
uint64_t metertime_read_wake(void);

/// Takes all steps that there are, then waits until there is the next one or `tick` has come.
void metertime_run_until(uint64_t tick);

/// The time now; false when there is none. Takes the steps that wait for that first.
bool metertime_ask_time(struct core_time *time);

/// A transaction, as of a charger, begins or ends; an operator accepts the correction that was refused. False when too
/// much waits for the core, and nothing is told.
bool metertime_tell_transaction(bool runs);
bool metertime_tell_acceptance(void);

/// A byte has come: its tick is taken here, so as soon as possible. Also from an interrupt handler.
void metertime_accept_byte(uint8_t byte);

/// The line is free for a byte: the next one to send, or false when all have left. Also from an interrupt handler.
bool metertime_next_byte(uint8_t *byte);

#endif
