// An application for emulated boards: a load of 1 kW, whose energy is counted in all, and by tariff.
//
// Registers, in 0.1 Wh: in all, in tariff 1, in tariff 2, in all others.
#include "application.h"

#include "platform.h"

// 1 kW takes so long for 0.1 Wh.
#define UNIT_TICKS ((uint64_t)BOARD_TICK_HZ * 360u / 1000u)

static int64_t load_registers[APPLICATION_REGISTERS];
static uint64_t load_counted_tick;
static uint32_t load_tariff_register = APPLICATION_REGISTERS - 1;

static void load_count_energy(void) {
  uint64_t units = (tick_read_now() - load_counted_tick) / UNIT_TICKS;
  load_counted_tick += units * UNIT_TICKS;
  load_registers[0] += (int64_t)units;
  load_registers[load_tariff_register] += (int64_t)units;
}

uint32_t application_read_registers(int64_t values[APPLICATION_REGISTERS]) {
  load_count_energy();
  for (uint32_t i = 0; i < APPLICATION_REGISTERS; i++) values[i] = load_registers[i];
  return APPLICATION_REGISTERS;
}

void application_switch_tariff(uint16_t tariff, bool doubtful, int64_t since_unix_seconds) {
  (void)doubtful;
  (void)since_unix_seconds;
  load_count_energy();
  load_tariff_register = tariff == 1 || tariff == 2 ? tariff : APPLICATION_REGISTERS - 1;
}
