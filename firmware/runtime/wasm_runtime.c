// What wasm2c asks of a runtime for the linear memory, which lies in wasm_base.h: it never grows.
#include "wasm_rt.h"

void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint64_t initial, uint64_t most, bool is64, uint32_t page) {
  (void)initial;
  (void)most;
  (void)is64;
  (void)page;
  memory->data = wasm_memory;
  memory->size = WASM_MEMORY_BYTES;
}

void wasm_rt_free_memory(wasm_rt_memory_t *memory) {
  (void)memory;
}

uint64_t wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint64_t delta) {
  (void)memory;
  return delta == 0 ? 1 : 0xFFFFFFFFu;
}
