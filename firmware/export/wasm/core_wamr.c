// The core in WAMR (wasm_export.h, WebAssembly Micro Runtime 2): its interpreter, or any other mode that loads a module.
//
// What always holds: the runtime allocates from a pool of METERTIME_RUNTIME_BYTES and nowhere else; a module's bytes lie in
// RAM, since the loader writes into them; the core gets no heap beside its linear memory, and the linear memory is as large
// as __heap_base says, provided that WAMR is built with WASM_ENABLE_SHRUNK_MEMORY, as it is by default.
#include "names.h"

#ifdef METERTIME_RUNTIME_WAMR

#include <string.h>

#include "core.h"
#include "core_module.h"
#include "metertime_core.h"
#include "wasm_export.h"

#include "core_calls.h"

#ifndef METERTIME_RUNTIME_BYTES
#define METERTIME_RUNTIME_BYTES METERTIME_WAMR_BYTES
#endif
#ifndef METERTIME_RUNTIME_STACK_BYTES
#define METERTIME_RUNTIME_STACK_BYTES 4096u
#endif

uint8_t *wasm_memory;

static uint8_t core_pool[METERTIME_RUNTIME_BYTES] __attribute__((aligned(8)));
static uint8_t core_bytes[] = {METERTIME_CORE_MODULE};
static wasm_module_t core_module;
static wasm_module_inst_t core_instance;
static wasm_exec_env_t core_environment;
static wasm_function_inst_t core_functions[CORE_EXPORTS];

/// What the runtime says of a trap, as it begins.
static const struct {
  const char *text;
  uint32_t code;
} core_traps[] = {
    {"out of bounds memory access", TRAP_CODE_OUT_OF_BOUNDS},    {"integer overflow", TRAP_CODE_INTEGER_OVERFLOW},
    {"integer divide by zero", TRAP_CODE_DIVISION_BY_ZERO},      {"invalid conversion", TRAP_CODE_INVALID_CONVERSION},
    {"indirect call", TRAP_CODE_INDIRECT_CALL},                  {"wasm operand stack overflow", TRAP_CODE_STACK_EXHAUSTED},
    {"native stack overflow", TRAP_CODE_STACK_EXHAUSTED},
};

static _Noreturn void core_trap(const char *exception) {
  for (uint32_t i = 0; exception != 0 && i < sizeof core_traps / sizeof core_traps[0]; i++) {
    if (strstr(exception, core_traps[i].text) != 0) wasm_rt_trap(core_traps[i].code);
  }
  wasm_rt_trap(TRAP_CODE_UNREACHABLE);
}

static uint32_t core_call(enum core_export which, const uint32_t *arguments, uint32_t count) {
  uint32_t cells[2] = {0, 0};
  for (uint32_t i = 0; i < count; i++) cells[i] = arguments[i];
  if (core_functions[which] == 0) wasm_rt_trap(TRAP_CODE_INTERFACE);
  if (!wasm_runtime_call_wasm(core_environment, core_functions[which], count, cells)) {
    core_trap(wasm_runtime_get_exception(core_instance));
  }
  return cells[0];
}

static void core_load(void) {
  RuntimeInitArgs settings;
  char error[64];
  memset(&settings, 0, sizeof settings);
  settings.mem_alloc_type = Alloc_With_Pool;
  settings.mem_alloc_option.pool.heap_buf = core_pool;
  settings.mem_alloc_option.pool.heap_size = sizeof core_pool;
  if (!wasm_runtime_full_init(&settings)) wasm_rt_trap(TRAP_CODE_INTERFACE);
  core_module = wasm_runtime_load(core_bytes, sizeof core_bytes, error, sizeof error);
  if (core_module == 0) wasm_rt_trap(TRAP_CODE_INTERFACE);
}

void wasm2c_core_instantiate(w2c_core *core) {
  (void)core;
  char error[64];
  if (core_module == 0) core_load();
  if (core_environment != 0) wasm_runtime_destroy_exec_env(core_environment);
  if (core_instance != 0) wasm_runtime_deinstantiate(core_instance);
  core_instance = wasm_runtime_instantiate(core_module, METERTIME_RUNTIME_STACK_BYTES, 0, error, sizeof error);
  if (core_instance == 0) wasm_rt_trap(TRAP_CODE_INTERFACE);
  core_environment = wasm_runtime_create_exec_env(core_instance, METERTIME_RUNTIME_STACK_BYTES);
  if (core_environment == 0) wasm_rt_trap(TRAP_CODE_INTERFACE);
  for (uint32_t i = 0; i < CORE_EXPORTS; i++) {
    core_functions[i] = wasm_runtime_lookup_function(core_instance, core_export_names[i]);
  }
  // Less than what the core uses: the runtime would have shrunk it too far.
  if (!wasm_runtime_validate_app_addr(core_instance, 0, WASM_MEMORY_BYTES)) wasm_rt_trap(TRAP_CODE_INTERFACE);
  wasm_memory = wasm_runtime_addr_app_to_native(core_instance, 0);
}

#else

// Another runtime has the core.
typedef int core_wamr_unused;

#endif
