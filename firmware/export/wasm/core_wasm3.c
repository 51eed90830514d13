// The core in wasm3 (wasm3.h; m3_env.h for the limit of its memory).
//
// What always holds: the linear memory has METERTIME_MEMORY_BYTES, less than a page, and each access is checked against
// that; the module's bytes stay where they are, in flash; the runtime allocates its code with malloc, as it compiles each
// function when it is first called.
#include "names.h"

#ifdef METERTIME_RUNTIME_WASM3

#include "core.h"
#include "core_module.h"
#include "m3_env.h"
#include "metertime_core.h"
#include "wasm3.h"

#include "core_calls.h"

#ifndef METERTIME_RUNTIME_STACK_BYTES
#define METERTIME_RUNTIME_STACK_BYTES 4096u
#endif

uint8_t *wasm_memory;

static const uint8_t core_bytes[] = {METERTIME_CORE_MODULE};
static IM3Environment core_environment;
static IM3Runtime core_runtime;
static IM3Function core_functions[CORE_EXPORTS];

static _Noreturn void core_trap(M3Result result) {
  if (result == m3Err_trapOutOfBoundsMemoryAccess) wasm_rt_trap(TRAP_CODE_OUT_OF_BOUNDS);
  if (result == m3Err_trapIntegerOverflow) wasm_rt_trap(TRAP_CODE_INTEGER_OVERFLOW);
  if (result == m3Err_trapDivisionByZero) wasm_rt_trap(TRAP_CODE_DIVISION_BY_ZERO);
  if (result == m3Err_trapIntegerConversion) wasm_rt_trap(TRAP_CODE_INVALID_CONVERSION);
  if (result == m3Err_trapIndirectCallTypeMismatch) wasm_rt_trap(TRAP_CODE_INDIRECT_CALL);
  if (result == m3Err_trapStackOverflow) wasm_rt_trap(TRAP_CODE_STACK_EXHAUSTED);
  wasm_rt_trap(TRAP_CODE_UNREACHABLE);
}

static uint32_t core_call(enum core_export which, const uint32_t *arguments, uint32_t count) {
  const void *pointers[2] = {0, 0};
  uint32_t result = 0;
  const void *results[1] = {&result};
  for (uint32_t i = 0; i < count; i++) pointers[i] = &arguments[i];
  const M3Result called = m3_Call(core_functions[which], count, pointers);
  if (called != m3Err_none) core_trap(called);
  if (m3_GetRetCount(core_functions[which]) == 1 && m3_GetResults(core_functions[which], 1, results) != m3Err_none) {
    wasm_rt_trap(TRAP_CODE_INTERFACE);
  }
  return result;
}

void wasm2c_core_instantiate(w2c_core *core) {
  (void)core;
  IM3Module module;
  if (core_runtime != 0) m3_FreeRuntime(core_runtime);
  if (core_environment == 0) core_environment = m3_NewEnvironment();
  if (core_environment == 0) wasm_rt_trap(TRAP_CODE_INTERFACE);
  core_runtime = m3_NewRuntime(core_environment, METERTIME_RUNTIME_STACK_BYTES, 0);
  if (core_runtime == 0) wasm_rt_trap(TRAP_CODE_INTERFACE);
  core_runtime->memoryLimit = METERTIME_MEMORY_BYTES;
  if (m3_ParseModule(core_environment, &module, core_bytes, sizeof core_bytes) != m3Err_none) {
    wasm_rt_trap(TRAP_CODE_INTERFACE);
  }
  if (m3_LoadModule(core_runtime, module) != m3Err_none) wasm_rt_trap(TRAP_CODE_INTERFACE);
  for (uint32_t i = 0; i < CORE_EXPORTS; i++) {
    if (m3_FindFunction(&core_functions[i], core_runtime, core_export_names[i]) != m3Err_none) {
      wasm_rt_trap(TRAP_CODE_INTERFACE);
    }
  }
  uint32_t bytes = 0;
  wasm_memory = m3_GetMemory(core_runtime, &bytes, 0);
  if (wasm_memory == 0 || bytes < WASM_MEMORY_BYTES) wasm_rt_trap(TRAP_CODE_INTERFACE);
}

#else

// Another runtime has the core.
typedef int core_wasm3_unused;

#endif
