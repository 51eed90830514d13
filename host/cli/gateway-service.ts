// A gateway as its settings say it: links, meters, broker and outbox, wired together.
// Always holds: with a broker in the settings, events and records of a meter are acknowledged only when they are on disk
// for good; without one, the log is all there is: an event is acknowledged when it is in it, and records stay with their
// meter. What fails at the broker or on the
// disk is logged and never stops the service of the meters.
import { Ring } from '../../as/abi/codes.ts';
import type { Settings } from '../config/settings.ts';
import type { CoreModule } from '../core/core.ts';
import { Gateway, type Meter } from '../gateway/gateway.ts';
import { type RecordEncoder, RecordIntake } from '../gateway/record-intake.ts';
import { MessageError } from '../link/messages.ts';
import type { Logger } from '../log.ts';
import type { CommandMeter } from '../mqtt/meter-command.ts';
import { type MeterPublisher, MqttPublisher } from '../mqtt/publisher.ts';
import { loadTrustAnchors } from '../net/trust-anchors.ts';
import type { TransactionFollower } from '../ocmf/maker.ts';
import { OcmfService } from '../ocmf/service.ts';
import { Outbox } from '../outbox/outbox.ts';
import { readLinkKeys } from '../provision/meter-keys.ts';
import { reportTo } from '../report.ts';
import { EventIntake } from './event-intake.ts';

export interface GatewayServiceOptions {
  readonly settings: Settings;
  readonly log: Logger;
  readonly version: string;
  readonly core?: CoreModule;
}

export class GatewayService {
  readonly gateway: Gateway;
  readonly publisher: MqttPublisher | undefined;
  readonly #log: Logger;
  readonly #eventRate: { burst: number; perSecond: number };
  readonly #records = new Map<Meter, RecordIntake>();
  readonly #followers = new Set<TransactionFollower>();
  readonly #settings: Settings;
  readonly #version: string;
  #ocmf: OcmfService | undefined;
  #stopping = false;

  /** @throws TrustAnchorError */
  constructor({ settings, log, version, core }: GatewayServiceOptions) {
    this.#log = log;
    this.#settings = settings;
    this.#version = version;
    const { limits, trust, mqtt, outbox, name } = settings;
    const perMinute = (count: number) => ({ burst: Math.max(1, Math.ceil(count / 4)), perSecond: count / 60 });
    this.#eventRate = perMinute(limits.eventsPerMinute);
    this.gateway = new Gateway({
      links: settings.links,
      anchors: loadTrustAnchors(trust),
      log,
      linkKeys: new Map(settings.linkKeys.files.flatMap(readLinkKeys).map(({ meter, linkKey }) => [meter, linkKey])),
      sealedOnly: settings.linkKeys.sealedOnly,
      limits: {
        tlsConnections: limits.connections,
        tlsOpens: perMinute(limits.connectionsPerMinute),
        tlsBytes: limits.connectionKibibytes * 1024,
        udpSockets: limits.sockets,
        udpExchanges: perMinute(limits.datagramsPerMinute),
      },
      tlsTimeouts: { lifetimeMs: limits.connectionSeconds * 1000 },
      ...(core === undefined ? {} : { core }),
    });
    this.publisher =
      mqtt === undefined
        ? undefined
        : new MqttPublisher({
            settings: mqtt,
            gateway: name,
            version,
            outbox: new Outbox({
              directory: outbox.directory,
              maxBytes: outbox.maxMebibytes * 1024 * 1024,
              report: reportTo(log),
            }),
            ...(mqtt.commands && { commandMeter: (id: string) => this.#commandMeter(id) }),
            report: reportTo(log),
          });
    this.gateway.on('meter', (meter) => this.#watch(meter));
  }

  /** Opens what signs, outbox and links. @throws OcmfError, OutboxError, LinkError */
  async start(): Promise<void> {
    await this.#startOcmf();
    try {
      await this.publisher?.start();
    } catch (error) {
      this.#closeOcmf();
      throw error;
    }
    try {
      await this.gateway.start();
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #startOcmf(): Promise<void> {
    const { ocmf } = this.#settings;
    if (ocmf === undefined) return;
    this.#ocmf = await OcmfService.start(ocmf, this.#version);
    const { publicKeySha256, meters } = this.#ocmf;
    this.#log.info('charging transactions are signed as OCMF', { publicKeySha256, meters: meters.join(' ') });
  }

  /** Closes everything and says goodbye to the broker. */
  async stop(): Promise<void> {
    // From here on a link that goes down says nothing of its meter: it is the gateway that goes, and the publisher says so.
    this.#stopping = true;
    await this.gateway.stop();
    for (const records of this.#records.values()) records.close();
    this.#records.clear();
    for (const follower of this.#followers) follower.close();
    this.#followers.clear();
    await this.publisher?.stop();
    this.#closeOcmf();
  }

  #closeOcmf(): void {
    this.#ocmf?.close();
    this.#ocmf = undefined;
  }

  #commandMeter(id: string): CommandMeter | undefined {
    const meter = id === '' ? undefined : this.gateway.meter(id);
    if (meter === undefined) return undefined;
    const newest = (ring: Ring) => {
      const { tariff } = meter;
      if (ring === Ring.Records) return tariff?.recordNewest;
      return ring === Ring.Logbook ? tariff?.logNewest : tariff?.networkNewest;
    };
    const updates = this.#settings.mqtt?.updates;
    return {
      get commands() {
        return meter.session?.commands;
      },
      get slots() {
        return meter.session?.slots;
      },
      updates,
      newest,
      context: (sequence) => this.#records.get(meter)?.context(sequence),
    };
  }

  #watch(meter: Meter): void {
    const log = this.#log.child({ meter: meter.id });
    // A meter without settings has no id and so no topics.
    const publisher = meter.id === '' ? undefined : this.publisher?.meter(meter.id);
    const events = new EventIntake(publisher, this.#eventRate, log);
    meter.on('up', () => publisher?.state(true));
    meter.on('down', () => {
      if (!this.#stopping) publisher?.state(false);
    });
    meter.on('info', (info) => publisher?.info(info));
    meter.on('time', (time) => publisher?.time(time));
    meter.on('server', (report) => publisher?.server(report));
    meter.on('event', (event) => events.take(event));
    if (publisher !== undefined) this.#watchRecords(meter, publisher, log);
  }

  #watchRecords(meter: Meter, publisher: MeterPublisher, log: Logger): void {
    const { ledger } = publisher;
    const encode: RecordEncoder = (entry, context) => publisher.encodeRecord(entry, context);
    const follower = this.#ocmf?.follower(meter.id, {
      marks: publisher.marks,
      commands: () => meter.session?.commands,
      message: (text, about) => publisher.encodeOcmf(text, about),
      context: ledger.context,
      log,
    });
    if (follower !== undefined) this.#followers.add(follower);
    const records = new RecordIntake({ ledger, encode, follower, log });
    this.#records.set(meter, records);
    meter.on('info', () => {
      const { session } = meter;
      if (session === undefined || records.isOf(session)) return;
      records.begin(session);
      follower?.wake();
    });
    meter.on('down', () => records.end());
    meter.on('entry', (entry) => records.take(entry));
    meter.on('tariff', (tariff) => {
      publisher.tariff(tariff);
      records.newest(tariff.recordNewest);
    });
    meter.on('head', ({ head }) => {
      try {
        publisher.head(head);
      } catch (error) {
        if (!(error instanceof MessageError)) throw error;
        log.warn('the meter sent a head that makes no sense', { error: error.message });
      }
    });
  }
}
