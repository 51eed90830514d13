// The broker as `status` and `monitor` read it: what gateways publish about their meters, checked against the schemas.
// What always holds: it only reads. What does not fit its schema is counted and named, never shown as if it did.
import { decode as decodeCbor } from 'cborg';
import { type Command, Option } from 'commander';
import { connect, type IClientOptions, type MqttClient, type OnMessageCallback } from 'mqtt';
import type { z } from 'zod';
import { readFileWithin } from '../files.ts';
import { type BrokerErrorCode, connectionError } from '../mqtt/broker-error.ts';
import {
  type EventPayload,
  eventSchema,
  type GatewayStatePayload,
  gatewayStateSchema,
  type InfoPayload,
  infoSchema,
  type MeterStatePayload,
  meterStateSchema,
  type ServerPayload,
  serverSchema,
  type TimePayload,
  timeSchema,
} from '../mqtt/payloads.ts';
import { cborType, recordTopicSchema, type TariffPayload, tariffSchema } from '../mqtt/record-payloads.ts';
import { type HeadJson, headSchema } from '../record/json.ts';
import { CliError, usageError } from './errors.ts';

export interface BrokerOptions {
  readonly username?: string;
  readonly passwordFile?: string;
  readonly brokerCa?: string;
  readonly prefix: string;
}

/** Adds the options that `connectBroker` takes. */
export function withBrokerOptions(command: Command): Command {
  return command
    .option('--username <name>', 'user name for the broker')
    .option('--password-file <file>', 'file that holds the password, one line')
    .option('--broker-ca <file>', 'certificates (PEM) that the broker may be signed by, instead of those of the system')
    .addOption(new Option('--prefix <topic>', 'first levels of all topics').default('metertime'));
}

/** What is on the topic of records. */
export type RecordPayload = z.infer<typeof recordTopicSchema>;

/** One message of a gateway. */
export type Report =
  | { readonly kind: 'gateway'; readonly gateway: string; readonly payload: GatewayStatePayload }
  | { readonly kind: 'state'; readonly gateway: string; readonly meter: string; readonly payload: MeterStatePayload }
  | { readonly kind: 'info'; readonly gateway: string; readonly meter: string; readonly payload: InfoPayload }
  | { readonly kind: 'time'; readonly gateway: string; readonly meter: string; readonly payload: TimePayload }
  | { readonly kind: 'server'; readonly gateway: string; readonly meter: string; readonly payload: ServerPayload }
  | { readonly kind: 'event'; readonly gateway: string; readonly meter: string; readonly payload: EventPayload }
  | { readonly kind: 'tariff'; readonly gateway: string; readonly meter: string; readonly payload: TariffPayload }
  | { readonly kind: 'record'; readonly gateway: string; readonly meter: string; readonly payload: RecordPayload }
  | { readonly kind: 'head'; readonly gateway: string; readonly meter: string; readonly payload: HeadJson }
  /** Not what this version of metertime publishes. */
  | { readonly kind: 'foreign'; readonly topic: string; readonly reason: string };

const schemas = {
  state: meterStateSchema,
  info: infoSchema,
  time: timeSchema,
  event: eventSchema,
  tariff: tariffSchema,
  record: recordTopicSchema,
  head: headSchema,
} as const;
const allSchemas = { ...schemas, server: serverSchema } as const;

/**
 * Reads one message below `prefix`; undefined for topics that are none of the gateway's.
 * @param contentType of the message: CBOR, else it is JSON
 */
export function readReport(
  prefix: string,
  topic: string,
  payload: Uint8Array,
  contentType?: string,
): Report | undefined {
  if (!topic.startsWith(`${prefix}/`)) return undefined;
  const levels = topic.slice(prefix.length + 1).split('/');
  const [gateway = '', meter = '', leaf = ''] = levels;
  const parse = <T>(schema: z.ZodType<T>): { payload: T } | { reason: string } => {
    const value = decodePayload(payload, contentType);
    if (value === undefined) return { reason: contentType === cborType ? 'it is no CBOR' : 'it is no JSON' };
    const result = schema.safeParse(value);
    if (result.success) return { payload: result.data };
    const issue = result.error.issues[0];
    return { reason: `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not understood'}` };
  };
  if (levels.length === 2 && levels[1] === 'state') {
    if (payload.length === 0) return undefined;
    const parsed = parse(gatewayStateSchema);
    return 'payload' in parsed ? { kind: 'gateway', gateway, ...parsed } : { kind: 'foreign', topic, ...parsed };
  }
  const isServer = levels.length === 4 && leaf === 'server' && /^[1-9]\d{0,2}$/.test(levels[3]!);
  if (!isServer && (levels.length !== 3 || !Object.hasOwn(schemas, leaf))) return undefined;
  // An empty message takes back what was there.
  if (payload.length === 0) return undefined;
  const kind = leaf as keyof typeof allSchemas;
  const parsed = parse(allSchemas[kind] as z.ZodType<unknown>);
  return 'payload' in parsed
    ? ({ kind, gateway, meter, payload: parsed.payload } as Report)
    : { kind: 'foreign', topic, ...parsed };
}

/** What a message holds, byte strings of CBOR as base64; undefined where it is neither. */
export function decodePayload(payload: Uint8Array, contentType: string | undefined): unknown {
  try {
    if (contentType !== cborType) return JSON.parse(Buffer.from(payload).toString());
    const value = decodeCbor(payload) as Record<string, unknown>;
    const { bytes } = value;
    return bytes instanceof Uint8Array ? { ...value, bytes: Buffer.from(bytes).toString('base64') } : value;
  } catch {
    return undefined;
  }
}

