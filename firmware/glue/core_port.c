// Carries events into the compiled core and out of it what it asks for (docs/protocol.md, "The core's exports").
//
// What always holds: actions are done in their order. Writes, setting the clock, and reading clock and thermometer are
// done at once and leave only their answers; a read of the storage is done when its answer is handed over, straight into the event
// buffer, so a write of the same bytes must not come before that. A core that breaks the interface is a bug of
// ours: the firmware restarts and says so.
#include "core_port.h"

#include "bytes.h"
#include "core.h"
#include "platform.h"
#ifdef BOARD_APPLICATION
#include "application.h"
#endif

// What waits to be answered at most: of a board with the storage alone, little.
#if defined(BOARD_RTC_ADDRESS) || defined(BOARD_THERMOMETER_ADDRESS) || defined(BOARD_APPLICATION)
#define ANSWERS 8u
#else
#define ANSWERS 4u
#endif

static w2c_core core;
static uint8_t *event_buffer;
static uint32_t event_capacity;
static uint64_t wake_tick = UINT64_MAX;

static struct core_answer answers[ANSWERS];
static uint32_t answers_added;
static uint32_t answers_dropped;

_Noreturn void wasm_rt_trap(wasm_rt_trap_t trap) {
  reset_restart_board(RESET_CAUSE_TRAP, trap);
}

_Noreturn void core_refuse_action(void) {
  reset_restart_board(RESET_CAUSE_TRAP, TRAP_CODE_INTERFACE);
}

// A part of the core's memory, which the core itself named.
static uint8_t *core_locate_bytes(uint32_t at, uint32_t length) {
  if (at > WASM_MEMORY_BYTES || length > WASM_MEMORY_BYTES - at) core_refuse_action();
  return &wasm_memory[at];
}

void core_start_instance(void) {
  wasm2c_core_instantiate(&core);
#ifdef BOARD_PROCESS
  if (!process_wants_table()) w2c_core_bitsliceAes(&core);
#elif defined BOARD_DATA_CACHE
  w2c_core_bitsliceAes(&core);
#endif
#ifdef BOARD_DATAGRAMS
  w2c_core_ownDatagrams(&core);
#endif
  uint32_t capacity = w2c_core_eventCapacity(&core);
  event_buffer = core_locate_bytes(w2c_core_eventBuffer(&core), capacity);
  if (w2c_core_abiVersion(&core) != ABI_VERSION || capacity < ABI_EVENT_HEADER_BYTES) core_refuse_action();
  event_capacity = capacity - ABI_EVENT_HEADER_BYTES;
}

uint8_t *core_get_payload(void) {
  return event_buffer + ABI_EVENT_HEADER_BYTES;
}

uint32_t core_get_capacity(void) {
  return event_capacity;
}

uint64_t core_get_wake(void) {
  return wake_tick;
}

void core_clear_wake(void) {
  wake_tick = UINT64_MAX;
}

const struct core_answer *core_peek_answer(void) {
  return answers_added == answers_dropped ? NULL : &answers[answers_dropped % ANSWERS];
}

void core_drop_answer(void) {
  answers_dropped++;
}

static struct core_answer *core_add_answer(uint32_t event, uint64_t tick, uint32_t length) {
  if (answers_added - answers_dropped == ANSWERS) core_refuse_action();
  struct core_answer *answer = &answers[answers_added++ % ANSWERS];
  answer->event = (uint8_t)event;
  answer->tick = tick;
  answer->length = (uint16_t)length;
  return answer;
}

// What the core itself asks for has to fit behind it.
static bool core_may_tell(void) {
  return answers_added - answers_dropped < ANSWERS / 2;
}

static bool core_tell(uint32_t event, uint8_t value, uint32_t length) {
  if (!core_may_tell()) return false;
  core_add_answer(event, tick_read_now(), length)->payload[0] = value;
  return true;
}

bool core_tell_transaction(bool runs) {
  return core_tell(EVENT_TRANSACTION, runs ? 1 : 0, 1);
}

bool core_tell_acceptance(void) {
  return core_tell(EVENT_CORRECTION_ACCEPT, 0, 0);
}

bool core_tell_stack(uint32_t used_bytes, uint32_t total_bytes) {
  if (!core_may_tell()) return false;
  uint8_t *fields = core_add_answer(EVENT_STACK, tick_read_now(), STACK_FIELD_BYTES)->payload;
  bytes_put_u32(fields + STACK_FIELD_USED_BYTES, used_bytes);
  bytes_put_u32(fields + STACK_FIELD_TOTAL_BYTES, total_bytes);
  return true;
}

