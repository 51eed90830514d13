// Makes public keys and signatures on the board, counting the instructions of each slice: the emulator makes each take
// 128 ns, more than three ticks of the board's counter, so that every count is exact.
//
// Prints lines of a letter and numbers:
//   K case counts…     slices of a public key
//   P case bytes…      the key
//   G case counts…     slices of a signature
//   S case bytes…      the signature
//   V case counts…     slices of its check
//   H case 0 or 1      whether it holds
#include "core.h"
#include "platform.h"
#include "probe.h"
#include "wasm_rt.h"

extern uint8_t wasm_memory[];

#define COUNTER_CONTROL (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x0u))
#define COUNTER_VALUE (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x4u))
#define COUNTER_RELOAD (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x8u))
#define COUNTER_ENABLE 1u

enum {
  CASES = 4,
  SLICES_MAX = 1000,
  KEY_BYTES = 32,
  SIGNATURE_BYTES = 64,
  MESSAGE_AT = 32,
  MESSAGE_BYTES = 256,
};

static w2c_core core;
static uint32_t overhead;
static uint32_t counts[SLICES_MAX];

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
  probe_print_text("trap ");
  probe_print_number(trap);
  probe_end_run(1);
}

// 16 ticks in 5 instructions.
static uint32_t sign_instructions(uint32_t ticks) {
  return (ticks * 5u + 8u) / 16u;
}

static uint32_t sign_run_slices(uint32_t (*step)(w2c_core *)) {
  for (uint32_t slices = 0; slices < SLICES_MAX;) {
    uint32_t from = COUNTER_VALUE;
    uint32_t done = step(&core);
    counts[slices++] = sign_instructions(from - COUNTER_VALUE) - overhead;
    if (done) return slices;
  }
  probe_end_run(2);
}

static void sign_begin_line(const char *letter, uint32_t number) {
  probe_print_text(letter);
  probe_print_number(number);
}

static void sign_print_counts(const char *letter, uint32_t number, uint32_t slices) {
  sign_begin_line(letter, number);
  for (uint32_t i = 0; i < slices; i++) probe_print_number(counts[i]);
  probe_print_text("\n");
}

static void sign_print_bytes(const char *letter, uint32_t number, uint32_t at, uint32_t bytes) {
  sign_begin_line(letter, number);
  for (uint32_t i = 0; i < bytes; i++) probe_print_number(wasm_memory[at + i]);
  probe_print_text("\n");
}

// Byte i of seed and message: all zeros, all ones, then i·i·37 + i·number·101 + number.
static uint8_t sign_byte(uint32_t i, uint32_t number) {
  if (number < 2) return (uint8_t)(0u - number);
  return (uint8_t)(i * i * 37u + i * number * 101u + number);
}

static void sign_measure(uint32_t number) {
  uint32_t at = w2c_core_testScratch(&core);
  for (uint32_t i = 0; i < MESSAGE_AT + MESSAGE_BYTES; i++) wasm_memory[at + i] = sign_byte(i, number);
  w2c_core_testSignKeyBegin(&core, at);
  sign_print_counts("K ", number, sign_run_slices(w2c_core_testSignStep));
  sign_print_bytes("P ", number, w2c_core_testSignPublicKey(&core), KEY_BYTES);
  w2c_core_testSignBegin(&core, at + MESSAGE_AT, MESSAGE_BYTES);
  sign_print_counts("G ", number, sign_run_slices(w2c_core_testSignStep));
  sign_print_bytes("S ", number, w2c_core_testSignSignature(&core), SIGNATURE_BYTES);
  uint32_t signature = w2c_core_testSignSignature(&core);
  w2c_core_testVerifyBegin(&core, w2c_core_testSignPublicKey(&core), signature, at + MESSAGE_AT, MESSAGE_BYTES);
  sign_print_counts("V ", number, sign_run_slices(w2c_core_testVerifyStep));
  sign_begin_line("H ", number);
  probe_print_number(w2c_core_testVerifyHolds(&core));
  probe_print_text("\n");
}

int main(void) {
  COUNTER_RELOAD = 0xFFFFFFFFu;
  COUNTER_VALUE = 0xFFFFFFFFu;
  COUNTER_CONTROL = COUNTER_ENABLE;
  wasm2c_core_instantiate(&core);
  // Reading the counter itself.
  uint32_t from = COUNTER_VALUE;
  overhead = sign_instructions(from - COUNTER_VALUE);
  for (uint32_t number = 0; number < CASES; number++) sign_measure(number);
  probe_end_run(0);
}
