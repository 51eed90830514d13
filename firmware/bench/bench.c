// Counts the instructions that the compiled core takes, on the emulated board: the emulator makes each take a fixed time
// (`-icount shift=7`: 128 ns, more than three ticks of the board's counter, so that every count is exact).
//
// What always holds: the core gets the events of a recording, in their order and with their ticks, and nothing it asks
// for is done; a checksum over all its actions says whether it took the same decisions as when that was recorded.
//
// Prints lines of a letter and numbers; counts are in ticks and include those of `O`:
//   O ticks                              reading the counter twice
//   L turns ticks                        a loop of two instructions each turn
//   C algorithm key request answer opened   setting a key, sealing a request, opening an answer; 1: it was right
//   E index ticks checksum update        an event that the recording marks; update: its marked part, or 0
//   S bytes                              deepest stack below the call of the core
//   G what ticks…                        slices of a public key (0) and of a signature (1), where the core makes any
//   D events checksum                    all of them are done
#include <string.h>

#include "bench_config.h"
#include "core.h"
#include "platform.h"
#include "probe.h"
#include "wasm_rt.h"

#define COUNTER_CONTROL (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x0u))
#define COUNTER_VALUE (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x4u))
#define COUNTER_RELOAD (*(volatile uint32_t *)(BOARD_COUNTER_BASE + 0x8u))
#define COUNTER_ENABLE 1u

// What startup.c paints the stack with.
#define STACK_PAINT 0x5AA5C33Cu
extern uint32_t stack_bottom[];

// An event of the recording; the next one follows the payload at a multiple of 8.
struct bench_event {
  uint64_t tick;
  uint16_t event;
  uint16_t length;
  // Whether it is to be told of.
  uint32_t told;
  uint8_t payload[];
};

enum {
  EVENT_NONE = 0,
  // A cookie of 100 bytes makes a field of 104; header and unique identifier are 84 before it.
  REQUEST_DATA_BYTES = 188,
  ANSWER_DATA_BYTES = 84,
  ANSWER_TEXT_BYTES = 104,
  TAG_BYTES = 16,
  // Where they lie behind the key.
  DATA_AT = 64,
  NONCE_AT = 256,
  SEALED_AT = 272,
  MESSAGE_BYTES = 512,
  SEED_BYTES = 32,
  SIGNED_BYTES = 256,
};

static w2c_core core;
static uint32_t checksum = 2166136261u;
static uint32_t update_from;
static uint32_t update_ticks;
static uint32_t *stack_lowest;

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
  probe_print_text("trap ");
  probe_print_number(trap);
  probe_end_run(1);
}

/// What a core with marks imports.
struct w2c_bench;
void w2c_bench_mark(struct w2c_bench *bench, uint32_t begins);

void w2c_bench_mark(struct w2c_bench *bench, uint32_t begins) {
  (void)bench;
  if (begins) {
    update_from = COUNTER_VALUE;
  } else {
    update_ticks = update_from - COUNTER_VALUE;
  }
}

static void bench_start_core(void) {
#if BENCH_MARKED
  wasm2c_core_instantiate(&core, NULL);
#else
  wasm2c_core_instantiate(&core);
#endif
}

static void bench_print(const char *letter, uint32_t first, uint32_t second) {
  probe_print_text(letter);
  probe_print_number(first);
  probe_print_number(second);
}

static uint32_t bench_count_nothing(void) {
  uint32_t from = COUNTER_VALUE;
  return from - COUNTER_VALUE;
}

static uint32_t bench_count_loop(uint32_t turns) {
  // In its register before the count begins.
  __asm__ volatile("" : "+r"(turns));
  uint32_t from = COUNTER_VALUE;
  __asm__ volatile(".syntax unified\n1: subs %0, %0, #1\n\tbne 1b" : "+r"(turns) : : "cc");
  return from - COUNTER_VALUE;
}

static void bench_check_method(void) {
  static const uint32_t turns[] = {1, 2, 3, 1000, 1001, 1000000};
  bench_print("O ", bench_count_nothing(), 0);
  probe_print_text("\n");
  for (uint32_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
    bench_print("L ", turns[i], bench_count_loop(turns[i]));
    probe_print_text("\n");
  }
}

static void bench_fill_message(uint32_t at) {
  for (uint32_t i = 0; i < MESSAGE_BYTES; i++) wasm_memory[at + i] = (uint8_t)(i * 37u + 11u);
}

