// FreeRTOS's part of a port: waiting, and keeping interrupt handlers out. The rest of metertime_platform.h is your board's:
// ticks, line, storage, entropy, restart.
//
// What always holds: a frame that ended and one that has left each notify the task, so that it wakes; a notification that
// comes before the task waits ends its wait at once.
#include "port.h"

#include "FreeRTOS.h"
#include "metertime.h"
#include "task.h"

static TaskHandle_t port_task;

void port_begin_task(void) {
  port_task = xTaskGetCurrentTaskHandle();
}

void metertime_wait_until(uint64_t tick) {
  const uint64_t now = metertime_read_ticks();
  if (tick <= now) return;
  // At most a second at a time: it may be never. Up to a tick of FreeRTOS late, rather than awake until then.
  const uint64_t left = tick - now < METERTIME_TICK_HZ ? tick - now : METERTIME_TICK_HZ;
  ulTaskNotifyTake(pdTRUE, (TickType_t)(left * configTICK_RATE_HZ / METERTIME_TICK_HZ) + 1);
}

uint32_t metertime_hold_interrupts(void) {
  taskENTER_CRITICAL();
  return 0;
}

void metertime_restore_interrupts(uint32_t before) {
  (void)before;
  taskEXIT_CRITICAL();
}

static void port_wake_task(void) {
  BaseType_t woken = pdFALSE;
  if (port_task == NULL) return;
  vTaskNotifyGiveFromISR(port_task, &woken);
  portYIELD_FROM_ISR(woken);
}

void port_on_receive(uint8_t byte) {
  metertime_accept_byte(byte);
  // A zero ends a frame.
  if (byte == 0) port_wake_task();
}

bool port_on_transmit(uint8_t *byte) {
  const bool more = metertime_next_byte(byte);
  if (!more) port_wake_task();
  return more;
}
