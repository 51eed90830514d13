// A link over anything that node gives as a duplex stream: TCP, unix sockets, serial ports.
// A peer that sends faster than any meter is read no faster than the limit, so its flood stays in its own socket.
import type { Duplex } from 'node:stream';
import { errorText } from '../net/socket-error.ts';
import { backoffMs, LinkTransport } from './transport.ts';

/** Bytes a second that are read, and how many may come at once: twice what a line of 921,600 baud carries. */
const readLimit = { bytesPerSecond: 192 * 1024, burstBytes: 128 * 1024 } as const;

export interface DuplexOptions {
  readonly name: string;
  /** Makes the stream, connected; called again after each loss. */
  readonly connect: (signal: AbortSignal) => Promise<Duplex>;
  /** Waits until written bytes have left; for streams whose write callback comes before that. */
  readonly drain?: (duplex: Duplex) => Promise<void>;
  /** `false` for a stream that cannot be made again: `closed` follows its end. */
  readonly reconnect?: boolean;
}

export class DuplexTransport extends LinkTransport {
  readonly name: string;
  readonly #options: DuplexOptions;
  readonly #stop = new AbortController();
  readonly #writes = new Set<() => void>();
  #duplex: Duplex | undefined;
  #failures = 0;
  #lastReason = '';
  #timer: NodeJS.Timeout | undefined;
  #allowance = readLimit.burstBytes as number;
  #allowedAtNs = 0n;

  constructor(options: DuplexOptions) {
    super();
    this.name = options.name;
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#duplex !== undefined;
  }

  start(): void {
    if (this.#duplex === undefined && this.#timer === undefined) void this.#connect();
  }

  async #connect(): Promise<void> {
    this.#timer = undefined;
    let duplex: Duplex;
    try {
      duplex = await this.#options.connect(this.#stop.signal);
    } catch (error) {
      this.#lost(errorText(error));
      return;
    }
    // From here on an error means a close: it must not go unheard.
    duplex.on('error', (error) => {
      this.#lastReason = errorText(error);
    });
    if (this.#stop.signal.aborted || duplex.destroyed) {
      duplex.destroy();
      this.#lost('closed at once');
      return;
    }
    this.#duplex = duplex;
    this.#lastReason = 'the other side closed';
    duplex.on('data', (chunk: Uint8Array) => this.#take(duplex, chunk));
    duplex.once('end', () => duplex.destroy());
    duplex.once('close', () => {
      this.#duplex = undefined;
      for (const done of this.#writes) done();
      this.#writes.clear();
      this.#lost(this.#lastReason);
    });
    duplex.resume();
    this.emit('up');
  }

  #lost(reason: string): void {
    this.emit('down', reason);
    if (this.#stop.signal.aborted || this.#options.reconnect === false) {
      this.emit('closed');
      return;
    }
    this.#timer = setTimeout(() => void this.#connect(), backoffMs(this.#failures++));
  }

  #take(duplex: Duplex, chunk: Uint8Array): void {
    const nowNs = process.hrtime.bigint();
    this.#failures = 0;
    const sinceNs = Number(nowNs - this.#allowedAtNs);
    this.#allowedAtNs = nowNs;
    this.#allowance = Math.min(readLimit.burstBytes, this.#allowance + (sinceNs * readLimit.bytesPerSecond) / 1e9);
    this.#allowance -= chunk.length;
    if (this.#allowance < 0) {
      duplex.pause();
      setTimeout(() => duplex.resume(), (-this.#allowance / readLimit.bytesPerSecond) * 1000).unref();
    }
    this.emit('data', chunk, nowNs);
  }

  write(bytes: Uint8Array): Promise<void> {
    const duplex = this.#duplex;
    if (duplex === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#writes.delete(done);
        resolve();
      };
      this.#writes.add(done);
      const { drain } = this.#options;
      duplex.write(bytes, (error) => {
        if (error || drain === undefined) done();
        else drain(duplex).then(done, done);
      });
    });
  }

  async close(): Promise<void> {
    this.#stop.abort();
    clearTimeout(this.#timer);
    const duplex = this.#duplex;
    if (duplex === undefined) {
      this.emit('closed');
      return;
    }
    await new Promise<void>((resolve) => {
      duplex.once('close', () => resolve());
      duplex.destroy();
    });
  }
}
