// Clocks for meters in software: the machine's monotonic counter, and virtual time that runs as fast as it is asked to.
// Virtual time only advances when told to; what is due at the same instant happens in the order in which it was asked for.

import { nsPerSecond } from '../text/utc.ts';
import type { Cancel, MeterClock } from './parts.ts';

const longestTimeoutMs = 0x7fffffff;

const originNs = process.hrtime.bigint();

/** A tick of `SystemClock`, of a reading of process.hrtime.bigint(). */
export function systemTicks(counterNs = process.hrtime.bigint()): bigint {
  return counterNs - originNs;
}

/** The machine's monotonic counter, in ns from the start of this program, as a meter's counts from its own. */
export class SystemClock implements MeterClock {
  readonly tickHz = 1_000_000_000;

  nowTicks(): bigint {
    return systemTicks();
  }

  at(tick: bigint, callback: () => void): Cancel {
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const leftMs = Number((tick - this.nowTicks() + 999_999n) / 1_000_000n);
      // A timer may end a little early and takes no more than 24 days: look again then.
      timer = setTimeout(
        () => (this.nowTicks() >= tick ? callback() : arm()),
        Math.min(Math.max(leftMs, 0), longestTimeoutMs),
      );
    };
    arm();
    return () => clearTimeout(timer);
  }
}

interface Due {
  atNs: bigint;
  order: number;
  callback: (() => void) | undefined;
}

/** True time of a simulation, in ns from its start, and what is to happen in it. */
export class VirtualTime {
  #nowNs: bigint;
  #order = 0;
  /** A binary heap: each entry is due no later than the two below it. */
  readonly #heap: Due[] = [];

  constructor(startNs = 0n) {
    this.#nowNs = startNs;
  }

  get nowNs(): bigint {
    return this.#nowNs;
  }

  /** Calls back at `atNs`, or at once (but never from within this call) when that is past. */
  schedule(atNs: bigint, callback: () => void): Cancel {
    const due: Due = { atNs: atNs > this.#nowNs ? atNs : this.#nowNs, order: this.#order++, callback };
    this.#push(due);
    return () => {
      due.callback = undefined;
    };
  }

  /** When the next callback is due, if any. */
  nextNs(): bigint | undefined {
    while (this.#heap[0] !== undefined && this.#heap[0].callback === undefined) this.#pop();
    return this.#heap[0]?.atNs;
  }

  /** Lets time pass until `untilNs` and everything due by then happen. */
  runUntil(untilNs: bigint): void {
    for (let next = this.nextNs(); next !== undefined && next <= untilNs; next = this.nextNs()) {
      this.#nowNs = next;
      this.#pop().callback?.();
    }
    if (untilNs > this.#nowNs) this.#nowNs = untilNs;
  }

  #before(a: number, b: number): boolean {
    const [x, y] = [this.#heap[a]!, this.#heap[b]!];
    return x.atNs < y.atNs || (x.atNs === y.atNs && x.order < y.order);
  }

  #swap(a: number, b: number): void {
    [this.#heap[a], this.#heap[b]] = [this.#heap[b]!, this.#heap[a]!];
  }

  #push(due: Due): void {
    let at = this.#heap.push(due) - 1;
    for (let parent = (at - 1) >> 1; at > 0 && this.#before(at, parent); parent = (at - 1) >> 1) {
      this.#swap(at, parent);
      at = parent;
    }
  }

  #pop(): Due {
    this.#swap(0, this.#heap.length - 1);
    const due = this.#heap.pop()!;
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let first = at;
      if (left < this.#heap.length && this.#before(left, first)) first = left;
      if (right < this.#heap.length && this.#before(right, first)) first = right;
      if (first === at) return due;
      this.#swap(at, first);
      at = first;
    }
  }
}

interface Waiting {
  readonly tick: bigint;
  readonly callback: () => void;
  cancel: Cancel;
}

/** A counter in virtual time, with a frequency error that may change at any moment. */
export class VirtualClock implements MeterClock {
  readonly tickHz: number;
  readonly #time: VirtualTime;
  /** The counter stood at `#anchorTicks` (and `#anchorParts` of a tick) at `#anchorNs`; since then it has had this rate. */
  #anchorNs: bigint;
  #anchorTicks: bigint;
  #anchorParts = 0n;
  #frequencyPpb: bigint;
  readonly #waiting = new Set<Waiting>();

  /** @param frequencyPpb error of the oscillator, parts per billion; positive runs fast */
  constructor(time: VirtualTime, options: { tickHz?: number; frequencyPpb?: number; startTicks?: bigint } = {}) {
    this.#time = time;
    this.tickHz = options.tickHz ?? 1_000_000_000;
    this.#frequencyPpb = BigInt(Math.round(options.frequencyPpb ?? 0));
    this.#anchorNs = time.nowNs;
    this.#anchorTicks = options.startTicks ?? 0n;
  }

  nowTicks(): bigint {
    return this.#anchorTicks + this.#partsSince() / this.#partsPerTick;
  }

  at(tick: bigint, callback: () => void): Cancel {
    const waiting: Waiting = { tick, callback, cancel: () => {} };
    this.#waiting.add(waiting);
    this.#arm(waiting);
    return () => {
      waiting.cancel();
      this.#waiting.delete(waiting);
    };
  }

  /** From now on the oscillator has this error, ppb. */
  setFrequency(frequencyPpb: number): void {
    const parts = this.#partsSince();
    this.#anchorTicks += parts / this.#partsPerTick;
    this.#anchorParts = parts % this.#partsPerTick;
    this.#anchorNs = this.#time.nowNs;
    this.#frequencyPpb = BigInt(Math.round(frequencyPpb));
    for (const waiting of this.#waiting) {
      waiting.cancel();
      this.#arm(waiting);
    }
  }

  /** A tick has 10^18 parts, so that 1 ppb of one ns at any rate is a whole number of them. */
  get #partsPerTick(): bigint {
    return nsPerSecond * nsPerSecond;
  }

  get #partsPerNs(): bigint {
    return BigInt(this.tickHz) * (nsPerSecond + this.#frequencyPpb);
  }

  #partsSince(): bigint {
    return this.#anchorParts + (this.#time.nowNs - this.#anchorNs) * this.#partsPerNs;
  }

  #arm(waiting: Waiting): void {
    const parts = (waiting.tick - this.#anchorTicks) * this.#partsPerTick - this.#anchorParts;
    const afterNs = parts <= 0n ? 0n : (parts + this.#partsPerNs - 1n) / this.#partsPerNs;
    waiting.cancel = this.#time.schedule(this.#anchorNs + afterNs, () => {
      this.#waiting.delete(waiting);
      waiting.callback();
    });
  }
}
