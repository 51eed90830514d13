// What a board is: its data, from boards/<name>/board.json and what that inherits, checked against one schema.
//
// What always holds: a child's value replaces its parent's; objects are merged key by key, lists are replaced whole.
// Addresses are written as hex text in JSON and are numbers here.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { serversMax } from '../../scripts/build-core.mjs';
import {
  address,
  datagrams,
  eeprom,
  entropy,
  flashStore,
  i2c,
  interruptController,
  positive,
  reset,
  rtc,
  storageFile,
  thermometer,
  timer,
  uart,
  watchdog,
} from './drivers.ts';
import { BuildError } from './errors.ts';
import { flashMethod } from './flash-methods.ts';
import { requireCheckout } from './tools.ts';

const region = z.strictObject({ origin: address, bytes: positive });

/** What a board may be called. */
export const boardName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/);

/** A board with everything it inherits. */
export const boardSchema = z.strictObject({
  name: boardName.describe('as its folder is named; at most 31 bytes'),
  description: z.string().min(1),
  architecture: z.string(),
  chip: z.string(),
  toolchain: z.strictObject({
    prefix: z.string(),
    compiler: z.string().default('gcc').describe('what follows the prefix'),
    flags: z.array(z.string()),
  }),
  process: z.literal(true).optional().describe('a process of this machine, with its C library'),
  sources: z.array(z.string()).describe("folders with the architecture's own C files and headers"),
  clockHz: positive.describe('of the processor'),
  tickHz: positive.optional().describe('of the tick counter; default clockHz'),
  dataCache: z
    .boolean()
    .default(false)
    .describe('whether its processor has data caches: ciphers then take no time that depends on what they hold'),
  interrupts: z.number().int().min(0).max(240).describe('lines of the interrupt controller'),
  interruptController: interruptController.optional().describe('beside the processor'),
  reset: reset.optional().describe('device that resets the board, where the processor does not'),
  memory: z.strictObject({
    flash: region,
    ram: region,
    bootRom: region.optional().describe('that runs before the firmware'),
  }),
  protection: z
    .enum(['pmp', 'pmsav7', 'pmsav8'])
    .optional()
    .describe('what keeps code from being written, RAM from being executed and the stack within its bounds'),
  exceptions: z
    .strictObject({
      frameBytes: z.number().int().min(0).describe('that the processor pushes, with alignment'),
      handler: z.string().optional().describe('that all interrupts come to; default each has its own'),
      helperBytes: positive.describe("stack that the compiler's own helpers use at most"),
    })
    .default({ frameBytes: 36, helperBytes: 48 })
    .describe("for the proof of the stack; default: a Cortex-M's"),
  uarts: z.record(z.string(), uart),
  timers: z.record(z.string(), timer),
  watchdogs: z.record(z.string(), watchdog).default({}),
  i2cs: z.record(z.string(), i2c).default({}),
  entropies: z.record(z.string(), entropy).default({}),
  budgets: z.strictObject({ flashBytes: positive, ramBytes: positive }).describe('exceeding one fails the build'),
  servers: z
    .number()
    .int()
    .min(1)
    .max(serversMax)
    .default(serversMax)
    .describe('time servers that its meter can use at once; each takes memory'),
  update: z
    .strictObject({
      slotBytes: positive.multipleOf(4).describe('the longest image that fits into one of the two slots'),
    })
    .optional()
    .describe('its software can be replaced over the link, as it has two slots and a bootloader'),
  stackBytes: positive.multipleOf(16),
  maxFrequencyErrorPpb: positive
    .max(10_000_000)
    .describe("the largest error that the board's oscillator may have over its life and temperature range"),
  link: z.strictObject({
    uart: z.string(),
    baud: positive,
    frames: positive.min(4).max(16).default(4).describe('received frames that wait for the core, at most'),
  }),
  ticks: z.strictObject({ counter: z.string(), alarm: z.string() }),
  watchdog: z.strictObject({ device: z.string(), timeoutMs: positive.max(60_000) }).optional(),
  i2c: z.strictObject({ device: z.string(), hz: positive.max(1_000_000) }).optional(),
  entropy: z.strictObject({ device: z.string() }).optional(),
  datagrams: datagrams.optional().describe('NTP leaves from sockets of its own, beside the link'),
  rtc: rtc.optional(),
  thermometer: thermometer.optional().describe('beside the oscillator'),
  storage: z.discriminatedUnion('driver', [eeprom, flashStore, storageFile]),
  application: z
    .string()
    .regex(/^[a-z0-9_]+$/, 'the name of a file in firmware/applications, without .c')
    .optional()
    .describe('whose registers records carry'),
  flash: z.array(flashMethod).default([]).describe('how it is flashed; the first one is the default'),
  emulation: z
    .strictObject({
      program: z.string(),
      arguments: z.array(z.string()),
      lacks: z
        .array(z.enum(['watchdog']))
        .optional()
        .describe('parts of the board that it does not emulate'),
      storageFileBytes: positive
        .optional()
        .describe('that the emulator demands of {storage}; default what the units have'),
    })
    .optional()
    .describe('how it is emulated; {link}, {eeproms}, {storage}, {bridge}, {rtc} and {elf} are filled in'),
});

