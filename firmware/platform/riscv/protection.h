// Physical memory protection; see protection.c.
#ifndef PROTECTION_H_
#define PROTECTION_H_

#include <stdbool.h>

/// Bytes below the stack that nothing may touch.
#define PROTECTION_GUARD_BYTES 4096u

/// Puts the rules in force until the next reset. First thing after it.
void protection_start_regions(void);

/// Nothing that anybody reads lies in the null page.
static inline void protection_open_null(bool open) {
  (void)open;
}

#endif
