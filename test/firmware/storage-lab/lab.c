// The storage lab: random writes to a storage whose power fails at each step of its memory, then again while it recovers.
//
//   lab <seed> <writes before> <writes with cuts> <second cuts of each> <writes whose every second cut is made>
//
// What is required after each start that came to its end: pages before the one that was being written are new, those after
// it old, that one old or new (or anything, where the memory tears pages), and nothing else has changed; what was read
// once is read again after the next start; the storage takes further writes.
#include "lab.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform.h"

#define BYTES BOARD_STORAGE_BYTES
#define NEVER UINT32_MAX
// Largest write: the settings, several pages.
#define LENGTH_MOST 520u

static jmp_buf failed;
static uint32_t steps;
static uint32_t fails_at = NEVER;
static uint32_t state;

/// Nothing was written since the start.
static bool fresh;

static uint32_t cuts;
static uint32_t starts;

static uint8_t expected[BYTES];
static uint8_t there[BYTES];

/// What is being written, where power may fail.
static struct {
  uint32_t offset;
  uint32_t length;
  uint8_t bytes[LENGTH_MOST];
} write;

uint32_t lab_draw(uint32_t limit) {
  // xorshift32
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return (uint32_t)((uint64_t)state * limit >> 32);
}

bool lab_take_step(void) {
  return ++steps == fails_at;
}

_Noreturn void lab_fail_power(void) {
  cuts++;
  longjmp(failed, 1);
}

_Noreturn void lab_report_fault(const char *what, uint32_t a, uint32_t b) {
  fprintf(stderr, "%s: %u, %u; after %u cuts, %u starts, step %u\n", what, a, b, cuts, starts, steps);
  abort();
}

static void lab_arm_cut(uint32_t at) {
  steps = 0;
  fails_at = at;
}

static void lab_draw_write(void) {
  // Mostly the few places that a meter keeps writing to; some of it what is there already.
  static const uint32_t lengths[] = {1, 20, 64, 64, 64, 128, 128, 192, 280, LENGTH_MOST};
  write.length = lengths[lab_draw(sizeof lengths / sizeof lengths[0])];
  if (write.length > BYTES) write.length = BYTES;
  uint32_t places = lab_draw(3) == 0 ? BYTES : BYTES / 8;
  write.offset = lab_draw(places);
  if (lab_draw(2) == 0) write.offset &= ~63u;
  if (write.offset > BYTES - write.length) write.offset = BYTES - write.length;
  bool again = !fresh && lab_draw(16) == 0;
  fresh = false;
  for (uint32_t i = 0; i < write.length; i++) {
    write.bytes[i] = again ? expected[write.offset + i] : (uint8_t)lab_draw(256);
  }
}

static bool lab_do_write(void) {
  memory_begin_write();
  bool written = storage_write_bytes(write.offset, write.bytes, write.length);
  memory_end_write((write.offset + write.length - 1) / memory_page_bytes - write.offset / memory_page_bytes + 1);
  return written;
}

static void lab_finish_write(void) {
  memcpy(expected + write.offset, write.bytes, write.length);
  write.length = 0;
}

static void lab_start(void) {
  starts++;
  // Nothing that was in RAM is there.
  for (uint32_t i = 0; i < driver_state_bytes; i++) driver_state[i] = (uint8_t)lab_draw(256);
  storage_start_device();
  fresh = true;
}

static void lab_read_all(uint8_t *into) {
  for (uint32_t at = 0; at < BYTES;) {
    uint32_t part = 1 + lab_draw(700);
    if (part > BYTES - at) part = BYTES - at;
    LAB_REQUIRE(storage_read_bytes(at, into + at, part), "not read", at, part);
    at += part;
  }
}

