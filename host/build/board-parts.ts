// What a board has, for people: its parts with their figures, and in one line what sets it apart.
import type { Board } from './board.ts';

/** One part: a name as in the board's data, and what it is. */
export type BoardPart = readonly [name: string, what: string];

const kib = (bytes: number): string => (bytes % 1024 === 0 ? `${bytes / 1024} KiB` : `${bytes} bytes`);
const mhz = (hz: number): string => `${hz / 1_000_000} MHz`;

/** All that a board's data say of it, in the order of docs/boards.md. */
export function boardParts(board: Board): BoardPart[] {
  const { memory, budgets, link, ticks, watchdog, i2c, entropy, rtc, thermometer } = board;
  const tickHz = board.tickHz ?? board.clockHz;
  const parts: (BoardPart | undefined)[] = [
    ['processor', board.process === undefined ? `${board.chip}, ${mhz(board.clockHz)}` : board.chip],
    board.process && ['code', `budget ${kib(budgets.flashBytes)}, and ${kib(budgets.ramBytes)} of data`],
    board.process ? undefined : ['flash', `${kib(memory.flash.bytes)}, budget ${kib(budgets.flashBytes)}`],
    board.process
      ? undefined
      : ['RAM', `${kib(memory.ram.bytes)}, budget ${kib(budgets.ramBytes)} with ${kib(board.stackBytes)} of stack`],
    ['servers', `${board.servers} at once`],
    ['oscillator', `±${board.maxFrequencyErrorPpb / 1000} ppm`],
    ['link', `${link.uart} (${board.uarts[link.uart]!.driver}), ${link.baud} baud, ${link.frames} frames`],
    ['ticks', `${ticks.counter} and ${ticks.alarm} (${board.timers[ticks.counter]!.driver}), ${mhz(tickHz)}`],
    watchdog && ['watchdog', `${board.watchdogs[watchdog.device]!.driver}, ${watchdog.timeoutMs / 1000} s`],
    i2c && ['I2C', `${i2c.device} (${board.i2cs[i2c.device]!.driver}), ${i2c.hz / 1000} kHz`],
    rtc && ['clock', `${rtc.driver} at ${hex(rtc.address)}`],
    thermometer && ['thermometer', `${thermometer.driver} at ${hex(thermometer.address)}`],
    ['storage', storageText(board.storage)],
    entropy && ['entropy', board.entropies[entropy.device]!.driver],
    board.datagrams && ['datagrams', `sockets of its own (${board.datagrams.driver})`],
    board.application === undefined ? undefined : ['application', board.application],
    board.flash.length === 0 ? undefined : ['flashed by', board.flash.map(({ method }) => method).join(', ')],
    board.emulation && ['emulator', board.process ? 'none: it is a process of this machine' : board.emulation.program],
  ];
  return parts.filter((part) => part !== undefined);
}

/** The parts that not every board has. */
export function boardFeatures({ rtc, thermometer, storage, watchdog, entropy, datagrams }: Board): string[] {
  return [
    rtc && 'clock',
    thermometer && 'thermometer',
    `${kib(storage.bytes)} storage`,
    watchdog && 'watchdog',
    entropy && 'entropy',
    datagrams && 'UDP sockets',
  ].filter((text) => text !== undefined);
}

function storageText(storage: Board['storage']): string {
  if (storage.driver === 'at24c') {
    return `${kib(storage.bytes)} of EEPROM (at24c) at ${hex(storage.address)}, pages of ${storage.pageBytes} bytes`;
  }
  if (storage.driver === 'posix_file') return `${kib(storage.bytes)} in a file`;
  const { bytes, device, units, unitBytes } = storage;
  return `${kib(bytes)} in ${units} units of ${kib(unitBytes)} flash (${device})`;
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}
