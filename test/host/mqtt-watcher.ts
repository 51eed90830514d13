// What a broker tells anyone who listens: retained messages and events, as they come. For tests.
import mqtt, { type IClientOptions, type IPublishPacket, type MqttClient } from 'mqtt';
import { until } from '../../host/setup/until.ts';
import { schemaOfTopic, schemaProblem } from './mqtt-schemas.ts';

export interface Seen {
  readonly topic: string;
  readonly payload: Buffer;
  readonly text: string;
  readonly retain: boolean;
  readonly properties: NonNullable<IPublishPacket['properties']>;
}

/**
 * A client that notes everything below `metertime/`, in order, and connects again by itself. What does not fit its schema
 * is an error when it stops.
 */
export class Watcher {
  readonly seen: Seen[] = [];
  readonly #problems: string[] = [];
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
    client.on('message', (topic, payload, packet) => {
      const { retain, properties = {} } = packet;
      this.seen.push({ topic, payload, text: payload.toString(), retain, properties });
      this.#check(topic, payload, properties.contentType);
    });
  }

  static async start(url: string, options: IClientOptions = {}, qos: 0 | 1 = 1): Promise<Watcher> {
    const client = mqtt.connect(url, { protocolVersion: 5, reconnectPeriod: 50, ...options });
    const watcher = new Watcher(client);
    await new Promise<void>((resolve, reject) => {
      client.once('connect', () => resolve());
      client.once('error', reject);
    });
    await client.subscribeAsync('metertime/#', { qos });
    return watcher;
  }

  /** Payloads seen on a topic, in order. */
  on(topic: string): string[] {
    return this.seen.filter((seen) => seen.topic === topic).map(({ text }) => text);
  }

  /** The last payload of a topic as JSON; undefined for none or an empty one. */
  last(topic: string): Record<string, unknown> | undefined {
    const text = this.on(topic).at(-1);
    return text ? (JSON.parse(text) as Record<string, unknown>) : undefined;
  }

  /** Waits until the last payload of a topic holds these values. */
  async expect(topic: string, values: Record<string, unknown>, timeoutMs = 10_000): Promise<Record<string, unknown>> {
    return until(
      `${topic} with ${JSON.stringify(values)} (last: ${this.on(topic).at(-1)})`,
      () => {
        const last = this.last(topic);
        return last && Object.entries(values).every(([key, value]) => last[key] === value) ? last : undefined;
      },
      { timeoutMs },
    );
  }

  #check(topic: string, payload: Buffer, contentType: string | undefined): void {
    const schema = schemaOfTopic(topic);
    if (payload.length === 0 || contentType !== 'application/json' || schema === undefined) return;
    const problem = schemaProblem(schema, JSON.parse(payload.toString()));
    if (problem !== undefined) this.#problems.push(`${topic}: ${problem}`);
  }

  async stop(): Promise<void> {
    await this.#client.endAsync(true);
    if (this.#problems.length > 0)
      throw new Error(`on the broker, not as the schemas say: ${this.#problems.join('; ')}`);
  }
}
