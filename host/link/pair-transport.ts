// Two transports in this process that are each other's line: for meters in software and for tests.
import { LinkTransport } from './transport.ts';

class PairEnd extends LinkTransport {
  peer: PairEnd | undefined;
  #started = false;
  #closed = false;
  #early: Uint8Array[] = [];

  constructor(readonly name: string) {
    super();
  }

  get isUp(): boolean {
    return this.#started && !this.#closed;
  }

  start(): void {
    if (this.#started || this.#closed) return;
    this.#started = true;
    this.emit('up');
    const early = this.#early;
    this.#early = [];
    for (const bytes of early) this.emit('data', bytes, process.hrtime.bigint());
  }

  write(bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice();
    return new Promise((resolve) => {
      setImmediate(() => {
        this.peer?.deliver(copy);
        resolve();
      });
    });
  }

  deliver(bytes: Uint8Array): void {
    if (this.#closed) return;
    if (this.#started) this.emit('data', bytes, process.hrtime.bigint());
    else if (this.#early.length < 64) this.#early.push(bytes);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#started) this.emit('down', 'closed');
    this.emit('closed');
    const { peer } = this;
    this.peer = undefined;
    setImmediate(() => void peer?.close());
  }
}

/** A line within the process: what one end writes, the other receives, in order; closing one closes both. */
export function createPair(name = 'pair'): [LinkTransport, LinkTransport] {
  const [a, b] = [new PairEnd(`${name}/a`), new PairEnd(`${name}/b`)];
  a.peer = b;
  b.peer = a;
  return [a, b];
}
