// A gateway as its settings say it: links, meters, broker and outbox, wired together.
// Always holds: with a broker in the settings, an event of a meter is acknowledged only when it is on disk for good;
// without one, the log is all there is, and an event is acknowledged when it is in it. What fails at the broker or on the
// disk is logged and never stops the service of the meters.
import type { Settings } from '../config/settings.ts';
import type { CoreModule } from '../core/core.ts';
import { Gateway, type Meter } from '../gateway/gateway.ts';
import type { MeterReportedEvent } from '../gateway/meter-session.ts';
import type { Logger } from '../log.ts';
import { type MeterPublisher, MqttPublisher } from '../mqtt/publisher.ts';
import { TokenBucket } from '../net/token-bucket.ts';
import { loadTrustAnchors } from '../net/trust-anchors.ts';
import { Outbox, OutboxError } from '../outbox/outbox.ts';
import { reportTo } from '../report.ts';
import { describeEvent } from '../text/names.ts';

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

  /** @throws TrustAnchorError */
  constructor({ settings, log, version, core }: GatewayServiceOptions) {
    this.#log = log;
    const { limits, trust, mqtt, outbox, name } = settings;
    const perMinute = (count: number) => ({ burst: Math.max(1, Math.ceil(count / 4)), perSecond: count / 60 });
    this.#eventRate = perMinute(limits.eventsPerMinute);
    this.gateway = new Gateway({
      links: settings.links,
      anchors: loadTrustAnchors(trust),
      log,
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
            report: reportTo(log),
          });
    this.gateway.on('meter', (meter) => this.#watch(meter));
  }

  /** Opens outbox and links. @throws OutboxError, LinkError */
  async start(): Promise<void> {
    await this.publisher?.start();
    try {
      await this.gateway.start();
    } catch (error) {
      await this.publisher?.stop();
      throw error;
    }
  }

  /** Says goodbye to the broker and closes everything. */
  async stop(): Promise<void> {
    await this.gateway.stop();
    await this.publisher?.stop();
  }

  #watch(meter: Meter): void {
    const log = this.#log.child({ meter: meter.id });
    // A meter without settings has no id and so no topics.
    const publisher = meter.id === '' ? undefined : this.publisher?.meter(meter.id);
    const events = new EventIntake(publisher, this.#eventRate, log);
    meter.on('up', () => publisher?.state(true));
    meter.on('down', () => publisher?.state(false));
    meter.on('info', (info) => publisher?.info(info));
    meter.on('time', (time) => publisher?.time(time));
    meter.on('event', (event) => events.take(event));
  }
}

/** Takes a meter's events into the outbox, no faster than its share; those that must wait wait in a short queue. */
class EventIntake {
  static readonly #mostWaiting = 64;
  readonly #bucket: TokenBucket;
  readonly #waiting: MeterReportedEvent[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly publisher: MeterPublisher | undefined,
    private readonly rate: { burst: number; perSecond: number },
    private readonly log: Logger,
  ) {
    this.#bucket = new TokenBucket(rate);
  }

  take(event: MeterReportedEvent): void {
    // One that finds no place stays with the meter, which sends it again in its next session.
    if (this.#waiting.length < EventIntake.#mostWaiting) this.#waiting.push(event);
    this.#run();
  }

  #run(): void {
    if (this.#timer !== undefined) return;
    while (this.#waiting.length > 0) {
      if (!this.#bucket.take()) {
        this.#pause(1000 / this.rate.perSecond);
        return;
      }
      void this.#store(this.#waiting.shift()!);
    }
  }

  #pause(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#run();
    }, ms).unref();
  }

  async #store(reported: MeterReportedEvent): Promise<void> {
    const { event, ack } = reported;
    try {
      await this.publisher?.event(event);
    } catch (error) {
      if (!(error instanceof OutboxError)) throw error;
      // The outbox has said why. The meter keeps the event; it is tried again as long as there is room for it here.
      this.log.debug('an event stays with its meter', { sequence: event.sequence, code: error.code });
      if (this.#waiting.length < EventIntake.#mostWaiting) this.#waiting.unshift(reported);
      this.#pause(outboxRetryMs);
      return;
    }
    this.log.info(describeEvent(event), { sequence: event.sequence });
    ack();
  }
}

const outboxRetryMs = 2000;
