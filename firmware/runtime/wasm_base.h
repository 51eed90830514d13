// Where the functions of the compiled core find their instance and its linear memory: the one in a register for as long
// as the core is at work, where the processor has one to spare and the compiler can name it, the other at a fixed address.
//
// What always holds: an exported function sets the register and puts back what was there, so that nobody else needs to
// know of it: callers and interrupt handlers keep it as the calling convention says.
#ifndef WASM_BASE_H_
#define WASM_BASE_H_

#if defined(WASM_INSTANCE_STATIC) || defined(__clang__)
static wasm_instance_t *wasm_instance;
#elif defined(__thumb2__)
register wasm_instance_t *wasm_instance __asm__("r9");
#elif defined(__riscv)
register wasm_instance_t *wasm_instance __asm__("s11");
#else
static wasm_instance_t *wasm_instance;
#endif

// Beside the code that uses it, so that the compiler reaches several places in it from one address.
#ifndef WASM_MEMORY_ELSEWHERE
__attribute__((section(".bss.wasm_memory"), aligned(8))) uint8_t wasm_memory[WASM_MEMORY_ROOM];
#endif

#define WASM_ENTER(instance)                          \
  wasm_instance_t *const wasm_before = wasm_instance; \
  wasm_instance = (instance)

#define WASM_LEAVE() wasm_instance = wasm_before

#endif
