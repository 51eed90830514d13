// An emulated flash behind flash_store.c, whose cells may be left in doubt.
//
// What always holds: a program only clears bits, and only where the store may: a bit that is to stay set is not asked of a
// cleared one. Bits in doubt read as drawn each time, until they are programmed or erased to the end. A word is programmed
// to the end no more than twice between erases.
#include <stdio.h>
#include <string.h>

#include "lab.h"

#include "firmware/drivers/flash_store.c"

#define AREA (BOARD_STORAGE_UNITS * BOARD_STORAGE_UNIT_BYTES)

static struct {
  uint8_t cells[AREA];
  /// Bits that read otherwise each time.
  uint8_t doubt[AREA];
  bool doubtful[BOARD_STORAGE_UNITS];
  /// Programs since the last erase, of each word.
  uint8_t programs[AREA / 4];
  uint32_t erases[BOARD_STORAGE_UNITS];
} flash;

static uint8_t spoilt[AREA / 4];
static bool spoils;
static uint32_t programs_now;
static uint32_t erases_now;
static uint32_t programs_most;
static uint32_t erases_most;
static uint32_t word_programs_most;

uint8_t *const memory_state = (uint8_t *)&flash;
const uint32_t memory_state_bytes = sizeof flash;
uint8_t *const driver_state = (uint8_t *)&store;
const uint32_t driver_state_bytes = sizeof store;
const bool memory_tears_pages = false;
const uint32_t memory_page_bytes = PAGE_BYTES;

void memory_clear(void) {
  memset(&flash, 0, sizeof flash);
  // New flash is not always erased.
  for (uint32_t i = 0; i < AREA; i++) flash.cells[i] = LAB_OVERWRITES ? (uint8_t)lab_draw(256) : 0xff;
}

void memory_spoil_words(bool spoil) {
  spoils = spoil;
  bool all = lab_draw(8) == 0;
  for (uint32_t i = 0; i < sizeof spoilt; i++) spoilt[i] = all || lab_draw(100) == 0;
}

void memory_print_counts(void) {
  uint32_t least = UINT32_MAX;
  uint32_t most = 0;
  uint32_t differ = 0;
  for (uint32_t unit = 0; unit < UNITS; unit++) {
    uint32_t erases = flash.erases[unit];
    if (erases < least) least = erases;
    if (erases > most) most = erases;
    uint32_t told = flash_store_read_erases(unit);
    uint32_t off = told > erases ? told - erases : erases - told;
    if (off > differ) differ = off;
  }
  printf("\"erasesLeast\":%u,\"erasesMost\":%u,\"erasesToldOff\":%u,", least, most, differ);
  printf("\"programsOfWrite\":%u,\"erasesOfWrite\":%u,", programs_most, erases_most);
  printf("\"programsOfWord\":%u,\"stateBytes\":%u,", word_programs_most, (uint32_t)sizeof store);
}

uint64_t memory_count_erases(void) {
  uint64_t count = 0;
  for (uint32_t unit = 0; unit < UNITS; unit++) count += flash.erases[unit];
  return count;
}

void memory_begin_write(void) {
  programs_now = 0;
  erases_now = 0;
}

void memory_end_write(uint32_t pages) {
  // Of one page; a write of several takes as many times that.
  if ((programs_now + pages - 1) / pages > programs_most) programs_most = (programs_now + pages - 1) / pages;
  if ((erases_now + pages - 1) / pages > erases_most) erases_most = (erases_now + pages - 1) / pages;
}

void flash_start_device(void) {}

bool flash_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  LAB_REQUIRE(offset <= AREA && length <= AREA - offset, "read beyond the flash", offset, length);
  memcpy(into, flash.cells + offset, length);
  if (!flash.doubtful[offset / BOARD_STORAGE_UNIT_BYTES]) return true;
  for (uint32_t i = 0; i < length; i++) {
    if (flash.doubt[offset + i] != 0) into[i] ^= flash.doubt[offset + i] & (uint8_t)lab_draw(256);
  }
  return true;
}

