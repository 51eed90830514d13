// Takes a meter's events into the outbox, no faster than its share; those that must wait wait in a short queue.
// Always holds: one after the other, in the meter's order. An acknowledgement is for all events up to its own, so none
// may overtake one that is not stored; without a broker, being in the log counts as stored.
import type { MeterReportedEvent } from '../gateway/meter-session.ts';
import type { Logger } from '../log.ts';
import type { MeterPublisher } from '../mqtt/publisher.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import { OutboxError } from '../outbox/outbox.ts';
import { describeEvent, eventNews } from '../text/names.ts';

export class EventIntake {
  static readonly #mostWaiting = 64;
  readonly #bucket: TokenBucket;
  readonly #waiting: MeterReportedEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
  #storing = false;
  /** The first event that found no place. */
  #refused: { readonly boot: number; readonly sequence: number } | undefined;

  constructor(
    private readonly publisher: Pick<MeterPublisher, 'event'> | undefined,
    private readonly rate: { burst: number; perSecond: number },
    private readonly log: Logger,
    private readonly outboxRetryMs = 2_000,
  ) {
    this.#bucket = new TokenBucket(rate);
  }

  take(reported: MeterReportedEvent): void {
    const { boot, sequence } = reported.event;
    const isSame = ({ event }: MeterReportedEvent) => event.boot === boot && event.sequence === sequence;
    const at = this.#waiting.findIndex(isSame);
    // Sent again in a new session: only that one's acknowledgement still counts.
    if (at >= 0) this.#waiting[at] = reported;
    else if (this.#hasRoomFor(reported)) this.#waiting.push(reported);
    void this.#run();
  }

  /** One that finds no place stays with the meter, and so must all that follow it, until it comes again. */
  #hasRoomFor({ event: { boot, sequence } }: MeterReportedEvent): boolean {
    if (this.#refused?.boot === boot && sequence > this.#refused.sequence) return false;
    const room = this.#waiting.length < EventIntake.#mostWaiting;
    this.#refused = room ? undefined : { boot, sequence };
    return room;
  }

  async #run(): Promise<void> {
    if (this.#timer !== undefined || this.#storing) return;
    this.#storing = true;
    try {
      for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
        if (!this.#bucket.take()) return this.#pause(1000 / this.rate.perSecond);
        if (!(await this.#store(next))) return this.#pause(this.outboxRetryMs);
        // It may have come again while it was being stored.
        const again = this.#waiting.shift();
        if (again !== next) again?.ack();
      }
    } finally {
      this.#storing = false;
    }
  }

  #pause(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#run();
    }, ms).unref();
  }

  /** False when the event is not stored: it keeps its place and is tried again. */
  async #store({ event, ack }: MeterReportedEvent): Promise<boolean> {
    try {
      await this.publisher?.event(event);
    } catch (error) {
      if (!(error instanceof OutboxError)) throw error;
      // The outbox has said why.
      this.log.debug('an event stays with its meter', { sequence: event.sequence, code: error.code });
      return false;
    }
    const isBad = eventNews(event.code) === 'bad';
    this.log[isBad ? 'warn' : 'info'](describeEvent(event), { sequence: event.sequence });
    ack();
    return true;
  }
}
