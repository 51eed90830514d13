// Random number generator of the nRF51 (nRF51 Series Reference Manual 3.0, chapter 21): thermal noise, a byte at a time.
//
// What always holds: its own correction of the bias is on; it runs only while bytes are read.
#include "platform.h"

#define RNG_REGISTER(offset) (*(volatile uint32_t *)(BOARD_ENTROPY_BASE + (offset)))
#define RNG_START RNG_REGISTER(0x000u)
#define RNG_STOP RNG_REGISTER(0x004u)
#define RNG_READY RNG_REGISTER(0x100u)
#define RNG_CONFIG RNG_REGISTER(0x504u)
#define RNG_VALUE RNG_REGISTER(0x508u)

enum { CONFIG_CORRECT_BIAS = 1u << 0 };

// With the correction a byte takes 677 us on average and no longest time is guaranteed (nRF51822 Product Specification
// 3.1, 8.13): some fifty times as long for all of them.
#define MOST_TICKS BOARD_TICK_HZ

bool entropy_read_bytes(uint8_t into[ENTROPY_BYTES]) {
  uint64_t start = tick_read_now();
  uint32_t have = 0;
  RNG_CONFIG = CONFIG_CORRECT_BIAS;
  RNG_READY = 0;
  RNG_START = 1;
  while (have < ENTROPY_BYTES && tick_read_now() - start < MOST_TICKS) {
    if (RNG_READY == 0) continue;
    // In this order a byte that comes meanwhile is lost at worst, and none is taken twice.
    into[have++] = (uint8_t)RNG_VALUE;
    RNG_READY = 0;
  }
  RNG_STOP = 1;
  return have == ENTROPY_BYTES;
}
