// What the broker is told of one meter: its info, state, time, servers, tariff, head, records and events, and what Home
// Assistant is told of it.
// What always holds: nothing is published that did not change but where it has to be told again; what the meter has no more,
// the broker keeps no more.
import type { ServerReport } from '../gateway/server-reports.ts';
import { type Info, type MeterEventMessage, sourcesMax, type Tariff, type Time } from '../link/messages.ts';
import type { AboutTransaction } from '../ocmf/maker.ts';
import type { MessageProperties, Outbox, OutboxMessage } from '../outbox/outbox.ts';
import type { MeterLedger } from '../outbox/record-ledger.ts';
import { TransactionMarks } from '../outbox/transaction-marks.ts';
import { contextFrom } from '../record/context-parts.ts';
import type { Context } from '../record/entry.ts';
import { discoveryPayload, discoveryTopic } from './home-assistant.ts';
import { ocmfPublication } from './ocmf-payload.ts';
import {
  eventPayload,
  infoPayload,
  type MeterStatePayload,
  serverNumber,
  serverPayload,
  timePayload,
} from './payloads.ts';
import {
  headPublication,
  type NewestRecord,
  newestRecordOf,
  type RecordFormat,
  recordPublication,
  schemaName,
  tariffPayload,
} from './record-payloads.ts';
import type { RetainedTopics } from './retained.ts';

/** What one meter has to say. */
export interface MeterPublisher {
  /** What the meter is; retained. */
  info(info: Omit<Info, 'type'>): void;
  /** The meter's time; retained until it expires. */
  time(time: Omit<Time, 'type'>): void;
  /** One of the meter's time servers; retained until it expires. */
  server(report: ServerReport): void;
  /** Whether the meter's link stands; retained. */
  state(online: boolean): void;
  /** Resolves when the event is on disk for good. Rejects with `OutboxError`: the meter keeps it and sends it again. */
  event(event: Omit<MeterEventMessage, 'type'>): Promise<void>;
  /** What of the meter's records is stored, and what the broker has acknowledged. */
  readonly ledger: MeterLedger;
  /** An entry of the meter's record ring as it is to be stored. */
  encodeRecord(entry: Uint8Array, context: Context | undefined): Omit<OutboxMessage, 'place'>;
  /** Which of the meter's transactions have ended and have no data set yet. */
  readonly marks: TransactionMarks;
  /** A signed OCMF data set as it is to be stored. */
  encodeOcmf(text: string, about: AboutTransaction): OutboxMessage;
  /** The newest signed head; retained. @throws MessageError for one that makes no sense */
  head(head: Uint8Array): void;
  /** The tariff that applies; retained until it expires. */
  tariff(tariff: Omit<Tariff, 'type'>): void;
}

/** Order in which retained messages are published after a connection: meters' states before the gateway's. */
export const rank = {
  meterState: 0,
  gatewayState: 1,
  info: 2,
  time: 3,
  tariff: 4,
  server: 5,
  head: 6,
  discovery: 7,
} as const;

export const json: MessageProperties = { contentType: 'application/json', payloadFormatIndicator: true };
export const encode = (value: unknown) => Buffer.from(JSON.stringify(value), 'utf8');
export const nothing = new Uint8Array(0);

/** Note in the outbox: Home Assistant was told of a meter, on the topic behind it. */
export const discoveryNote = 'home-assistant/';
/** Note in the outbox: the broker was told, or is about to be, that this meter is online. */
export const onlineNote = 'online/';

export interface MeterContext {
  readonly base: string;
  readonly retained: RetainedTopics;
  readonly outbox: Outbox;
  readonly ledger: () => MeterLedger;
  readonly timeExpirySeconds: number;
  readonly recordFormat: RecordFormat;
  readonly gateway: string;
  readonly gatewayBase: string;
  readonly version: string;
  /** Undefined where Home Assistant is told nothing. */
  readonly discoveryPrefix: string | undefined;
}

export class MeterTopics implements MeterPublisher {
  #online: boolean | undefined;
  /** How many servers the meter is known to have; what stands behind them at the broker has been taken back. */
  #servers: number = sourcesMax;
  #info: Omit<Info, 'type'> | undefined;
  /** Of the newest record, for its registers. */
  #recordContext: Context | undefined;
  #newestRecord: NewestRecord = null;
  #discovered = '';
  /** Events being written: a meter that sends one again meanwhile waits for the same write. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(
    readonly id: string,
    private readonly context: MeterContext,
  ) {}

  info(info: Omit<Info, 'type'>): void {
    this.#info = info;
    this.#discover();
    this.context.retained.set(`${this.context.base}/info`, {
      payload: encode(infoPayload(info)),
      properties: json,
      rank: rank.info,
    });
  }

  time(time: Omit<Time, 'type'>): void {
    this.context.retained.set(`${this.context.base}/time`, {
      payload: encode(timePayload(this.id, time)),
      properties: json,
      rank: rank.time,
      expirySeconds: this.context.timeExpirySeconds,
    });
    this.#keepServers(time.servers);
  }

  server(report: ServerReport): void {
    const { index } = report.source;
    // It came before the time that counts it.
    this.#servers = Math.max(this.#servers, index + 1);
    this.context.retained.set(this.#serverTopic(index), {
      payload: encode(serverPayload(this.id, report)),
      properties: json,
      rank: rank.server,
      expirySeconds: this.context.timeExpirySeconds,
    });
  }

  #serverTopic(index: number): string {
    return `${this.context.base}/server/${serverNumber(index)}`;
  }

  /** The broker is to forget the servers from `count` on. */
  #keepServers(count: number): void {
    for (let index = count; index < this.#servers; index++) {
      this.context.retained.set(this.#serverTopic(index), { payload: nothing, properties: {}, rank: rank.server });
    }
    this.#servers = count;
  }

