// Starts a board: a folder with a board.json that inherits from another board, or takes a chip's devices.
//
// What always holds: the new file is a valid board before it is left there; nothing that exists is replaced.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Board, boardName, listBoards, loadBoard } from './board.ts';
import { BuildError } from './errors.ts';
import { requireCheckout } from './tools.ts';

/** What to start from. */
export type BoardOrigin = { readonly like: string } | { readonly chip: string };

/** A board that was started. */
export interface NewBoard {
  readonly file: string;
  readonly board: Board;
  /** What its data suppose, and its maker has to check. */
  readonly supposed: readonly string[];
}

/** Chips that there are data for, by the name of their file. */
export function listChips(root: string = requireCheckout()): string[] {
  const names = readdirSync(join(root, 'boards', '_chip')).filter((name) => name.endsWith('.json'));
  return names.map((name) => name.slice(0, -5)).sort();
}

/** Throws `BuildError` board-invalid (its name, or what comes out), board-exists, board-unknown. */
export function addBoard(name: string, origin: BoardOrigin, root: string = requireCheckout()): NewBoard {
  const checked = boardName.safeParse(name);
  if (!checked.success || name === 'add' || name === 'software') {
    throw new BuildError(
      'board-invalid',
      `a board's name: expected up to 31 of a-z, 0-9 and -, and neither add nor software, came ${name}`,
    );
  }
  const folder = join(root, 'boards', name);
  if (existsSync(folder)) throw new BuildError('board-exists', `boards/${name} exists and is not replaced`);
  const [data, supposed] = 'like' in origin ? fromBoard(name, origin.like, root) : fromChip(name, origin.chip, root);
  const file = join(folder, 'board.json');
  mkdirSync(folder);
  try {
    writeFileSync(file, `${JSON.stringify(data, undefined, 2)}\n`, { flag: 'wx' });
    return { file, board: loadBoard(name, root), supposed };
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

/** What the firmware needs on a Cortex-M. */
const leastStackBytes = 1536;

type Data = Record<string, unknown>;

function fromBoard(name: string, like: string, root: string): [Data, string[]] {
  loadBoard(like, root);
  const data = { inherits: `${like}/board`, name, description: `As ${like}` };
  return [data, [`everything is as on ${like}: say in board.json what is not`]];
}

function fromChip(name: string, chip: string, root: string): [Data, string[]] {
  const chips = listChips(root);
  if (!chips.includes(chip)) {
    throw new BuildError('board-unknown', `there are no data for a chip ${chip}; there are: ${chips.join(', ')}`);
  }
  const devices = (kind: string): string[] => Object.keys((read(chip, root)[kind] ?? {}) as object);
  const [uart = ''] = devices('uarts');
  const [counter = '', alarm = counter] = devices('timers');
  const [watchdog] = devices('watchdogs');
  const [i2c] = devices('i2cs');
  const { memory, storage } = read(chip, root) as { memory?: Record<string, { bytes: number }>; storage?: Data };
  if (uart === '' || (i2c === undefined && storage === undefined)) {
    throw new BuildError(
      'board-invalid',
      `the data for chip ${chip} have no ${uart === '' ? 'serial line' : 'place for a storage'}, as that is the board's: start from a board that has the chip (--like BOARD)`,
    );
  }
  // What the firmware needs of a stack, a board with the same chip knows.
  const boards = listBoards(root).map((board) => loadBoard(board.name, root));
  const own = String(read(chip, root).chip);
  const stacks = boards.filter((board) => board.chip === own).map(({ stackBytes }) => stackBytes);
  const eeprom = { driver: 'at24c', address: '0x50', bytes: 8192, pageBytes: 32, writeCycleMs: 10 };
  const data = {
    inherits: `_chip/${chip}`,
    name,
    description: `A board with ${chip}`,
    budgets: { flashBytes: memory?.flash?.bytes, ramBytes: memory?.ram?.bytes },
    servers: 1,
    stackBytes: Math.max(leastStackBytes, ...stacks),
    maxFrequencyErrorPpb: 100_000,
    link: { uart, baud: 115_200 },
    ticks: { counter, alarm },
    ...(watchdog === undefined ? {} : { watchdog: { device: watchdog, timeoutMs: 8000 } }),
    ...(i2c === undefined ? {} : { i2c: { device: i2c, hz: 400_000 } }),
    ...(storage === undefined ? { storage: eeprom } : {}),
  };
  return [
    data,
    [
      `the link is ${uart} at 115,200 baud`,
      'the oscillator is within ±100 ppm over its life and temperature range (maxFrequencyErrorPpb)',
      `the storage is ${storage === undefined ? 'a 24C64 at 0x50' : "the chip's own"}; there is no real-time clock and no thermometer`,
      'all of the memories may be used (budgets)',
    ],
  ];
}

// A chip's own data; what it inherits is the architecture's, which has no devices.
function read(chip: string, root: string): Data {
  return JSON.parse(readFileSync(join(root, 'boards', '_chip', `${chip}.json`), 'utf8')) as Data;
}
