// A chip in its serial boot loader, on a pseudo terminal: AN3155 "USART protocol used in the STM32 bootloader", rev. 14.
//
// What always holds: its flash is one: a program clears bits only, an erase sets a sector's. It answers with ACK or NACK
// where the note says so, and is silent where a chip would be; a command with a wrong complement or checksum is refused.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requireTool } from '../../host/build/tools.ts';
import { until } from '../../host/setup/until.ts';

const ack = 0x79;
const nack = 0x1f;
const commands = { get: 0x00, version: 0x01, id: 0x02, read: 0x11, go: 0x21, write: 0x31, erase: 0x44 } as const;
/** STM32F405/407 (AN2606, table of boot loader device ids). */
const productId = 0x413;
/** Sectors of the STM32F405's flash (RM0090, table 5): four of 16 KB, one of 64 KB, the rest of 128 KB. */
const sectorKib = [16, 16, 16, 16, 64, 128, 128, 128, 128, 128, 128, 128];
const origin = 0x08000000;

/** What a test may make it do. */
export interface DeviceFaults {
  /** A bit at this offset of the flash stays as it is, whatever is programmed. */
  readonly stuckAt?: number;
  /** It falls silent, as if unplugged, after so many written blocks. */
  readonly silentAfterWrites?: number;
}

/** A running device. */
export interface An3155Device {
  /** Path of the pseudo terminal. */
  readonly port: string;
  readonly flash: Buffer;
  /** Where it was told to go, or undefined. */
  readonly startedAt: () => number | undefined;
  readonly writes: () => number;
  stop(): Promise<void>;
}

