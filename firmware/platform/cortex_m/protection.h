// Memory protection; see protection.c.
#ifndef PROTECTION_H_
#define PROTECTION_H_

#if defined BOARD_PROTECTION_PMSAV7 || defined BOARD_PROTECTION_PMSAV8
#define PROTECTION_MPU 1
#endif

/// Puts the rules in force until the next reset. First thing after it.
void protection_start_regions(void);

#endif
