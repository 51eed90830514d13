// The compiled core in a memory that is watched: red zones, snapshots, two runs of each input (fuzz.h).
#include <sanitizer/asan_interface.h>

#include "fuzz.h"
#include "fuzz_data.h"
#include "wasm_rt.h"

enum {
  /// A red zone as it is compiled in front of each region (test/fuzz/red-zones.ts): magic, bytes of each of its parts, 0
  /// where it has none, and its own.
  ZONE_BYTES = 16,
  ZONES_MAX = 256,
  ACTIONS_MAX = 4096,
};

w2c_core core;
int fuzz_run;

_Alignas(16) uint8_t wasm_memory[WASM_MEMORY_BYTES];
/// Where the message in hand ends.
static uint32_t memory_limit = WASM_MEMORY_BYTES;

static uint32_t zones;
static struct {
  uint32_t from;
  uint32_t to;
} zone[ZONES_MAX];

/// Behind all that the core uses, and behind its static regions.
static uint32_t used_end;
static uint32_t static_end;
static uint32_t actions_at;
static uint32_t event_at;
static uint32_t event_capacity;

struct core_image {
  w2c_core core;
  uint8_t memory[];
};

static core_image *fresh;
static core_image *first_end;

_Noreturn void fuzz_fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("FOUND: ", stderr);
  vfprintf(stderr, format, arguments);
  fputs("\n", stderr);
  va_end(arguments);
  abort();
}

// ---------------------------------------------------------------- runtime of the compiled core

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
  static const char *const names[] = {"", "access out of bounds", "integer overflow", "division by zero",
    "invalid conversion", "unreachable", "indirect call", "stack exhausted"};
  fuzz_fail("trap: %s", (size_t)trap < sizeof names / sizeof *names ? names[trap] : "?");
}

/// Where a load or store of the core goes (build.ts).
__attribute__((returns_nonnull)) uint8_t *fuzz_access(uint32_t base, uint32_t offset, uint32_t bytes) {
  uint64_t at = (uint64_t)base + offset;
  if (at + bytes > memory_limit) wasm_rt_trap(WASM_RT_TRAP_OOB);
  return wasm_memory + at;
}

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
  (void)delta;
  fuzz_fail("the memory is to grow");
}

// ---------------------------------------------------------------- memory

// AddressSanitizer watches memcpy, and these go over poisoned red zones; volatile, so that they become no memcpy.
#define RAW __attribute__((no_sanitize("address", "undefined")))

RAW static void raw_copy(void *target, const void *source, size_t length) {
  size_t at = 0;
  for (; at + 8 <= length; at += 8) {
    *(volatile uint64_t *)((uint8_t *)target + at) = *(const volatile uint64_t *)((const uint8_t *)source + at);
  }
  for (; at < length; at++) ((volatile uint8_t *)target)[at] = ((const volatile uint8_t *)source)[at];
}

RAW static void raw_fill(void *target, uint8_t byte, size_t length) {
  size_t at = 0;
  for (; at + 8 <= length; at += 8) *(volatile uint64_t *)((uint8_t *)target + at) = byte * 0x0101010101010101ull;
  for (; at < length; at++) ((volatile uint8_t *)target)[at] = byte;
}

/// Where two areas differ first; `length` where they do not.
RAW static uint32_t raw_difference(const void *left, const void *right, uint32_t length) {
  const volatile uint8_t *a = left;
  const volatile uint8_t *b = right;
  uint32_t at = 0;
  while (at + 8 <= length && *(const volatile uint64_t *)(a + at) == *(const volatile uint64_t *)(b + at)) at += 8;
  while (at < length && a[at] == b[at]) at++;
  return at;
}

uint8_t *memory_at(uint32_t address) {
  return wasm_memory + address;
}

static core_image *image_new(void) {
  core_image *image = malloc(sizeof(core_image) + used_end);
  if (image == NULL) abort();
  return image;
}

