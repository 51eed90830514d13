// C headers made from data: the numbers of as/abi/codes.ts, the board, the software's identity.
// So each number is written down once, wherever it is used.
import * as codes from '../../as/abi/codes.ts';
import type { Board } from './board.ts';
import { handlers, nmiWatchdogs } from './drivers.ts';

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
  const { link, ticks, storage, watchdog, i2c, entropy, rtc, thermometer, application, update } = board;
  const { memory, protection, interruptController, reset } = board;
  const tickHz = board.tickHz ?? board.clockHz;
  const capabilities =
    codes.Capability.Storage |
    (rtc === undefined ? 0 : codes.Capability.Rtc) |
    (thermometer === undefined ? 0 : codes.Capability.Thermometer) |
    (application === undefined ? 0 : codes.Capability.Registers) |
    (board.datagrams === undefined ? 0 : codes.Capability.OwnDatagrams);
  return header(`Board ${board.name}: made from boards/${board.name}/board.json and what it inherits.`, [
    `#define BOARD_NAME ${JSON.stringify(board.name)}`,
    `#define BOARD_CAPABILITIES ${capabilities}u`,
    `#define BOARD_CLOCK_HZ ${board.clockHz}u`,
    `#define BOARD_TICK_HZ ${tickHz}u`,
    `#define BOARD_MAX_FREQUENCY_ERROR_PPB ${board.maxFrequencyErrorPpb}u`,
    ...(board.dataCache ? ['#define BOARD_DATA_CACHE 1'] : []),
    ...(board.process === undefined ? [] : ['#define BOARD_PROCESS 1']),
    ...regionMacros('FLASH', memory.flash),
    ...regionMacros('RAM', memory.ram),
    ...(memory.bootRom === undefined ? [] : regionMacros('BOOT_ROM', memory.bootRom)),
    ...(protection === undefined ? [] : [`#define BOARD_PROTECTION_${protection.toUpperCase()} 1`]),
    ...(interruptController === undefined ? [] : deviceMacros('INTERRUPT_CONTROLLER', interruptController)),
    ...(reset === undefined ? [] : deviceMacros('RESET', reset)),
    `#define BOARD_INTERRUPTS ${board.interrupts}`,
    `#define BOARD_HANDLERS(HANDLER)${interruptHandlers(board)
      .map(([line, name]) => ` HANDLER(${line}, ${name})`)
      .join('')}`,
    ...deviceMacros('UART', board.uarts[link.uart]!),
    `#define BOARD_LINK_BAUD ${link.baud}u`,
    `#define BOARD_LINK_FRAMES ${link.frames}u`,
    ...deviceMacros('COUNTER', board.timers[ticks.counter]!),
    ...deviceMacros('ALARM', board.timers[ticks.alarm]!),
    ...(watchdog === undefined ? [] : deviceMacros('WATCHDOG', board.watchdogs[watchdog.device]!)),
    ...(watchdog === undefined ? [] : [`#define BOARD_WATCHDOG_MS ${watchdog.timeoutMs}u`]),
    ...(hasNmi(board) ? ['#define BOARD_WATCHDOG_NMI 1'] : []),
    ...(i2c === undefined ? [] : deviceMacros('I2C', board.i2cs[i2c.device]!)),
    ...(i2c === undefined ? [] : [`#define BOARD_I2C_HZ ${i2c.hz}u`]),
    ...(entropy === undefined ? [] : ['#define BOARD_ENTROPY 1']),
    ...(entropy === undefined ? [] : deviceMacros('ENTROPY', board.entropies[entropy.device]!)),
    ...(rtc === undefined ? [] : deviceMacros('RTC', rtc)),
    ...(thermometer === undefined ? [] : deviceMacros('THERMOMETER', thermometer)),
    ...(application === undefined ? [] : ['#define BOARD_APPLICATION 1']),
    ...(board.datagrams === undefined ? [] : ['#define BOARD_DATAGRAMS 1']),
    ...(update === undefined ? [] : [`#define BOARD_UPDATE_SLOT_BYTES ${update.slotBytes}u`]),
    ...deviceMacros('STORAGE', storage),
  ]);
}

/** Whether the board's watchdog is served as the NMI. */
export function hasNmi({ watchdog, watchdogs }: Board): boolean {
  return watchdog !== undefined && nmiWatchdogs.includes(watchdogs[watchdog.device]!.driver);
}

/** Interrupt lines that a board's drivers serve, with the function that does. */
export function interruptHandlers(board: Board): [number, string][] {
  const { link, ticks, watchdog, i2c } = board;
  const roles: [keyof typeof handlers, object | undefined][] = [
    ['uart', board.uarts[link.uart]],
    ['alarm', board.timers[ticks.alarm]],
    ['i2c', i2c && board.i2cs[i2c.device]],
    ['watchdog', watchdog && board.watchdogs[watchdog.device]],
  ];
  const lines = roles.flatMap(([role, device]) => {
    const names = Object.entries<string>(handlers[role]);
    return names.flatMap(([key, name]): [number, string][] => {
      const line = device && (device as Record<string, unknown>)[key];
      return typeof line === 'number' ? [[line, name]] : [];
    });
  });
  return lines.sort(([a], [b]) => a - b);
}

function regionMacros(name: string, { origin, bytes }: { origin: number; bytes: number }): string[] {
  return [`#define BOARD_${name}_ORIGIN ${hex(origin)}`, `#define BOARD_${name}_BYTES ${bytes}u`];
}

// Each value of a device but its driver's name: BOARD_<role>_<key>.
function deviceMacros(role: string, device: object): string[] {
  return Object.entries(device).flatMap(([key, value]) => {
    if (typeof value !== 'number') return [];
    const number = key === 'base' || key === 'address' ? hex(value) : `${value}u`;
    return `#define BOARD_${role}_${macroName(key)} ${number}`;
  });
}
// An access may begin at an address that a check has let through for another offset, so much lower.
const memoryPaddingBytes = 64;

/**
 * `wasm_config.h`: size of the core's linear memory, bytes; the largest base that an access may have, which a Cortex-M's
 * comparison holds as eight bits and zeros; and the room that all such accesses lie in.
 */
export function memoryHeader(memoryBytes: number): string {
  let step = 1;
  while (memoryBytes > 255 * step) step *= 2;
  const limit = Math.ceil(memoryBytes / step) * step;
  return header('Linear memory of the compiled core: what its memoryEnd() says.', [
    `#define WASM_MEMORY_BYTES ${memoryBytes}u`,
    `#define WASM_MEMORY_STEP ${step}u`,
    `#define WASM_MEMORY_LIMIT ${limit}u`,
    `#define WASM_MEMORY_ROOM ${limit + memoryPaddingBytes}u`,
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