static void core_read_storage(const uint8_t *payload) {
  uint32_t length = bytes_get_u32(payload + 4);
  if (event_capacity < 4 || length > event_capacity - 4) core_refuse_action();
  core_add_answer(EVENT_STORAGE_DATA, UINT64_MAX, length)->offset = bytes_get_u32(payload);
}

// Whether bytes are to be read that were asked for before and are not handed over yet.
static bool core_awaits_bytes(uint32_t offset, uint32_t length) {
  for (uint32_t i = answers_dropped; i != answers_added; i++) {
    const struct core_answer *answer = &answers[i % ANSWERS];
    if (answer->event != EVENT_STORAGE_DATA) continue;
    if (offset < (uint64_t)answer->offset + answer->length && answer->offset < (uint64_t)offset + length) return true;
  }
  return false;
}

static void core_write_storage(const uint8_t *payload, uint32_t length) {
  uint32_t offset = bytes_get_u32(payload);
  if (core_awaits_bytes(offset, length - 4)) core_refuse_action();
  bool written = storage_write_bytes(offset, payload + 4, length - 4);
  struct core_answer *answer = core_add_answer(EVENT_STORAGE_DONE, tick_read_now(), 5);
  bytes_put_u32(answer->payload, offset);
  answer->payload[4] = written ? 0 : 1;
}

#ifdef BOARD_RTC_ADDRESS
static void core_read_clock(void) {
  struct rtc_time time;
  uint64_t tick = tick_read_now();
  rtc_read_time(&time);
  uint8_t *fields = core_add_answer(EVENT_RTC_TIME, tick, RTC_FIELD_BYTES)->payload;
  fields[RTC_FIELD_STATUS] = time.status;
  fields[RTC_FIELD_SECOND] = time.second;
  fields[RTC_FIELD_MINUTE] = time.minute;
  fields[RTC_FIELD_HOUR] = time.hour;
  fields[RTC_FIELD_DAY] = time.day;
  fields[RTC_FIELD_MONTH] = time.month;
  bytes_put_u16(fields + RTC_FIELD_YEAR, time.year);
}

static void core_set_clock(const uint8_t *payload) {
  const uint8_t *fields = payload - RTC_FIELD_SECOND;
  const struct rtc_time time = {
      .second = fields[RTC_FIELD_SECOND],
      .minute = fields[RTC_FIELD_MINUTE],
      .hour = fields[RTC_FIELD_HOUR],
      .day = fields[RTC_FIELD_DAY],
      .month = fields[RTC_FIELD_MONTH],
      .year = (uint16_t)bytes_get_u16(fields + RTC_FIELD_YEAR),
  };
  bool set = rtc_set_time(&time);
  core_add_answer(EVENT_RTC_DONE, tick_read_now(), 1)->payload[0] = set ? 0 : 1;
}
#endif

#ifdef BOARD_APPLICATION
// The last readings. Where the core asks again before it was handed any, it has given up the first question: by the tick of
// that answer it passes over what is in it.
static int64_t core_readings[APPLICATION_REGISTERS];

static void core_read_registers(void) {
  uint64_t tick = tick_read_now();
  uint32_t count = application_read_registers(core_readings);
  if (count > APPLICATION_REGISTERS) core_refuse_action();
  core_add_answer(EVENT_READINGS, tick, READINGS_FIELD_VALUES + 8 * count);
}

static void core_put_readings(uint8_t *payload, uint32_t length) {
  uint32_t count = (length - READINGS_FIELD_VALUES) / 8;
  memset(payload, 0, READINGS_FIELD_VALUES);
  payload[READINGS_FIELD_COUNT] = (uint8_t)count;
  for (uint32_t i = 0; i < count; i++) bytes_put_u64(payload + READINGS_FIELD_VALUES + 8 * i, (uint64_t)core_readings[i]);
}

static void core_switch_tariff(const uint8_t *fields) {
  uint64_t since = bytes_get_u64(fields + TARIFF_SWITCH_FIELD_SINCE_UNIX_SECONDS);
  bool doubtful = fields[TARIFF_SWITCH_FIELD_DOUBTFUL] != 0;
  application_switch_tariff((uint16_t)bytes_get_u16(fields + TARIFF_SWITCH_FIELD_TARIFF), doubtful, (int64_t)since);
}
#endif

void core_put_answer(const struct core_answer *answer, uint8_t *payload) {
#ifdef BOARD_APPLICATION
  if (answer->event == EVENT_READINGS) {
    core_put_readings(payload, answer->length);
    return;
  }
#endif
  memcpy(payload, answer->payload, answer->length);
}

