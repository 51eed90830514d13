// Memory protection; see protection.c.
#ifndef PROTECTION_H_
#define PROTECTION_H_

#include <stdbool.h>

#include "board_config.h"

#if defined BOARD_PROTECTION_PMSAV7 || defined BOARD_PROTECTION_PMSAV8
#define PROTECTION_MPU 1
#endif

/// Puts the rules in force until the next reset. First thing after it.
void protection_start_regions(void);

/// The vector table, where it is at address 0, can be read as long as this is open.
#if defined PROTECTION_MPU && BOARD_FLASH_ORIGIN == 0
#define PROTECTION_NULL 1
void protection_open_null(bool open);
#else
static inline void protection_open_null(bool open) {
  (void)open;
}
#endif

#endif
