// Main loop: takes what happened to the core, in the order in which it happened, and sleeps in between.
//
// What always holds: of what waits, the earliest is handed over first. Its tick lies before that of the event before it
// only where a frame sent is stamped two bytes before its end, where an answer waited behind an earlier read of the
// storage, and where frames come just as an application asks for the time. A wake-up that is due comes before anything
// later, so a flooded line cannot hold it back; nothing waits but in WFI, and a check and the sleep after it are one,
// as interrupts are held back around them. The watchdog is fed here only.
#include "main.h"

#include "bytes.h"
#include "cpu.h"
#include "platform.h"
#include "start_event.h"

#define NEVER UINT64_MAX

// A meter that fails again and again restarts ever more slowly, up to this: each start writes to the storage, which
// wears out.
#define RESTART_MOST_SECONDS 64u

// Having run this long after the core's start, it is healthy; the delay before that does not count.
#define HEALTHY_TICKS ((uint64_t)BOARD_TICK_HZ * 60u)

// More events than can wait at once: the frames, one that was sent, eight answers, a wake-up.
#define ASK_STEPS (BOARD_LINK_FRAMES + 12u)

static void main_start_core(const struct reset_report *reset) {
  core_start_instance();
  uint32_t length = start_write_payload(core_get_payload(), core_get_capacity(), reset);
  uint64_t tick = tick_read_now();
  uart_start_device();
  core_handle_event(EVENT_START, tick, length);
}

static void main_feed_watchdog(void) {
#ifdef BOARD_WATCHDOG_MS
  watchdog_feed_timer();
#endif
}

static void main_delay_restart(uint32_t failures) {
  if (failures < 2) return;
  uint32_t seconds = failures < 8 ? 1u << (failures - 2) : RESTART_MOST_SECONDS;
  for (uint32_t slept = 0; slept < seconds; slept++) {
    main_feed_watchdog();
    tick_sleep_until(tick_read_now() + BOARD_TICK_HZ);
  }
}

static void main_hand_over_frame(void) {
  const struct link_frame *frame = link_peek_frame();
  uint8_t *payload = core_get_payload();
  uint64_t tick = frame->last_tick;
  uint32_t length = frame->length;
  if (core_get_capacity() < 8 + LINK_FRAME_BYTES) core_refuse_action();
  bytes_put_u64(payload, frame->first_tick);
  memcpy(payload + 8, frame->bytes, length);
  link_drop_frame();
  core_handle_event(EVENT_FRAME, tick, 8 + length);
}

// `tick` is that of a read of the storage, which has none of its own before it is done.
static void main_hand_over_answer(uint64_t tick) {
  const struct core_answer *answer = core_peek_answer();
  uint8_t *payload = core_get_payload();
  uint32_t event = answer->event;
  uint32_t length = answer->length;
  if (event == EVENT_STORAGE_DATA) {
    bytes_put_u32(payload, answer->offset);
    length = storage_read_bytes(answer->offset, payload + 4, length) ? 4 + length : 4;
  } else {
    tick = answer->tick;
    core_put_answer(answer, payload);
  }
  core_drop_answer();
  core_handle_event(event, tick, length);
}

// Tick now, when nothing from an interrupt waits to be handed over; else NEVER.
static uint64_t main_read_quiet_tick(void) {
  uint32_t held = cpu_hold_interrupts();
  uint64_t tick;
  if (link_peek_frame() != NULL || link_peek_sent(&tick)) {
    tick = NEVER;
  } else {
    tick = tick_read_now();
  }
  cpu_restore_interrupts(held);
  return tick;
}

static void main_wake_core(uint64_t tick) {
  core_clear_wake();
  core_handle_event(EVENT_WAKE, tick, 0);
}

// Hands over the earliest of what happened; false when nothing did.
static bool main_step(void) {
  const struct link_frame *frame = link_peek_frame();
  const struct core_answer *answer = core_peek_answer();
  uint64_t frame_tick = frame != NULL ? frame->last_tick : NEVER;
  uint64_t answer_tick = answer != NULL ? answer->tick : NEVER;
  uint64_t sent_tick;
  if (!link_peek_sent(&sent_tick)) sent_tick = NEVER;
  uint64_t first = frame_tick < sent_tick ? frame_tick : sent_tick;
  if (answer_tick < first) first = answer_tick;

  if (first == NEVER) {
    uint64_t quiet = main_read_quiet_tick();
    if (quiet == NEVER) return true;
    if (core_get_wake() <= quiet) {
      main_wake_core(quiet);
    } else if (answer != NULL) {
      main_hand_over_answer(quiet);
    } else {
      return false;
    }
  } else if (core_get_wake() <= first) {
    main_wake_core(first);
  } else if (first == answer_tick) {
    main_hand_over_answer(answer_tick);
  } else if (first == sent_tick) {
    link_drop_sent();
    core_handle_event(EVENT_FRAME_SENT, sent_tick, 0);
  } else {
    main_hand_over_frame();
  }
  return true;
}

bool main_ask_time(struct core_time *time) {
  for (uint32_t steps = 0; steps < ASK_STEPS && main_step(); steps++) {
  }
  return core_ask_time(tick_read_now(), time);
}

static void main_sleep(void) {
  uint32_t held = cpu_hold_interrupts();
  uint64_t tick;
  if (link_peek_frame() == NULL && !link_peek_sent(&tick) && core_get_wake() > tick_read_now()) {
    tick_arm_alarm(core_get_wake());
    cpu_wait_for_interrupt();
  }
  cpu_restore_interrupts(held);
}

int main(void) {
  struct reset_report reset;
  reset_read_report(&reset);
  tick_start_counter();
#ifdef BOARD_WATCHDOG_MS
  watchdog_start_timer();
#endif
  main_delay_restart(reset.failures);
  storage_start_device();
  main_start_core(&reset);
  uint64_t healthy_at = tick_read_now() + HEALTHY_TICKS;
  for (;;) {
    main_feed_watchdog();
    if (!main_step()) main_sleep();
    if (tick_read_now() > healthy_at) {
      healthy_at = NEVER;
      reset_clear_failures();
    }
  }
}
