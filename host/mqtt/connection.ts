// One lasting connection to the broker: made anew with growing pauses, each time by a fresh client.
//
// Always holds:
// - The client library keeps nothing between connections: what was not acknowledged is rejected, and whoever published
//   it decides. So nothing is sent twice by two memories.
// - No more messages are under way than the broker allows (receive maximum), none is larger than it takes.
// - A broker without MQTT 5, QoS 1 or retained messages is refused, with the reason.
// - The same trouble is reported once, until it changes or ends.
import type { IClientOptions, MqttClient } from 'mqtt';
import { namedFileLimitBytes, passwordIn } from '../config/named-files.ts';
import type { MqttSettings } from '../config/settings.ts';
import { FileError, readFileWithin } from '../files.ts';
import type { MessageProperties } from '../outbox/outbox.ts';
import type { Report } from '../report.ts';
import {
  BrokerError,
  type BrokerErrorCode,
  closedUnanswered,
  connectionError,
  refusedBy,
  versionError,
} from './broker-error.ts';
import { connectClient } from './client.ts';
import { packetTooLarge } from './reason-codes.ts';

export interface Publication {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly retain: boolean;
  readonly properties?: MessageProperties & { readonly correlationData?: Buffer };
}

/** A message that was subscribed to. */
export interface Received {
  readonly topic: string;
  readonly payload: Buffer;
  readonly responseTopic: string | undefined;
  readonly correlationData: Buffer | undefined;
}

export type ConnectionReport = Report<BrokerErrorCode | 'broker-connected' | 'subscription-refused'>;

export interface ConnectionOptions {
  readonly settings: MqttSettings;
  /** What the broker publishes when the gateway is lost. */
  readonly will: { readonly topic: string; readonly payload: Uint8Array; readonly properties: MessageProperties };
  readonly report: (report: ConnectionReport) => void;
  readonly onUp: () => void;
  readonly onDown: () => void;
  /** A topic filter, and what takes its messages: neither own ones nor retained ones. */
  readonly subscription?: { readonly filter: string; readonly take: (received: Received) => void };
  /** Pause after the first failure, ms; doubled up to the longest. */
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
}

/** The largest packet that the broker may send, and how many before one is acknowledged. */
const largestPacketBytes = 1 << 20;
const receivedAtOnce = 16;
/** As much as metertime ever has under way at once, whatever the broker allows. */
const mostUnderWay = 64;
const connectTimeoutMs = 15_000;
/** A connection that stood this long was a good one: the next pause is the first one again. */
const goodConnectionMs = 10_000;

interface Attempt {
  readonly client: MqttClient;
  readonly abandoned: Set<(error: BrokerError) => void>;
  receiveMaximum: number;
  maximumPacketSize: number;
  underWay: number;
  readonly queue: (() => void)[];
  upAtMs: number | undefined;
}

