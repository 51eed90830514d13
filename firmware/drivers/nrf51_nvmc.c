// The nRF51's own flash as what flash_store.c keeps its log in (nRF51 Series Reference Manual 3.0, chapter 6 "NVMC").
//
// What always holds: the flash can be written or erased only while a function here does it. The processor stands still
// meanwhile, as it runs from the same flash: for some 46 us a word and 21 ms a page (nRF51822 Product Specification 3.1,
// 8.6), so that bytes which come during an erase are lost, and the link asks for their frame again.
#include "flash_device.h"

#include "platform.h"

#define NVMC_READY (*(volatile uint32_t *)0x4001E400u)
#define NVMC_CONFIG (*(volatile uint32_t *)0x4001E504u)
#define NVMC_ERASE_PAGE (*(volatile uint32_t *)0x4001E508u)

enum { CONFIG_READ = 0, CONFIG_WRITE = 1, CONFIG_ERASE = 2 };

_Static_assert(BOARD_STORAGE_UNIT_BYTES == 1024, "a page of the nRF51's flash has 1 KB");
_Static_assert(BOARD_STORAGE_BASE % 1024 == 0, "units are pages");
_Static_assert(BOARD_STORAGE_PROGRAM_BYTES == 4, "a word is written at once");

static void flash_await_ready(void) {
  while (NVMC_READY == 0) {
  }
}

static void flash_set_mode(uint32_t mode) {
  NVMC_CONFIG = mode;
  flash_await_ready();
}

void flash_start_device(void) {
  flash_set_mode(CONFIG_READ);
}

bool flash_erase_unit(uint32_t unit) {
  flash_set_mode(CONFIG_ERASE);
  NVMC_ERASE_PAGE = BOARD_STORAGE_BASE + unit * BOARD_STORAGE_UNIT_BYTES;
  flash_await_ready();
  flash_set_mode(CONFIG_READ);
  return true;
}

bool flash_program_words(uint32_t offset, const uint8_t *from, uint32_t length) {
  volatile uint32_t *to = (volatile uint32_t *)(BOARD_STORAGE_BASE + offset);
  flash_set_mode(CONFIG_WRITE);
  for (uint32_t i = 0; i < length; i += 4) {
    *to++ = from[i] | (uint32_t)from[i + 1] << 8 | (uint32_t)from[i + 2] << 16 | (uint32_t)from[i + 3] << 24;
    flash_await_ready();
  }
  flash_set_mode(CONFIG_READ);
  return true;
}

bool flash_read_bytes(uint32_t offset, uint8_t *into, uint32_t length) {
  const volatile uint8_t *from = (const volatile uint8_t *)(BOARD_STORAGE_BASE + offset);
  while (length-- > 0) *into++ = *from++;
  return true;
}
