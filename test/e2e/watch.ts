// Watches one meter through its gateway: what it reported, and waits for what it is to report.
// Events are acknowledged as they come.
import { ClockStatus, KeError, MeterEvent, Reject } from '../../as/abi/codes.ts';
import type { Gateway, Meter } from '../../host/gateway/gateway.ts';
import type { Info, MeterEventMessage, Time } from '../../host/link/messages.ts';
import { DeadlineError } from '../../host/setup/until.ts';

interface Waiting {
  check(): void;
}

/** A reported time, and when it came (performance.now()). */
export interface SeenTime extends Time {
  readonly atMs: number;
}

export class MeterWatch {
  readonly infos: Info[] = [];
  readonly times: SeenTime[] = [];
  readonly events: MeterEventMessage[] = [];
  ups = 0;
  #meter: Meter | undefined;
  readonly #waiting = new Set<Waiting>();

  constructor(
    readonly gateway: Gateway,
    readonly id: string,
  ) {
    for (const meter of gateway.meters) this.#met(meter);
    gateway.on('meter', (meter) => this.#met(meter));
  }

  #met(meter: Meter): void {
    if (meter.id !== this.id) return;
    this.#meter = meter;
    meter.on('up', () => {
      this.ups++;
      this.#changed();
    });
    meter.on('down', () => this.#changed());
    meter.on('info', (info) => {
      this.infos.push(info);
      this.#changed();
    });
    meter.on('time', (time) => {
      this.times.push({ ...time, atMs: performance.now() });
      this.#changed();
    });
    meter.on('event', ({ event, ack }) => {
      ack();
      const known = this.events.some(({ boot, sequence }) => boot === event.boot && sequence === event.sequence);
      if (!known) this.events.push(event);
      this.#changed();
    });
  }

  #changed(): void {
    for (const waiting of [...this.#waiting]) waiting.check();
  }

  get meter(): Meter {
    if (this.#meter === undefined) throw new Error(`meter ${this.id} was not met yet`);
    return this.#meter;
  }

  get isUp(): boolean {
    return this.#meter?.isUp === true;
  }

  /** Waits until `condition` gives something, tried at each report. */
  until<T>(what: string, condition: () => T | undefined | false, timeoutMs = 30_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const finish = () => {
        clearTimeout(timer);
        this.#waiting.delete(waiting);
      };
      const waiting = {
        check: () => {
          const value = condition();
          if (value === undefined || value === false) return;
          finish();
          resolve(value);
        },
      };
      const timer = setTimeout(() => {
        finish();
        reject(new DeadlineError(`${this.id}: ${what}`, timeoutMs, this.describe()));
      }, timeoutMs);
      this.#waiting.add(waiting);
      waiting.check();
    });
  }

  /** A report of the time that came after this call and that `wanted` takes. */
  nextTime(what: string, wanted: (time: SeenTime) => boolean, timeoutMs?: number): Promise<SeenTime> {
    const from = this.times.length;
    return this.until(what, () => this.times.slice(from).find(wanted), timeoutMs);
  }

  /** The next report that says synchronised. */
  synchronised(timeoutMs?: number): Promise<SeenTime> {
    return this.nextTime('synchronised', ({ status }) => status === ClockStatus.Synchronised, timeoutMs);
  }

  /** The first event of a kind from `from` on in `events`. */
  event(code: MeterEvent, { from = 0, timeoutMs, where = () => true }: EventWanted = {}): Promise<MeterEventMessage> {
    return this.until(
      `event ${MeterEvent[code]}`,
      () => this.events.slice(from).find((event) => event.code === code && where(event)),
      timeoutMs,
    );
  }

  /** The last reports in words, for the message of a deadline that passed. */
  describe(): string {
    const time = this.times.at(-1);
    const last = time
      ? `status ${ClockStatus[time.status]}, reach ${time.reach.toString(8)}, sent ${time.sent}, ` +
        `authenticated ${time.authenticated}, rejected ${time.rejected} (${Reject[time.lastReject]}), ` +
        `KE ${time.keAttempts}/${time.keFailures} (${KeError[time.lastKeError]})`
      : 'no time reported';
    const events = this.events.slice(-12).map(({ code, a, b }) => `${MeterEvent[code]}(${a}, ${b})`);
    return `${this.isUp ? 'up' : 'down'}; ${last}; events ${events.join(' ')}`;
  }
}

interface EventWanted {
  readonly from?: number;
  readonly timeoutMs?: number;
  readonly where?: (event: MeterEventMessage) => boolean;
}
