// Empties an outbox into a broker: in order, several under way at once, each until the broker has acknowledged it.
//
// Always holds:
// - An entry is removed only on a reason code below 0x80.
// - A refused one (0x80 and above) stays, is marked and reported, and is tried again later, each time after a longer
//   pause; it does not hold up the others.
// - When the connection ends, whatever was under way counts as not sent.
import type { Report } from '../report.ts';
import type { Outbox, OutboxEntry, Refusal } from './outbox.ts';

/** First reason code that says no (MQTT 5, 2.4). */
export const firstFailure = 0x80;

export type SenderReport = Report<'event-refused' | 'event-accepted-late' | 'outbox-unreadable'>;

export interface SenderOptions {
  readonly outbox: Outbox;
  /** Publishes and gives the reason code of the acknowledgement. Rejects when the connection ends before it. */
  readonly publish: (entry: OutboxEntry) => Promise<number>;
  /** What a reason code means, for people. */
  readonly reasonText: (reasonCode: number) => string;
  readonly report?: (report: SenderReport) => void;
  /** The broker has acknowledged an entry, which is removed right after. */
  readonly onAcknowledged?: (entry: OutboxEntry) => void;
  /** Pause before a refused entry is tried again, ms: the first, doubled each time up to the longest. */
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
}

export class OutboxSender {
  readonly #options: Required<SenderOptions>;
  readonly #stopListening: () => void;
  readonly #underWay = new Set<number>();
  /** Entries up to this number are under way or refused, or gone. */
  #cursor = 0;
  /** Counts connections: what an earlier one promised is void. */
  #connection = 0;
  #window = 0;
  #pumping = false;
  #again = false;
  #saidUnreadable = false;
  #timer: NodeJS.Timeout | undefined;
  readonly #drained: (() => void)[] = [];
  /** When refused entries are due, ms of performance.now(). */
  readonly #dueMs = new Map<number, number>();

  constructor(options: SenderOptions) {
    this.#options = {
      report: () => {},
      onAcknowledged: () => {},
      firstRetryMs: 60_000,
      longestRetryMs: 3_600_000,
      ...options,
    };
    this.#stopListening = options.outbox.onPut(() => this.#pump());
    options.outbox.onLoaded(() => this.#pump());
  }