static void image_store(core_image *image) {
  raw_copy(&image->core, &core, sizeof core);
  raw_copy(image->memory, wasm_memory, used_end);
}

core_image *image_save(void) {
  core_image *image = image_new();
  image_store(image);
  return image;
}

// What the two runs of an input have different: all that is no state.
static uint8_t filler(void) {
  return fuzz_run == 0 ? 0xa5 : 0x5a;
}

void image_load(const core_image *image) {
  raw_copy(&core, &image->core, sizeof core);
  raw_copy(wasm_memory, image->memory, static_end);
  raw_fill(wasm_memory + actions_at, filler(), used_end - actions_at);
}

static uint32_t message_at = WASM_MEMORY_BYTES;

uint32_t message_room(uint32_t length) {
  ASAN_POISON_MEMORY_REGION(wasm_memory + (message_at & ~7u), WASM_MEMORY_BYTES - (message_at & ~7u));
  if (length > WASM_MEMORY_BYTES - used_end - 64) fuzz_fail("a message of %u bytes has no room", length);
  message_at = WASM_MEMORY_BYTES - length;
  ASAN_UNPOISON_MEMORY_REGION(wasm_memory + message_at, length);
  raw_fill(wasm_memory + message_at - 16, filler(), 16);
  return message_at;
}

uint32_t message_place(const uint8_t *bytes, uint32_t length) {
  uint32_t at = message_room(length);
  if (length > 0) memcpy(wasm_memory + at, bytes, length);
  return at;
}

static void add_zone(uint32_t from, uint32_t to) {
  if (zones == ZONES_MAX) fuzz_fail("more than %u red zones", zones);
  zone[zones].from = from;
  zone[zones].to = to;
  zones++;
}

// Behind each part of a region lies a zone, up to a multiple of eight.
static void add_part_zones(uint32_t region, uint32_t length, uint32_t part) {
  uint32_t stride = (part + 23) / 8 * 8;
  for (uint32_t next = stride; part != 0 && next <= length; next += stride) {
    add_zone(region + next - stride + part, region + next);
  }
}

// Finds what was compiled in: in front of each region a zone that tells its bytes. What lies between a region and the
// next zone belongs to that zone.
static void find_zones(uint32_t end) {
  uint32_t region_end = 0;
  uint32_t found = 0;
  for (uint32_t at = 0; at + ZONE_BYTES <= end; at += 4) {
    const uint8_t *bytes = wasm_memory + at;
    if (get_u64(bytes) != FUZZ_ZONE_MAGIC) continue;
    uint32_t length = get_u32(bytes + 12);
    uint32_t from = region_end == 0 ? at : region_end;
    add_zone(from, at + ZONE_BYTES);
    add_part_zones(at + ZONE_BYTES, length, get_u32(bytes + 8));
    found++;
    // 0: a table, whose length is not told.
    region_end = length == 0 ? 0 : at + ZONE_BYTES + length;
    if (length != 0) at += ZONE_BYTES + (length & ~3u) - 4;
  }
  if (found != FUZZ_ZONES) fuzz_fail("%u red zones of %u", found, FUZZ_ZONES);
  if (region_end != 0) add_zone(region_end, end);
}

static void core_start(void) {
  memset(&core, 0, sizeof core);
  wasm2c_core_instantiate(&core);
  // A gateway's end has memory of its own between the static regions and the actions.
  uint32_t regions_end = w2c_core_actionBuffer(&core);
  w2c_core_enlargeBuffers(&core);
  actions_at = w2c_core_actionBuffer(&core);
  event_at = w2c_core_eventBuffer(&core);
  event_capacity = w2c_core_eventCapacity(&core) - ABI_EVENT_HEADER_BYTES;
  used_end = w2c_core_memoryEnd(&core);
  static_end = actions_at;
  find_zones(regions_end);
  add_zone(event_at - FUZZ_BUFFER_GAP, event_at);
  // Poison may start at any byte but ends with a granule of eight: zones end at a multiple of eight.
  for (uint32_t i = 0; i < zones; i++) ASAN_POISON_MEMORY_REGION(wasm_memory + zone[i].from, zone[i].to - zone[i].from);
  ASAN_POISON_MEMORY_REGION(wasm_memory + used_end, WASM_MEMORY_BYTES - used_end);
  fresh = image_new();
  first_end = image_new();
  image_store(fresh);
}

