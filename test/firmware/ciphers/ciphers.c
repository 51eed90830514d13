// Seals and opens on the board with each cipher of NTS, counting instructions: the emulator makes each take 1 ns.
// Prints a line for each algorithm and each of some keys: algorithm, instructions to set the key, to seal a request and
// to open an answer, whether the answer opened, and the bytes of the sealed answer.
#include "core.h"
#include "probe.h"
#include "wasm_rt.h"

extern uint8_t wasm_memory[];

#define SYSTICK_CONTROL (*(volatile uint32_t *)0xE000E010u)
#define SYSTICK_RELOAD (*(volatile uint32_t *)0xE000E014u)
#define SYSTICK_CURRENT (*(volatile uint32_t *)0xE000E018u)

enum {
  NS_PER_TICK = 40,
  REPEATS = 80,
  KEYS = 4,
  // A cookie of 100 bytes makes a field of 104; header and unique identifier are 84 before it.
  REQUEST_DATA_BYTES = 188,
  ANSWER_DATA_BYTES = 84,
  ANSWER_TEXT_BYTES = 104,
  TAG_BYTES = 16,
  MESSAGE_BYTES = 512,
};

static w2c_core core;
static uint32_t message;

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
  probe_print_text("trap ");
  probe_print_number(trap);
  probe_end_run(1);
}

enum step { STEP_KEY, STEP_SEAL_REQUEST, STEP_SEAL_ANSWER, STEP_OPEN_ANSWER };

// Key, data, nonce and sealed text lie one behind the other.
static uint32_t ciphers_take_step(enum step step, uint32_t algorithm) {
  uint32_t data = message + 64;
  uint32_t nonce = message + 256;
  uint32_t nonce_bytes = w2c_core_testAeadNonceBytes(&core, algorithm);
  uint32_t sealed = message + 272;
  switch (step) {
    case STEP_KEY:
      w2c_core_testAeadSetKey(&core, algorithm, message);
      break;
    case STEP_SEAL_REQUEST:
      w2c_core_testAeadSeal(&core, data, REQUEST_DATA_BYTES, nonce, nonce_bytes, sealed, 0);
      break;
    case STEP_SEAL_ANSWER:
      w2c_core_testAeadSeal(&core, data, ANSWER_DATA_BYTES, nonce, nonce_bytes, sealed, ANSWER_TEXT_BYTES);
      break;
    case STEP_OPEN_ANSWER:
      return w2c_core_testAeadOpen(
          &core, data, ANSWER_DATA_BYTES, nonce, nonce_bytes, sealed, ANSWER_TEXT_BYTES + TAG_BYTES);
  }
  return 1;
}

// Instructions of all steps, one after the other, each time anew.
static uint32_t ciphers_count(const enum step *steps, uint32_t length, uint32_t algorithm) {
  uint32_t from = SYSTICK_CURRENT;
  for (uint32_t i = 0; i < REPEATS; i++) {
    for (uint32_t at = 0; at < length; at++) ciphers_take_step(steps[at], algorithm);
  }
  uint32_t ticks = (from - SYSTICK_CURRENT) & 0xFFFFFFu;
  return (ticks * NS_PER_TICK + REPEATS / 2) / REPEATS;
}

// Byte i is i·37 + key·101 + 11.
static void ciphers_fill_message(uint32_t key) {
  for (uint32_t i = 0; i < MESSAGE_BYTES; i++) wasm_memory[message + i] = (uint8_t)(i * 37u + key * 101u + 11u);
}

static void ciphers_measure(uint32_t algorithm, uint32_t key) {
  static const enum step answer[2] = {STEP_SEAL_ANSWER, STEP_OPEN_ANSWER};
  static const enum step set_key = STEP_KEY;
  static const enum step request = STEP_SEAL_REQUEST;
  ciphers_fill_message(key);
  probe_print_number(algorithm);
  probe_print_number(ciphers_count(&set_key, 1, algorithm));
  probe_print_number(ciphers_count(&request, 1, algorithm));
  uint32_t both = ciphers_count(answer, 2, algorithm);
  ciphers_fill_message(key);
  probe_print_number(both - ciphers_count(answer, 1, algorithm));
  ciphers_fill_message(key);
  ciphers_take_step(STEP_SEAL_ANSWER, algorithm);
  uint8_t sealed[ANSWER_TEXT_BYTES + TAG_BYTES];
  for (uint32_t i = 0; i < sizeof sealed; i++) sealed[i] = wasm_memory[message + 272 + i];
  probe_print_number(ciphers_take_step(STEP_OPEN_ANSWER, algorithm));
  for (uint32_t i = 0; i < sizeof sealed; i++) probe_print_number(sealed[i]);
  probe_print_text("\n");
}

int main(void) {
  static const uint32_t algorithms[] = {15, 16, 17, 30};
  SYSTICK_RELOAD = 0xFFFFFFu;
  SYSTICK_CURRENT = 0;
  SYSTICK_CONTROL = 5;
  wasm2c_core_instantiate(&core);
  message = w2c_core_testScratch(&core);
  for (uint32_t at = 0; at < sizeof algorithms / sizeof algorithms[0]; at++) {
    for (uint32_t key = 0; key < KEYS; key++) ciphers_measure(algorithms[at], key);
  }
  probe_end_run(0);
}
