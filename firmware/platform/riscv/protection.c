// Physical memory protection (RISC-V Privileged Architecture 1.12, 3.7): what may be read, written and executed.
//
//   0  null page         nothing
//   1  below the stack   nothing
//   2  flash             read, execute
//   3  RAM               read, write
//   4  boot ROM          read, execute; where the board has one
//   5  devices           read, write: all below RAM
//   6  everything else   nothing
//
// What always holds: of the entries that match an address the first counts. All are locked, so that they bind machine
// mode too, and nobody changes them before a reset. No place can be written and executed. Regions are naturally aligned
// powers of two, of 4 KiB at least: there are parts that do not know smaller ones.
#include "protection.h"

#include "platform.h"

#ifdef BOARD_PROTECTION_PMP

enum { READ = 1u << 0, WRITE = 1u << 1, EXECUTE = 1u << 2, NAPOT = 3u << 3, LOCKED = 1u << 7 };

#define ENTRY(index, rights) ((uint32_t)(LOCKED | NAPOT | (rights)) << 8u * ((index) % 4u))
#define REGION(origin, bytes) ((origin) >> 2 | ((bytes) / 8u - 1))
#define IS_REGION(origin, bytes) ((bytes) >= 4096u && ((bytes) & ((bytes)-1)) == 0 && ((origin) & ((bytes)-1)) == 0)
#define WRITE_CSR(name, value) __asm__ volatile("csrw " #name ", %0" ::"r"(value) : "memory")

#define NULL_PAGE_BYTES 4096u
/// Of 2^32 bytes, which REGION has no room for.
#define EVERYTHING 0x1FFFFFFFu

_Static_assert(IS_REGION(BOARD_FLASH_ORIGIN, BOARD_FLASH_BYTES), "flash is one region");
_Static_assert(IS_REGION(BOARD_RAM_ORIGIN, BOARD_RAM_BYTES), "RAM is one region");
_Static_assert(IS_REGION(0u, BOARD_RAM_ORIGIN), "what is below RAM is one region");
_Static_assert(BOARD_RAM_ORIGIN >= PROTECTION_GUARD_BYTES, "there are addresses below RAM");

void protection_start_regions(void) {
  WRITE_CSR(pmpaddr0, REGION(0u, NULL_PAGE_BYTES));
  WRITE_CSR(pmpaddr1, REGION(BOARD_RAM_ORIGIN - PROTECTION_GUARD_BYTES, PROTECTION_GUARD_BYTES));
  WRITE_CSR(pmpaddr2, REGION(BOARD_FLASH_ORIGIN, BOARD_FLASH_BYTES));
  WRITE_CSR(pmpaddr3, REGION(BOARD_RAM_ORIGIN, BOARD_RAM_BYTES));
  WRITE_CSR(pmpcfg0, ENTRY(0u, 0u) | ENTRY(1u, 0u) | ENTRY(2u, READ | EXECUTE) | ENTRY(3u, READ | WRITE));
#ifdef BOARD_BOOT_ROM_ORIGIN
  _Static_assert(IS_REGION(BOARD_BOOT_ROM_ORIGIN, BOARD_BOOT_ROM_BYTES), "the boot ROM is one region");
  WRITE_CSR(pmpaddr4, REGION(BOARD_BOOT_ROM_ORIGIN, BOARD_BOOT_ROM_BYTES));
  const uint32_t boot_rom = ENTRY(4u, READ | EXECUTE);
#else
  const uint32_t boot_rom = 0;
#endif
  WRITE_CSR(pmpaddr5, REGION(0u, BOARD_RAM_ORIGIN));
  WRITE_CSR(pmpaddr6, EVERYTHING);
  WRITE_CSR(pmpcfg1, boot_rom | ENTRY(5u, READ | WRITE) | ENTRY(6u, 0u));
}

#endif
