// Runtime of the compiled core: what wasm2c's output (wabt 1.0.39) needs, and nothing more.
//
// What always holds: there is one linear memory of WASM_MEMORY_BYTES, laid out at link time in a room somewhat larger;
// each access is checked against that room in 32 bits (wasm_memory.h); where the call graph gives the stack no bound,
// each function checks it before its body; a trap never returns.
#ifndef WASM_RT_H_
#define WASM_RT_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core_abi.h"
#include "wasm_config.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define wasm_rt_memcpy __builtin_memcpy
#define wasm_rt_unreachable __builtin_unreachable
#define WASM_RT_MEMCHECK_GUARD_PAGES 0
#define WASM_RT_USE_SEGUE 0

typedef enum {
  WASM_RT_TRAP_OOB = TRAP_CODE_OUT_OF_BOUNDS,
  WASM_RT_TRAP_INT_OVERFLOW = TRAP_CODE_INTEGER_OVERFLOW,
  WASM_RT_TRAP_DIV_BY_ZERO = TRAP_CODE_DIVISION_BY_ZERO,
  WASM_RT_TRAP_INVALID_CONVERSION = TRAP_CODE_INVALID_CONVERSION,
  WASM_RT_TRAP_UNREACHABLE = TRAP_CODE_UNREACHABLE,
  WASM_RT_TRAP_CALL_INDIRECT = TRAP_CODE_INDIRECT_CALL,
  WASM_RT_TRAP_EXHAUSTION = TRAP_CODE_STACK_EXHAUSTED,
} wasm_rt_trap_t;

typedef enum {
  WASM_RT_I32,
  WASM_RT_I64,
  WASM_RT_F32,
  WASM_RT_F64,
  WASM_RT_V128,
  WASM_RT_FUNCREF,
  WASM_RT_EXTERNREF,
  WASM_RT_EXNREF,
} wasm_rt_type_t;

typedef void (*wasm_rt_function_ptr_t)(void);
typedef const char *wasm_rt_func_type_t;

typedef struct {
  void (*fn)(void);
} wasm_rt_tailcallee_t;

typedef struct {
  wasm_rt_func_type_t func_type;
  wasm_rt_function_ptr_t func;
  wasm_rt_tailcallee_t func_tailcallee;
  void *module_instance;
} wasm_rt_funcref_t;

typedef void *wasm_rt_externref_t;

typedef struct {
  uint8_t *data;
  uint32_t size;
} wasm_rt_memory_t;

typedef struct {
  wasm_rt_funcref_t *data;
  uint32_t max_size;
  uint32_t size;
} wasm_rt_funcref_table_t;

typedef struct {
  wasm_rt_externref_t *data;
  uint32_t max_size;
  uint32_t size;
} wasm_rt_externref_table_t;

static const wasm_rt_funcref_t wasm_rt_funcref_null_value = {0};
static const wasm_rt_externref_t wasm_rt_externref_null_value = 0;

static inline bool wasm_rt_is_initialized(void) {
  return true;
}

/// Ends the core. Written by whoever links the runtime: firmware restarts, tests count.
_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap);

void wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint64_t initial, uint64_t most, bool is64, uint32_t page);
void wasm_rt_free_memory(wasm_rt_memory_t *memory);
uint64_t wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint64_t delta);

/// The core's linear memory.
extern uint8_t wasm_memory[WASM_MEMORY_ROOM] __attribute__((aligned(8)));

#if defined(WASM_STACK_PROVEN)
#define WASM_CHECK_STACK()
#else
// The lowest stack address at which a function of the core may begin its body; below it is room for that function's
// calls of the compiler's own helpers and for interrupts.
extern uint8_t wasm_stack_floor[];

// Read as a register where the compiler knows its name: __builtin_frame_address would cost a frame pointer.
#if defined(__arm__) || defined(__riscv)
register uintptr_t wasm_stack_pointer __asm__("sp");
#else
#define wasm_stack_pointer ((uintptr_t)__builtin_frame_address(0))
#endif

#define WASM_CHECK_STACK()                                                                        \
  do {                                                                                            \
    if (UNLIKELY(wasm_stack_pointer < (uintptr_t)wasm_stack_floor)) wasm_rt_trap(WASM_RT_TRAP_EXHAUSTION); \
  } while (0)
#endif

#endif
