// C headers made from data: the numbers of as/abi/codes.ts, the board, the software's identity.
// So each number is written down once, wherever it is used.
import * as codes from '../../as/abi/codes.ts';
import type { Board } from './board.ts';

/** What is built, as far as it is known before the image exists. */
export interface Identity {
  /** SHA-256 of core.wasm, 32 bytes. */
  readonly coreSha256: Uint8Array;
  readonly version: string;
  /** Unix seconds. */
  readonly buildUnixSeconds: number;
}

/** `core_abi.h`: every enum of as/abi/codes.ts; `StartField.CoreSha256` is START_FIELD_CORE_SHA256. */
export function abiHeader(): string {
  return header('Numbers shared with the core: made from as/abi/codes.ts.', enumLines(codes));
}

/** A module's enums as C, in its order; `StartField.CoreSha256` is START_FIELD_CORE_SHA256. */
export function enumLines(module: Readonly<Record<string, unknown>>): string[] {
  const lines: string[] = [];
  for (const [name, values] of Object.entries(module)) {
    if (typeof values !== 'object') continue;
    lines.push('', `enum ${name} {`);
    for (const [key, value] of Object.entries(values as Record<string, unknown>)) {
      if (typeof value === 'number') lines.push(`  ${macroName(name)}_${macroName(key)} = ${value},`);
    }
    lines.push('};');
  }
  return lines.slice(1);
}

function macroName(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

/** `board_config.h`: addresses and figures of the board, as the drivers name them. */
export function boardHeader(board: Board): string {
  const uart = board.uarts[board.link.uart]!;
  const counter = board.timers[board.ticks.counter]!;
  const alarm = board.timers[board.ticks.alarm]!;
  const watchdog = board.watchdogs[board.watchdog.device]!;
  const i2c = board.i2cs[board.i2c.device]!;
  const { thermometer } = board;
  const capabilities =
    codes.Capability.Rtc |
    codes.Capability.Storage |
    (thermometer === undefined ? 0 : codes.Capability.Thermometer) |
    (board.application === undefined ? 0 : codes.Capability.Registers);
  return header(`Board ${board.name}: made from boards/${board.name}/board.json and what it inherits.`, [
    `#define BOARD_NAME ${JSON.stringify(board.name)}`,
    `#define BOARD_CAPABILITIES ${capabilities}u`,
    `#define BOARD_CLOCK_HZ ${board.clockHz}u`,
    `#define BOARD_TICK_HZ ${board.clockHz}u`,
    `#define BOARD_MAX_FREQUENCY_ERROR_PPB ${board.maxFrequencyErrorPpb}u`,
    `#define BOARD_INTERRUPTS ${board.interrupts}`,
    `#define BOARD_LINK_UART_BASE ${hex(uart.base)}`,
    `#define BOARD_LINK_RECEIVE_IRQ ${uart.receiveIrq}`,
    `#define BOARD_LINK_TRANSMIT_IRQ ${uart.transmitIrq}`,
    `#define BOARD_LINK_BAUD ${board.link.baud}u`,
    `#define BOARD_COUNTER_BASE ${hex(counter.base)}`,
    `#define BOARD_ALARM_BASE ${hex(alarm.base)}`,
    `#define BOARD_ALARM_IRQ ${alarm.irq}`,
    `#define BOARD_WATCHDOG_BASE ${hex(watchdog.base)}`,
    `#define BOARD_WATCHDOG_TICKS ${Math.round((board.clockHz / 1000) * board.watchdog.timeoutMs)}u`,
    `#define BOARD_I2C_BASE ${hex(i2c.base)}`,
    `#define BOARD_I2C_HZ ${board.i2c.hz}u`,
    `#define BOARD_RTC_ADDRESS ${hex(board.rtc.address)}`,
    ...(thermometer === undefined ? [] : [`#define BOARD_THERMOMETER_ADDRESS ${hex(thermometer.address)}`]),
    ...(board.application === undefined ? [] : ['#define BOARD_APPLICATION 1']),
    `#define BOARD_STORAGE_ADDRESS ${hex(board.storage.address)}`,
    `#define BOARD_STORAGE_BYTES ${board.storage.bytes}u`,
    `#define BOARD_STORAGE_PAGE_BYTES ${board.storage.pageBytes}u`,
    `#define BOARD_STORAGE_WRITE_MS ${board.storage.writeCycleMs}u`,
  ]);
}

/** `wasm_config.h`: size of the core's linear memory, bytes. */
export function memoryHeader(memoryBytes: number): string {
  return header('Linear memory of the compiled core: what its memoryEnd() says.', [
    `#define WASM_MEMORY_BYTES ${memoryBytes}u`,
  ]);
}

/** `firmware_identity.h`. */
export function identityHeader(identity: Identity): string {
  const bytes = [...identity.coreSha256].map((byte) => `0x${byte.toString(16).padStart(2, '0')}`);
  return header('What this firmware is.', [
    `#define FIRMWARE_VERSION ${JSON.stringify(identity.version)}`,
    `#define FIRMWARE_BUILD_UNIX_SECONDS ${identity.buildUnixSeconds}ull`,
    `#define FIRMWARE_CORE_SHA256 {${bytes.join(', ')}}`,
  ]);
}

function header(what: string, lines: readonly string[]): string {
  return `// ${what}\n#pragma once\n\n${lines.join('\n')}\n`;
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(2, '0')}u`;
}