#ifdef BOARD_THERMOMETER_ADDRESS
static void core_read_thermometer(void) {
  int32_t milli_celsius = 0;
  uint64_t tick = tick_read_now();
  bool measured = thermometer_read_temperature(&milli_celsius);
  uint8_t *fields = core_add_answer(EVENT_TEMPERATURE, tick, TEMPERATURE_FIELD_BYTES)->payload;
  fields[TEMPERATURE_FIELD_STATUS] = measured ? TEMPERATURE_STATUS_MEASURED : TEMPERATURE_STATUS_FAILED;
  bytes_put_u32(fields + TEMPERATURE_FIELD_MILLI_CELSIUS, (uint32_t)milli_celsius);
}
#endif

#ifdef BOARD_UPDATE_SLOT_BYTES
static void core_tell_slot(bool done) {
  core_add_answer(EVENT_SLOT_DONE, tick_read_now(), 1)->payload[0] = done ? 0 : 1;
}

// False where the action is none of a slot's.
static bool core_do_slot_action(uint32_t kind, const uint8_t *payload, uint32_t length) {
  if (kind == ACTION_SLOT_ERASE && length == 8) {
    core_tell_slot(slot_erase_bytes(bytes_get_u32(payload), bytes_get_u32(payload + 4)));
  } else if (kind == ACTION_SLOT_WRITE && length >= 4) {
    core_tell_slot(slot_write_bytes(bytes_get_u32(payload), payload + 4, length - 4));
  } else if (kind == ACTION_SLOT_READ && length == 8) {
    uint32_t bytes = bytes_get_u32(payload + 4);
    if (event_capacity < 4 || bytes > event_capacity - 4) core_refuse_action();
    core_add_answer(EVENT_SLOT_DATA, UINT64_MAX, bytes)->offset = bytes_get_u32(payload);
  } else if (kind == ACTION_SLOT_COMMIT && length == SLOT_IMAGE_FIELD_BYTES) {
    struct slot_image image = {
        .length = bytes_get_u32(payload + SLOT_IMAGE_FIELD_LENGTH),
        .version = bytes_get_u32(payload + SLOT_IMAGE_FIELD_VERSION),
    };
    memcpy(image.hash, payload + SLOT_IMAGE_FIELD_HASH, sizeof image.hash);
    core_tell_slot(slot_commit_image(&image));
  } else if (kind == ACTION_SLOT_CONFIRM && length == 0) {
    core_tell_slot(slot_confirm_image());
  } else {
    return false;
  }
  return true;
}
#endif

#ifdef BOARD_DATAGRAMS
// Of the event that is being handled: the core takes its requests to be built then.
static uint64_t event_tick;

static void core_set_target(const uint8_t *fields) {
  uint16_t port = (uint16_t)bytes_get_u16(fields + DATAGRAM_TARGET_FIELD_PORT);
  datagram_set_target(fields[DATAGRAM_TARGET_FIELD_SOCKET], fields[DATAGRAM_TARGET_FIELD_FAMILY], port,
                      fields + DATAGRAM_TARGET_FIELD_ADDRESS);
}

// Channel, kind of message, socket, exchange, datagram. What cannot be sent is answered.
static void core_send_datagram(const uint8_t *payload, uint32_t length) {
  uint16_t exchange = (uint16_t)bytes_get_u16(payload + 3);
  if (payload[0] != CHANNEL_TIME || payload[1] != MESSAGE_UDP_SEND) core_refuse_action();
  if (datagram_send(payload[2], exchange, event_tick, payload + 5, length - 5)) return;
  uint8_t *message = core_add_answer(EVENT_MESSAGE, tick_read_now(), 6)->payload;
  message[0] = CHANNEL_TIME;
  message[1] = MESSAGE_UDP_FAILED;
  message[2] = payload[2];
  bytes_put_u16(message + 3, exchange);
  message[5] = FAILURE_CONNECT;
}
#endif

