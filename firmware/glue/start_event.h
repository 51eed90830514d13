// Tells the core what it runs on: payload of Event.Start.
#ifndef START_EVENT_H_
#define START_EVENT_H_

#include <stdint.h>

#include "platform.h"

/// Writes the payload (`StartField`) and returns its length; `capacity` is what fits.
uint32_t start_write_payload(uint8_t *payload, uint32_t capacity, const struct reset_report *reset);

#endif
