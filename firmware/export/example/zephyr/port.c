// A port to Zephyr: the line is the UART at the alias metertime-uart, the storage the EEPROM at the alias eeprom-0, random
// bytes come from the chosen zephyr,entropy, ticks are the kernel's.
//
// What always holds: a frame that ended and one that has left each give the semaphore that the thread waits for; what the
// last run ended with lies in RAM that the start leaves alone, and counts only with its check.
#include "port.h"

#include <zephyr/device.h>
#include <zephyr/drivers/eeprom.h>
#include <zephyr/drivers/entropy.h>
#include <zephyr/drivers/uart.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/reboot.h>

#include "metertime.h"

#define RESET_MAGIC 0x4D545231u

static const struct device *const line = DEVICE_DT_GET(DT_ALIAS(metertime_uart));
static const struct device *const storage = DEVICE_DT_GET(DT_ALIAS(eeprom_0));
static const struct device *const entropy = DEVICE_DT_GET(DT_CHOSEN(zephyr_entropy));

static K_SEM_DEFINE(wake, 0, 1);
static uint8_t next_byte;
static bool sending;

static __noinit struct {
  uint32_t magic;
  uint32_t cause;
  uint32_t trap_code;
  uint32_t check;
} reset_record;

bool port_find_devices(void) {
  return device_is_ready(line) && device_is_ready(storage) && device_is_ready(entropy);
}

// ---- ticks

uint64_t metertime_read_ticks(void) {
  return (uint64_t)k_uptime_ticks();
}

void metertime_wait_until(uint64_t tick) {
  const uint64_t now = metertime_read_ticks();
  if (tick <= now) return;
  // At most a second at a time: it may be never.
  const uint64_t left = tick - now < METERTIME_TICK_HZ ? tick - now : METERTIME_TICK_HZ;
  k_sem_take(&wake, K_TICKS((k_ticks_t)left));
}

uint32_t metertime_hold_interrupts(void) {
  return irq_lock();
}

void metertime_restore_interrupts(uint32_t before) {
  irq_unlock(before);
}

// ---- line

static void line_on_interrupt(const struct device *device, void *unused) {
  ARG_UNUSED(unused);
  while (uart_irq_update(device) && uart_irq_is_pending(device)) {
    uint8_t byte;
    if (uart_irq_rx_ready(device)) {
      while (uart_fifo_read(device, &byte, 1) == 1) {
        metertime_accept_byte(byte);
        // A zero ends a frame.
        if (byte == 0) k_sem_give(&wake);
      }
    }
    if (!uart_irq_tx_ready(device)) continue;
    if (sending && uart_fifo_fill(device, &next_byte, 1) == 1) sending = metertime_next_byte(&next_byte);
    if (!sending) {
      uart_irq_tx_disable(device);
      k_sem_give(&wake);
    }
  }
}

void metertime_start_line(void) {
  uart_irq_callback_user_data_set(line, line_on_interrupt, NULL);
  uart_irq_rx_enable(line);
}

void metertime_send_byte(uint8_t byte) {
  next_byte = byte;
  sending = true;
  uart_irq_tx_enable(line);
}

// ---- storage, entropy

bool metertime_read_storage(uint32_t offset, uint8_t *into, uint32_t length) {
  return eeprom_read(storage, (off_t)offset, into, length) == 0;
}

bool metertime_write_storage(uint32_t offset, const uint8_t *from, uint32_t length) {
  return eeprom_write(storage, (off_t)offset, from, length) == 0;
}

bool metertime_read_entropy(uint8_t into[32]) {
  return entropy_get_entropy(entropy, into, 32) == 0;
}

// ---- restart

static uint32_t reset_compute_check(void) {
  return ~(reset_record.magic ^ reset_record.cause << 24 ^ reset_record.trap_code);
}

// A core that traps at each start would wear the storage out: it starts again after a while.
_Noreturn void metertime_restart(uint8_t cause, uint32_t trap_code) {
  reset_record.magic = RESET_MAGIC;
  reset_record.cause = cause;
  reset_record.trap_code = trap_code;
  reset_record.check = reset_compute_check();
  if (cause == RESET_CAUSE_TRAP) k_sleep(K_SECONDS(10));
  sys_reboot(SYS_REBOOT_WARM);
  CODE_UNREACHABLE;
}

void port_read_reset(uint8_t *cause, uint32_t *trap_code) {
  const bool known = reset_record.magic == RESET_MAGIC && reset_record.check == reset_compute_check();
  *cause = known ? (uint8_t)reset_record.cause : RESET_CAUSE_POWER_ON;
  *trap_code = known ? reset_record.trap_code : 0;
  reset_record.magic = 0;
}
