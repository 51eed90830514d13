// Writes an emulated board's memory by gdb's remote protocol (GDB manual, "Remote Protocol"), which reaches also what the
// processor cannot write, such as flash. QEMU's own monitor can only read memory.
//
//   $packet#checksum      the checksum is the sum of the packet's bytes modulo 256, two hex digits
//   +                     acknowledges a packet that came whole; - asks for it again
//
// What always holds: one packet is under way at a time. A target that is written to is halted by the connection itself and
// goes on when it is detached.
import { connect, type Socket } from 'node:net';
import { BuildError } from './errors.ts';

/** QEMU takes packets of up to 4,096 characters, and a byte is two of them. */
const writeBytes = 1024;
const answerTimeoutMs = 10_000;

/** A session with the stub of one emulator. */
export class GdbRemote {
  #received = '';
  #failure: BuildError | undefined;
  #wake = () => {};

  private constructor(readonly socket: Socket) {
    const fail = (reason: string) => {
      this.#failure ??= new BuildError('emulator-failed', `the emulator's debugger port failed: ${reason}`);
      this.#wake();
    };
    socket.on('error', (error) => fail(error.message));
    socket.on('close', () => fail('it was closed'));
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('latin1');
      this.#wake();
    });
  }

  /** Connects to a unix socket; this halts the processor. Throws `BuildError` emulator-failed. */
  static async open(path: string): Promise<GdbRemote> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', (cause) => {
        reject(new BuildError('emulator-failed', `the emulator's debugger port: ${cause.message}`, { cause }));
      });
    });
    return new GdbRemote(socket);
  }

  /** Writes bytes at an address. Throws `BuildError` emulator-failed. */
  async writeMemory(address: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += writeBytes) {
      const part = Buffer.from(bytes.subarray(at, at + writeBytes));
      await this.#ask(`M${(address + at).toString(16)},${part.length.toString(16)}:${part.toString('hex')}`);
    }
  }

  /** Lets the processor go on, and closes. Throws `BuildError` emulator-failed. */
  async detach(): Promise<void> {
    await this.#ask('D');
    this.close();
  }

  close(): void {
    this.socket.destroy();
  }

  async #ask(packet: string): Promise<void> {
    this.socket.write(`$${packet}#${checksum(packet)}`);
    const answer = await this.#nextPacket();
    this.socket.write('+');
    if (answer === 'OK') return;
    throw new BuildError(
      'emulator-failed',
      `the emulator's debugger port answered ${answer} to ${packet.slice(0, 20)}`,
    );
  }

  async #nextPacket(): Promise<string> {
    const deadline = performance.now() + answerTimeoutMs;
    for (;;) {
      const packet = /^\+*\$([^#]*)#([0-9a-f]{2})/.exec(this.#received);
      if (packet) {
        this.#received = this.#received.slice(packet[0].length);
        if (packet[2] === checksum(packet[1]!)) return packet[1]!;
        throw new BuildError('emulator-failed', "the emulator's debugger port: a packet's checksum is wrong");
      }
      if (this.#failure) throw this.#failure;
      const left = deadline - performance.now();
      if (left <= 0) throw new BuildError('emulator-failed', "the emulator's debugger port does not answer");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}

function checksum(packet: string): string {
  const sum = Buffer.from(packet, 'latin1').reduce((total, byte) => (total + byte) & 0xff, 0);
  return sum.toString(16).padStart(2, '0');
}
