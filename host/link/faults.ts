// A bad line on purpose: a transport in the middle that flips, loses, doubles and makes up bytes, cuts, and paces
// them to a line's speed. The same seed and the same bytes in the same chunks give the same faults.
import { LinkTransport } from './transport.ts';

/** Faults of one direction; probabilities for each byte unless said otherwise, 0 where left out. */
export interface Faults {
  /** One bit is flipped. */
  readonly flip?: number;
  readonly drop?: number;
  readonly duplicate?: number;
  /** A random byte comes in between. */
  readonly noise?: number;
  /** For each write: everything from a random byte of it on is lost. */
  readonly cut?: number;
  /** For each write: the whole comes twice. */
  readonly repeat?: number;
}

export interface FaultOptions {
  readonly seed: number;
  /** What comes out of the inner transport. */
  readonly receive?: Faults;
  /** What is written to it. */
  readonly send?: Faults;
  /** Bytes a second in each direction, as a serial line has: baud / 10. As fast as it goes when left out. */
  readonly bytesPerSecond?: number;
}

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Damages one write as `faults` say. */
export function damage(bytes: Uint8Array, faults: Faults, random: () => number): Uint8Array {
  const happens = (probability = 0) => probability > 0 && random() < probability;
  const out: number[] = [];
  const end = happens(faults.cut) ? Math.floor(random() * bytes.length) : bytes.length;
  for (const byte of bytes.subarray(0, end)) {
    if (happens(faults.noise)) out.push(Math.floor(random() * 256));
    if (happens(faults.drop)) continue;
    const sent = happens(faults.flip) ? byte ^ (1 << Math.floor(random() * 8)) : byte;
    out.push(sent);
    if (happens(faults.duplicate)) out.push(sent);
  }
  return Uint8Array.from(happens(faults.repeat) ? [...out, ...out] : out);
}

/** Hands bytes on at a line's speed. */
class Pace {
  #queue: { bytes: Uint8Array; done: () => void }[] = [];
  #freeAtNs = 0n;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly bytesPerSecond: number,
    private readonly deliver: (bytes: Uint8Array) => Promise<void> | void,
  ) {}

  push(bytes: Uint8Array): Promise<void> {
    return new Promise((done) => {
      this.#queue.push({ bytes, done });
      if (this.#timer === undefined) this.#next();
    });
  }

  #next(): void {
    this.#timer = undefined;
    const head = this.#queue[0];
    if (head === undefined) return;
    const nowNs = process.hrtime.bigint();
    const lineNs = (head.bytes.length / this.bytesPerSecond) * 1e9;
    if (this.#freeAtNs < nowNs) this.#freeAtNs = nowNs;
    this.#freeAtNs += BigInt(Math.round(lineNs));
    const waitMs = Number(this.#freeAtNs - nowNs) / 1e6;
    this.#timer = setTimeout(async () => {
      this.#queue.shift();
      await this.deliver(head.bytes);
      head.done();
      this.#next();
    }, waitMs);
  }

  stop(): void {
    clearTimeout(this.#timer);
    for (const { done } of this.#queue) done();
    this.#queue = [];
  }
}

/** Wraps a transport in faults. */
export class FaultyTransport extends LinkTransport {
  readonly name: string;
  override readonly byteNs: number;
  readonly #inner: LinkTransport;
  readonly #options: FaultOptions;
  readonly #randomSend: () => number;
  /** Undefined where bytes go on at once. */
  readonly #out: Pace | undefined;
  readonly #in: Pace | undefined;

  constructor(inner: LinkTransport, options: FaultOptions) {
    super();
    this.name = `faulty ${inner.name}`;
    this.byteNs = inner.byteNs;
    this.#inner = inner;
    this.#options = options;
    this.#randomSend = seededRandom(options.seed);
    const randomReceive = seededRandom(options.seed ^ 0x5bd1e995);
    const { bytesPerSecond } = options;
    if (bytesPerSecond !== undefined) {
      this.#out = new Pace(bytesPerSecond, (bytes) => inner.write(bytes));
      this.#in = new Pace(bytesPerSecond, (bytes) => {
        this.emit('data', bytes, process.hrtime.bigint());
      });
    }
    inner.on('data', (chunk, stampNs) => {
      const bytes = damage(chunk, options.receive ?? {}, randomReceive);
      if (this.#in === undefined) this.emit('data', bytes, stampNs);
      else void this.#in.push(bytes);
    });
    inner.on('up', () => this.emit('up'));
    inner.on('down', (reason) => this.emit('down', reason));
    inner.on('closed', () => this.emit('closed'));
  }

  get isUp(): boolean {
    return this.#inner.isUp;
  }

  start(): void {
    this.#inner.start();
  }

  write(bytes: Uint8Array): Promise<void> {
    const damaged = damage(bytes, this.#options.send ?? {}, this.#randomSend);
    return this.#out === undefined ? this.#inner.write(damaged) : this.#out.push(damaged);
  }

  close(): Promise<void> {
    this.#out?.stop();
    this.#in?.stop();
    return this.#inner.close();
  }
}
