// The core as the glue calls it, where a WebAssembly runtime executes it: what wasm2c's header says where it is compiled.
//
// What always holds: a trap ends in wasm_rt_trap and never returns; the linear memory has WASM_MEMORY_BYTES, and stays where
// it is from wasm2c_core_instantiate on.
#ifndef CORE_H_
#define CORE_H_

#include <stdint.h>

#include "core_abi.h"
#include "wasm_config.h"

/// The core is made anew by each wasm2c_core_instantiate, and so is its memory.
#define WASM_INSTANTIATES_ANEW 1

/// enum TrapCode.
typedef uint32_t wasm_rt_trap_t;
_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap);

/// There is one instance, which the runtime keeps.
typedef struct {
  uint8_t unused;
} w2c_core;

extern uint8_t *wasm_memory;

void wasm2c_core_instantiate(w2c_core *core);
uint32_t w2c_core_abiVersion(w2c_core *core);
uint32_t w2c_core_eventBuffer(w2c_core *core);
uint32_t w2c_core_eventCapacity(w2c_core *core);
uint32_t w2c_core_actionBuffer(w2c_core *core);
uint32_t w2c_core_handle(w2c_core *core, uint32_t event, uint32_t length);
void w2c_core_bitsliceAes(w2c_core *core);

#endif