  /** A connection stands: begins to send, at most `window` entries at a time. */
  connected(window: number): void {
    this.#connection++;
    this.#window = Math.max(1, window);
    this.#cursor = 0;
    this.#underWay.clear();
    // A new connection may mean that the broker was set right: no entry waits longer than the first pause for it.
    const latestMs = performance.now() + this.#options.firstRetryMs;
    for (const [number, dueMs] of this.#dueMs) this.#dueMs.set(number, Math.min(dueMs, latestMs));
    this.#pump();
  }

  /** The connection ended. */
  disconnected(): void {
    this.#connection++;
    this.#window = 0;
    this.#underWay.clear();
    clearTimeout(this.#timer);
    this.#wakeDrained();
  }

  /** Sends nothing more; resolves when what is under way is acknowledged or the connection ends. */
  drain(): Promise<void> {
    this.#window = 0;
    clearTimeout(this.#timer);
    return new Promise((resolve) => {
      this.#drained.push(resolve);
      this.#wakeDrained();
    });
  }

  #wakeDrained(): void {
    if (this.#underWay.size === 0) for (const resolve of this.#drained.splice(0)) resolve();
  }

  /** Ends for good. */
  close(): void {
    this.disconnected();
    this.#stopListening();
  }

  /** Entries sent and not acknowledged yet. */
  get underWay(): number {
    return this.#underWay.size;
  }

  /** Starts sending whatever may be sent now. Reading is asynchronous, so calls meanwhile only ask for another round. */
  #pump(): void {
    this.#again = true;
    if (this.#pumping || this.#window === 0) return;
    this.#pumping = true;
    void this.#run().finally(() => {
      this.#pumping = false;
      if (this.#again && this.#nextNumbers().length > 0) this.#pump();
    });
  }

  async #run(): Promise<void> {
    this.#again = false;
    for (let numbers = this.#nextNumbers(); numbers.length > 0; numbers = this.#nextNumbers()) {
      const connection = this.#connection;
      for (const number of numbers) this.#underWay.add(number);
      let entries: (OutboxEntry | undefined)[];
      try {
        entries = await this.#options.outbox.readAll(numbers);
      } catch (error) {
        if (!this.#saidUnreadable) {
          this.#options.report({ level: 'warn', code: 'outbox-unreadable', message: (error as Error).message });
        }
        this.#saidUnreadable = true;
        if (connection === this.#connection) for (const number of numbers) this.#underWay.delete(number);
        this.#wakeAfter(5000);
        return;
      }
      this.#saidUnreadable = false;
      if (connection !== this.#connection) return;
      for (const [index, number] of numbers.entries()) this.#take(number, entries[index], connection);
    }
    this.#sleepUntilDue();
  }

  #take(number: number, entry: OutboxEntry | undefined, connection: number): void {
    if (number > this.#cursor) this.#cursor = number;
    if (entry === undefined) {
      this.#underWay.delete(number);
      this.#dueMs.delete(number);
    } else void this.#send(entry, connection);
  }

  /** As many entries as may be sent now: refused ones that are due, then the first ones never tried on this connection. */
  #nextNumbers(): number[] {
    const most = this.#window - this.#underWay.size;
    const numbers: number[] = [];
    if (most <= 0) return numbers;
    const nowMs = performance.now();
    for (const [number, dueMs] of this.#dueMs) {
      if (dueMs <= nowMs && !this.#underWay.has(number)) numbers.push(number);
      if (numbers.length === most) return numbers;
    }
    for (const { number, refused } of this.#options.outbox.waiting(this.#cursor)) {
      if (this.#underWay.has(number)) continue;
      if (refused === undefined) numbers.push(number);
      else if (!this.#dueMs.has(number)) this.#dueMs.set(number, nowMs + this.#restMs(refused));
      if (numbers.length === most) break;
    }
    return numbers;
  }

  async #send(entry: OutboxEntry, connection: number): Promise<void> {
    let reasonCode: number;
    try {
      reasonCode = await this.#options.publish(entry);
    } catch {
      return; // The connection is gone: `connected` begins anew.
    }
    if (reasonCode < firstFailure) {
      this.#dueMs.delete(entry.number);
      this.#options.onAcknowledged(entry);
      this.#options.outbox.remove(entry.number);
      if (entry.refused) {
        const { number, topic } = entry;
        this.#options.report({
          level: 'info',
          code: 'event-accepted-late',
          message: `the broker has taken message ${number} for ${topic}, which it had refused ${entry.refused.times} times`,
          fields: { number, topic },
        });
      }
    } else {
      await this.#refused(entry, reasonCode);
    }
    if (connection === this.#connection) {
      this.#underWay.delete(entry.number);
      this.#wakeDrained();
      this.#pump();
    }
  }

  async #refused(entry: OutboxEntry, reasonCode: number): Promise<void> {
    const { number, topic } = entry;
    let refusal: Refusal | undefined;
    try {
      refusal = await this.#options.outbox.mark(number, reasonCode);
    } catch {
      // The mark is lost, the entry is not: it is tried again all the same.
    }
    const pauseMs = this.#pauseMs(refusal?.times ?? 1);
    this.#dueMs.set(number, performance.now() + pauseMs);
    const known = entry.refused?.reasonCode === reasonCode;
    this.#options.report({
      level: known ? 'debug' : 'error',
      code: 'event-refused',
      message: `the broker refused message ${number} for ${topic}: ${this.#options.reasonText(reasonCode)}; it stays in the outbox and is tried again in ${Math.round(pauseMs / 1000)} s`,
      fields: { number, topic, reasonCode, times: refusal?.times },
    });
  }

  #pauseMs(times: number): number {
    return Math.min(this.#options.firstRetryMs * 2 ** Math.min(times - 1, 30), this.#options.longestRetryMs);
  }

  /** What is left of a pause that began before this process: the wall clock may have been set since, so never more than all of it. */
  #restMs(refused: Refusal): number {
    const pauseMs = this.#pauseMs(refused.times);
    return Math.min(pauseMs, Math.max(0, refused.atMs + pauseMs - Date.now()));
  }

  #sleepUntilDue(): void {
    const due = [...this.#dueMs].filter(([number]) => !this.#underWay.has(number)).map(([, dueMs]) => dueMs);
    if (due.length > 0) this.#wakeAfter(Math.max(0, Math.min(...due) - performance.now()) + 1);
  }

  #wakeAfter(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#pump(), ms);
    this.#timer.unref();
  }
}
