// What one meter does, told as it happens: from its reports, and from the gateway's own view of its connections.
// What always holds: a line is told only when the meter, or the gateway for it, has reported that it happened.
import { ClockStatus, MeterEvent, type Reject, TimeFlag } from '../../as/abi/codes.ts';
import type { Meter } from '../gateway/gateway.ts';
import type { MeterSession } from '../gateway/meter-session.ts';
import type { OpenedConnection } from '../gateway/tls-sockets.ts';
import type { Info, MeterEventMessage, Time } from '../link/messages.ts';
import { isoTime } from '../net/certificate-path.ts';
import {
  aeadName,
  describeEvent,
  durationText,
  eventNews,
  nameOf,
  rejectNames,
  rtcRefusalNames,
} from '../text/names.ts';
import { nsPerSecond } from '../text/utc.ts';
import type { Mark, Story } from './story.ts';

/** Gives the explanation the first time, and the short text after that. */
export type Explain = (short: string, explained: string) => string;

export function makeExplain(): Explain {
  const told = new Set<string>();
  return (short, explained) => {
    if (told.has(short)) return short;
    told.add(short);
    return explained;
  };
}

export interface WatchOptions {
  readonly id: string;
  readonly story: Story;
  /** After its abort nothing is told any more: what falls over while the demo ends is no news. */
  readonly signal: AbortSignal;
  /** Shared by all watches. */
  readonly explain: Explain;
}

export class MeterWatch {
  readonly id: string;
  readonly #options: WatchOptions;
  #meter: Meter | undefined;
  #time: Time | undefined;
  #connection: OpenedConnection | undefined;
  /** The connection is told behind the start, though its messages overtake those about the start on the line. */
  #infoTold = false;
  #startTold = false;
  #clockSet = false;
  #synchronised: MeterEventMessage | undefined;
  #told = false;
  #poweredOnMs = 0;
  readonly #refused: Reject[] = [];

  constructor(options: WatchOptions) {
    this.id = options.id;
    this.#options = options;
  }

  /** The meter at the gateway, once it has said who it is. */
  get meter(): Meter | undefined {
    return this.#meter;
  }

  /** Its last report of the time. */
  get time(): Time | undefined {
    return this.#time;
  }

  /** Whether its clock is synchronised and its server's certificate checked, and this is told. */
  get isSynchronised(): boolean {
    return this.#told && this.#time?.status === ClockStatus.Synchronised;
  }

  /** Why it refused answers, as it told, oldest first. */
  get refused(): readonly Reject[] {
    return this.#refused;
  }

  poweredOn(): void {
    this.#poweredOnMs = performance.now();
  }

  /** The link's session at the gateway, before anything comes over it. */
  attachSession(session: MeterSession): void {
    session.on('tls', (connection) => {
      this.#connection = connection;
      if (this.#startTold) this.#tellConnection(connection);
    });
  }

  /** The meter, as soon as the gateway knows who it is. */
  attachMeter(meter: Meter): void {
    this.#meter = meter;
    meter.on('up', () => {
      this.#infoTold = false;
    });
    meter.on('info', (info) => this.#info(info));
    meter.on('time', (time) => {
      this.#time = time;
      this.#tellSynchronised();
    });
    meter.on('event', ({ event }) => this.#event(event));
    meter.on('down', (reason) => this.#say('failed', `its line to the gateway is down: ${reason}`, { event: 'down' }));
  }

  #say(mark: Mark, text: string, facts: object): void {
    const { signal, story } = this.#options;
    if (!signal.aborted) story.line(this.id, mark, text, facts);
  }

  // It comes again whenever the meter's stack was used deeper.
  #info({ board, firmwareVersion }: Info): void {
    if (this.#infoTold) return;
    this.#infoTold = true;
    this.#say('ok', `has started and reached its gateway: board ${board}, metertime ${firmwareVersion}`, {
      event: 'info',
      board,
      firmwareVersion,
    });
  }

  #tellStart(): void {
    if (this.#startTold) return;
    this.#startTold = true;
    if (this.#connection !== undefined) this.#tellConnection(this.#connection);
  }

  #tellConnection({ host, validAt }: OpenedConnection): void {
    const checked = `TLS 1.3 connection to ${host}; certificate: right name, signed by our authority`;
    const text =
      validAt === undefined
        ? this.#options.explain(
            `${checked}, dates not checked yet`,
            `${checked}. Whether it has expired cannot be checked yet: the meter does not know what day it is`,
          )
        : `${checked}, valid at the meter's time`;
    this.#say('ok', text, { event: 'tls', validAt: validAt === undefined ? null : isoTime(validAt) });
  }