/** The URL with no user and no password in it, and its host for messages. */
function checkUrl(text: string): URL {
  if (!URL.canParse(text)) throw usageError(`"${text}" is no URL`, 'Expected one such as mqtt://localhost:1883.');
  const url = new URL(text);
  if (!['mqtt:', 'mqtts:', 'ws:', 'wss:'].includes(url.protocol)) {
    throw usageError(`expected a broker's URL that begins with mqtt, mqtts, ws or wss, came "${url.protocol}//…"`);
  }
  if (url.username !== '' || url.password !== '') {
    throw usageError('expected no user and no password in the URL', 'Give --username and --password-file.');
  }
  return url;
}

const passwordLimitBytes = 1 << 16;
const certificatesLimitBytes = 16 << 20;

/** The client once it is connected; `end` broke it off where it was ended before. */
function connected(client: MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('connect', () => resolve());
    client.on('error', reject);
    client.once('close', () => reject(new Error("Couldn't connect to server")));
  });
}

/**
 * Connects, once: no reconnecting.
 * @throws {CliError} with a `BrokerErrorCode`
 */
export async function connectBroker(url: string, options: BrokerOptions, signal: AbortSignal): Promise<MqttClient> {
  const { host } = checkUrl(url);
  const { passwordFile, brokerCa } = options;
  const password =
    passwordFile &&
    readFileWithin(passwordFile, passwordLimitBytes)
      .toString()
      .replace(/\r?\n$/, '');
  const ca = brokerCa && readFileWithin(brokerCa, certificatesLimitBytes);
  const settings: IClientOptions = {
    protocolVersion: 5,
    clean: true,
    reconnectPeriod: 0,
    // The library would print packets, the password among them, when DEBUG is set.
    log: () => {},
    connectTimeout: 10_000,
    ...(options.username === undefined ? {} : { username: options.username }),
    ...(password === undefined ? {} : { password }),
    ...(ca === undefined ? {} : { ca }),
  };
  const client = connect(url, settings);
  const end = (): void => void client.endAsync(true).catch(() => {});
  if (signal.aborted) end();
  else signal.addEventListener('abort', end, { once: true });
  try {
    await connected(client);
  } catch (cause) {
    end();
    const error = connectionError(`the broker at ${host}`, cause);
    // The names in brackets are those of a gateway's settings.
    throw new CliError(error.code, error.message.replace(/ \((mqtt\.\w+(, )?)+\)/, ''), {
      hint: hints[error.code] ?? 'Is it running, and is the URL right?',
      cause,
    });
  }
  return client;
}

/** A message that the broker kept. */
export interface Kept {
  readonly topic: string;
  readonly payload: Buffer;
  readonly contentType: string | undefined;
}

/** What the broker keeps (and what comes meanwhile) on the topics of a filter. */
export async function readKept(client: MqttClient, filter: string): Promise<Kept[]> {
  const kept: Kept[] = [];
  const take: OnMessageCallback = (topic, payload, { properties }) => {
    kept.push({ topic, payload, contentType: properties?.contentType });
  };
  client.on('message', take);
  try {
    await subscribeKept(client, [filter]);
  } finally {
    client.off('message', take);
  }
  return kept;
}

/**
 * Subscribes to everything below the prefix and hands each report to `take`, also those that come later.
 * Resolves when the broker has sent what it had kept.
 */
export async function readReports(client: MqttClient, prefix: string, take: (report: Report) => void): Promise<void> {
  client.on('message', (topic, payload, { properties }) => {
    const report = readReport(prefix, topic, payload, properties?.contentType);
    if (report !== undefined) take(report);
  });
  await subscribeKept(client, [`${prefix}/+/state`, `${prefix}/+/+/+`, `${prefix}/+/+/server/+`]);
}

const quietMs = 200;

/**
 * Subscribes; resolves when the broker has sent what it had kept.
 * @throws {CliError} where it does not let this user read, or the connection breaks before
 */
async function subscribeKept(client: MqttClient, filters: string[]): Promise<void> {
  let lastMs = performance.now();
  const took: OnMessageCallback = (_topic, _payload, { retain }) => {
    // What is published meanwhile has no end.
    if (retain) lastMs = performance.now();
  };
  client.on('message', took);
  try {
    // With QoS 0 the broker queues what it kept before it answers a second subscription.
    await subscribe(client, filters);
    await subscribe(client, [`${filters[0]}/none`]);
    // A broker made of several may be later with it: until nothing more comes.
    while (performance.now() - lastMs < quietMs) {
      await new Promise((resolve) => setTimeout(resolve, quietMs / 4));
    }
    if (!client.connected) throw new CliError('broker-lost', broke);
  } finally {
    client.off('message', took);
  }
}

const broke = 'the connection to the broker broke';

async function subscribe(client: MqttClient, filters: string[]): Promise<void> {
  try {
    await client.subscribeAsync(filters, { qos: 0 });
  } catch (cause) {
    if (!client.connected) throw new CliError('broker-lost', broke, { cause });
    throw new CliError('broker-refused', `the broker does not let this user read ${filters.join(', ')}`, {
      hint: 'Its access list has to allow it: docs/mqtt.md.',
      cause,
    });
  }
}

const hints: Partial<Record<BrokerErrorCode, string>> = {
  'broker-login': 'Give --username and --password-file.',
  'broker-version': 'metertime needs a broker that speaks MQTT 5.',
  'broker-tls': 'If the broker has a certificate authority of its own, add it with --broker-ca FILE.',
};