/** Starts it. */
export async function startAn3155Device(faults: DeviceFaults = {}): Promise<An3155Device> {
  const folder = mkdtempSync(join(tmpdir(), 'mt-'));
  const [socketPath, port] = [join(folder, 'socket'), join(folder, 'tty')];
  const chip = new Chip(faults);
  const server: Server = createServer((socket) => chip.serve(socket));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  const socat = requireTool('socat');
  const child: ChildProcess = spawn(
    socat.path,
    [...socat.args, `PTY,link=${port},rawer`, `UNIX-CONNECT:${socketPath}`],
    { env: { ...process.env, ...socat.env }, stdio: 'ignore' },
  );
  await until('a pseudo terminal', async () => existsSync(port), { timeoutMs: 10_000 });
  return {
    port,
    flash: chip.flash,
    startedAt: () => chip.startedAt,
    writes: () => chip.writes,
    async stop() {
      child.kill('SIGKILL');
      chip.close();
      await new Promise((resolve) => server.close(resolve));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

class Chip {
  readonly flash = Buffer.alloc(1 << 20, 0);
  startedAt: number | undefined;
  writes = 0;
  #socket: Socket | undefined;
  #bytes: number[] = [];
  #wanted: ((bytes: number[]) => void) | undefined;
  #wantedCount = 0;

  constructor(private readonly faults: DeviceFaults) {}

  serve(socket: Socket): void {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk: Buffer) => {
      this.#bytes.push(...chunk);
      this.#deliver();
    });
    void this.#run();
  }

  close(): void {
    this.#socket?.destroy();
  }

  #deliver(): void {
    if (this.#wanted === undefined || this.#bytes.length < this.#wantedCount) return;
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted(this.#bytes.splice(0, this.#wantedCount));
  }

  #take(count: number): Promise<number[]> {
    return new Promise((resolve) => {
      this.#wantedCount = count;
      this.#wanted = resolve;
      this.#deliver();
    });
  }

  #send(...bytes: number[]): void {
    if (!this.#silent) this.#socket?.write(Buffer.from(bytes));
  }

  get #silent(): boolean {
    return this.writes >= (this.faults.silentAfterWrites ?? Number.POSITIVE_INFINITY);
  }

  // Section 2: 0x7F lets the chip find the rate; each command is a byte and its complement.
  async #run(): Promise<void> {
    let [first] = await this.#take(1);
    while (first !== 0x7f) [first] = await this.#take(1);
    this.#send(ack);
    for (;;) {
      const [command, complement] = await this.#take(2);
      if ((command! ^ complement!) !== 0xff) this.#send(nack);
      else await this.#do(command!);
    }
  }

  async #do(command: number): Promise<void> {
    if (command === commands.get) this.#send(ack, 7, 0x31, ...Object.values(commands), ack);
    else if (command === commands.version) this.#send(ack, 0x31, 0, 0, ack);
    else if (command === commands.id) this.#send(ack, 1, productId >> 8, productId & 0xff, ack);
    else if (command === commands.read) await this.#read();
    else if (command === commands.go) await this.#go();
    else if (command === commands.write) await this.#write();
    else if (command === commands.erase) await this.#erase();
    else this.#send(nack);
  }

  // Four bytes, the highest first, and their exclusive or; undefined when refused.
  async #address(): Promise<number | undefined> {
    this.#send(ack);
    const bytes = await this.#take(5);
    const sum = bytes.slice(0, 4).reduce((all, byte) => all ^ byte, 0);
    const address = Buffer.from(bytes).readUInt32BE(0);
    if (sum === bytes[4]) return address;
    this.#send(nack);
    return undefined;
  }

  // Memory that is not flash (option bytes, RAM) reads as zeros and takes nothing.
  #offset(address: number): number | undefined {
    const offset = address - origin;
    return offset >= 0 && offset < this.flash.length ? offset : undefined;
  }

  async #read(): Promise<void> {
    const address = await this.#address();
    if (address === undefined) return;
    this.#send(ack);
    const [count, complement] = await this.#take(2);
    if ((count! ^ complement!) !== 0xff) return this.#send(nack);
    const offset = this.#offset(address);
    const bytes = offset === undefined ? Buffer.alloc(count! + 1) : this.flash.subarray(offset, offset + count! + 1);
    this.#send(ack, ...bytes);
  }

  async #go(): Promise<void> {
    const address = await this.#address();
    if (address === undefined) return;
    this.startedAt = address;
    this.#send(ack);
  }

  async #write(): Promise<void> {
    const address = await this.#address();
    if (address === undefined) return;
    this.#send(ack);
    const [count] = await this.#take(1);
    const bytes = await this.#take(count! + 1);
    const [sum] = await this.#take(1);
    if (bytes.reduce((all, byte) => all ^ byte, count!) !== sum) return this.#send(nack);
    const offset = this.#offset(address);
    if (offset === undefined) return this.#send(nack);
    for (const [i, byte] of bytes.entries()) {
      const stuck = offset + i === this.faults.stuckAt ? 1 : 0;
      this.flash[offset + i]! &= byte | stuck;
    }
    this.writes++;
    this.#send(ack);
  }

  // Section 3.8: a count less one, the sectors' numbers, a checksum; 0xFFFF is all of them.
  async #erase(): Promise<void> {
    this.#send(ack);
    const [high, low] = await this.#take(2);
    const count = (high! << 8) | low!;
    const special = count >= 0xfff0;
    const list = special ? [] : await this.#take(2 * (count + 1));
    const [sum] = await this.#take(1);
    if ([high!, low!, ...list].reduce((all, byte) => all ^ byte, 0) !== sum) return this.#send(nack);
    const sectors = special
      ? sectorKib.map((_, i) => i)
      : list.flatMap((byte, i) => (i % 2 ? [] : [(byte << 8) | list[i + 1]!]));
    for (const sector of sectors) {
      if (sector >= sectorKib.length) return this.#send(nack);
      const begin = sectorKib.slice(0, sector).reduce((all, kib) => all + kib, 0) * 1024;
      this.flash.fill(0xff, begin, begin + sectorKib[sector]! * 1024);
    }
    this.#send(ack);
  }
}
