// Memory protection unit of Armv7-M (PMSAv7: Armv7-M ARM, B3.5) or Armv8-M (PMSAv8: Armv8-M ARM, B11): what may be read,
// written and executed.
//
//   0  flash             read, execute
//   1  RAM               read, write
//   2  devices           read, write: 0x40000000 to 0x5FFFFFFF
//   3  null              nothing: the vector table's first part, where it is at address 0; the processor itself reads it
//                        all the same. PMSAv8: flash begins behind it
//
// What always holds: what lies in no region faults, and so does what is below the stack, which begins where RAM does;
// the processor's own devices (0xE0000000 to 0xE00FFFFF) are no region's. No place can be written and executed. While
// a HardFault or the NMI is served there are no rules, so that the restart is reported whatever is broken.
#include "platform.h"
#include "protection.h"

#ifdef PROTECTION_MPU

#define MPU_CTRL (*(volatile uint32_t *)0xE000ED94u)
#define MPU_RNR (*(volatile uint32_t *)0xE000ED98u)
#define MPU_RBAR (*(volatile uint32_t *)0xE000ED9Cu)
/// RLAR in Armv8-M.
#define MPU_RASR (*(volatile uint32_t *)0xE000EDA0u)
#define MPU_MAIR0 (*(volatile uint32_t *)0xE000EDC0u)

enum { CTRL_ENABLE = 1u << 0 };

#define DEVICES_ORIGIN 0x40000000u
#define DEVICES_BYTES 0x20000000u
/// The largest power of two in the vector table: 16 exceptions and the interrupts.
#define NULL_BYTES (1u << (31 - __builtin_clz(4u * (16u + BOARD_INTERRUPTS))))

static void protection_set_region(uint32_t number, uint32_t base, uint32_t rules) {
  MPU_RNR = number;
  MPU_RBAR = base;
  MPU_RASR = rules;
}

// What was set is in force for the next access and the next instruction.
static void protection_end_change(void) {
  __asm__ volatile("dsb\n\tisb" ::: "memory");
}

#ifdef BOARD_PROTECTION_PMSAV7

// A region is a power of two, and aligned to that; it has eight parts, those behind its last byte are off (B3.5.8).
#define WHOLE_BYTES(bytes) (1u << (32 - __builtin_clz((bytes)-1u)))
#define PART_BYTES(bytes) (WHOLE_BYTES(bytes) / 8u)
#define PARTS_OFF(bytes) (0xFFu << (bytes) / PART_BYTES(bytes) & 0xFFu)
#define REGION(bytes, rights) ((rights) | PARTS_OFF(bytes) << 8 | (uint32_t)(__builtin_ctz(WHOLE_BYTES(bytes)) - 1) << 1 | 1u)
#define IS_REGION(origin, bytes) ((bytes) >= 256u && (bytes) % PART_BYTES(bytes) == 0 && (origin) % WHOLE_BYTES(bytes) == 0)

enum {
  NORMAL = 1u << 17,
  DEVICE = 1u << 16,
  READ_WRITE = 1u << 24,
  READ_ONLY = 5u << 24,
  NO_EXECUTE = 1u << 28,
};

_Static_assert(IS_REGION(BOARD_FLASH_ORIGIN, BOARD_FLASH_BYTES), "flash is one region");
_Static_assert(IS_REGION(BOARD_RAM_ORIGIN, BOARD_RAM_BYTES), "RAM is one region");

void protection_start_regions(void) {
  protection_set_region(0, BOARD_FLASH_ORIGIN, REGION(BOARD_FLASH_BYTES, READ_ONLY | NORMAL));
  protection_set_region(1, BOARD_RAM_ORIGIN, REGION(BOARD_RAM_BYTES, READ_WRITE | NO_EXECUTE | NORMAL));
  protection_set_region(2, DEVICES_ORIGIN, REGION(DEVICES_BYTES, READ_WRITE | NO_EXECUTE | DEVICE));
  MPU_CTRL = CTRL_ENABLE;
  protection_open_null(false);
  protection_end_change();
}

#ifdef PROTECTION_NULL
// Of regions that overlap, the one with the higher number counts. It is whole: where a part of a region is off, QEMU 7.2
// takes what one access in that part may do for its whole page of 1 KiB.
void protection_open_null(bool open) {
  protection_set_region(3, 0, open ? 0 : REGION(NULL_BYTES, NO_EXECUTE));
  protection_end_change();
}
#endif

#else

// Regions are any multiples of 32 bytes, and must not overlap.
#define REGION_UNIT 32u
#define LAST_UNIT(origin, bytes) (((origin) + (bytes)-1u) & ~(REGION_UNIT - 1u))

/// RBAR: rights and whether it is not for execution. RLAR: index of the attributes in MAIR, and that it counts.
enum { NO_EXECUTE = 1u << 0, READ_ONLY = 2u << 1, NORMAL = 0u << 1 | 1u, DEVICE = 1u << 1 | 1u };

/// Attributes 0: normal memory, written through; 1: device, nGnRE.
#define ATTRIBUTES 0x04AAu

_Static_assert(BOARD_FLASH_ORIGIN % REGION_UNIT == 0 && BOARD_FLASH_BYTES % REGION_UNIT == 0, "flash is one region");
_Static_assert(BOARD_RAM_ORIGIN % REGION_UNIT == 0 && BOARD_RAM_BYTES % REGION_UNIT == 0, "RAM is one region");

static void protection_set_flash(uint32_t skipped) {
  uint32_t last = LAST_UNIT(BOARD_FLASH_ORIGIN, BOARD_FLASH_BYTES);
  protection_set_region(0, (BOARD_FLASH_ORIGIN + skipped) | READ_ONLY, last | NORMAL);
}

void protection_start_regions(void) {
  MPU_MAIR0 = ATTRIBUTES;
  protection_set_flash(0);
  protection_set_region(1, BOARD_RAM_ORIGIN | NO_EXECUTE, LAST_UNIT(BOARD_RAM_ORIGIN, BOARD_RAM_BYTES) | NORMAL);
  protection_set_region(2, DEVICES_ORIGIN | NO_EXECUTE, LAST_UNIT(DEVICES_ORIGIN, DEVICES_BYTES) | DEVICE);
  MPU_CTRL = CTRL_ENABLE;
  protection_open_null(false);
  protection_end_change();
}

#ifdef PROTECTION_NULL
void protection_open_null(bool open) {
  protection_set_flash(open ? 0 : NULL_BYTES);
  protection_end_change();
}
#endif

#endif
#endif
