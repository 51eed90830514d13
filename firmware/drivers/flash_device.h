// Flash for `flash_store.c`, as its driver sees it: units that are erased whole, in which bits then go from 1 to 0. Or, with
// BOARD_STORAGE_PROGRAM_BYTES above 4, memory such as an SD card, whose blocks of that size are overwritten.
//
// What a driver must do: offsets count from the first byte of the first of BOARD_STORAGE_UNITS units of
// BOARD_STORAGE_UNIT_BYTES. What it reports as done is in the flash for good. It needs no state from before a reset.
// Power may fail at any time: of a program, what comes before is then in the flash, what comes after is not, and the word in
// between holds anything, which may read otherwise each time; of an erase, all of the unit does. A block that is
// overwritten holds anything, but the same each time. What is torn is read like anything else.
#ifndef FLASH_DEVICE_H_
#define FLASH_DEVICE_H_

#include <stdbool.h>
#include <stdint.h>

/// Makes the flash ready, whatever a reset has interrupted.
void flash_start_device(void);

/// Sets all bits of a unit; false when the flash says that it did not. Where blocks are overwritten, there is nothing to do.
bool flash_erase_unit(uint32_t unit);

/// Programs in ascending order. The offset is a multiple of BOARD_STORAGE_PROGRAM_BYTES, the length one of four; what
/// is left of the last block holds anything then. False when the flash says that it did not; what is there is read back by
/// the caller. A word that was programmed is programmed again with the same bits, or with zeros, and in no other way.
bool flash_program_words(uint32_t offset, const uint8_t *from, uint32_t length);

/// Reads `length` bytes from any offset; false when the flash does not answer. A byte at a time is asked for, too: a flash
/// that is read in blocks keeps the last one.
bool flash_read_bytes(uint32_t offset, uint8_t *into, uint32_t length);

/// How often a unit was erased, as its header says; 0 for one without.
uint32_t flash_store_read_erases(uint32_t unit);

#endif
