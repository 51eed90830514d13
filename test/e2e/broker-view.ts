// What a subscriber sees of a gateway at the broker, over restarts of everything: its session is kept by the broker.
import mqtt, { type MqttClient } from 'mqtt';

/** A message as it came. */
export interface Seen {
  readonly topic: string;
  /** Parsed; undefined for an empty one. */
  readonly value: Record<string, unknown> | undefined;
  readonly retained: boolean;
  readonly atMs: number;
}

export class BrokerView {
  readonly seen: Seen[] = [];

  private constructor(private readonly client: MqttClient) {}

  /** @param clientId with one, the broker keeps what comes while this client is away */
  static async connect(url: string, filter: string, clientId?: string): Promise<BrokerView> {
    const client = mqtt.connect(url, {
      protocolVersion: 5,
      reconnectPeriod: 100,
      connectTimeout: 2_000,
      ...(clientId === undefined ? {} : { clientId, clean: false, properties: { sessionExpiryInterval: 3_600 } }),
    });
    const view = new BrokerView(client);
    client.on('error', () => {});
    client.on('message', (topic, payload, packet) => {
      const value = payload.length === 0 ? undefined : JSON.parse(payload.toString());
      view.seen.push({ topic, value, retained: packet.retain, atMs: performance.now() });
    });
    await new Promise<void>((resolve) => client.once('connect', () => resolve()));
    await client.subscribeAsync(filter, { qos: 1, rap: true });
    return view;
  }

  /** The newest message of a topic, from `from` on in `seen`. */
  last(topic: string, from = 0): Record<string, unknown> | undefined {
    return this.seen.slice(from).findLast((message) => message.topic === topic)?.value;
  }

  /** All values of a topic. */
  all(topic: string): Record<string, unknown>[] {
    return this.seen.flatMap((message) => (message.topic === topic && message.value ? [message.value] : []));
  }

  async stop(): Promise<void> {
    await this.client.endAsync(true);
  }
}