// Reads everything; what was being written is what is there, from now on.
static void lab_check_all(void) {
  lab_read_all(there);
  bool old = false;
  for (uint32_t page = 0; page < BYTES; page += memory_page_bytes) {
    if (memcmp(there + page, expected + page, memory_page_bytes) == 0 && write.length == 0) continue;
    uint8_t fresh[64];
    bool changes = false;
    for (uint32_t i = 0; i < memory_page_bytes; i++) {
      uint32_t at = page + i;
      bool inside = write.length > 0 && at >= write.offset && at - write.offset < write.length;
      fresh[i] = inside ? write.bytes[at - write.offset] : expected[at];
      changes = changes || inside;
    }
    bool is_old = memcmp(there + page, expected + page, memory_page_bytes) == 0;
    bool is_new = memcmp(there + page, fresh, memory_page_bytes) == 0;
    if (!changes) {
      LAB_REQUIRE(is_old, "a page changed that was not written", page, write.offset);
    } else if (old) {
      LAB_REQUIRE(is_old, "a page is new behind one that is not", page, write.offset);
    } else if (!is_new) {
      old = true;
      // Bytes beside those that were written are as they were, whatever became of these.
      for (uint32_t i = 0; i < memory_page_bytes; i++) {
        bool same = there[page + i] == expected[page + i];
        bool inside = page + i >= write.offset && page + i - write.offset < write.length;
        LAB_REQUIRE(same || (memory_tears_pages && inside), "a page is neither old nor new", page, i);
      }
    }
  }
  memcpy(expected, there, BYTES);
  write.length = 0;
}

static void lab_check_same(void) {
  lab_read_all(there);
  for (uint32_t i = 0; i < BYTES; i++) LAB_REQUIRE(there[i] == expected[i], "read otherwise than before", i, there[i]);
}

static struct {
  uint8_t *memory;
  uint8_t *driver;
  uint8_t expected[BYTES];
  uint32_t state;
} kept;

static void lab_keep_all(void) {
  memcpy(kept.memory, memory_state, memory_state_bytes);
  memcpy(kept.driver, driver_state, driver_state_bytes);
  memcpy(kept.expected, expected, BYTES);
}

static void lab_restore_all(void) {
  memcpy(memory_state, kept.memory, memory_state_bytes);
  memcpy(driver_state, kept.driver, driver_state_bytes);
  memcpy(expected, kept.expected, BYTES);
}

// Starts and goes on, with power failing after so many steps; false where it did not.
static bool lab_recover(uint32_t cut) {
  lab_arm_cut(cut);
  if (setjmp(failed) != 0) return true;
  lab_start();
  lab_check_all();
  lab_draw_write();
  LAB_REQUIRE(lab_do_write(), "not written after a power cut", write.offset, write.length);
  lab_finish_write();
  fails_at = NEVER;
  return false;
}

// With steady power from now on.
static void lab_settle(void) {
  lab_arm_cut(NEVER);
  lab_start();
  lab_check_all();
  if (lab_draw(2) == 0) {
    lab_start();
    lab_check_same();
  }
  for (uint32_t i = 0; i < 3; i++) {
    lab_draw_write();
    LAB_REQUIRE(lab_do_write(), "not written after power cuts", write.offset, write.length);
    lab_finish_write();
  }
  lab_check_same();
}

// Power fails within this write, after so many steps; false where it has fewer.
static bool lab_cut_write(uint32_t cut, bool expect_done) {
  lab_arm_cut(cut);
  if (setjmp(failed) != 0) return true;
  bool done = lab_do_write();
  LAB_REQUIRE(done || !expect_done, "not written", write.offset, write.length);
  fails_at = NEVER;
  return false;
}

