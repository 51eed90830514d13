// What the main loop does for an application that it calls between two steps.
#ifndef MAIN_H_
#define MAIN_H_

#include "core_port.h"

/// The time now; false when there is none. Hands over first what waits for that, so that the core takes things in their
/// order and what the application told it counts; it lasts as long as these steps do. A flooded line does not keep it.
bool main_ask_time(struct core_time *time);

#endif
