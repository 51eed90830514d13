// Runs a board's image in its emulator: the link on a unix socket, the storage in a file.
//
// What always holds: the emulator listens on the link's socket for as long as it runs and takes one client at a time,
// so a gateway may come and go; what the meter sends meanwhile is lost, as on a wire. The storage file keeps what was
// written, however the emulator ends; but flash that the emulator has in its memory only is put there before the start and
// saved when `stop` or `kill` says so. No emulator outlives the process that started it.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { StorageMap } from '../../as/abi/codes.ts';
import { type Board, loadBoard } from './board.ts';
import { startProcess } from './board-process.ts';
import { awaitSocket, diesWithParent, keepFromOutliving } from './children.ts';
import { parseElf, symbolAddress } from './elf.ts';
import { EmulatedBridge, partBytes } from './emulated-bridge.ts';
import { BuildError } from './errors.ts';
import { GdbRemote } from './gdb-remote.ts';
import { Qmp, type QmpEvent } from './qmp.ts';
import { requireTool } from './tools.ts';

/** What to run. */
export interface EmulatorOptions {
  /** Name or data of the board. */
  readonly board: string | Board;
  /** ELF file, such as `BuildReport.elfPath`. */
  readonly image: string;
  /** Path of the unix socket that becomes the link; at most 107 bytes. */
  readonly link: string;
  /** The storage's contents; made, blank, when it is missing, and filled up when it is shorter than the board's. */
  readonly storageFile: string;
  /**
   * Writes the image, as into a chip: the flash is erased, and the emulator is halted until this is done. It is told the
   * socket at which a debugger finds the emulator, and lets it go on.
   */
  readonly load?: (gdbPath: string) => Promise<void>;
  /** What the real-time clock says at the start: the host's UTC (default), or an ISO date such as 2006-06-17T16:01:21. */
  readonly rtcBase?: string;
  /** Told what the emulator reports, such as RESET and WATCHDOG. */
  readonly onEvent?: (event: QmpEvent) => void;
}

/** How an emulator ended. */
export interface EmulatorExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A running emulator. */
export interface Emulator {
  readonly pid: number;
  readonly link: string;
  /** Settles when it has ended, for whatever reason. Never rejects. */
  readonly exit: Promise<EmulatorExit>;
  /** Asks it to end, kills it when it does not within 2 s, and waits. */
  stop(): Promise<EmulatorExit>;
  /** Ends it like a power cut, and waits. */
  kill(): Promise<EmulatorExit>;
  /** Halts the processor and its clocks, and lets them go on. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /**
   * From now on it is so warm, thousandths of a degree Celsius (QEMU: -128,000 to 127,999), where the board has a
   * thermometer.
   */
  setTemperature(milliCelsius: number): Promise<void>;
  /** Reads the microcontroller's memory. */
  readMemory(address: number, length: number): Promise<Buffer>;
  /** Bytes of stack used at most since the start, from its paint, and how many there are. */
  readStack(): Promise<{ usedBytes: number; totalBytes: number }>;
  /** The last lines that it printed. */
  logTail(): string;
}

const stopTimeoutMs = 2_000;
const socketPathBytes = 107;
const stackPaint = 0x5aa5c33c;
/** QEMU's object for the device that the board's data name `id=thermometer`. */
const thermometerPath = '/machine/peripheral/thermometer';

/**
 * Starts a board's emulator and waits until its link can be connected to.
 * Throws `BuildError`: emulator-failed, tool-missing, board-unknown, board-invalid.
 */
