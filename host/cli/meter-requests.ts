// Commands to one meter through the broker, and their answers, for the commands of this program that send some.
// What always holds: each answer is matched with its request by Correlation Data; nothing waits longer than it was told, nor
// once the connection broke or Ctrl-C came.
import { randomBytes } from 'node:crypto';
import { type Command, Option } from 'commander';
import type { MqttClient } from 'mqtt';
import { isMeterId } from '../link/messages.ts';
import { type CommandName, type CommandResponse, responseSchema } from '../mqtt/command-payloads.ts';
import { type BrokerOptions, connectBroker, decodePayload, type Kept, readKept, withBrokerOptions } from './broker.ts';
import { CliError, usageError } from './errors.ts';
import { seconds } from './options.ts';
import { printable } from './terminal.ts';

export interface RequestOptions extends BrokerOptions {
  readonly mqtt: string;
  readonly gateway?: string;
  /** Seconds that an answer is waited for. */
  readonly timeout: number;
}

/** Adds what `MeterRequests` takes, but `--mqtt`. */
export function withRequestOptions(command: Command): Command {
  return withBrokerOptions(command)
    .option('-g, --gateway <name>', 'the gateway of the meter; found by itself where only one has such a meter')
    .addOption(new Option('--timeout <s>', 'wait so long for an answer').default(30).argParser(seconds));
}

interface Waiting {
  resolve(response: CommandResponse): void;
  reject(error: unknown): void;
}

export class MeterRequests {
  readonly #waiting = new Map<string, Waiting>();
  #base = '';
  #responseTopic = '';
  #subscribed = false;
  #unanswered = false;

  private constructor(
    private readonly client: MqttClient,
    private readonly options: RequestOptions,
    private readonly ended: Promise<never>,
  ) {
    client.on('message', (_, bytes, { properties }) => this.#take(properties?.correlationData, bytes));
  }

  /**
   * Connects, and finds the meter's gateway; close it in the end.
   * @throws CliError
   */
  static async open(meter: string, options: RequestOptions, signal: AbortSignal): Promise<MeterRequests> {
    if (!isMeterId(meter)) {
      throw usageError("expected a meter's id of 1 to 32 letters, digits, dots, dashes and underscores");
    }
    const client = await connectBroker(options.mqtt, options, signal);
    const ended = new Promise<never>((_, reject) => {
      client.once('close', () => reject(new CliError('broker-lost', 'the connection to the broker broke')));
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    // It also ends where nothing waits for an answer.
    ended.catch(() => {});
    const requests = new MeterRequests(client, options, ended);
    try {
      const { prefix, username = 'anyone' } = options;
      const gateway = options.gateway ?? (await requests.#within(() => gatewayOf(client, prefix, meter)));
      requests.#base = `${prefix}/${gateway}/${meter}`;
      requests.#responseTopic = `${requests.#base}/response/${username}/${randomBytes(8).toString('hex')}`;
    } catch (error) {
      await requests.close();
      throw error;
    }
    return requests;
  }

  /** Sends a command and waits for its answer. @throws CliError where none comes */
  async ask(name: CommandName, payload: string): Promise<CommandResponse> {
    const correlationData = randomBytes(16);
    const key = correlationData.toString('hex');
    const answer = new Promise<CommandResponse>((resolve, reject) => this.#waiting.set(key, { resolve, reject }));
    // It may come to nothing before it is waited for.
    answer.catch(() => {});
    try {
      return await this.#within(async () => {
        await this.#send(name, payload, correlationData);
        return await answer;
      });
    } finally {
      this.#waiting.delete(key);
    }
  }

  async #send(name: CommandName, payload: string, correlationData: Buffer): Promise<void> {
    const responseTopic = this.#responseTopic;
    if (!this.#subscribed) await this.client.subscribeAsync(responseTopic, { qos: 1 });
    this.#subscribed = true;
    const topic = `${this.#base}/command/${name}`;
    const messageExpiryInterval = Math.ceil(this.options.timeout);
    const properties = { responseTopic, correlationData, messageExpiryInterval };
    await this.client
      .publishAsync(topic, payload, { qos: 1, properties })
      .catch((cause: Error & { code?: unknown }) => {
        if (cause.code !== 0x87) throw cause;
        throw new CliError('broker-refused', `the broker does not let this user publish to ${topic}`, {
          hint: 'Its access list has to allow it: docs/mqtt.md.',
          cause,
        });
      });
  }

  #take(correlationData: Buffer | undefined, bytes: Uint8Array): void {
    const waiting = this.#waiting.get(correlationData?.toString('hex') ?? '');
    if (waiting === undefined) return;
    // Answers are JSON.
    const parsed = responseSchema.safeParse(decodePayload(bytes, undefined));
    if (parsed.success) waiting.resolve(parsed.data);
    else waiting.reject(new CliError('answer-invalid', 'the answer is not one of this version of metertime'));
  }

  /** What the broker keeps on one of the meter's topics; undefined where it keeps nothing. */
  async kept(leaf: string): Promise<Kept | undefined> {
    const topic = `${this.#base}/${leaf}`;
    const all = await this.#within(() => readKept(this.client, topic));
    return all.findLast((each) => each.topic === topic);
  }

  /** Without an answer, what is still to be acknowledged is not waited for. */
  async close(): Promise<void> {
    await this.client.endAsync(this.#unanswered);
  }

  async #within<T>(work: () => Promise<T>): Promise<T> {
    const { timeout } = this.options;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(noAnswer(timeout)), timeout * 1000);
    });
    this.#unanswered = true;
    try {
      const result = await Promise.race([work(), late, this.ended]);
      this.#unanswered = false;
      return result;
    } finally {
      clearTimeout(timer);
    }
  }
}

function noAnswer(timeoutSeconds: number): CliError {
  return new CliError('answer-missing', `no answer came within ${timeoutSeconds} s`, {
    hint: 'Is the gateway online, does it take commands (mqtt.commands), and may this user send them and read the answers?',
  });
}

/** What the gateway or the meter refused, as the error of this program. */
export function refusal({ error: { code, message, hint } }: Extract<CommandResponse, { ok: false }>): CliError {
  return new CliError(code, printable(message), { hint: printable(hint) });
}

/** The only gateway whose meters have this id. */
async function gatewayOf(client: MqttClient, prefix: string, meter: string): Promise<string> {
  const states = await readKept(client, `${prefix}/+/${meter}/state`);
  const said = states.filter(({ payload }) => payload.length > 0);
  const gateways = new Set(said.map(({ topic }) => topic.slice(prefix.length + 1).split('/')[0]!));
  const [gateway, ...others] = gateways;
  if (gateway === undefined) {
    throw new CliError('meter-unknown', `the broker knows no meter "${meter}"`, {
      hint: 'Is its gateway connected to this broker? Give --gateway where it has not met the meter yet.',
    });
  }
  if (others.length > 0) {
    throw usageError(
      `several gateways have a meter "${meter}": ${[...gateways].map(printable).join(', ')}`,
      'Give --gateway.',
    );
  }
  return gateway;
}