static void core_do_action(uint32_t kind, const uint8_t *payload, uint32_t length) {
  if (kind == ACTION_FRAME_SEND && link_send_bytes(payload, length)) return;
#ifdef BOARD_UPDATE_SLOT_BYTES
  if (core_do_slot_action(kind, payload, length)) return;
#endif
  if (kind == ACTION_WAKE && length == 8) {
    wake_tick = bytes_get_u64(payload);
  } else if (kind == ACTION_STORAGE_READ && length == 8) {
    core_read_storage(payload);
  } else if (kind == ACTION_STORAGE_WRITE && length >= 4) {
    core_write_storage(payload, length);
  } else if (kind == ACTION_RESTART && length == 0) {
    reset_restart_board(RESET_CAUSE_SOFTWARE, 0);
#ifdef BOARD_DATAGRAMS
  } else if (kind == ACTION_DATAGRAM_TARGET && length == DATAGRAM_TARGET_FIELD_BYTES) {
    core_set_target(payload);
  } else if (kind == ACTION_MESSAGE && length >= 5) {
    core_send_datagram(payload, length);
#endif
#ifdef BOARD_RTC_ADDRESS
  } else if (kind == ACTION_RTC_READ && length == 0) {
    core_read_clock();
  } else if (kind == ACTION_RTC_SET && length == RTC_FIELD_BYTES - RTC_FIELD_SECOND) {
    core_set_clock(payload);
#endif
#ifdef BOARD_THERMOMETER_ADDRESS
  } else if (kind == ACTION_TEMPERATURE_READ && length == 0) {
    core_read_thermometer();
#endif
#ifdef BOARD_APPLICATION
  } else if (kind == ACTION_READINGS_READ && length == 0) {
    core_read_registers();
  } else if (kind == ACTION_TARIFF_SWITCH && length == TARIFF_SWITCH_FIELD_BYTES) {
    core_switch_tariff(payload);
#else
  } else if (kind == ACTION_TARIFF_SWITCH) {
    // Nobody here has tariffs.
#endif
  } else {
    core_refuse_action();
  }
}

// Returns the time, which is valid until the next event, where the core tells it; else NULL.
static const uint8_t *core_run_event(uint32_t event, uint64_t tick, uint32_t length) {
  const uint8_t *time = NULL;
  bytes_put_u64(event_buffer, tick);
#ifdef BOARD_DATAGRAMS
  event_tick = tick;
#endif
  uint32_t left = w2c_core_handle(&core, event, length);
  const uint8_t *at = core_locate_bytes(w2c_core_actionBuffer(&core), left);
  while (left > 0) {
    if (left < ABI_ACTION_HEADER_BYTES) core_refuse_action();
    uint32_t kind = bytes_get_u16(at);
    uint32_t payload = bytes_get_u16(at + 2);
    left -= ABI_ACTION_HEADER_BYTES;
    at += ABI_ACTION_HEADER_BYTES;
    if (payload > left) core_refuse_action();
    if (kind == ACTION_TIME_NOW && payload == TIME_NOW_FIELD_BYTES) {
      time = at;
    } else {
      core_do_action(kind, at, payload);
    }
    left -= payload;
    at += payload;
  }
  return time;
}

// The core tells the time to whom asks, and to nobody else.
void core_handle_event(uint32_t event, uint64_t tick, uint32_t length) {
  if (core_run_event(event, tick, length) != NULL) core_refuse_action();
}

bool core_ask_time(uint64_t tick, struct core_time *time) {
  const uint8_t *fields = core_run_event(EVENT_TIME_ASK, tick, 0);
  if (fields == NULL) core_refuse_action();
  const uint8_t *budget = fields + TIME_NOW_FIELD_BUDGET;
  *time = (struct core_time){
      .status = fields[TIME_NOW_FIELD_STATUS],
      .flags = fields[TIME_NOW_FIELD_FLAGS],
      .invalidations = fields[TIME_NOW_FIELD_INVALIDATIONS],
      .utc_ns = (int64_t)bytes_get_u64(fields + TIME_NOW_FIELD_UTC_NS),
      .bound_ns = bytes_get_u64(fields + TIME_NOW_FIELD_BOUND_NS),
      .uncertainty_ns = bytes_get_u64(fields + TIME_NOW_FIELD_UNCERTAINTY_NS),
      .noise_ns = bytes_get_u32(budget + BUDGET_FIELD_NOISE_NS),
      .asymmetry_ns = bytes_get_u32(budget + BUDGET_FIELD_ASYMMETRY_NS),
      .server_ns = bytes_get_u32(budget + BUDGET_FIELD_SERVER_NS),
      .stamps_ns = bytes_get_u32(budget + BUDGET_FIELD_STAMPS_NS),
      .slew_ns = bytes_get_u32(budget + BUDGET_FIELD_SLEW_NS),
      .frequency_ppt = (int32_t)bytes_get_u32(budget + BUDGET_FIELD_FREQUENCY_PPT),
      .frequency_uncertainty_ppt = bytes_get_u32(budget + BUDGET_FIELD_FREQUENCY_UNCERTAINTY_PPT),
      .sample_age_ns = (int64_t)bytes_get_u64(fields + TIME_NOW_FIELD_SAMPLE_AGE_NS),
  };
  return time->status != CLOCK_STATUS_UNSYNCHRONISED;
}
