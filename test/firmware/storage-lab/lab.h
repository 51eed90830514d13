// Power that fails: what the emulated memories and the workload of the storage lab share.
#ifndef LAB_H_
#define LAB_H_

#include <stdbool.h>
#include <stdint.h>

/// A number below `limit`, which follows from the seed.
uint32_t lab_draw(uint32_t limit);

/// Called before each step of a program or an erase: a byte, a word, a page, a unit. True when power fails within it; the
/// memory then leaves what it leaves and calls `lab_fail_power`.
bool lab_take_step(void);
_Noreturn void lab_fail_power(void);

/// Ends the program with what was found.
_Noreturn void lab_report_fault(const char *what, uint32_t a, uint32_t b);

#define LAB_REQUIRE(holds, what, a, b) \
  do {                                 \
    if (!(holds)) lab_report_fault(what, (uint32_t)(a), (uint32_t)(b)); \
  } while (0)

// ---- what is asked of a memory

/// Bytes of all that it keeps over a power cut, where they are, and of the driver's variables.
extern uint8_t *const memory_state;
extern const uint32_t memory_state_bytes;
extern uint8_t *const driver_state;
extern const uint32_t driver_state_bytes;

/// Whether a page that power cut off may hold anything, or only what it had or was to have.
extern const bool memory_tears_pages;
/// Bytes that a power cut can leave in doubt.
extern const uint32_t memory_page_bytes;

void memory_clear(void);

/// From now on some words do not take what is programmed, or all do.
void memory_spoil_words(bool spoilt);

/// Around each write of the lab's, to so many pages.
void memory_begin_write(void);
void memory_end_write(uint32_t pages);

/// Erases of all units so far.
uint64_t memory_count_erases(void);

/// Prints what it has counted, as members of a JSON object with a comma behind each.
void memory_print_counts(void);

#endif