/** A board's data, checked and complete. */
export type Board = z.output<typeof boardSchema>;

/** One line about a board, for lists. */
export interface BoardSummary {
  readonly name: string;
  readonly description: string;
  readonly emulated: boolean;
}

/** All boards of the checkout, by name. */
export function listBoards(root: string = requireCheckout()): BoardSummary[] {
  return boardNames(root).map((name) => {
    const { description, emulation } = loadBoard(name, root);
    return { name, description, emulated: emulation !== undefined };
  });
}

function boardNames(root: string): string[] {
  return readdirSync(join(root, 'boards'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(root, 'boards', entry.name, 'board.json')))
    .map((entry) => entry.name)
    .sort();
}

/** Reads a board with everything it inherits. Throws `BuildError` board-unknown or board-invalid. */
export function loadBoard(name: string, root: string = requireCheckout()): Board {
  const names = boardNames(root);
  if (!names.includes(name)) {
    throw new BuildError('board-unknown', `there is no board ${name}; there are: ${names.join(', ')}`);
  }
  const merged = readInherited(join(name, 'board'), root, []);
  const result = boardSchema.safeParse(merged);
  if (!result.success) {
    throw new BuildError('board-invalid', `boards/${name}/board.json: ${z.prettifyError(result.error)}`);
  }
  checkReferences(result.data);
  if (result.data.name !== name) {
    throw new BuildError('board-invalid', `boards/${name}/board.json names itself ${result.data.name}`);
  }
  return result.data;
}

type Json = Record<string, unknown>;

function readInherited(path: string, root: string, seen: readonly string[]): Json {
  if (seen.includes(path)) {
    throw new BuildError('board-invalid', `boards inherit in a circle: ${[...seen, path].join(' → ')}`);
  }
  const file = `boards/${path}.json`;
  let own: Json;
  try {
    own = JSON.parse(readFileSync(join(root, file), 'utf8')) as Json;
  } catch (cause) {
    throw new BuildError('board-invalid', `${file}: ${(cause as Error).message}`, { cause });
  }
  const { inherits, ...rest } = own;
  if (inherits === undefined) return rest;
  if (typeof inherits !== 'string') throw new BuildError('board-invalid', `${file}: inherits names one file`);
  return merge(readInherited(inherits, root, [...seen, path]), rest);
}

function merge(parent: Json, child: Json): Json {
  const result: Json = { ...parent };
  for (const [key, value] of Object.entries(child)) {
    const before = result[key];
    result[key] = isObject(before) && isObject(value) ? merge(before, value) : value;
  }
  return result;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkReferences(board: Board): void {
  const invalid = (detail: string) => new BuildError('board-invalid', `board ${board.name}: ${detail}`);
  const references: [string, string | undefined, object][] = [
    ['link.uart', board.link.uart, board.uarts],
    ['ticks.counter', board.ticks.counter, board.timers],
    ['ticks.alarm', board.ticks.alarm, board.timers],
    ['watchdog.device', board.watchdog?.device, board.watchdogs],
    ['i2c.device', board.i2c?.device, board.i2cs],
    ['entropy.device', board.entropy?.device, board.entropies],
  ];
  for (const [where, name, devices] of references) {
    if (name === undefined || Object.hasOwn(devices, name)) continue;
    throw invalid(`${where} is ${name}; there are: ${Object.keys(devices).join(', ') || 'none'}`);
  }
  const parts = { rtc: board.rtc, thermometer: board.thermometer, storage: board.storage };
  for (const [name, part] of Object.entries(parts)) {
    const onBus = part !== undefined && 'address' in part;
    if (onBus && board.i2c === undefined) throw invalid(`${name} is on I2C, and no i2c is named`);
  }
  const { flash } = board.memory;
  const { storage } = board;
  if (storage.driver === 'flash_store' && storage.device === 'nrf51_nvmc') {
    if (storage.base === undefined) throw invalid('storage.base is missing');
    const end = storage.base + storage.units * storage.unitBytes;
    if (storage.base < flash.origin + flash.bytes && end > flash.origin) {
      throw invalid('its storage lies in memory.flash, which is for the firmware alone');
    }
  }
  if (board.budgets.flashBytes > board.memory.flash.bytes || board.budgets.ramBytes > board.memory.ram.bytes) {
    throw invalid('its budgets are larger than its memories');
  }
}
