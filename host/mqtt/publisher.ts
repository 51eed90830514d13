// Publishes what the gateway knows: its own state, and each meter's info, state, time, servers, tariff, records and events
// (docs/mqtt.md).
//
// Always holds:
// - `event()` resolves only when the event is on disk for good: then, and not before, may the meter be told.
// - Trouble with the broker is reported and never thrown: the rest of the gateway goes on.
// - The broker keeps no report of a server that a meter has no more, also not one of an earlier run of the gateway.
// - A meter whose link died with an earlier run of the gateway is said to be offline before the gateway is online again.
import type { MqttSettings } from '../config/settings.ts';
import type { ServerReport } from '../gateway/server-reports.ts';
import { type Info, type MeterEventMessage, sourcesMax, type Tariff, type Time } from '../link/messages.ts';
import type { MessageProperties, Outbox, OutboxMessage, OutboxReport } from '../outbox/outbox.ts';
import { type MeterLedger, RecordLedger } from '../outbox/record-ledger.ts';
import { OutboxSender, type SenderReport } from '../outbox/sender.ts';
import type { Context } from '../record/entry.ts';
import { type CommandReport, Commands } from './commands.ts';
import { BrokerConnection, type ConnectionReport } from './connection.ts';
import type { CommandMeter } from './meter-command.ts';
import {
  eventPayload,
  type GatewayStatePayload,
  infoPayload,
  type MeterStatePayload,
  serverNumber,
  serverPayload,
  timePayload,
} from './payloads.ts';
import { reasonText } from './reason-codes.ts';
import { headPublication, type RecordFormat, recordPublication, schemaName, tariffPayload } from './record-payloads.ts';
import { type RetainedReport, RetainedTopics } from './retained.ts';

export type PublisherReport = ConnectionReport | RetainedReport | SenderReport | OutboxReport | CommandReport;

export interface PublisherOptions {
  readonly settings: MqttSettings;
  /** The gateway's name. */
  readonly gateway: string;
  /** metertime's version. */
  readonly version: string;
  /** Not opened yet: the publisher opens and closes it. */
  readonly outbox: Outbox;
  /** A meter for commands; without this, none are taken. */
  readonly commandMeter?: (id: string) => CommandMeter | undefined;
  readonly report?: (report: PublisherReport) => void;
  /** Pauses between attempts to connect, and before refused events are tried again, ms. */
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
  readonly firstRefusedRetryMs?: number;
}

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
  /** The newest signed head; retained. @throws MessageError for one that makes no sense */
  head(head: Uint8Array): void;
  /** The tariff that applies; retained until it expires. */
  tariff(tariff: Omit<Tariff, 'type'>): void;
  /** The meter is gone for good: the broker forgets all that it keeps of it. */
  remove(): void;
}

/** Order in which retained messages are published after a connection: meters' states before the gateway's. */
const rank = { meterState: 0, gatewayState: 1, info: 2, time: 3, tariff: 4, server: 5, head: 6 } as const;

const json: MessageProperties = { contentType: 'application/json', payloadFormatIndicator: true };
const encode = (value: unknown) => Buffer.from(JSON.stringify(value), 'utf8');
const nothing = new Uint8Array(0);

/** How many events are under way at once. */
const eventWindow = 32;
const stopTimeoutMs = 3000;
/** Note in the outbox: the broker was told, or is about to be, that this meter is online. */
const onlineNote = 'online/';

