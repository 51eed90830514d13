// What the three devices that make the ticks of a Stellaris tell each other: SysTick and the watchdog count them together,
// a general-purpose timer ends waits.
#ifndef STELLARIS_TICKS_H_
#define STELLARIS_TICKS_H_

#include <stdint.h>

/// Before the alarm is used.
void tick_start_alarm(void);

/// Called just before the watchdog's count begins anew.
void tick_move_anchor(void);

/// Ticks since the watchdog's count began anew; never later than its first expiry.
uint32_t watchdog_count_ticks(void);

#endif
