// Loads and stores of the compiled core, each checked. The build puts this in the place of wasm2c's own definitions
// and hands base and offset over apart.
//
// What always holds: an access of n bytes at base + offset passes only when the sum, taken without wrapping, is at most
// WASM_MEMORY_ROOM - n. Nothing of the core's lies from WASM_MEMORY_BYTES on, so any base above WASM_MEMORY_LIMIT is
// refused, whatever the offset: with a small one its access then ends within the room, and checks of one base with
// several such offsets are one check. A large offset has a limit of its own; without the comparison of the offset
// itself that limit would wrap and let everything pass. Offsets are constants, so the compiler chooses.
#ifndef WASM_MEMORY_H_
#define WASM_MEMORY_H_

#define WASM_ACCESS static inline __attribute__((always_inline))

#include "wasm_words.h"

_Static_assert(
    WASM_MEMORY_BYTES >= 8 && WASM_MEMORY_LIMIT >= WASM_MEMORY_BYTES && WASM_MEMORY_ROOM - WASM_MEMORY_LIMIT >= 8,
    "the widest access must fit, and no base of the core's be refused");

// The largest base that an offset leaves: rounded down to what an instruction can hold where no base of the core's lies
// above that.
#define WASM_EXACT_LIMIT(offset, bytes) (WASM_MEMORY_ROOM - (bytes) - (offset))
#define WASM_ROUND_LIMIT(offset, bytes) (WASM_EXACT_LIMIT(offset, bytes) & ~(WASM_MEMORY_STEP - 1u))
#define WASM_LARGE_LIMIT(offset, bytes)                                                                      \
  (WASM_ROUND_LIMIT(offset, bytes) + (bytes) + (offset) >= WASM_MEMORY_BYTES ? WASM_ROUND_LIMIT(offset, bytes) \
                                                                             : WASM_EXACT_LIMIT(offset, bytes))
#define WASM_BASE_LIMIT(offset, bytes) \
  ((offset) <= WASM_MEMORY_ROOM - WASM_MEMORY_LIMIT - (bytes) ? WASM_MEMORY_LIMIT : WASM_LARGE_LIMIT(offset, bytes))

// In one place: a call without arguments is the least that a check can end in.
static _Noreturn __attribute__((noinline, cold)) void wasm_refuse_access(void) {
  wasm_rt_trap(WASM_RT_TRAP_OOB);
}

#define WASM_CHECK_ACCESS(base, offset, bytes)                                                               \
  do {                                                                                                       \
    if (UNLIKELY((offset) > WASM_MEMORY_ROOM - (bytes) || (base) > WASM_BASE_LIMIT(offset, bytes))) wasm_refuse_access(); \
  } while (0)

// `stored` is what lies in memory, `widened` decides the sign on the way to `result`.
#define WASM_DEFINE_LOAD(name, stored, widened, result)             \
  WASM_ACCESS result name##_checked(u32 base, u32 offset) {         \
    WASM_CHECK_ACCESS(base, offset, (u32)sizeof(stored));           \
    stored value;                                                   \
    wasm_fetch(&value, &wasm_memory[base + offset], sizeof value);  \
    return (result)(widened)value;                                  \
  }

#define WASM_DEFINE_STORE(name, stored, given)                           \
  WASM_ACCESS void name##_checked(u32 base, u32 offset, given value) {   \
    WASM_CHECK_ACCESS(base, offset, (u32)sizeof(stored));                \
    stored narrowed = (stored)value;                                     \
    wasm_place(&wasm_memory[base + offset], &narrowed, sizeof narrowed); \
  }

WASM_DEFINE_LOAD(i32_load, u32, u32, u32)
WASM_DEFINE_LOAD(i32_load8_s, s8, s32, u32)
WASM_DEFINE_LOAD(i32_load8_u, u8, u32, u32)
WASM_DEFINE_LOAD(i32_load16_s, s16, s32, u32)
WASM_DEFINE_LOAD(i32_load16_u, u16, u32, u32)
WASM_DEFINE_LOAD(i64_load, u64, u64, u64)
WASM_DEFINE_LOAD(i64_load8_s, s8, s64, u64)
WASM_DEFINE_LOAD(i64_load8_u, u8, u64, u64)
WASM_DEFINE_LOAD(i64_load16_s, s16, s64, u64)
WASM_DEFINE_LOAD(i64_load16_u, u16, u64, u64)
WASM_DEFINE_LOAD(i64_load32_s, s32, s64, u64)
WASM_DEFINE_LOAD(i64_load32_u, u32, u64, u64)
WASM_DEFINE_LOAD(f32_load, f32, f32, f32)
WASM_DEFINE_LOAD(f64_load, f64, f64, f64)
WASM_DEFINE_STORE(i32_store, u32, u32)
WASM_DEFINE_STORE(i32_store8, u8, u32)
WASM_DEFINE_STORE(i32_store16, u16, u32)
WASM_DEFINE_STORE(i64_store, u64, u64)
WASM_DEFINE_STORE(i64_store8, u8, u64)
WASM_DEFINE_STORE(i64_store16, u16, u64)
WASM_DEFINE_STORE(i64_store32, u32, u64)
WASM_DEFINE_STORE(f32_store, f32, f32)
WASM_DEFINE_STORE(f64_store, f64, f64)

#endif