export class BrokerConnection {
  readonly #options: ConnectionOptions & { readonly firstRetryMs: number; readonly longestRetryMs: number };
  readonly #broker: string;
  #attempt: Attempt | undefined;
  #retryTimer: NodeJS.Timeout | undefined;
  #failures = 0;
  #running = false;
  #said: string | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = { firstRetryMs: 1000, longestRetryMs: 60_000, ...options };
    this.#broker = `the broker ${options.settings.url}`;
  }

  get up(): boolean {
    return this.#attempt?.upAtMs !== undefined;
  }

  /** Begins to connect and never gives up until `stop`. */
  start(): void {
    this.#running = true;
    this.#connect();
  }

  /** Disconnects, so that the broker drops the last will; by force when that takes longer than `timeoutMs`. */
  async stop(timeoutMs = 2000): Promise<void> {
    this.#running = false;
    clearTimeout(this.#retryTimer);
    const attempt = this.#attempt;
    if (attempt === undefined) return;
    const wasUp = attempt.upAtMs !== undefined;
    this.#attempt = undefined;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => attempt.client.end(true, () => resolve()), timeoutMs);
      attempt.client.end(!wasUp, () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.#abandon(attempt, new BrokerError('broker-lost', 'the gateway stops'));
    if (wasUp) this.#options.onDown();
  }

  /**
   * Publishes with QoS 1 and gives the reason code of the PUBACK; 0x95 when it is larger than the broker takes.
   * Waits while as much is under way as the broker allows. Rejects with `BrokerError` when the connection ends before.
   */
  publish(publication: Publication): Promise<number> {
    const attempt = this.#attempt;
    if (attempt?.upAtMs === undefined) {
      return Promise.reject(new BrokerError('broker-lost', `${this.#broker} is not connected`));
    }
    if (publishPacketBytes(publication) > attempt.maximumPacketSize) return Promise.resolve(packetTooLarge);
    return new Promise<number>((resolve, reject) => {
      attempt.abandoned.add(reject);
      const done = (reasonCode: number) => {
        attempt.abandoned.delete(reject);
        attempt.underWay--;
        attempt.queue.shift()?.();
        resolve(reasonCode);
      };
      const send = () => {
        attempt.underWay++;
        const { topic, payload, retain, properties } = publication;
        attempt.client.publish(
          topic,
          Buffer.from(payload),
          { qos: 1, retain, properties: { ...properties } },
          (error) => {
            if (!error) return done(0);
            const { code } = error as { code?: unknown };
            // Without a reason code it is not the broker that refused: the connection is about to be abandoned.
            if (typeof code === 'number') done(code);
          },
        );
      };
      if (attempt.underWay < attempt.receiveMaximum) send();
      else attempt.queue.push(send);
    });
  }

  #connect(): void {
    let client: MqttClient;
    try {
      client = connectClient(this.#clientOptions());
    } catch (error) {
      this.#failed(undefined, connectionError(this.#broker, error));
      return;
    }
    const attempt: Attempt = {
      client,
      abandoned: new Set(),
      receiveMaximum: mostUnderWay,
      maximumPacketSize: Number.POSITIVE_INFINITY,
      underWay: 0,
      queue: [],
      upAtMs: undefined,
    };
    this.#attempt = attempt;
    let failure: BrokerError | undefined;
    const fail = (error: BrokerError) => {
      failure ??= error;
      client.end(true);
    };
    client.on('packetreceive', (packet) => {
      // A CONNACK of MQTT 3.1.1 is two bytes long; that of MQTT 5 holds a length of properties behind them.
      if (packet.cmd === 'connack' && packet.length === 2 && (packet.reasonCode ?? 0) === 0)
        fail(versionError(this.#broker));
    });
    client.on('connect', (connack) => {
      if (failure) return;
      const lacking = missingCapability(connack.properties);
      if (lacking !== undefined) return fail(new BrokerError('broker-capability', `${this.#broker} ${lacking}`));
      attempt.receiveMaximum = Math.min(connack.properties?.receiveMaximum ?? mostUnderWay, mostUnderWay);
      attempt.maximumPacketSize = connack.properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
      attempt.upAtMs = performance.now();
      this.#said = undefined;
      this.#options.report({ level: 'info', code: 'broker-connected', message: `connected to ${this.#broker}` });
      this.#subscribe(client);
      this.#options.onUp();
    });
    client.on('disconnect', (packet) => {
      const reasonCode = packet.reasonCode ?? 0;
      failure ??=
        reasonCode < 0x80
          ? new BrokerError('broker-lost', `${this.#broker} closed the connection`)
          : refusedBy(this.#broker, reasonCode, packet.properties?.reasonString);
      client.end(true);
    });
    let answered = false;
    client.once('packetreceive', () => {
      answered = true;
    });
    const tls = /^(mqtts|wss):/.test(this.#options.settings.url);
    client.on('error', (error) => fail(connectionError(this.#broker, error, { tls, answered })));
    client.on('close', () => {
      client.end(true);
      failure ??=
        attempt.upAtMs === undefined
          ? closedUnanswered(this.#broker, { tls })
          : new BrokerError('broker-lost', `the connection to ${this.#broker} is lost`);
      this.#failed(attempt, failure);
    });
  }

  #subscribe(client: MqttClient): void {
    const { subscription } = this.#options;
    if (subscription === undefined) return;
    client.on('message', (topic, payload, { retain, properties }) => {
      // What stays at the broker would be carried out again and again.
      if (retain) return;
      const { responseTopic, correlationData } = properties ?? {};
      subscription.take({ topic, payload, responseTopic, correlationData });
    });
    client.subscribe(subscription.filter, { qos: 1, nl: true, rh: 2 }, (error) => {
      if (!error || client.disconnecting || !client.connected) return;
      this.#options.report({
        level: 'warn',
        code: 'subscription-refused',
        message: `${this.#broker} does not let the gateway subscribe to ${subscription.filter} (${error.message}): no commands come`,
      });
    });
  }

  #failed(attempt: Attempt | undefined, error: BrokerError): void {
    if (!this.#running || attempt !== this.#attempt) return;
    this.#attempt = undefined;
    const upMs = attempt?.upAtMs === undefined ? 0 : performance.now() - attempt.upAtMs;
    if (upMs >= goodConnectionMs) this.#failures = 0;
    if (attempt) this.#abandon(attempt, error);
    if (attempt?.upAtMs !== undefined) this.#options.onDown();
    if (this.#said !== error.message) {
      this.#said = error.message;
      this.#options.report({
        level: 'error',
        code: error.code,
        message: `${error.message}; it is tried again until it works`,
      });
    }
    const { firstRetryMs, longestRetryMs } = this.#options;
    const pauseMs = Math.min(firstRetryMs * 2 ** Math.min(this.#failures, 30), longestRetryMs);
    this.#failures++;
    // Spread by a quarter, so that many gateways do not come back to a restarted broker at the same moment.
    this.#retryTimer = setTimeout(() => this.#connect(), pauseMs * (0.75 + 0.5 * Math.random()));
  }

  #abandon(attempt: Attempt, error: BrokerError): void {
    for (const reject of attempt.abandoned) reject(error);
    attempt.abandoned.clear();
    attempt.queue.length = 0;
  }

  #clientOptions(): IClientOptions {
    const { settings, will } = this.#options;
    const url = new URL(settings.url);
    const password =
      settings.passwordFile === undefined ? settings.password?.reveal() : readPassword(settings.passwordFile);
    const port = url.port === '' ? undefined : Number(url.port);
    return {
      protocol: url.protocol.slice(0, -1) as 'mqtt' | 'mqtts' | 'ws' | 'wss',
      hostname: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
      ...(port === undefined ? {} : { port }),
      ...(url.protocol.startsWith('ws') ? { path: `${url.pathname}${url.search}` } : {}),
      ...(settings.caFile === undefined ? {} : { ca: readCredential(settings.caFile) }),
      ...(settings.certFile === undefined ? {} : { cert: readCredential(settings.certFile) }),
      ...(settings.keyFile === undefined ? {} : { key: readCredential(settings.keyFile) }),
      ...(settings.username === undefined ? {} : { username: settings.username }),
      ...(password === undefined ? {} : { password }),
      clientId: settings.clientId,
      protocolId: 'MQTT',
      protocolVersion: 5,
      // The session lasts as long as the last will waits, and a new connection takes it over: only so is the will
      // withheld when the gateway comes back in time (MQTT 5, 3.1.2.5). Nothing else in the session matters.
      clean: false,
      properties: {
        sessionExpiryInterval: settings.willDelaySeconds,
        maximumPacketSize: largestPacketBytes,
        receiveMaximum: receivedAtOnce,
      },
      will: {
        topic: will.topic,
        payload: Buffer.from(will.payload),
        qos: 1,
        retain: true,
        properties: { ...will.properties, willDelayInterval: settings.willDelaySeconds },
      },
      keepalive: settings.keepAliveSeconds,
      connectTimeout: connectTimeoutMs,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      // The library would print packets, the password among them, when DEBUG is set.
      log: () => {},
    };
  }
}

function readCredential(path: string): Buffer {
  try {
    return readFileWithin(path, namedFileLimitBytes, 'file');
  } catch (cause) {
    if (!(cause instanceof FileError)) throw cause;
    throw new BrokerError('broker-file', cause.message, { cause });
  }
}

function readPassword(path: string): string {
  const password = passwordIn(readCredential(path));
  if (password === '') throw new BrokerError('broker-file', `${path} holds no password in its first line`);
  return password;
}

/** What the broker cannot do although metertime needs it (MQTT 5, 3.2.2.3); absent properties mean that it can. */
function missingCapability(
  properties: { maximumQoS?: number; retainAvailable?: boolean } | undefined,
): string | undefined {
  if (properties?.maximumQoS === 0)
    return 'does not acknowledge messages (its maximum QoS is 0), which metertime needs';
  if (properties?.retainAvailable === false) return 'does not keep retained messages, which metertime needs';
  return undefined;
}

const textBytes = (text: string) => 2 + Buffer.byteLength(text);
const varintBytes = (value: number) => (value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4);

/** Size of a whole PUBLISH packet with QoS 1 (MQTT 5, 3.3). */
export function publishPacketBytes({ topic, payload, properties = {} }: Publication): number {
  const properties_ =
    (properties.payloadFormatIndicator === undefined ? 0 : 2) +
    (properties.messageExpiryInterval === undefined ? 0 : 5) +
    (properties.contentType === undefined ? 0 : 1 + textBytes(properties.contentType)) +
    (properties.correlationData === undefined ? 0 : 3 + properties.correlationData.length) +
    Object.entries(properties.userProperties ?? {}).reduce(
      (sum, [key, value]) => sum + 1 + textBytes(key) + textBytes(value),
      0,
    );
  const remaining = textBytes(topic) + 2 + varintBytes(properties_) + properties_ + payload.length;
  return 1 + varintBytes(remaining) + remaining;
}