// Cuts of this write at each of its steps, each followed by second cuts: at each step of the recovery where `thorough`.
static void lab_cut_everywhere(uint32_t second_cuts, bool thorough) {
  static uint8_t bytes[LENGTH_MOST];
  uint32_t offset = write.offset;
  uint32_t length = write.length;
  memcpy(bytes, write.bytes, length);
  lab_keep_all();
  for (uint32_t cut = 1;; cut++) {
    for (uint32_t second = 1; thorough || second <= second_cuts; second++) {
      lab_restore_all();
      write.offset = offset;
      write.length = length;
      memcpy(write.bytes, bytes, length);
      if (!lab_cut_write(cut, true)) return;
      // The first of those that are drawn has none; mostly early ones, which fall into the start.
      uint32_t next = thorough ? second : second == 1 ? NEVER : 1 + lab_draw(lab_draw(2) == 0 ? 24 : 160);
      bool in_time = lab_recover(next);
      // Then a few more.
      bool again = in_time;
      for (uint32_t more = lab_draw(6); again && more > 0; more--) {
        again = lab_recover(1 + lab_draw(lab_draw(2) == 0 ? 24 : 160));
      }
      lab_settle();
      if (thorough && !in_time) break;
    }
  }
}

// Power fails at the same place of each start, or of the first write after it, many times in a row.
static void lab_cut_many_times(uint32_t times) {
  uint32_t at = 1 + lab_draw(60);
  uint32_t spread = 1 + lab_draw(30);
  for (uint32_t i = 0; i < times; i++) lab_recover(at + lab_draw(spread));
  lab_settle();
}

static void lab_spoil(uint32_t writes) {
  uint32_t refused = 0;
  for (uint32_t i = 0; i < writes; i++) {
    memory_spoil_words(lab_draw(3) != 0);
    lab_arm_cut(NEVER);
    lab_draw_write();
    if (lab_do_write()) {
      lab_finish_write();
    } else {
      refused++;
    }
    if (write.length > 0 || i % 4 == 0) {
      memory_spoil_words(false);
      if (lab_draw(2) == 0) lab_start();
      lab_check_all();
    }
  }
  memory_spoil_words(false);
  lab_settle();
  printf("\"refused\":%u,", refused);
}

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  state = (uint32_t)strtoul(argv[1], NULL, 10) ^ 0x9e3779b9u;
  if (state == 0) state = 1;
  uint32_t before = (uint32_t)strtoul(argv[2], NULL, 10);
  uint32_t writes = (uint32_t)strtoul(argv[3], NULL, 10);
  uint32_t second_cuts = (uint32_t)strtoul(argv[4], NULL, 10);
  uint32_t thorough = (uint32_t)strtoul(argv[5], NULL, 10);
  for (uint32_t i = 0; i < 16; i++) lab_draw(2);
  kept.memory = malloc(memory_state_bytes);
  kept.driver = malloc(driver_state_bytes);
  printf("{");

  memory_clear();
  memset(expected, 0xff, BYTES);
  lab_start();
  lab_check_same();
  for (uint32_t at = 0; at < BYTES; at += 64) {
    for (uint32_t i = 0; i < 64; i++) write.bytes[i] = (uint8_t)lab_draw(256);
    write.offset = at;
    write.length = 64;
    LAB_REQUIRE(lab_do_write(), "not written", at, 0);
    lab_finish_write();
  }
  for (uint32_t i = 0; i < before; i++) {
    if (lab_draw(8) == 0) lab_start();
    lab_draw_write();
    LAB_REQUIRE(lab_do_write(), "not written", write.offset, write.length);
    lab_finish_write();
  }
  lab_check_same();
  memory_print_counts();

  for (uint32_t i = 0; i < writes; i++) {
    lab_draw_write();
    // Each step of both only where that is a few thousand.
    bool all = thorough > 0 && write.length <= 64;
    if (all) thorough--;
    lab_cut_everywhere(second_cuts, all);
    lab_restore_all();
    lab_arm_cut(NEVER);
    if (lab_draw(4) == 0) lab_start();
    lab_draw_write();
    LAB_REQUIRE(lab_do_write(), "not written", write.offset, write.length);
    lab_finish_write();
  }
  for (uint32_t i = 0; i < 10; i++) lab_cut_many_times(100);
  lab_spoil(200);
  printf("\"cuts\":%u,\"starts\":%u}\n", cuts, starts);
  free(kept.memory);
  free(kept.driver);
  return 0;
}
