// What must be undone when the demo ends: closers, run in reverse order.
// What always holds: every closer has its turn, also after one that failed or hangs.
import { setTimeout as delay } from 'node:timers/promises';

/** One closer may take this long before the next one's turn. */
const closeTimeoutMs = 4_000;

export class Cleanup {
  readonly #closers: { what: string; close: () => unknown }[] = [];

  /** Runs `close` at the end, before what was added earlier. `what` is for messages. */
  add(what: string, close: () => unknown): void {
    this.#closers.push({ what, close });
  }

  /** @returns what could not be undone, one sentence each */
  async run(): Promise<string[]> {
    const troubles: string[] = [];
    for (let next = this.#closers.pop(); next !== undefined; next = this.#closers.pop()) {
      const { what, close } = next;
      try {
        const inTime = Promise.resolve(close()).then(() => true);
        const late = delay(closeTimeoutMs, false, { ref: false });
        if (!(await Promise.race([inTime, late]))) troubles.push(`${what} did not end in time`);
      } catch (error) {
        troubles.push(`${what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return troubles;
  }
}
