// metertime command: sends a command to a meter through the broker, and prints the answer.
import { Command, Option } from 'commander';
import { type AnyCommandResult, type CommandName, commandSchemas, entriesAtOnce } from '../mqtt/command-payloads.ts';
import type { EntryPayload } from '../mqtt/record-payloads.ts';
import { readDynamicFile, readProgramFile } from '../tariff/program-file.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { MeterRequests, type RequestOptions, refusal, withRequestOptions } from './meter-requests.ts';
import { sequenceNumber, wholeNumber } from './options.ts';
import { printable } from './terminal.ts';

interface Options extends RequestOptions {
  from?: number;
  count?: number;
  ring?: string;
  sequence?: number;
  json?: boolean;
}

const names = Object.keys(commandSchemas) as CommandName[];

export function commandCommand(context: Context): Command {
  const command = new Command('command')
    .summary('send a command to a meter through the broker')
    .description(
      'Sends a command over MQTT to the gateway of a meter, and prints the answer: tariff-program and dynamic-tariffs store what a file of YAML or JSON says; records and logbook tell entries by their sequence, the newest ones where no --from is given; logbook-release lets the meter overwrite what was read; update replaces its software, which takes minutes on a slow line (--timeout).',
    )
    .argument('<meter>', "the meter's id")
    .argument('<name>', names.join(', '))
    .argument(
      '[file]',
      "a tariff program, or dynamic tariffs; of update the name of a file in the gateway's folder of updates",
    )
    .requiredOption('-m, --mqtt <url>', 'the broker, such as mqtt://localhost or mqtts://broker.example')
    .option('--from <sequence>', 'the first entry (records, logbook)', sequenceNumber)
    .option('--count <number>', `how many entries, 1 to ${entriesAtOnce.most} (records, logbook)`, wholeNumber)
    .addOption(new Option('--ring <name>', 'which ring (logbook)').choices(['logbook', 'network']))
    .option('--sequence <sequence>', 'the newest entry that was read (logbook-release)', sequenceNumber)
    .option('--json', 'print the answer as it came, one JSON object')
    .action((meter: string, name: string, file: string | undefined, options: Options) =>
      send(context, meter, name, file, options),
    );
  return withHelp(withRequestOptions(command), {
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
  const payload = payloadOf(name, file, options);
  const response = await terminal.during(
    () => `waiting for the answer of meter ${meter}`,
    async () => {
      const requests = await MeterRequests.open(meter, options, signal);
      try {
        return await requests.ask(name, payload);
      } finally {
        await requests.close();
      }
    },
  );
  if (options.json === true) terminal.print(JSON.stringify(response));
  else if (response.ok) terminal.print(...resultLines(response.result).map(printable));
  if (!response.ok) throw refusal(response);
}

function isCommand(name: string): name is CommandName {
  return Object.hasOwn(commandSchemas, name);
}

/** The JSON of a command, checked here already as far as it can be. */
function payloadOf(name: CommandName, file: string | undefined, options: Options): string {
  const takesFile = name === 'tariff-program' || name === 'dynamic-tariffs';
  if (name === 'update') {
    const result = commandSchemas.update.safeParse({ file });
    if (!result.success) throw usageError(`update: ${result.error.issues[0]?.message}`);
    return JSON.stringify(result.data);
  }
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

/** As others wrote them: not yet for a terminal. */
function resultLines(result: AnyCommandResult): string[] {
  if ('released' in result) return [`Released up to entry ${result.released} of ${result.newest}.`];
  if ('version' in result) return [`Sent software ${result.version} into slot ${result.slot}: the meter tries it now.`];
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
