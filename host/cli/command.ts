// metertime command: sends a command to a meter through the broker, and prints the answer.
import { randomBytes } from 'node:crypto';
import { Command, Option } from 'commander';
import type { MqttClient } from 'mqtt';
import { isMeterId } from '../link/messages.ts';
import {
  type AnyCommandResult,
  type CommandName,
  type CommandResponse,
  commandSchemas,
  entriesAtOnce,
  responseSchema,
} from '../mqtt/command-payloads.ts';
import type { EntryPayload } from '../mqtt/record-payloads.ts';
import { readDynamicFile, readProgramFile } from '../tariff/program-file.ts';
import { type BrokerOptions, connectBroker, withBrokerOptions } from './broker.ts';
import { type Context, withHelp } from './context.ts';
import { CliError, usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { seconds, wholeNumber } from './options.ts';
import { printable } from './terminal.ts';

interface Options extends BrokerOptions {
  mqtt: string;
  gateway?: string;
  from?: number;
  count?: number;
  ring?: string;
  sequence?: number;
  timeout: number;
  json?: boolean;
}

const names = Object.keys(commandSchemas) as CommandName[];

export function commandCommand(context: Context): Command {
  const command = new Command('command')
    .summary('send a command to a meter through the broker')
    .description(
      'Sends a command over MQTT to the gateway of a meter, and prints the answer: tariff-program and dynamic-tariffs store what a file of YAML or JSON says; records and logbook tell entries by their sequence, the newest ones where no --from is given; logbook-release lets the meter overwrite what was read.',
    )
    .argument('<meter>', "the meter's id")
    .argument('<name>', names.join(', '))
    .argument('[file]', 'a tariff program, or dynamic tariffs')
    .requiredOption('-m, --mqtt <url>', 'the broker, such as mqtt://localhost or mqtts://broker.example')
    .option('-g, --gateway <name>', 'the gateway of the meter; found by itself where only one has such a meter')
    .option('--from <sequence>', 'the first entry (records, logbook)', wholeNumber)
    .option('--count <number>', `how many entries, 1 to ${entriesAtOnce.most} (records, logbook)`, wholeNumber)
    .addOption(new Option('--ring <name>', 'which ring (logbook)').choices(['logbook', 'network']))
    .option('--sequence <sequence>', 'the newest entry that was read (logbook-release)', wholeNumber)
    .addOption(new Option('--timeout <s>', 'wait so long for the answer').default(30).argParser(seconds))
    .option('--json', 'print the answer as it came, one JSON object')
    .action((meter: string, name: string, file: string | undefined, options: Options) =>
      send(context, meter, name, file, options),
    );
  return withHelp(withBrokerOptions(command), {
    examples: [
      ['command m1 tariff-program household.yaml -m mqtt://localhost', 'stores a tariff program'],
      ['command m1 dynamic-tariffs tomorrow.json -m mqtt://localhost', 'replaces the dynamic tariffs'],
      ['command m1 logbook -m mqtt://localhost', 'the newest entries of the logbook'],
      ['command m1 records --from 100 --count 50 --json -m mqtt://localhost', 'records, for a program'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function send(
  context: Context,
  meter: string,
  name: string,
  file: string | undefined,
  options: Options,
): Promise<void> {
  const { terminal, signal } = context;
  if (!isCommand(name)) throw usageError(`expected one of ${names.join(', ')}, came "${printable(name)}"`);
  if (!isMeterId(meter)) {
    throw usageError("expected a meter's id of 1 to 32 letters, digits, dots, dashes and underscores");
  }
  const payload = payloadOf(name, file, options);
  const response = await terminal.during(
    () => `waiting for the answer of meter ${meter}`,
    async () => {
      const client = await connectBroker(options.mqtt, options, signal);
      let answered = false;
      try {
        const gateway = options.gateway ?? (await gatewayOf(client, options.prefix, meter));
        const base = `${options.prefix}/${gateway}/${meter}`;
        const answer = await request(client, base, name, payload, options, signal);
        answered = true;
        return answer;
      } finally {
        // Without an answer, what is still to be acknowledged is not waited for.
        await client.endAsync(!answered);
      }
    },
  );
  if (options.json === true) terminal.print(JSON.stringify(response));
  else if (response.ok) terminal.print(...resultLines(response.result).map(printable));
  if (response.ok) return;
  const { code, message, hint } = response.error;
  throw new CliError(code, printable(message), { hint: printable(hint) });
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commandSchemas, name);
}

/** The JSON of a command, checked here already as far as it can be. */
function payloadOf(name: CommandName, file: string | undefined, options: Options): string {
  const takesFile = name === 'tariff-program' || name === 'dynamic-tariffs';
  if (takesFile && file === undefined) throw usageError(`${name}: expected a file`);
  if (!takesFile && file !== undefined) throw usageError(`${name}: expected no file, came "${printable(file)}"`);
  const { from, count, ring, sequence } = options;
  const given = Object.fromEntries(
    Object.entries({ from, count, ring, sequence }).filter(([, value]) => value !== undefined),
  );
  if (name === 'tariff-program') return asJson(name, readProgramFile(file!).program, given);
  if (name === 'dynamic-tariffs') return asJson(name, readDynamicFile(file!).dynamic, given);
  const result = commandSchemas[name].safeParse(given);
  if (result.success) return JSON.stringify(given);
  const [issue] = result.error.issues;
  throw usageError(`${name}: ${[...(issue?.path ?? []).map((key) => `--${String(key)}`), issue?.message].join(': ')}`);
}

function asJson(name: string, value: object, given: object): string {
  const [option] = Object.keys(given);
  if (option !== undefined) throw usageError(`${name}: expected no --${option}`);
  return JSON.stringify(value);
}

/** The only gateway whose meters have this id. */
async function gatewayOf(client: MqttClient, prefix: string, meter: string): Promise<string> {
  const gateways = new Set<string>();
  client.on('message', (topic, payload) => {
    if (payload.length > 0) gateways.add(topic.slice(prefix.length + 1).split('/')[0]!);
  });
  // With QoS 0 the broker queues what it kept before it answers a second subscription.
  await client.subscribeAsync(`${prefix}/+/${meter}/state`, { qos: 0 });
  await client.subscribeAsync(`${prefix}/+/${meter}/state/none`, { qos: 0 });
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

/** Publishes a command and waits for its answer. */
async function request(
  client: MqttClient,
  base: string,
  name: string,
  payload: string,
  { timeout: timeoutSeconds, username = 'anyone' }: Options,
  signal: AbortSignal,
): Promise<CommandResponse> {
  const correlationData = randomBytes(16);
  const responseTopic = `${base}/response/${username}/${randomBytes(8).toString('hex')}`;
  const topic = `${base}/command/${name}`;
  let end: () => void = () => {};
  const answer = new Promise<CommandResponse>((resolve, reject) => {
    client.on('message', (_, bytes, { properties }) => {
      if (properties?.correlationData?.equals(correlationData) !== true) return;
      const parsed = responseSchema.safeParse(parseJson(bytes));
      if (parsed.success) resolve(parsed.data);
      else reject(new CliError('answer-invalid', 'the answer is not one of this version of metertime'));
    });
    client.once('close', () => reject(new CliError('broker-lost', 'the connection to the broker broke')));
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    const timer = setTimeout(() => {
      reject(
        new CliError('answer-missing', `no answer came within ${timeoutSeconds} s`, {
          hint: 'Is the gateway online, and may this user publish commands and read their answers?',
        }),
      );
    }, timeoutSeconds * 1000);
    end = () => clearTimeout(timer);
  });
  const ask = async (): Promise<CommandResponse> => {
    await client.subscribeAsync(responseTopic, { qos: 1 });
    const properties = { responseTopic, correlationData, messageExpiryInterval: Math.ceil(timeoutSeconds) };
    await client.publishAsync(topic, payload, { qos: 1, properties }).catch((cause: Error & { code?: unknown }) => {
      if (cause.code !== 0x87) throw cause;
      throw new CliError('broker-refused', `the broker does not let this user publish to ${topic}`, {
        hint: 'Its access list has to allow it: docs/mqtt.md.',
        cause,
      });
    });
    return await answer;
  };
  try {
    return await Promise.race([answer, ask()]);
  } finally {
    end();
  }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

/** As others wrote them: not yet for a terminal. */
function resultLines(result: AnyCommandResult): string[] {
  if ('released' in result) return [`Released up to entry ${result.released} of ${result.newest}.`];
  if ('name' in result) {
    return [`Stored program ${result.name}, in force ${result.activationUtc ?? 'at once'}.`];
  }
  if ('bytes' in result) {
    const until = result.endUtc === null ? '' : `, until ${result.endUtc}`;
    return [`Stored ${result.entries} dynamic tariffs${until}.`];
  }
  return result.entries.length === 0 ? ['The meter has no such entries.'] : result.entries.map(entryLine);
}

function entryLine(entry: EntryPayload): string {
  if (entry.format === 'log') {
    return `${entry.sequence}  ${entry.utc ?? '(no time)'}  ${entry.text}`;
  }
  if (entry.format === 'record') {
    const readings = entry.readings.map(({ value, unit, raw }) => (value === null ? raw : `${value} ${unit}`));
    const at = entry.capture.legal ?? '(no time)';
    return `${entry.sequence}  ${at} ${entry.status.letter}  tariff ${entry.tariff}  ${readings.join('  ')}`;
  }
  return entry.format === 'context'
    ? `${entry.sequence}  context, part ${entry.part} of ${entry.parts}`
    : `${'sequence' in entry ? entry.sequence : ''}  ${entry.format}`;
}
