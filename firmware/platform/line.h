// What a UART driver's interrupt handlers tell the link's line (firmware/glue/line.c), and take from it.
#ifndef LINE_H_
#define LINE_H_

#include <stdbool.h>
#include <stdint.h>

/// A byte has come. Called as soon as possible: its tick is taken here.
void line_accept_byte(uint8_t byte);

/// The part is free for a byte: the next one to send, or false when all have left.
bool line_next_byte(uint8_t *byte);

#endif
