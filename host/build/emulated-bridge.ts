// An SC18IM700 with EEPROMs behind it, for boards whose emulator has no I2C: the microcontroller's serial line is a unix
// socket (NXP, SC18IM700 Rev. 02; 7.1 message format, 7.2 registers).
//
// What always holds: a write to an EEPROM is in its file when the microcontroller is told that it is done, and a message
// that was cut off before its end wrote nothing. Like the part it takes messages of up to 16 bytes, reads up to 16, tells
// a register at once, and forgets a message that pauses for 655 ms. The serial line's speed is not looked at.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The EEPROMs, of 64 KiB at most each, at addresses in a row. */
export interface BridgedEeproms {
  readonly address: number;
  readonly bytes: number;
  /** Within which a write wraps. */
  readonly pageBytes: number;
}

const fifoBytes = 16;
const forgetMs = 655;
/** What one address of the bus reaches of an EEPROM. */
export const partBytes = 65_536;
const status = { done: 0xf0, noAcknowledge: 0xf1 };
const statusRegister = 0x0a;
/** Registers 0x00 to 0x0a after a reset: 9,600 baud, 97 kHz. */
const registersAtReset = [0xf0, 0x02, 0x55, 0x55, 0xff, 0x00, 0x26, 0x13, 0x13, 0x66, status.done];

/** One start, up to the next or the stop. */
type Transfer =
  | { readonly address: number; readonly write: Uint8Array }
  | { readonly address: number; readonly readBytes: number };

/** Where the emulator's serial line connects to, from `open` to `close`. */
export class EmulatedBridge {
  readonly path: string;
  readonly #folder: string;
  readonly #server: Server;
  readonly #file: number;
  readonly #eeproms: BridgedEeproms;
  readonly #sockets = new Set<Socket>();
  /** Each part's own. */
  readonly #pointers = new Map<number, number>();

  private constructor(file: string, eeproms: BridgedEeproms) {
    this.#eeproms = eeproms;
    this.#file = openSync(file, 'r+');
    this.#folder = mkdtempSync(join(tmpdir(), 'metertime-'));
    this.path = join(this.#folder, 'bridge');
    this.#server = createServer((socket) => this.#serve(socket));
  }

  /** Listens; the file is as large as the EEPROMs. */
  static async open(file: string, eeproms: BridgedEeproms): Promise<EmulatedBridge> {
    const bridge = new EmulatedBridge(file, eeproms);
    await new Promise<void>((resolve, reject) => {
      bridge.#server.once('error', reject).listen(bridge.path, resolve);
    });
    // Nobody is kept from ending by it.
    bridge.#server.unref();
    return bridge;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    closeSync(this.#file);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  // A connection is a power-on: the bridge has the board's power.
  #serve(socket: Socket): void {
    const registers = [...registersAtReset];
    let message: number[] = [];
    let timer: NodeJS.Timeout | undefined;
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      this.#sockets.delete(socket);
    });
    const take = (byte: number) => {
      message.push(byte);
      const [command, register] = message;
      if (command === letter.start) {
        const transfers = parseTransfers(message);
        if (transfers === undefined) return;
        const read = message.length > fifoBytes ? undefined : this.#transfer(transfers);
        registers[statusRegister] = read === undefined ? status.noAcknowledge : status.done;
        if (read?.length) socket.write(read);
        message = [];
      } else if (message.length === 2 && byte === letter.stop) {
        message = [];
      } else if (command === letter.read && register !== undefined) {
        socket.write(Buffer.of(registers[register] ?? 0xff));
        message = [command];
      } else if (command === letter.write && message.length === 3) {
        registers[register!] = byte;
        message = [command];
      } else if (command !== letter.read && command !== letter.write) {
        message = [];
      }
    };
    socket.write('OK');
    socket.on('data', (chunk: Buffer) => {
      clearTimeout(timer);
      for (const byte of chunk) take(byte);
      timer = setTimeout(() => {
        message = [];
      }, forgetMs);
    });
  }

  // What was read; undefined where no part acknowledges.
  #transfer(transfers: readonly Transfer[]): Buffer | undefined {
    const read: Buffer[] = [];
    for (const transfer of transfers) {
      const part = transfer.address - this.#eeproms.address;
      const start = part * partBytes;
      if (part < 0 || start >= this.#eeproms.bytes) return undefined;
      const size = Math.min(partBytes, this.#eeproms.bytes - start);
      if ('write' in transfer) this.#write(part, start, size, transfer.write);
      else read.push(this.#read(part, start, size, transfer.readBytes));
    }
    return Buffer.concat(read);
  }

  // Two bytes of address, then data, which wraps at the end of its page.
  #write(part: number, start: number, size: number, bytes: Uint8Array): void {
    if (bytes.length < 2) return;
    const { pageBytes } = this.#eeproms;
    let at = (bytes[0]! * 256 + bytes[1]!) % size;
    for (const byte of bytes.subarray(2)) {
      writeSync(this.#file, Buffer.of(byte), 0, 1, start + at);
      at = at - (at % pageBytes) + ((at + 1) % pageBytes);
    }
    this.#pointers.set(part, at);
  }

  #read(part: number, start: number, size: number, length: number): Buffer {
    const bytes = Buffer.alloc(Math.min(length, fifoBytes));
    let at = this.#pointers.get(part) ?? 0;
    for (let i = 0; i < bytes.length; i++) {
      readSync(this.#file, bytes, i, 1, start + at);
      at = (at + 1) % size;
    }
    this.#pointers.set(part, at);
    return bytes;
  }
}

const letter = { start: 0x53, stop: 0x50, read: 0x52, write: 0x57 };

// Undefined until the message is whole; empty where it is none.
function parseTransfers(message: readonly number[]): Transfer[] | undefined {
  const transfers: Transfer[] = [];
  let at = 0;
  while (message[at] === letter.start) {
    const [head, count] = message.slice(at + 1);
    if (head === undefined || count === undefined) return undefined;
    at += 3;
    const address = head >> 1;
    if (head & 1) {
      transfers.push({ address, readBytes: count });
    } else {
      if (message.length < at + count) return undefined;
      transfers.push({ address, write: Uint8Array.from(message.slice(at, at + count)) });
      at += count;
    }
  }
  if (message[at] === undefined) return undefined;
  return message[at] === letter.stop ? transfers : [];
}
