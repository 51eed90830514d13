// What a board is: its data, from boards/<name>/board.json and what that inherits, checked against one schema.
//
// What always holds: a child's value replaces its parent's; objects are merged key by key, lists are replaced whole.
// Addresses are written as hex text in JSON and are numbers here.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { serversMax } from '../../scripts/build-core.mjs';
import { maxStorageBytes } from '../provision/storage-file.ts';
import { BuildError } from './errors.ts';
import { requireCheckout } from './tools.ts';

const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,8}$/, 'a hex number such as 0x40004000')
  .transform((text) => Number.parseInt(text, 16));
const positive = z.number().int().positive();
const irq = z.number().int().min(0).max(239);
const driver = z.string().regex(/^[a-z0-9_]+$/, 'the name of a file in firmware/drivers, without .c');

/** What the core keeps in the storage begins at multiples of this (`StorageMap`). */
const pageUnit = 64;

const region = z.strictObject({ origin: address, bytes: positive });
const uart = z.strictObject({ driver, base: address, receiveIrq: irq, transmitIrq: irq });
const timer = z.strictObject({ driver, base: address, irq });
const plainDevice = z.strictObject({ driver, base: address });

/** A board with everything it inherits. */
export const boardSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/)
    .describe('as its folder is named; at most 31 bytes'),
  description: z.string().min(1),
  architecture: z.string(),
  chip: z.string(),
  toolchain: z.strictObject({ prefix: z.string(), flags: z.array(z.string()) }),
  sources: z.array(z.string()).describe("folders with the architecture's own C files and headers"),
  clockHz: positive.describe('of the processor and of the tick counter'),
  interrupts: positive.max(240),
  memory: z.strictObject({ flash: region, ram: region }),
  uarts: z.record(z.string(), uart),
  timers: z.record(z.string(), timer),
  watchdogs: z.record(z.string(), plainDevice),
  i2cs: z.record(z.string(), plainDevice),
  budgets: z.strictObject({ flashBytes: positive, ramBytes: positive }).describe('exceeding one fails the build'),
  servers: z
    .number()
    .int()
    .min(1)
    .max(serversMax)
    .default(serversMax)
    .describe('time servers that its meter can use at once; each takes memory'),
  stackBytes: positive.multipleOf(8),
  maxFrequencyErrorPpb: positive
    .max(10_000_000)
    .describe("the largest error that the board's oscillator may have over its life and temperature range"),
  link: z.strictObject({ uart: z.string(), baud: positive }),
  ticks: z.strictObject({ counter: z.string(), alarm: z.string() }),
  watchdog: z.strictObject({ device: z.string(), timeoutMs: positive.max(60_000) }),
  i2c: z.strictObject({ device: z.string(), hz: positive.max(1_000_000) }),
  rtc: z.strictObject({ driver, address }),
  thermometer: z.strictObject({ driver, address }).optional().describe('beside the oscillator'),
  storage: z.strictObject({
    driver,
    address,
    bytes: positive.max(maxStorageBytes).describe('above 65,536: parts of 64 KiB at addresses in a row'),
    pageBytes: positive
      .refine((bytes) => pageUnit % bytes === 0, {
        error: ({ input }) =>
          `expected a power of two up to ${pageUnit}, got ${input}: what power cuts off while a page is written must not be ` +
          'part of anything else that the core keeps, which begins every 64 bytes. Take a part with smaller pages; where ' +
          'it has none, as FRAM, any of these',
      })
      .describe('what one write takes at most; of what the core keeps, none share a page'),
    writeCycleMs: positive,
  }),
  application: z
    .string()
    .regex(/^[a-z0-9_]+$/, 'the name of a file in firmware/applications, without .c')
    .optional()
    .describe('whose registers records carry'),
  emulation: z
    .strictObject({ program: z.string(), arguments: z.array(z.string()) })
    .optional()
    .describe('how it is emulated; {link}, {eeproms}, {rtc} and {elf} are filled in'),
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
  const references: [string, string, object][] = [
    ['link.uart', board.link.uart, board.uarts],
    ['ticks.counter', board.ticks.counter, board.timers],
    ['ticks.alarm', board.ticks.alarm, board.timers],
    ['watchdog.device', board.watchdog.device, board.watchdogs],
    ['i2c.device', board.i2c.device, board.i2cs],
  ];
  for (const [where, name, devices] of references) {
    if (!Object.hasOwn(devices, name)) {
      const there = Object.keys(devices).join(', ');
      throw new BuildError('board-invalid', `board ${board.name}: ${where} is ${name}; there are: ${there}`);
    }
  }
  if (board.budgets.flashBytes > board.memory.flash.bytes || board.budgets.ramBytes > board.memory.ram.bytes) {
    throw new BuildError('board-invalid', `board ${board.name}: its budgets are larger than its memories`);
  }
}
