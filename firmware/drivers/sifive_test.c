// SiFive's test device, by which a program resets QEMU's virt machine (hw/misc/sifive_test.c): processor and devices; RAM
// keeps what it holds.
#include "cpu.h"
#include "platform.h"

#define TEST_FINISHER (*(volatile uint32_t *)BOARD_RESET_BASE)
#define FINISHER_RESET 0x7777u

_Noreturn void cpu_reset_board(void) {
  __asm__ volatile("fence" ::: "memory");
  TEST_FINISHER = FINISHER_RESET;
  for (;;) {
  }
}