// ---------------------------------------------------------------- events and actions

static uint8_t actions[ACTIONS_MAX];
static uint32_t actions_length;

// Whether the storage held no settings when they were last read.
static bool blank;

static const char *action_problem(const core_action *action) {
  uint32_t length = action->length;
  const uint8_t *payload = action->payload;
  switch (action->kind) {
    case ACTION_FRAME_SEND:
      if (length < 3 || length > LINK_LIMIT_FRAME_BYTES || payload[0] != 0) return "no frame";
      for (uint32_t i = 1; i < length; i++) {
        if ((payload[i] == 0) != (i == length - 1)) return "zeros within a frame, or none around it";
      }
      return NULL;
    case ACTION_WAKE:
      return length == 8 ? NULL : "length";
    case ACTION_STORAGE_READ:
      if (length != 8) return "length";
      return (uint64_t)get_u32(payload) + get_u32(payload + 4) <= STORAGE_MAP_FULL_BYTES ? NULL : "beyond the storage";
    case ACTION_STORAGE_WRITE:
      if (length <= 4) return "length";
      if (!blank && get_u32(payload) < STORAGE_MAP_SEED_A) return "over the settings";
      return (uint64_t)get_u32(payload) + length - 4 <= STORAGE_MAP_FULL_BYTES ? NULL : "beyond the storage";
    case ACTION_RTC_READ:
    case ACTION_TEMPERATURE_READ:
    case ACTION_RESTART:
      return length == 0 ? NULL : "length";
    case ACTION_RTC_SET:
      return length == RTC_FIELD_BYTES - RTC_FIELD_SECOND ? NULL : "length";
    case ACTION_MESSAGE:
      return length >= 2 && length <= LINK_MESSAGE_FIELD_MESSAGE + LINK_LIMIT_DATAGRAM_BYTES ? NULL : "length";
    case ACTION_TIME_NOW:
      return length == TIME_NOW_FIELD_BYTES ? NULL : "length";
    case ACTION_SLOT_ERASE:
    case ACTION_SLOT_READ:
      return length == 8 ? NULL : "length";
    case ACTION_SLOT_WRITE:
      return length > 4 && length <= 4 + UPDATE_LIMIT_PART_BYTES ? NULL : "length";
    case ACTION_SLOT_COMMIT:
      return length == SLOT_IMAGE_FIELD_BYTES ? NULL : "length";
    case ACTION_SLOT_CONFIRM:
      return length == 0 ? NULL : "length";
    case ACTION_LINK_READY:
      return length == LINK_READY_FIELD_BYTES ? NULL : "length";
    case ACTION_LINK_HELLO:
      if (length <= LINK_HELLO_FIELD_METER) return "length";
      return length == LINK_HELLO_FIELD_METER + 1u + payload[LINK_HELLO_FIELD_METER] ? NULL : "length";
    default:
      return "unknown";
  }
}

bool action_next(uint32_t *position, core_action *action) {
  if (*position >= actions_length) return false;
  if (actions_length - *position < ABI_ACTION_HEADER_BYTES) fuzz_fail("an action without its header");
  const uint8_t *at = actions + *position;
  action->kind = get_u16(at);
  action->length = get_u16(at + 2);
  action->payload = at + ABI_ACTION_HEADER_BYTES;
  *position += ABI_ACTION_HEADER_BYTES;
  if (action->length > actions_length - *position) fuzz_fail("an action longer than all actions");
  *position += action->length;
  return true;
}