  #event(event: MeterEventMessage): void {
    const { code, a, b } = event;
    switch (code) {
      case MeterEvent.Started:
        return; // told with its Info
      case MeterEvent.RtcRefused:
        this.#say(
          'refused',
          `battery clock says ${b === 0n ? 'nothing' : dateTime(b)}; not believed: ${nameOf(rtcRefusalNames, Number(a)).text}`,
          { event: 'rtc-refused', reason: nameOf(rtcRefusalNames, Number(a)).name },
        );
        this.#tellStart();
        return;
      case MeterEvent.KeysEstablished:
        this.#tellStart();
        this.#say(
          'ok',
          this.#options.explain(
            `agreed on secret keys with the server, got ${b} cookies`,
            `agreed on secret keys with the server (${aeadName(Number(a)) ?? 'no AEAD'}), and got ${b} cookies: each lets it ask for the time once`,
          ),
          { event: 'keys-established' },
        );
        return;
      case MeterEvent.ClockSet:
        if (this.#told) break;
        this.#clockSet = true;
        this.#tellSynchronised();
        return;
      case MeterEvent.Synchronised:
        if (this.#told) break;
        this.#synchronised = event;
        this.#tellSynchronised();
        return;
      case MeterEvent.AnswerRefused: {
        const { name, text } = nameOf(rejectNames, Number(a));
        // What is called a seal here is the authenticator of RFC 8915 5.6.
        const why = text.replace('authenticator', 'seal');
        this.#say('refused', `refuses the answer: ${why}`, { event: 'answer-refused', reason: name });
        this.#refused.push(Number(a));
        return;
      }
    }
    this.#say(eventNews(code) === 'bad' ? 'failed' : 'note', describeEvent(event), { event: 'other', code });
  }

  /** Once, when the meter's events and its report agree that it has the time and has checked the certificate at it. */
  #tellSynchronised(): void {
    const [synchronised, time, connection] = [this.#synchronised, this.#time, this.#connection];
    if (this.#told || !this.#clockSet || synchronised === undefined || time === undefined) return;
    if (time.status !== ClockStatus.Synchronised || (time.flags & TimeFlag.DatesUnchecked) !== 0) return;
    this.#told = true;
    if (connection !== undefined && connection.validAt === undefined) {
      const dates = `from ${date(connection.notBefore)} to ${date(connection.notAfter)}`;
      this.#say(
        'ok',
        this.#options.explain(
          'first sealed answer; the certificate is valid at the time obtained',
          `first sealed answer. The certificate is valid ${dates}, so also at the time obtained: only now may the clock be set`,
        ),
        { event: 'certificate-dates' },
      );
    }
    this.#say('ok', `clock set to ${dateTime(synchronised.utcNs / nsPerSecond)}`, { event: 'clock-set' });
    const seconds = ((performance.now() - this.#poweredOnMs) / 1000).toFixed(1);
    this.#say('ok', `synchronised ${seconds} s after power-on; error certainly below ${durationText(synchronised.a)}`, {
      event: 'synchronised',
      boundNs: synchronised.a,
    });
  }
}

/** `2026-11-22 03:04:05 UTC` */
function dateTime(unixSeconds: bigint | number): string {
  return `${new Date(Number(unixSeconds) * 1000).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

function date(unixSeconds: bigint): string {
  return new Date(Number(unixSeconds) * 1000).toISOString().slice(0, 10);
}
