// Publishes what the gateway knows: its own state, and each meter's info, state, time, servers, tariff, records and events
// (docs/mqtt.md).
//
// Always holds:
// - `event()` resolves only when the event is on disk for good: then, and not before, may the meter be told.
// - Trouble with the broker is reported and never thrown: the rest of the gateway goes on.
// - The broker keeps no report of a server that a meter has no more, also not one of an earlier run of the gateway.
// - A meter whose link died with an earlier run of the gateway is said to be offline before the gateway is online again; on
//   a disk too full to open the outbox, as soon as there is room.
import type { MqttSettings } from '../config/settings.ts';
import type { Outbox, OutboxReport } from '../outbox/outbox.ts';
import { RecordLedger } from '../outbox/record-ledger.ts';
import { OutboxSender, type SenderReport } from '../outbox/sender.ts';
import { type CommandReport, Commands } from './commands.ts';
import { BrokerConnection, type ConnectionReport } from './connection.ts';
import { defaultDiscoveryPrefix } from './home-assistant.ts';
import type { CommandMeter } from './meter-command.ts';
import {
  discoveryNote,
  encode,
  json,
  type MeterPublisher,
  MeterTopics,
  nothing,
  onlineNote,
  rank,
} from './meter-topics.ts';
import type { GatewayStatePayload } from './payloads.ts';
import { reasonText } from './reason-codes.ts';
import { type RetainedReport, RetainedTopics } from './retained.ts';

export type { MeterPublisher } from './meter-topics.ts';

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

/** Of what goes through the outbox, the newest event is kept by the broker for whoever comes later. */
const isKept = (topic: string) => topic.endsWith('/event');

/** How many entries of the outbox are under way at once. */
const eventWindow = 32;
const stopTimeoutMs = 3000;

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
      publish: (entry) => this.#connection.publish({ ...entry, retain: isKept(entry.topic) }),
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
    outbox.onLoaded(() => this.#restore());
    await outbox.open();
    this.#setGatewayState('online');
    this.#connection.start();
  }

  /** It is known what an earlier run left: at the start, or, on a full disk, when there is room. */
  #restore(): void {
    this.#ledger.load();
    for (const name of this.#options.outbox.notes.keys()) {
      if (name.startsWith(onlineNote)) this.#meterTopics(name.slice(onlineNote.length)).restore();
    }
    this.#forgetDiscoveries();
  }

  /** Home Assistant forgets what an earlier run told it and this one does not. */
  #forgetDiscoveries(): void {
    const { outbox } = this.#options;
    const prefix = this.#discoveryPrefix;
    for (const name of outbox.notes.keys()) {
      if (!name.startsWith(discoveryNote)) continue;
      const topic = name.slice(discoveryNote.length);
      if (prefix !== undefined && topic.startsWith(`${prefix}/device/`)) continue;
      this.#retained.set(topic, {
        payload: nothing,
        properties: {},
        rank: rank.discovery,
        onPublished: () => outbox.note(name, undefined),
      });
    }
  }

  get #discoveryPrefix(): string | undefined {
    const { homeAssistant } = this.#options.settings;
    if (homeAssistant === false) return undefined;
    return homeAssistant === true ? defaultDiscoveryPrefix : homeAssistant;
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
        gateway: this.#options.gateway,
        gatewayBase: this.#base,
        version: this.#options.version,
        discoveryPrefix: this.#discoveryPrefix,
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

/** Waits for `done`, but not longer than `timeoutMs`. */
async function before(timeoutMs: number, done: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([done, new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)))]);
  clearTimeout(timer);
}