void core_handle(uint32_t event, uint64_t tick, const uint8_t *payload, uint32_t length) {
  // Longer than fits: the core is told, and has to leave it.
  uint32_t taken = length < event_capacity ? length : event_capacity;
  if (event == EVENT_STORAGE_DATA && length > 8 && get_u32(payload) == STORAGE_MAP_SETTINGS) {
    blank = get_u32(payload + 4) != SETTINGS_FORMAT_MAGIC;
  }
  uint8_t *header = wasm_memory + event_at;
  put_u64(header, tick);
  if (taken > 0) memcpy(header + ABI_EVENT_HEADER_BYTES, payload, taken);
  memory_limit = event_at + ABI_EVENT_HEADER_BYTES + taken;
  actions_length = w2c_core_handle(&core, event, length);
  memory_limit = WASM_MEMORY_BYTES;
  if (get_u64(header) != tick) fuzz_fail("event %u: its header changed", event);
  if (actions_length > event_at - FUZZ_BUFFER_GAP - actions_at) fuzz_fail("%u bytes of actions", actions_length);
  memcpy(actions, wasm_memory + actions_at, actions_length);
  trace_add(actions_length);
  trace_bytes(actions, actions_length);
  core_action action;
  for (uint32_t position = 0; action_next(&position, &action);) {
    const char *problem = action_problem(&action);
    if (problem != NULL) fuzz_fail("event %u: action %u: %s", event, action.kind, problem);
  }
}

// ---------------------------------------------------------------- inputs

static uint64_t trace;

void trace_add(uint64_t value) {
  trace = (trace ^ value) * 0x100000001b3ull;
  trace ^= trace >> 29;
}

void trace_bytes(const uint8_t *bytes, uint32_t length) {
  for (uint32_t i = 0; i < length; i++) trace = (trace ^ bytes[i]) * 0x100000001b3ull;
}

static const fuzz_target *const targets[] = {&target_ke, &target_aead, &target_answer, &target_settings, &target_start,
  &target_part, &target_reserve, &target_messages, &target_frames};
static const fuzz_target *target;

static void check_zones(void) {
  for (uint32_t i = 0; i < zones; i++) {
    uint32_t length = zone[i].to - zone[i].from;
    // The gap between the buffers and what lies before them is no part of an image.
    if (zone[i].to > static_end) continue;
    uint32_t at = raw_difference(wasm_memory + zone[i].from, fresh->memory + zone[i].from, length);
    if (at < length) fuzz_fail("the red zone at %u was written", zone[i].from);
  }
}

static uint64_t run_once(int run, const uint8_t *data, size_t size) {
  fuzz_run = run;
  trace = 0xcbf29ce484222325ull;
  image_load(fresh);
  blank = false;
  fuzz_input input = {data, data + size};
  target->run(&input);
  check_zones();
  return trace;
}

int LLVMFuzzerInitialize(int *count, char ***arguments) {
  (void)count;
  (void)arguments;
  const char *name = getenv("METERTIME_FUZZ_TARGET");
  for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
    if (name != NULL && strcmp(targets[i]->name, name) == 0) target = targets[i];
  }
  if (target == NULL) {
    fputs("METERTIME_FUZZ_TARGET: no target of that name\n", stderr);
    exit(2);
  }
  core_start();
  image_load(fresh);
  if (target->prepare != NULL) target->prepare();
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint64_t trace_first = run_once(0, data, size);
  image_store(first_end);
  uint64_t trace_second = run_once(1, data, size);
  if (trace_first != trace_second) fuzz_fail("bytes that are no part of a message make a difference in what comes out");
  uint32_t at = raw_difference(wasm_memory, first_end->memory, static_end);
  if (at < static_end) fuzz_fail("bytes that are no part of a message make a difference in memory, at %u", at);
  at = raw_difference(&core, &first_end->core, sizeof core);
  if (at < sizeof core) fuzz_fail("bytes that are no part of a message make a difference in a global");
  return 0;
}