export async function startEmulator(options: EmulatorOptions): Promise<Emulator> {
  const board = typeof options.board === 'string' ? loadBoard(options.board) : options.board;
  if (board.emulation === undefined) {
    throw new BuildError('emulator-failed', `board ${board.name} has no emulator`);
  }
  if (Buffer.byteLength(options.link) > socketPathBytes) {
    throw new BuildError(
      'emulator-failed',
      `the path of a unix socket has at most ${socketPathBytes} bytes; choose a shorter one than ${options.link}`,
    );
  }
  prepareStorage(options.storageFile, board);
  rmSync(options.link, { force: true });
  if (board.process !== undefined) return startProcess(fillIn(board.emulation.arguments, board, options), options);
  const tool = requireTool(board.emulation.program);
  const bridge = await openBridge(board, options.storageFile);
  const flash = flashInMemory(board);
  const gdbFolder =
    flash === undefined && options.load === undefined ? undefined : mkdtempSync(join(tmpdir(), 'metertime-'));
  const gdbPath = gdbFolder && join(gdbFolder, 'gdb');
  const halted = gdbPath === undefined ? [] : ['-S', '-gdb', `unix:${doubleCommas(gdbPath)},server=on,wait=off`];
  const args = [
    ...tool.args,
    ...fillIn(
      options.load === undefined ? board.emulation.arguments : withoutImage(board),
      board,
      options,
      bridge?.path,
    ),
    ...halted,
    '-qmp',
    'stdio',
  ];
  const [command, ...before] = [...diesWithParent(), tool.path];
  const child = spawn(command!, [...before, ...args], {
    env: { ...process.env, ...tool.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  keepFromOutliving(child);
  let log = '';
  const append = (text: string) => {
    log = (log + text).slice(-8192);
  };
  child.stderr.on('data', (chunk) => append(String(chunk)));
  const exit = new Promise<EmulatorExit>((resolve) => {
    child.on('error', (error) => {
      append(`${error.message}\n`);
      resolve({ code: null, signal: null });
    });
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  exit.then(() => bridge?.close());
  const qmp = new Qmp(child.stdin, child.stdout, (event) => options.onEvent?.(event));
  const emulator = makeEmulator(child, exit, qmp, options, flash, () => log, append);
  const ready = async () => {
    await Promise.all([qmp.run('qmp_capabilities'), awaitSocket(options.link)]);
    if (flash && gdbPath) await loadFlash(flash, gdbPath, options.storageFile, options.load === undefined);
    if (gdbPath) await options.load?.(gdbPath);
  };
  try {
    await Promise.race([
      ready(),
      exit.then(() => Promise.reject(new BuildError('emulator-failed', 'the emulator ended at once'))),
    ]);
  } catch (cause) {
    // Not by `kill`: the storage may not be in its memory yet.
    child.kill('SIGKILL');
    await exit;
    throw new BuildError('emulator-failed', `${(cause as Error).message}\n${log}`.trimEnd(), { cause });
  } finally {
    if (gdbFolder) rmSync(gdbFolder, { recursive: true, force: true });
  }
  return emulator;
}

// On boards whose bus is behind one; the emulator has none, and connects to it.
async function openBridge(board: Board, storageFile: string): Promise<EmulatedBridge | undefined> {
  const { i2c, storage } = board;
  if (i2c === undefined || board.i2cs[i2c.device]!.driver !== 'sc18im700') return undefined;
  if (storage.driver !== 'at24c') return undefined;
  return EmulatedBridge.open(storageFile, storage);
}

/** Storage that the emulator has in its memory only. */
interface Flash {
  readonly base: number;
  readonly bytes: number;
}

function flashInMemory({ name, storage }: Board): Flash | undefined {
  if (storage.driver !== 'flash_store' || storage.device !== 'nrf51_nvmc') return undefined;
  if (storage.base === undefined) throw new BuildError('board-invalid', `board ${name}: storage.base is missing`);
  return { base: storage.base, bytes: storage.units * storage.unitBytes };
}

async function loadFlash(flash: Flash, gdbPath: string, file: string, goesOn: boolean): Promise<void> {
  const gdb = await GdbRemote.open(gdbPath);
  try {
    await gdb.writeMemory(flash.base, readFileSync(file));
    if (goesOn) await gdb.detach();
  } finally {
    gdb.close();
  }
}

function makeEmulator(
  child: ChildProcess,
  exit: Promise<EmulatorExit>,
  qmp: Qmp,
  options: EmulatorOptions,
  flash: Flash | undefined,
  log: () => string,
  note: (text: string) => void,
): Emulator {
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  const saveStorage = async () => {
    if (flash === undefined) return;
    const folder = mkdtempSync(join(dirname(options.storageFile), '.flash-'));
    try {
      const filename = join(folder, 'image');
      await qmp.run('memsave', { val: flash.base, size: flash.bytes, filename });
      chmodSync(filename, 0o600);
      renameSync(filename, options.storageFile);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  // From here on the processor does nothing any more. An emulator that has ended by itself leaves the file as it was.
  const cutPower = async () => {
    if (flash === undefined || ended()) return;
    const saved = qmp.run('stop').then(saveStorage);
    saved.catch((error: Error) => note(`the storage is not saved: ${error.message}\n`));
    await Promise.race([saved.catch(() => {}), delay(stopTimeoutMs, undefined, { ref: false })]);
  };
  const kill = async () => {
    await cutPower();
    child.kill('SIGKILL');
    return exit;
  };
  const readMemory = async (address: number, length: number) => {
    const folder = mkdtempSync(join(tmpdir(), 'metertime-'));
    try {
      const filename = join(folder, 'memory');
      await qmp.run('memsave', { val: address, size: length, filename });
      return readFileSync(filename);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };
  return {
    pid: child.pid ?? 0,
    link: options.link,
    exit,
    kill,
    async stop() {
      await cutPower();
      qmp.run('quit').catch(() => {});
      const how = await Promise.race([exit, delay(stopTimeoutMs, undefined, { ref: false })]);
      return how ?? kill();
    },
    async pause() {
      await qmp.run('stop');
    },
    async resume() {
      await qmp.run('cont');
    },
    async setTemperature(value) {
      await qmp.run('qom-set', { path: thermometerPath, property: 'temperature', value });
    },
    readMemory,
    async readStack() {
      const elf = parseElf(readFileSync(options.image));
      const bottom = symbolAddress(elf, 'stack_bottom');
      const stack = await readMemory(bottom, symbolAddress(elf, 'stack_top') - bottom);
      let at = 0;
      while (at < stack.length && stack.readUInt32LE(at) === stackPaint) at += 4;
      return { usedBytes: stack.length - at, totalBytes: stack.length };
    },
    logTail: log,
  };
}

// A blank storage reads as ones. A smaller meter's EEPROM is the beginning of a larger one. Where the emulator's part is
// larger than the units, the rest of the file is a hole.
function prepareStorage(path: string, board: Board): void {
  const size = existsSync(path) ? statSync(path).size : 0;
  const { storage } = board;
  if (storage.driver === 'flash_store') {
    const bytes = storage.units * storage.unitBytes;
    const fileBytes = board.emulation?.storageFileBytes ?? bytes;
    if (size === 0) writeFileSync(path, Buffer.alloc(bytes, 0xff), { mode: 0o600 });
    else if (size !== bytes && size !== fileBytes) {
      throw new BuildError(
        'emulator-failed',
        `${path} has ${size} bytes; the flash of board ${board.name} has ${bytes}`,
      );
    }
    truncateSync(path, fileBytes);
    return;
  }
  const { bytes } = storage;
  if (size > bytes || (size > 0 && size < StorageMap.Bytes)) {
    throw new BuildError(
      'emulator-failed',
      `${path} has ${size} bytes; a meter's storage has at least ${StorageMap.Bytes}, that of board ${board.name} ${bytes}`,
    );
  }
  appendFileSync(path, Buffer.alloc(bytes - size, 0xff), { mode: 0o600 });
}

// Arguments that do not bring the image along.
function withoutImage({ emulation }: Board): string[] {
  const all = emulation?.arguments ?? [];
  return all.filter((arg, at) => !arg.includes('{elf}') && !all[at + 1]?.includes('{elf}'));
}

// A comma ends an option's value unless it is doubled.
function fillIn(args: readonly string[], board: Board, options: EmulatorOptions, bridge?: string): string[] {
  const values: Record<string, string | undefined> = {
    link: options.link,
    bridge,
    rtc: options.rtcBase ?? 'utc',
    storage: options.storageFile,
    elf: options.image,
  };
  const fill = (arg: string) =>
    arg.replace(/\{(\w+)\}/g, (whole, name: string) => {
      const value = values[name];
      if (value === undefined) {
        throw new BuildError('board-invalid', `board ${board.name}: ${whole} in its emulation is not known`);
      }
      return arg === whole ? value : doubleCommas(value);
    });
  return args.flatMap((arg) => (arg === '{eeproms}' ? eeproms(board, options.storageFile) : fill(arg)));
}

function doubleCommas(value: string): string {
  return value.replaceAll(',', ',,');
}

// The storage's parts, each with its piece of one file.
function eeproms({ name, storage }: Board, file: string): string[] {
  const args: string[] = [];
  if (storage.driver !== 'at24c') throw new BuildError('board-invalid', `board ${name}: {eeproms} without EEPROMs`);
  for (let offset = 0; offset < storage.bytes; offset += partBytes) {
    const size = Math.min(partBytes, storage.bytes - offset);
    const number = offset / partBytes;
    // QEMU would let only one of them open the file.
    const node = `if=none,id=storage${number},format=raw,file=${doubleCommas(file)},file.locking=off`;
    const address = storage.address + number;
    args.push('-drive', `${node},offset=${offset},size=${size}`);
    args.push('-device', `at24c-eeprom,address=${address},rom-size=${size},drive=storage${number}`);
  }
  return args;
}