export class MqttPublisher {
  readonly #options: PublisherOptions;
  readonly #base: string;
  readonly #connection: BrokerConnection;
  readonly #retained: RetainedTopics;
  readonly #sender: OutboxSender;
  readonly #ledger: RecordLedger;
  readonly #meters = new Map<string, MeterTopics>();

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#base = `${options.settings.topicPrefix}/${options.gateway}`;
    const report = options.report ?? (() => {});
    const retry = {
      ...(options.firstRetryMs === undefined ? {} : { firstRetryMs: options.firstRetryMs }),
      ...(options.longestRetryMs === undefined ? {} : { longestRetryMs: options.longestRetryMs }),
    };
    this.#connection = new BrokerConnection({
      settings: options.settings,
      ...(options.commandMeter === undefined ? {} : { subscription: this.#commands(options.commandMeter, report) }),
      will: { topic: this.#stateTopic, payload: encode(this.#gatewayState('offline', 'lost')), properties: json },
      report,
      onUp: () => {
        this.#retained.connected();
        this.#sender.connected(eventWindow);
      },
      onDown: () => {
        this.#retained.disconnected();
        this.#sender.disconnected();
      },
      ...retry,
    });
    this.#retained = new RetainedTopics({
      publish: (message) => this.#connection.publish(message),
      reasonText,
      report,
    });
    this.#ledger = new RecordLedger(options.outbox);
    this.#sender = new OutboxSender({
      outbox: options.outbox,
      onAcknowledged: ({ place }) => {
        if (place !== undefined) this.#ledger.acknowledged(place);
      },
      publish: (entry) => this.#connection.publish({ ...entry, retain: false }),
      reasonText,
      report,
      ...(options.firstRefusedRetryMs === undefined ? {} : { firstRetryMs: options.firstRefusedRetryMs }),
    });
  }

  #commands(meter: (id: string) => CommandMeter | undefined, report: (report: PublisherReport) => void) {
    const publish: ConstructorParameters<typeof Commands>[0]['publish'] = (message) =>
      this.#connection.publish(message);
    const commands = new Commands({ base: this.#base, meter, report, publish });
    return { filter: commands.filter, take: commands.take.bind(commands) };
  }

  /** Opens the outbox and begins to connect; the broker may come later. Throws `OutboxError`. */
  async start(): Promise<void> {
    const { outbox } = this.#options;
    await outbox.open();
    this.#ledger.load();
    for (const name of outbox.notes.keys()) {
      if (name.startsWith(onlineNote)) this.#meterTopics(name.slice(onlineNote.length)).restore();
    }
    this.#setGatewayState('online');
    this.#connection.start();
  }

  /** Says that meters and gateway are offline, disconnects and closes the outbox; what is in it stays. */
  async stop(): Promise<void> {
    for (const meter of this.#meters.values()) meter.gatewayStops();
    this.#setGatewayState('offline', 'stopped');
    await before(stopTimeoutMs, Promise.all([this.#retained.idle(), this.#sender.drain()]));
    await this.#connection.stop();
    this.#sender.close();
    await this.#options.outbox.close();
  }

  /** Whether a connection to the broker stands. */
  get connected(): boolean {
    return this.#connection.up;
  }

  /** The topics of a meter; its id holds letters, digits, dots, dashes and underscores only. */
  meter(id: string): MeterPublisher {
    return this.#meterTopics(id);
  }

  #meterTopics(id: string): MeterTopics {
    let meter = this.#meters.get(id);
    if (meter === undefined) {
      if (!/^[A-Za-z0-9._-]{1,32}$/.test(id)) {
        throw new RangeError('meter id: expected 1 to 32 letters, digits, dots, dashes and underscores');
      }
      meter = new MeterTopics(id, {
        base: `${this.#base}/${id}`,
        retained: this.#retained,
        outbox: this.#options.outbox,
        ledger: () => this.#ledger.meter(id),
        timeExpirySeconds: this.#options.settings.timeExpirySeconds,
        recordFormat: this.#options.settings.recordFormat,
        forget: () => this.#meters.delete(id),
      });
      this.#meters.set(id, meter);
    }
    return meter;
  }

  get #stateTopic(): string {
    return `${this.#base}/state`;
  }

  #gatewayState(state: 'online' | 'offline', reason?: 'stopped' | 'lost'): GatewayStatePayload {
    return {
      state,
      sinceUtc: reason === 'lost' ? null : new Date().toISOString(),
      ...(reason === undefined ? {} : { reason }),
      version: this.#options.version,
    };
  }

  #setGatewayState(state: 'online' | 'offline', reason?: 'stopped' | 'lost'): void {
    this.#retained.set(this.#stateTopic, {
      payload: encode(this.#gatewayState(state, reason)),
      properties: json,
      rank: rank.gatewayState,
    });
  }
}

interface MeterContext {
  readonly base: string;
  readonly retained: RetainedTopics;
  readonly outbox: Outbox;
  readonly ledger: () => MeterLedger;
  readonly timeExpirySeconds: number;
  readonly recordFormat: RecordFormat;
  readonly forget: () => void;
}

class MeterTopics implements MeterPublisher {
  #online: boolean | undefined;
  /** How many servers the meter is known to have; what stands behind them at the broker has been taken back. */
  #servers: number = sourcesMax;
  /** Events being written: a meter that sends one again meanwhile waits for the same write. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(
    readonly id: string,
    private readonly context: MeterContext,
  ) {}

  info(info: Omit<Info, 'type'>): void {
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
    for (let index = count; index < this.#servers; index++) this.#forget(this.#serverTopic(index), rank.server);
    this.#servers = count;
  }

  #forget(topic: string, order: number, onPublished?: () => void): void {
    this.context.retained.set(topic, {
      payload: nothing,
      properties: {},
      rank: order,
      ...(onPublished === undefined ? {} : { onPublished }),
    });
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
    return {
      topic: `${this.context.base}/record`,
      ...recordPublication(this.id, entry, context, this.context.recordFormat),
    };
  }

  head(head: Uint8Array): void {
    this.context.retained.set(`${this.context.base}/head`, {
      ...headPublication(this.id, head, this.context.recordFormat),
      rank: rank.head,
    });
  }

  tariff(tariff: Omit<Tariff, 'type'>): void {
    this.context.retained.set(`${this.context.base}/tariff`, {
      payload: encode(tariffPayload(this.id, tariff)),
      properties: { ...json, userProperties: { schema: schemaName('tariff'), meter: this.id } },
      rank: rank.tariff,
      expirySeconds: this.context.timeExpirySeconds,
    });
  }

  remove(): void {
    const { base } = this.context;
    this.#forget(`${base}/state`, rank.meterState, () => this.#note(false));
    this.#forget(`${base}/info`, rank.info);
    this.#forget(`${base}/time`, rank.time);
    this.#forget(`${base}/tariff`, rank.tariff);
    this.#forget(`${base}/head`, rank.head);
    this.#keepServers(0);
    this.#online = undefined;
    this.context.forget();
  }

  /** An earlier run left the meter online. */
  restore(): void {
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

/** Waits for `done`, but not longer than `timeoutMs`. */
async function before(timeoutMs: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([done, new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))]);
  clearTimeout(timer);
}
