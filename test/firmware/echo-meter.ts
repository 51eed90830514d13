// An emulated board with the echo core (cores/echo.ts), for tests that drive firmware and drivers for real.
// Built once a process; each test starts emulators of its own in a folder of its own.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import {
  type BuildReport,
  buildFirmware,
  type Emulator,
  type EmulatorOptions,
  startEmulator,
} from '../../host/build/index.ts';
import { root } from '../../scripts/lib/project.mjs';

export const boardName = 'mps2-an385';

/** Ticks per second of the board. */
export const tickHz = 25_000_000;

/** Compiles one of the test cores to build/test/<name>.wasm. */
export async function compileTestCore(name: string): Promise<string> {
  const folder = join(root, 'build', 'test');
  mkdirSync(folder, { recursive: true });
  // A name of its own until it is whole: other test files compile the same core at the same time.
  const outFile = join('build', 'test', `${name}.${process.pid}.wasm`);
  const asc = join(root, 'node_modules', 'assemblyscript', 'bin', 'asc.js');
  const cores = 'test/firmware/cores';
  const args = [asc, `${cores}/${name}.ts`, '--config', `${cores}/asconfig.json`, '--outFile', outFile, '--noColors'];
  await promisify(execFile)(process.execPath, args, { cwd: root });
  const path = join(folder, `${name}.wasm`);
  renameSync(join(root, outFile), path);
  return path;
}

const built = new Map<string, Promise<BuildReport>>();

/** A board's firmware with the echo core in the place of the product's. */
export function buildEchoFirmware(board = boardName): Promise<BuildReport> {
  const build =
    built.get(board) ??
    compileTestCore('echo').then((corePath) =>
      buildFirmware({ board, corePath, outDir: join(root, 'build', 'test', `echo-${board}`) }),
    );
  built.set(board, build);
  return build;
}

/** A folder of its own for sockets and storage, removed by `remove`. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'mt-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** Host time, ns, of the clock that the emulator's ticks follow. */
export const hostNs = (): bigint => process.hrtime.bigint();

/** A frame as it came: the bytes between two zeros. */
export interface ReceivedFrame {
  readonly text: string;
  readonly hostNs: bigint;
}

/** The host's end of the line. */
export class Line {
  readonly #socket: Socket;
  readonly #frames: ReceivedFrame[] = [];
  #partial = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.on('data', (chunk) => this.#accept(chunk));
  }

  static async open(path: string): Promise<Line> {
    const socket = connect(path);
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    return new Line(socket);
  }

  /** Sends bytes as they are. */
  sendRaw(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Sends a frame with its zeros. */
  send(text: string | Uint8Array): void {
    this.sendRaw(Buffer.concat([Buffer.of(0), Buffer.from(text as string, 'latin1'), Buffer.of(0)]));
  }

  /** The next frame; rejects when none comes in time. */
  async receive(timeoutMs = 10_000): Promise<ReceivedFrame> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const frame = this.#frames.shift();
      if (frame) return frame;
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`no frame within ${timeoutMs} ms`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sends a command and returns its answer without the letter. */
  async ask(command: string, timeoutMs?: number): Promise<string> {
    this.send(command);
    const { text } = await this.receive(timeoutMs);
    if (text[0] !== command[0]!.toLowerCase()) throw new Error(`asked ${command}, answered ${text}`);
    return text.slice(1);
  }

  close(): void {
    this.#socket.destroy();
  }

  #accept(chunk: Buffer): void {
    const now = hostNs();
    this.#partial = Buffer.concat([this.#partial, chunk]);
    for (let end = this.#partial.indexOf(0); end >= 0; end = this.#partial.indexOf(0)) {
      if (end > 0) this.#frames.push({ text: this.#partial.toString('latin1', 0, end), hostNs: now });
      this.#partial = this.#partial.subarray(end + 1);
    }
    this.#wake?.();
  }
}

/** A running echo meter with its line. */
export interface EchoMeter {
  readonly emulator: Emulator;
  readonly line: Line;
}

// Its greeting comes before the line is open, or after; what comes before its UART is on, some emulated parts drop.
async function awaitAnswer(line: Line): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const asked = `start ${attempt}`;
    line.send(`E${asked}`);
    try {
      while (!(await line.receive(250)).text.endsWith(asked)) {}
      return;
    } catch (error) {
      if (attempt === 40) throw error;
    }
  }
}

/** Starts one, connects to it and waits until it answers. */
export async function startEchoMeter(folder: string, options: Partial<EmulatorOptions> = {}): Promise<EchoMeter> {
  const { elfPath } = await buildEchoFirmware(typeof options.board === 'string' ? options.board : options.board?.name);
  const emulator = await startEmulator({
    board: boardName,
    image: elfPath,
    link: join(folder, 'link'),
    storageFile: join(folder, 'storage'),
    ...options,
  });
  try {
    const line = await Line.open(emulator.link);
    await awaitAnswer(line);
    return { emulator, line };
  } catch (error) {
    await emulator.kill();
    throw error;
  }
}

/** Lower-case hex of `digits` digits, as the echo core reads numbers. */
export function hex(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}
