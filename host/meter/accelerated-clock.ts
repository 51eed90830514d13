// A clock for demonstrations: the machine's counter and, while nothing is under way, a multiple of it. Meter and time
// server in one process share it, so that hours pass in minutes for both.
// What always holds: the counter never goes back; it runs as the machine's does while something is under way, so what takes
// time on sockets and disks takes no more of it than it does; it never leaps over a moment at which somebody is to be
// called; a process that is held up finds no more than its own seconds gone.
import type { Cancel, MeterClock } from './parts.ts';

export interface AcceleratedClockOptions {
  /** How many times as fast it runs. */
  readonly speed: number;
  /** Whether something is under way that takes the machine's time. */
  readonly isBusy: () => boolean;
}

interface Waiting {
  readonly tick: bigint;
  readonly callback: () => void;
}

/** Of the time since the last turn, this much counts as more than it is. */
const longestTurnNs = 4_000_000n;
const turnMs = 1;

export class AcceleratedClock implements MeterClock {
  readonly tickHz = 1_000_000_000;
  readonly #options: AcceleratedClockOptions;
  /** The counter is 0 when it is made. */
  readonly #zeroNs = process.hrtime.bigint();
  readonly #waiting = new Set<Waiting>();
  #leaptNs = 0n;
  #lastTurnNs = 0n;
  #timer: NodeJS.Timeout | undefined;
  #fast = false;

  constructor(options: AcceleratedClockOptions) {
    this.#options = options;
  }

  /** Runs until `stop`; nobody is called before. */
  start(): void {
    if (this.#timer !== undefined) return;
    this.#lastTurnNs = process.hrtime.bigint();
    this.#next();
  }

  /** Calls nobody any more. The counter goes on as the machine's does. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting.clear();
  }

  /** Whether it runs faster than the machine's: not at first. */
  set fast(fast: boolean) {
    this.#fast = fast;
  }

  nowTicks(): bigint {
    return process.hrtime.bigint() - this.#zeroNs + this.#leaptNs;
  }

  at(tick: bigint, callback: () => void): Cancel {
    const waiting = { tick, callback };
    this.#waiting.add(waiting);
    return () => this.#waiting.delete(waiting);
  }

  #next(): void {
    this.#timer = setTimeout(() => {
      this.#next();
      this.#turn();
    }, turnMs);
  }

  #turn(): void {
    const turnNs = process.hrtime.bigint();
    const elapsedNs = turnNs - this.#lastTurnNs;
    this.#lastTurnNs = turnNs;
    if (this.#fast && !this.#options.isBusy()) {
      const nowTicks = this.nowTicks();
      const shortNs = elapsedNs < longestTurnNs ? elapsedNs : longestTurnNs;
      let leapNs = shortNs * BigInt(this.#options.speed - 1);
      for (const { tick } of this.#waiting) if (tick - nowTicks < leapNs) leapNs = tick - nowTicks;
      if (leapNs > 0n) this.#leaptNs += leapNs;
    }
    const nowTicks = this.nowTicks();
    const due = [...this.#waiting].filter(({ tick }) => tick <= nowTicks);
    for (const waiting of due.sort((a, b) => (a.tick < b.tick ? -1 : a.tick > b.tick ? 1 : 0))) {
      // One that was called may have taken this one back.
      if (this.#waiting.delete(waiting)) waiting.callback();
    }
  }
}
