// What has arrived at the broker of each meter: entries of the records by their number, heads, and what must not be said.
// What always holds: who watches is there before the gateway is let through to the broker, and mosquitto hands a message
// of QoS 0 on before it acknowledges it: what the gateway was told to be delivered is seen here.
import { connectAsync } from 'mqtt';
import { eventSchema } from '../../host/mqtt/payloads.ts';
import { recordTopicSchema, tariffSchema } from '../../host/mqtt/record-payloads.ts';
import type { Mosquitto } from '../../host/setup/mosquitto.ts';
import { Watcher } from '../host/mqtt-watcher.ts';

/** Events that no meter has a reason for here. */
const unexpected = new Set(['tampered', 'records-full', 'records-resumed', 'seed-invalid', 'settings-invalid']);

/** What is known of a meter. */
class Arrived {
  readonly entries = new Map<number, Buffer>();
  /** The newest head, as it is signed. */
  head: Buffer | undefined;
  /** Newest entry of its logbook. */
  logbook = 0;
}

export class RecordArrivals {
  total = 0;
  /** Came again, with a number that had come: the same bytes. */
  duplicates = 0;
  readonly failures: string[] = [];
  readonly #of = new Map<string, Arrived>();
  #watcher: Watcher | undefined;
  #read = 0;

  /** Listens at a broker that was started, or started again. */
  async watch(broker: Mosquitto): Promise<void> {
    this.take();
    await this.#watcher?.stop();
    this.#watcher = await Watcher.start(broker.url, { reconnectPeriod: 0 }, 0);
    this.#read = 0;
  }

  of(meter: string): Arrived {
    let arrived = this.#of.get(meter);
    if (arrived === undefined) {
      arrived = new Arrived();
      this.#of.set(meter, arrived);
    }
    return arrived;
  }

  /** Takes what has come since it was called last. */
  take(): void {
    const seen = this.#watcher?.seen ?? [];
    for (; this.#read < seen.length; this.#read++) {
      const { topic, text, properties } = seen[this.#read]!;
      const [, , meter, leaf] = topic.split('/');
      if (text === '' || meter === undefined) continue;
      const json: unknown = JSON.parse(text);
      if (leaf === 'record') this.#takeRecord(meter, json, properties.userProperties?.sequence);
      else if (leaf === 'head') this.of(meter).head = Buffer.from((json as { bytes: string }).bytes, 'base64');
      else if (leaf === 'tariff') this.of(meter).logbook = tariffSchema.parse(json).newest.logbook;
      else if (leaf === 'event') this.#takeEvent(meter, json);
    }
  }

  #takeRecord(meter: string, json: unknown, named: unknown): void {
    const { sequence, bytes: text } = recordTopicSchema.parse(json);
    const { entries } = this.of(meter);
    if (named !== `${sequence}`) this.failures.push(`${meter}: ${sequence} is published as ${named}`);
    const bytes = Buffer.from(text, 'base64');
    this.total++;
    const known = entries.get(sequence);
    if (known === undefined) entries.set(sequence, bytes);
    else if (known.equals(bytes)) this.duplicates++;
    else this.failures.push(`${meter}: ${sequence} came again with other bytes`);
  }

  #takeEvent(meter: string, json: unknown): void {
    const { event, detail, a, b } = eventSchema.parse(json);
    if (unexpected.has(event)) this.failures.push(`${meter}: event ${event} ${a} ${b} ${detail}`);
  }

  async stop(): Promise<void> {
    this.take();
    await this.#watcher?.stop();
  }
}

/** The operator releases a meter's logbook, so that it is never full. */
export async function releaseLogbook(
  broker: Mosquitto,
  gateway: string,
  meter: string,
  sequence: number,
): Promise<void> {
  const operator = await connectAsync(broker.url, { protocolVersion: 5, reconnectPeriod: 0 });
  const topic = `metertime/${gateway}/${meter}/command/logbook-release`;
  await operator.publishAsync(topic, JSON.stringify({ sequence }), { qos: 1 });
  await operator.endAsync();
}