  state(online: boolean): void {
    if (this.#online !== online) this.#setState(online, online ? undefined : 'link');
  }

  event(event: Omit<MeterEventMessage, 'type'>): Promise<void> {
    const key = `${event.boot}/${event.sequence}`;
    const known = this.#writing.get(key);
    if (known) return known;
    const writing = this.context.outbox
      .put({ topic: `${this.context.base}/event`, payload: encode(eventPayload(this.id, event)), properties: json })
      .then(() => {})
      .finally(() => this.#writing.delete(key));
    this.#writing.set(key, writing);
    return writing;
  }

  get ledger(): MeterLedger {
    return this.context.ledger();
  }

  encodeRecord(entry: Uint8Array, context: Context | undefined): Omit<OutboxMessage, 'place'> {
    this.#newestRecord = newestRecordOf(entry) ?? this.#newestRecord;
    if (context !== undefined && context !== this.#recordContext) {
      this.#recordContext = context;
      this.#discover();
    }
    return {
      topic: `${this.context.base}/record`,
      ...recordPublication(this.id, entry, context, this.context.recordFormat),
    };
  }

  get marks(): TransactionMarks {
    return new TransactionMarks(this.id, this.context.outbox);
  }

  encodeOcmf(text: string, about: AboutTransaction): OutboxMessage {
    return { topic: `${this.context.base}/ocmf`, ...ocmfPublication(this.id, text, about) };
  }

  /** Tells Home Assistant of the meter, where that is wanted and something is new. */
  #discover(): void {
    const { discoveryPrefix, gateway, gatewayBase: base, version, timeExpirySeconds: expirySeconds } = this.context;
    if (discoveryPrefix === undefined) return;
    this.#recordContext ??= contextFrom(this.ledger.context);
    // Home Assistant reads no CBOR.
    const context = this.context.recordFormat === 'json' ? this.#recordContext : undefined;
    const known = { gateway, meter: this.id, base, version, expirySeconds, info: this.#info, context };
    const text = JSON.stringify(discoveryPayload(known));
    if (text === this.#discovered) return;
    this.#discovered = text;
    const topic = discoveryTopic(discoveryPrefix, known);
    this.context.outbox.note(`${discoveryNote}${topic}`, 'yes');
    this.context.retained.set(topic, { payload: Buffer.from(text), properties: json, rank: rank.discovery });
  }

  head(head: Uint8Array): void {
    this.context.retained.set(`${this.context.base}/head`, {
      ...headPublication(this.id, head, this.context.recordFormat),
      rank: rank.head,
    });
  }

  tariff(tariff: Omit<Tariff, 'type'>): void {
    this.context.retained.set(`${this.context.base}/tariff`, {
      payload: encode(tariffPayload(this.id, tariff, this.#newestRecord)),
      properties: { ...json, userProperties: { schema: schemaName('tariff'), meter: this.id } },
      rank: rank.tariff,
      expirySeconds: this.context.timeExpirySeconds,
    });
  }

  /** An earlier run left the meter online. */
  restore(): void {
    if (this.#online !== undefined) return;
    this.#setState(false, 'gateway');
    // The meter's link may stand already, or say for itself that it is down.
    this.#online = undefined;
  }

  gatewayStops(): void {
    if (this.#online === true) this.#setState(false, 'gateway');
  }

  #setState(online: boolean, reason: MeterStatePayload['reason']): void {
    this.#online = online;
    if (online) this.#note(true);
    const state: MeterStatePayload = {
      state: online ? 'online' : 'offline',
      sinceUtc: new Date().toISOString(),
      ...(reason === undefined ? {} : { reason }),
    };
    this.context.retained.set(`${this.context.base}/state`, {
      payload: encode(state),
      properties: json,
      rank: rank.meterState,
      ...(online ? {} : { onPublished: () => this.#note(false) }),
    });
  }

  #note(online: boolean): void {
    try {
      this.context.outbox.note(`${onlineNote}${this.id}`, online ? 'yes' : undefined);
    } catch {
      // The outbox is closed: the note of an earlier moment stays, and at worst "offline" is said once more.
    }
  }
}