bool flash_erase_unit(uint32_t unit) {
  LAB_REQUIRE(unit < UNITS, "erase beyond the flash", unit, 0);
  if (LAB_OVERWRITES) {
    flash.erases[unit]++;
    return true;
  }
  uint8_t *cells = flash.cells + unit * BOARD_STORAGE_UNIT_BYTES;
  uint8_t *doubt = flash.doubt + unit * BOARD_STORAGE_UNIT_BYTES;
  flash.erases[unit]++;
  erases_now++;
  // As many steps as ways in which it may be left.
  for (uint32_t way = 0; way < 8; way++) {
    if (!lab_take_step()) continue;
    flash.doubtful[unit] = true;
    uint32_t from = lab_draw(BOARD_STORAGE_UNIT_BYTES);
    for (uint32_t i = 0; i < BOARD_STORAGE_UNIT_BYTES; i++) {
      switch (way) {
        case 0:  // as it was, and any bit that was cleared may be about to set
          doubt[i] |= (uint8_t)~cells[i] & (uint8_t)(lab_draw(256) & lab_draw(256) & lab_draw(256));
          break;
        case 1:  // erased up to here
          if (i < from) cells[i] = 0xff, doubt[i] = 0;
          break;
        case 2:  // erased from here on
          if (i >= from) cells[i] = 0xff, doubt[i] = 0;
          break;
        case 3:  // anything
          cells[i] = (uint8_t)lab_draw(256), doubt[i] = 0;
          break;
        case 4:  // anything, each time
          doubt[i] = 0xff;
          break;
        case 5:  // erased, as it seems: cleared bits may come back
          doubt[i] = (uint8_t)~cells[i] & (lab_draw(64) == 0 ? 0xff : 0), cells[i] = 0xff;
          break;
        case 6:  // all cleared, as some flash does first
          cells[i] = 0, doubt[i] = 0;
          break;
        default:  // as it was
          break;
      }
    }
    lab_fail_power();
  }
  memset(cells, 0xff, BOARD_STORAGE_UNIT_BYTES);
  memset(doubt, 0, BOARD_STORAGE_UNIT_BYTES);
  memset(flash.programs + unit * BOARD_STORAGE_UNIT_BYTES / 4, 0, BOARD_STORAGE_UNIT_BYTES / 4);
  flash.doubtful[unit] = false;
  return true;
}

static void flash_tear_bytes(uint32_t at, const uint8_t *from, uint32_t length) {
  uint32_t mode = lab_draw(4);
  uint32_t part = lab_draw(length + 1);
  if (!LAB_OVERWRITES) flash.doubtful[at / BOARD_STORAGE_UNIT_BYTES] = true;
  for (uint32_t i = 0; i < length; i++) {
    uint8_t *cell = flash.cells + at + i;
    uint8_t *doubt = flash.doubt + at + i;
    if (LAB_OVERWRITES) {
      // Nothing, all, a part of it, or something else.
      if (mode == 1 || (mode == 2 && i < part)) *cell = from[i];
      if (mode == 3) *cell = (uint8_t)lab_draw(256);
      continue;
    }
    uint8_t change = *cell & (uint8_t)~from[i];
    // Some bits are done, some in doubt, some as before; also all of them done but one, or in doubt as a whole.
    uint8_t done = mode == 1 ? 0 : mode == 2 ? change : change & (uint8_t)lab_draw(256);
    uint8_t open = mode == 1 ? change : change & (uint8_t)(mode == 2 ? 1u << lab_draw(8) : lab_draw(256));
    *cell &= (uint8_t)~done;
    *doubt |= open;
  }
}

bool flash_program_words(uint32_t offset, const uint8_t *from, uint32_t length) {
  LAB_REQUIRE(offset <= AREA && length <= AREA - offset, "program beyond the flash", offset, length);
  LAB_REQUIRE(offset % STEP == 0 && length % 4 == 0, "program at no word", offset, length);
  programs_now++;
  for (uint32_t i = 0; i < length; i += LAB_STEP) {
    uint32_t at = offset + i;
    uint32_t step = LAB_STEP < length - i ? LAB_STEP : length - i;
    if (at % 4 == 0) flash.programs[at / 4]++;
    if (lab_take_step()) {
      flash_tear_bytes(at, from + i, step);
      lab_fail_power();
    }
    if (flash.programs[at / 4] > word_programs_most) word_programs_most = flash.programs[at / 4];
    for (uint32_t k = 0; k < step; k++) {
      uint8_t *cell = flash.cells + at + k;
      uint8_t *doubt = flash.doubt + at + k;
      uint8_t bits = from[i + k];
      bool sticks = !spoils || !spoilt[(at + k) / 4];
      if (LAB_OVERWRITES) {
        if (sticks) *cell = bits;
        continue;
      }
      LAB_REQUIRE((bits & (uint8_t)~(*cell | *doubt)) == 0, "a cleared bit is asked to be set", at + k, bits);
      if (!sticks) continue;
      *cell &= bits;
      *doubt &= bits;
    }
  }
  return true;
}
