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
  /** Gives back what destroying the stream leaves open. */
  readonly release?: (duplex: Duplex) => Promise<void>;
  /** What a byte takes on the line, ns, where that is known. */
  readonly byteNs?: number;
  /** `false` for a stream that cannot be made again: `closed` follows its end. */
  readonly reconnect?: boolean;
}

export class DuplexTransport extends LinkTransport {
  readonly name: string;
  override readonly byteNs: number;
  readonly #options: DuplexOptions;
  readonly #stop = new AbortController();
  readonly #writes = new Set<() => void>();
  #duplex: Duplex | undefined;
  #running = false;
  #closed = false;
  #failures = 0;
  #allowance = readLimit.burstBytes as number;
  #allowedAtNs = 0n;

  constructor(options: DuplexOptions) {
    super();
    this.name = options.name;
    this.byteNs = options.byteNs ?? 0;
    this.#options = options;
  }

  get isUp(): boolean {
    return this.#duplex !== undefined;
  }

  start(): void {
    if (this.#running || this.#stop.signal.aborted) return;
    this.#running = true;
    void this.#run();
  }

  /** Connects, serves the stream until it ends, waits, and so on; ends with `closed`. */
  async #run(): Promise<void> {
    const { signal } = this.#stop;
    do {
      const reason = await this.#serve();
      if (!this.#closed) this.emit('down', reason);
      if (!signal.aborted && this.#options.reconnect !== false) await this.#pause(backoffMs(this.#failures++));
    } while (!signal.aborted && this.#options.reconnect !== false);
    this.#finish();
  }

  /** Resolves at the stream's end with the reason. */
  async #serve(): Promise<string> {
    const { connect, release } = this.#options;
    let duplex: Duplex;
    try {
      duplex = await connect(this.#stop.signal);
    } catch (error) {
      return errorText(error);
    }
    let reason = 'the other side closed';
    const ended = new Promise<void>((resolve) => duplex.once('close', resolve));
    // From here on an error means a close: it must not go unheard.
    duplex.on('error', (error) => {
      reason = errorText(error);
    });
    if (duplex.destroyed) {
      await release?.(duplex);
      return 'closed at once';
    }
    if (this.#stop.signal.aborted) {
      duplex.destroy();
    } else {
      this.#duplex = duplex;
      duplex.on('data', (chunk: Uint8Array) => this.#take(duplex, chunk));
      duplex.once('end', () => duplex.destroy());
      duplex.resume();
      this.emit('up');
    }
    await ended;
    this.#duplex = undefined;
    for (const done of this.#writes) done();
    this.#writes.clear();
    await release?.(duplex);
    return this.#stop.signal.aborted ? 'closed' : reason;
  }

  #pause(ms: number): Promise<void> {
    const { signal } = this.#stop;
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.emit('closed');
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
    if (this.#closed) return;
    const finished = new Promise<void>((resolve) => this.once('closed', () => resolve()));
    this.#stop.abort();
    if (!this.#running) this.#finish();
    this.#duplex?.destroy();
    await finished;
  }
}
