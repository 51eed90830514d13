// The broker as any subscriber sees it: the demo subscribes like everybody else and keeps the last message of each topic.
import type { MqttClient } from 'mqtt';
import { connectBroker, type Report, readReport } from '../cli/broker.ts';
import type { TimePayload } from '../mqtt/payloads.ts';

const prefix = 'metertime';

/** A topic with its last message. */
export interface TopicView {
  readonly topic: string;
  readonly payload: Record<string, unknown>;
  readonly count: number;
}

/** A meter's last time report. */
export interface LastTime {
  readonly payload: TimePayload;
  /** performance.now() when it came. */
  readonly cameMs: number;
}

export class BrokerView {
  readonly #topics = new Map<string, TopicView>();
  readonly #reports: Report[] = [];
  readonly #lastTimes = new Map<string, LastTime>();
  #client: MqttClient | undefined;
  /** Told about each report of a gateway. */
  onReport: (report: Report) => void = () => {};

  /** Connects and subscribes to everything below `metertime/`. @throws CliError */
  async start(url: string, signal: AbortSignal): Promise<void> {
    const client = await connectBroker(url, { prefix }, signal);
    this.#client = client;
    client.on('error', () => {}); // its end is seen by what does not come any more
    client.on('message', (topic, payload) => this.#take(topic, payload));
    await client.subscribeAsync(`${prefix}/#`, { qos: 0 });
  }

  async stop(): Promise<void> {
    await this.#client?.endAsync(true);
  }

  /** All topics seen, in the order in which they came. */
  get topics(): readonly TopicView[] {
    return [...this.#topics.values()];
  }

  /** All reports, oldest first. */
  get reports(): readonly Report[] {
    return this.#reports;
  }

  /** The last time report of a meter. */
  lastTime(meter: string): LastTime | undefined {
    return this.#lastTimes.get(meter);
  }

  #take(topic: string, payload: Buffer): void {
    if (payload.length === 0) return;
    const report = readReport(prefix, topic, payload);
    if (report === undefined || report.kind === 'foreign') return;
    const count = (this.#topics.get(topic)?.count ?? 0) + 1;
    this.#topics.set(topic, { topic, payload: report.payload as unknown as Record<string, unknown>, count });
    if (report.kind === 'time') {
      this.#lastTimes.set(report.meter, { payload: report.payload, cameMs: performance.now() });
    }
    this.#reports.push(report);
    if (this.#reports.length > keptReports) this.#reports.shift();
    this.onReport(report);
  }
}

const keptReports = 1_000;

/** What of a payload tells most, by the last level of its topic. */
const shown: Readonly<Record<string, readonly string[]>> = {
  state: ['state', 'sinceUtc'],
  info: ['board', 'firmwareVersion', 'resetCause'],
  time: ['status', 'utc', 'offsetNs', 'uncertaintyNs', 'boundNs'],
  event: ['event', 'text'],
};

/** A payload's telling fields as JSON; `…` stands for the others. */
export function shortPayload({ topic, payload }: Pick<TopicView, 'topic' | 'payload'>): string {
  const leaf = topic.slice(topic.lastIndexOf('/') + 1);
  const names = (shown[leaf] ?? []).filter((name) => name in payload);
  const fields = names.map((name) => `${JSON.stringify(name)}:${JSON.stringify(payload[name])}`);
  if (names.length < Object.keys(payload).length) fields.push('…');
  return `{${fields.join(', ')}}`;
}
