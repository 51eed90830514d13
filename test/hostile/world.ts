// The time in which meters and servers of these tests live: the machine's, and what was skipped of it. A test that has
// seen all that will happen until a timer ends skips to that end, for meter and servers alike, so nobody waits for a
// back-off or a poll; sockets and their timeouts stay in the machine's time.
//
// What always holds: to the meter, a skip is time in which nothing happened. Its clock and the servers' go on alike, so
// a meter that was right before it is right after it.

import type { Cancel, MeterClock } from '../../host/meter/parts.ts';
import { DeadlineError } from '../../host/setup/until.ts';

interface Waiting {
  readonly tick: bigint;
  readonly callback: () => void;
  timer: NodeJS.Timeout | undefined;
}

export interface PassOptions {
  /** Length of a skip. */
  readonly stepMs?: number;
  /** The machine's time between two skips. */
  readonly realMs?: number;
  /** Of the machine's time. */
  readonly timeoutMs?: number;
  /** What to say when that is over. */
  readonly describe?: () => string;
  /** Whether something is going on in the machine's time, so that nothing may be skipped now. */
  readonly busy?: () => boolean;
  /** What is to be done after a skip. */
  readonly skipped?: () => Promise<void> | undefined;
}

export class World implements MeterClock {
  readonly tickHz = 1_000_000_000;
  readonly #wallMinusTicks: bigint;
  #skippedNs = 0n;
  readonly #waiting = new Set<Waiting>();

  /** @param startUnixMs when it begins, by default now */
  constructor(startUnixMs = Date.now()) {
    this.#wallMinusTicks = BigInt(startUnixMs) * 1_000_000n - process.hrtime.bigint();
  }

  nowTicks(): bigint {
    return process.hrtime.bigint() + this.#skippedNs;
  }

  /** What a right clock shows, UTC ns since 1970. */
  utcNs(): bigint {
    return this.nowTicks() + this.#wallMinusTicks;
  }

  at(tick: bigint, callback: () => void): Cancel {
    const waiting: Waiting = { tick, callback, timer: undefined };
    this.#waiting.add(waiting);
    this.#arm(waiting);
    return () => {
      clearTimeout(waiting.timer);
      this.#waiting.delete(waiting);
    };
  }

  #arm(waiting: Waiting): void {
    clearTimeout(waiting.timer);
    const leftMs = Number((waiting.tick - this.nowTicks() + 999_999n) / 1_000_000n);
    waiting.timer = setTimeout(
      () => {
        if (this.nowTicks() < waiting.tick) return this.#arm(waiting);
        this.#waiting.delete(waiting);
        waiting.callback();
      },
      Math.min(Math.max(leftMs, 0), 0x7fff_ffff),
    );
  }

  /** Lets this much time be past. */
  skip(ms: number): void {
    this.#skippedNs += BigInt(Math.round(ms * 1e6));
    for (const waiting of this.#waiting) this.#arm(waiting);
  }

  /**
   * Skips time in steps until something has happened; what each step sets off has some of the machine's time to be done.
   * @param what as the subject of "did not happen"
   */
  async pass<T>(
    what: string,
    condition: () => T | undefined | false,
    { stepMs = 250, realMs = 4, timeoutMs = 20_000, describe, busy, skipped }: PassOptions = {},
  ): Promise<T> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const untilMs = performance.now() + realMs;
      // Time in which others had the processor does not count: as many turns as there are where nobody has it.
      for (let turns = 0; turns < realMs || performance.now() < untilMs; turns++) {
        const value = condition();
        if (value !== undefined && value !== false) return value;
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      if (performance.now() > deadlineMs) throw new DeadlineError(what, timeoutMs, describe?.());
      if (busy?.() === true) continue;
      this.skip(stepMs);
      await skipped?.();
    }
  }
}
