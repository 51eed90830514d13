// Emulated 24Cxx EEPROMs behind at24c.c: a page buffer, and a write cycle in which power may fail.
//
// What always holds: the part acknowledges nothing while it programs; a write that runs over the end of a page goes on at
// its beginning, as the data sheets say.
#include <stdio.h>
#include <string.h>

#include "lab.h"

#include "firmware/drivers/at24c.c"

#define CYCLE_TICKS ((uint64_t)BOARD_TICK_HZ * BOARD_STORAGE_WRITE_CYCLE_MS / 1000u)

static struct {
  uint8_t bytes[BOARD_STORAGE_BYTES];
  uint32_t writes[BOARD_STORAGE_BYTES / BOARD_STORAGE_PAGE_BYTES];
} eeprom;

static uint8_t spoilt[BOARD_STORAGE_BYTES];
static bool spoils;
static uint64_t ticks;
static uint64_t busy_until;
static uint8_t none;

uint8_t *const memory_state = (uint8_t *)&eeprom;
const uint32_t memory_state_bytes = sizeof eeprom;
uint8_t *const driver_state = &none;
const uint32_t driver_state_bytes = sizeof none;
const bool memory_tears_pages = true;
const uint32_t memory_page_bytes = BOARD_STORAGE_PAGE_BYTES;

void memory_clear(void) {
  memset(&eeprom, 0, sizeof eeprom);
  memset(eeprom.bytes, 0xff, sizeof eeprom.bytes);
}

void memory_spoil_words(bool spoil) {
  spoils = spoil;
  bool all = lab_draw(8) == 0;
  for (uint32_t i = 0; i < sizeof spoilt; i++) spoilt[i] = all || lab_draw(400) == 0;
}

void memory_print_counts(void) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < sizeof eeprom.writes / sizeof eeprom.writes[0]; i++) {
    if (eeprom.writes[i] > most) most = eeprom.writes[i];
  }
  printf("\"writesMost\":%u,", most);
}

void memory_begin_write(void) {}
void memory_end_write(uint32_t pages) {
  (void)pages;
}

uint64_t tick_read_now(void) {
  return ticks++;
}

void tick_sleep_until(uint64_t at) {
  if (at > ticks) ticks = at;
}

// The part goes on with its cycle over a reset; a power cut ends it.
void i2c_start_bus(void) {}

static bool i2c_find_part(uint8_t address) {
  LAB_REQUIRE(address - BOARD_STORAGE_ADDRESS <= (BOARD_STORAGE_BYTES - 1) / PART_BYTES, "no such part", address, 0);
  return ticks >= busy_until;
}

static uint32_t i2c_locate_byte(uint8_t address, const uint8_t *head) {
  return (address - BOARD_STORAGE_ADDRESS) * PART_BYTES + (uint32_t)(head[0] << 8 | head[1]);
}

bool i2c_write_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, const uint8_t *body,
                     uint32_t body_length) {
  if (!i2c_find_part(address)) return false;
  if (body_length == 0) return true;
  LAB_REQUIRE(head_length == 2, "an address of two bytes", head_length, 0);
  uint32_t at = i2c_locate_byte(address, head);
  uint32_t page = at / BOARD_STORAGE_PAGE_BYTES * BOARD_STORAGE_PAGE_BYTES;
  busy_until = ticks + CYCLE_TICKS;
  eeprom.writes[page / BOARD_STORAGE_PAGE_BYTES]++;
  for (uint32_t i = 0; i < body_length; i++) {
    uint8_t *byte = eeprom.bytes + page + (at + i) % BOARD_STORAGE_PAGE_BYTES;
    if (lab_take_step()) {
      *byte = (uint8_t)lab_draw(256);
      busy_until = 0;
      lab_fail_power();
    }
    if (!spoils || !spoilt[page + (at + i) % BOARD_STORAGE_PAGE_BYTES]) *byte = body[i];
  }
  return true;
}

bool i2c_read_bytes(uint8_t address, const uint8_t *head, uint32_t head_length, uint8_t *into, uint32_t length) {
  if (!i2c_find_part(address)) return false;
  LAB_REQUIRE(head_length == 2, "an address of two bytes", head_length, 0);
  uint32_t at = i2c_locate_byte(address, head);
  LAB_REQUIRE(at % PART_BYTES + length <= PART_BYTES, "no read runs over the end of a part", at, length);
  memcpy(into, eeprom.bytes + at, length);
  return true;
}