// Before its first event the core has nothing in its buffers.
static void bench_measure_cipher(uint32_t algorithm) {
  uint32_t key = w2c_core_actionBuffer(&core);
  if (key + MESSAGE_BYTES > WASM_MEMORY_BYTES) probe_end_run(3);
  uint32_t data = key + DATA_AT;
  uint32_t nonce = key + NONCE_AT;
  uint32_t sealed = key + SEALED_AT;
  uint32_t nonce_bytes = w2c_core_testAeadNonceBytes(&core, algorithm);
  bench_fill_message(key);

  uint32_t from = COUNTER_VALUE;
  w2c_core_testAeadSetKey(&core, algorithm, key);
  bench_print("C ", algorithm, from - COUNTER_VALUE);
  from = COUNTER_VALUE;
  w2c_core_testAeadSeal(&core, data, REQUEST_DATA_BYTES, nonce, nonce_bytes, sealed, 0);
  probe_print_number(from - COUNTER_VALUE);
  w2c_core_testAeadSeal(&core, data, ANSWER_DATA_BYTES, nonce, nonce_bytes, sealed, ANSWER_TEXT_BYTES);
  from = COUNTER_VALUE;
  uint32_t opened = w2c_core_testAeadOpen(
      &core, data, ANSWER_DATA_BYTES, nonce, nonce_bytes, sealed, ANSWER_TEXT_BYTES + TAG_BYTES);
  probe_print_number(from - COUNTER_VALUE);
  probe_print_number(opened);
  probe_print_text("\n");
}

// FNV-1a.
static void bench_add_actions(uint32_t length) {
  const uint8_t *actions = &wasm_memory[w2c_core_actionBuffer(&core)];
  for (uint32_t i = 0; i < length; i++) checksum = (checksum ^ actions[i]) * 16777619u;
}

__attribute__((noinline)) static uint32_t bench_call_core(const struct bench_event *event, uint32_t *length) {
  stack_lowest = __builtin_frame_address(0);
  uint32_t from = COUNTER_VALUE;
  *length = w2c_core_handle(&core, event->event, event->length);
  return from - COUNTER_VALUE;
}

static void bench_handle_event(const struct bench_event *event, uint32_t index) {
  uint8_t *buffer = &wasm_memory[w2c_core_eventBuffer(&core)];
  memcpy(buffer, &event->tick, ABI_EVENT_HEADER_BYTES);
  memcpy(buffer + ABI_EVENT_HEADER_BYTES, event->payload, event->length);
  update_ticks = 0;
  uint32_t length;
  uint32_t ticks = bench_call_core(event, &length);
  bench_add_actions(length);
  if (!event->told) return;
  bench_print("E ", index, ticks);
  probe_print_number(checksum);
  probe_print_number(update_ticks);
  probe_print_text("\n");
}

static uint32_t bench_replay_recording(void) {
  const uint8_t *at = (const uint8_t *)BENCH_RECORDING_ADDRESS;
  for (uint32_t index = 0;; index++) {
    const struct bench_event *event = (const struct bench_event *)at;
    if (event->event == EVENT_NONE) return index;
    bench_handle_event(event, index);
    at += (sizeof *event + event->length + 7u) & ~7u;
  }
}

static void bench_print_stack(void) {
  const uint32_t *at = stack_bottom;
  while (*at == STACK_PAINT) at++;
  probe_print_text("S ");
  probe_print_number((uint32_t)((const uint8_t *)stack_lowest - (const uint8_t *)at));
  probe_print_text("\n");
}

static void bench_measure_slices(uint32_t what) {
  probe_print_text("G ");
  probe_print_number(what);
  uint32_t done;
  do {
    uint32_t from = COUNTER_VALUE;
    done = w2c_core_testSignStep(&core);
    probe_print_number(from - COUNTER_VALUE);
  } while (!done);
  probe_print_text("\n");
}

// After the last event nobody needs what is in the buffers.
static void bench_measure_signature(void) {
  if (BENCH_MARKED || w2c_core_testSignPublicKey(&core) == 0) return;
  uint32_t seed = w2c_core_actionBuffer(&core);
  bench_fill_message(seed);
  w2c_core_testSignKeyBegin(&core, seed);
  bench_measure_slices(0);
  w2c_core_testSignBegin(&core, seed + SEED_BYTES, SIGNED_BYTES);
  bench_measure_slices(1);
}

int main(void) {
  COUNTER_RELOAD = 0xFFFFFFFFu;
  COUNTER_VALUE = 0xFFFFFFFFu;
  COUNTER_CONTROL = COUNTER_ENABLE;
  bench_check_method();
  bench_start_core();
  bench_measure_cipher(15);
  bench_measure_cipher(30);
  uint32_t events = bench_replay_recording();
  bench_print_stack();
  bench_measure_signature();
  bench_print("D ", events, checksum);
  probe_print_text("\n");
  probe_end_run(0);
}
