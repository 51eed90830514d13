// metertime status: what the broker keeps about gateways, meters and their time servers, as a table or in full.
import { Command } from 'commander';
import type {
  GatewayStatePayload,
  InfoPayload,
  MeterStatePayload,
  ServerPayload,
  TimePayload,
} from '../mqtt/payloads.ts';
import type { TariffPayload } from '../mqtt/record-payloads.ts';
import type { HeadJson } from '../record/json.ts';
import { celsiusText, keErrorNames, noMajorityText, textOfName, waitingText } from '../text/names.ts';
import { formatPairs, formatTableWithin, tableColumns } from '../text/table.ts';
import { type BrokerOptions, connectBroker, type Report, readReports, withBrokerOptions } from './broker.ts';
import { type Context, withHelp } from './context.ts';
import { CliError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { hasMajority, serverLegend, serverLines } from './server-table.ts';
import { tariffLegend, tariffLines, tariffPairs } from './tariff-status.ts';
import { printable, type Terminal } from './terminal.ts';
import { budgetLines } from './uncertainty-budget.ts';
import { ageText, aroundPpm, plainNs, ppmText, reachText, secondsSince, signedNs } from './units.ts';

interface Options extends BrokerOptions {
  mqtt: string;
  gateway?: string;
  servers?: boolean;
  verbose?: boolean;
  json?: boolean;
}

/** What is known of one meter. */
export interface MeterStatus {
  readonly gateway: string;
  readonly meter: string;
  /** Online only when both the meter's state and its gateway's say so. */
  readonly online: boolean;
  readonly state: MeterStatePayload | null;
  readonly info: InfoPayload | null;
  readonly time: TimePayload | null;
  readonly tariff: TariffPayload | null;
  /** The newest signed head. */
  readonly head: HeadJson | null;
  /** Its time servers, in the order of its settings. */
  readonly servers: readonly ServerPayload[];
}

interface Known {
  readonly state?: MeterStatePayload;
  readonly info?: InfoPayload;
  readonly time?: TimePayload;
  readonly tariff?: TariffPayload;
  readonly head?: HeadJson;
  readonly servers?: ReadonlyMap<number, ServerPayload>;
}

/** Gathers reports by gateway and meter. */
class StatusBoard {
  readonly gateways = new Map<string, GatewayStatePayload>();
  readonly foreign = new Map<string, string>();
  readonly #meters = new Map<string, Known>();

  take(report: Report): void {
    if (report.kind === 'foreign') this.foreign.set(report.topic, report.reason);
    else if (report.kind === 'gateway') this.gateways.set(report.gateway, report.payload);
    else if (report.kind !== 'event' && report.kind !== 'record') {
      const key = `${report.gateway}/${report.meter}`;
      const known = this.#meters.get(key);
      if (report.kind === 'server') {
        const servers = new Map(known?.servers).set(report.payload.number, report.payload);
        this.#meters.set(key, { ...known, servers });
      } else this.#meters.set(key, { ...known, [report.kind]: report.payload });
    }
  }

  meters(): MeterStatus[] {
    return [...this.#meters]
      .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
      .map(([key, { state, info, time, tariff, head, servers }]) => {
        const [gateway = '', meter = ''] = key.split('/');
        const online = state?.state === 'online' && this.gateways.get(gateway)?.state === 'online';
        return {
          ...{ gateway, meter, online, state: state ?? null, info: info ?? null, time: time ?? null },
          ...{ tariff: tariff ?? null, head: head ?? null },
          servers: [...(servers?.values() ?? [])].sort((a, b) => a.number - b.number),
        };
      });
  }
}

const legend = `
  Meter    meter's id                           Offset   server minus meter, of the last
  State    online if meter and gateway say so            authenticated sample
  Clock    status of the meter's clock          U (k=2)  expanded uncertainty of the time
  Srv      servers that agree, of those in use  Bound    hard bound on the error
  Reach    eight last polls, octal: 377 is all  Last     since that sample
           answered
`.split('\n');

export function statusCommand(context: Context): Command {
  const command = new Command('status')
    .summary('what the broker knows of gateways and meters')
    .description(
      "Shows what gateways keep at the broker about themselves and their meters: who is online, each meter's clock, offset, uncertainty and hard bound, and what a meter without a time waits for. With a meter's id, everything about that one and its time servers.",
    )
    .argument('[meter]', 'id of one meter')
    .option('-m, --mqtt <url>', 'the broker', 'mqtt://localhost:1883')
    .option('-g, --gateway <name>', 'of this gateway only')
    .option('-s, --servers', "each meter's time servers, as chronyc sources and authdata show them")
    .option('-v, --verbose', 'explain the columns')
    .option('--json', 'print the state as JSON')
    .action((meter: string | undefined, options: Options) => status(context, meter, options));
  return withHelp(withBrokerOptions(command), {
    examples: [
      ['status', 'all meters known to the broker on this machine'],
      ['status --servers', 'with the time servers of each'],
      ['status meter-1 --mqtt mqtts://broker.example', 'everything about one meter'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.NoTime, ExitCode.Interrupted],
  });
}

async function status(context: Context, meter: string | undefined, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const board = new StatusBoard();
  const client = await terminal.during(
    () => 'connecting to the broker',
    () => connectBroker(options.mqtt, options, signal),
  );
  try {
    await terminal.during(
      () => 'reading what the broker keeps',
      () => readReports(client, options.prefix, (report) => board.take(report)),
    );
  } finally {
    await client.endAsync().catch(() => {});
  }
  for (const [topic, reason] of board.foreign) {
    terminal.note(`${printable(topic)} is not of this version of metertime and left out (${printable(reason)})`);
  }
  const wanted = board
    .meters()
    .filter((each) => options.gateway === undefined || each.gateway === options.gateway)
    .filter((each) => meter === undefined || each.meter === meter);
  if (meter !== undefined && wanted.length === 0) {
    throw new CliError('meter-unknown', `the broker knows no meter ${meter}`, {
      hint: 'metertime status lists those that it knows.',
    });
  }
  const gateways = [...board.gateways].filter(([name]) => options.gateway === undefined || name === options.gateway);
  // For scripts: a meter asked for by name either shows an authenticated time or it does not.
  if (meter !== undefined && !wanted.some(hasTime)) context.exitCode = ExitCode.NoTime;
  if (options.json) {
    terminal.printJson({ gateways: Object.fromEntries(gateways), meters: wanted });
  } else if (meter === undefined) {
    printAll(terminal, gateways, wanted, options);
  } else {
    for (const [index, each] of wanted.entries())
      terminal.print(...(index > 0 ? [''] : []), ...meterLines(terminal, each));
    if (options.verbose) terminal.print(...serverLegend);
  }
}

function hasTime({ online, time }: MeterStatus): boolean {
  return online && time !== null && time.status === 'synchronised';
}

function printAll(
  terminal: Terminal,
  gateways: readonly (readonly [string, GatewayStatePayload])[],
  meters: readonly MeterStatus[],
  { verbose, servers }: Pick<Options, 'verbose' | 'servers'>,
): void {
  if (gateways.length === 0 && meters.length === 0) {
    terminal.print('The broker keeps nothing of any gateway.');
    return;
  }
  for (const [name, { state, sinceUtc, reason, version }] of gateways) {
    const since = sinceUtc === null ? '' : ` since ${sinceUtc}`;
    const why = reason === undefined ? '' : ` (${reason})`;
    terminal.print(
      `Gateway ${printable(name)}: ${stateText(terminal, state === 'online')}${why}${since}, metertime ${printable(version)}`,
    );
  }
  const tariffs = tariffLines(terminal, meters);
  terminal.print(...(verbose ? legend : ['']));
  terminal.print(
    ...formatTableWithin(
      tableColumns(terminal),
      meterColumns,
      meters.map((each) => meterRow(terminal, each)),
    ),
    ...waitingLines(meters),
    ...tariffs,
  );
  if (verbose && tariffs.length > 0) terminal.print(...tariffLegend);
  if (!servers) return;
  for (const each of meters) {
    terminal.print('', `Time servers of ${printable(each.meter)} at gateway ${printable(each.gateway)}`);
    terminal.print(
      ...(each.servers.length === 0 ? ['none known'] : serverLines(terminal, each.servers, hasMajority(each.time))),
    );
  }
  if (verbose) terminal.print(...serverLegend);
}

/** What the meters that are online wait for or lack. */
function waitingLines(meters: readonly MeterStatus[]): string[] {
  const lines = meters.flatMap(({ meter, online, time }) => {
    if (!online || time === null) return [];
    return [waitingOf(time) ?? noMajorityOf(time), ...rulesSay(time)]
      .filter((text) => text !== undefined)
      .map((text) => `${printable(meter)}: ${text}`);
  });
  return lines.length === 0 ? [] : ['', ...lines];
}

/** What a meter's rules for its clock make of its time, where somebody has to act. */
function rulesSay({ flags }: TimePayload): string[] {
  return [
    ...(flags.includes('clock-refused') ? ['a correction of its clock is refused, an operator has to accept it'] : []),
    ...(flags.includes('holdover-ended') ? ['no authenticated sample for too long, not to be billed by'] : []),
  ];
}

function waitingOf({ missing, servers }: TimePayload): string | undefined {
  const text = waitingText({ missing, ...servers });
  return text === undefined ? undefined : printable(text);
}

function noMajorityOf({ status, flags, servers }: TimePayload): string | undefined {
  return noMajorityText({ status, flags, ...servers });
}

const meterColumns = [
  { heading: 'Meter' },
  { heading: 'State' },
  { heading: 'Clock' },
  { heading: 'Srv', align: 'right' },
  { heading: 'Reach', align: 'right' },
  { heading: 'Offset', align: 'right' },
  { heading: 'U (k=2)', align: 'right' },
  { heading: 'Bound', align: 'right' },
  { heading: 'Last', align: 'right' },
] as const;

function meterRow(terminal: Terminal, { meter, online, time }: MeterStatus): string[] {
  const begin = [printable(meter), stateText(terminal, online), time === null ? '-' : clockText(terminal, time.status)];
  if (time === null) return [...begin, ...Array.from({ length: 6 }, () => '-')];
  return [
    ...begin,
    `${time.servers.agreeing}/${time.servers.inUse}`,
    reachText(time.reach),
    signedNs(time.offsetNs),
    plainNs(time.uncertaintyNs),
    plainNs(time.boundNs),
    ageText(secondsSince(time.lastSynchronisationUtcNs)),
  ];
}

function stateText(terminal: Terminal, online: boolean): string {
  return online ? terminal.paint('green', 'online') : terminal.paint('red', 'offline');
}

/** Since when; a meter whose gateway was lost is offline, but nobody said since when. */
function sinceText(saidOnline: boolean, online: boolean, sinceUtc: string): string {
  if (saidOnline && !online) return `, as its gateway is; was online since ${sinceUtc}`;
  return ` since ${sinceUtc}`;
}

/** A clock's status in its colour. */
export function clockText(terminal: Terminal, status: string): string {
  const style = status === 'synchronised' ? 'green' : status === 'holdover' ? 'yellow' : 'red';
  return terminal.paint(style, printable(status));
}

/** Everything about one meter: its time as chronyc tracking shows it, then its servers. */
export function meterLines(terminal: Terminal, status: MeterStatus): string[] {
  const { gateway, meter, online, state, info, time, tariff, head, servers } = status;
  const pairs = formatPairs(
    [
      ['Meter', `${printable(meter)} at gateway ${printable(gateway)}`],
      [
        'State',
        `${stateText(terminal, online)}${state === null ? '' : sinceText(state.state === 'online', online, state.sinceUtc)}`,
      ],
      [
        'Board',
        info === null ? undefined : `${printable(info.board)}, firmware ${printable(info.firmwareVersion) || '-'}`,
      ],
      ['Core SHA-256', info?.software.coreSha256],
      ['Image SHA-256', info?.software.imageSha256 ?? undefined],
      ['Started by', info === null ? undefined : printable(info.resetCause)],
      ['Stack', info === null ? undefined : stackText(info)],
      ...(time === null ? [] : timePairs(terminal, time)),
    ],
    tableColumns(terminal),
  );
  const tariffs = tariff === null ? [] : formatPairs(tariffPairs(tariff, head, online), tableColumns(terminal));
  const budget = time === null ? [] : budgetLines(time);
  return [
    ...pairs,
    ...(tariffs.length === 0 ? [] : ['', ...tariffs]),
    ...(budget.length === 0 ? [] : ['', ...budget]),
    ...(servers.length === 0 ? [] : ['', ...serverLines(terminal, servers, hasMajority(time))]),
  ];
}

function stackText({ stack }: InfoPayload): string | undefined {
  if (stack === null) return undefined;
  const [used, total] = [stack.usedBytes, stack.totalBytes].map((bytes) => bytes.toLocaleString('en-US'));
  return `at most ${used} of ${total} bytes since its start`;
}

function rtcText({ realTimeClock }: TimePayload): string | undefined {
  if (realTimeClock === null) return undefined;
  const { offsetNs, ratePpb } = realTimeClock;
  return `${signedNs(offsetNs)} to UTC${ratePpb === null ? '' : `, rate ${ppmText(ratePpb)}`}`;
}

function frequencyText({ frequencyPpb, frequencyUncertaintyPpb }: TimePayload): string | undefined {
  if (frequencyPpb === null || frequencyUncertaintyPpb === null) return undefined;
  return `${aroundPpm(frequencyPpb, frequencyUncertaintyPpb)} (k = 2)`;
}

function lastText({ lastSynchronisationUtc, sampleAgeNs }: TimePayload): string {
  if (lastSynchronisationUtc === null) return 'never';
  return `${lastSynchronisationUtc}${sampleAgeNs === null ? '' : `, ${ageText(sampleAgeNs / 1e9)} before the report`}`;
}

/** What a time report says, as pairs of name and value. */
function timePairs(terminal: Terminal, time: TimePayload): [string, string | undefined][] {
  const { server, servers, counters } = time;
  const flags = time.flags.map(printable).join(', ');
  const number = server.number === null ? '' : ` (number ${server.number})`;
  return [
    ['Clock', `${clockText(terminal, time.status)}${flags === '' ? '' : ` (${flags})`}`],
    ['Missing', waitingOf(time)],
    ['Majority', noMajorityOf(time)?.replace('no majority', 'none')],
    ['Time', time.utc ?? 'not known'],
    ['Uncertainty', `${plainNs(time.uncertaintyNs)} (k = 2)`],
    ['Bound', `${plainNs(time.boundNs)} (hard)`],
    ['Servers', `${servers.inUse} in use, ${servers.agreeing} agree, ${servers.needed} needed`],
    [
      'Reference',
      server.ke === null ? undefined : `${printable(server.ke)}${number}, stratum ${server.stratum ?? '-'}`,
    ],
    ['Root delay', server.rootDelayNs === null ? undefined : plainNs(server.rootDelayNs)],
    ['Root dispersion', server.rootDispersionNs === null ? undefined : plainNs(server.rootDispersionNs)],
    ['Last offset', `${signedNs(time.offsetNs)} (server minus meter)`],
    ['Last delay', plainNs(time.delayNs)],
    ['Last sample', lastText(time)],
    ['Frequency', frequencyText(time)],
    ['Real-time clock', rtcText(time)],
    ['Temperature', time.temperatureMilliCelsius === null ? undefined : celsiusText(time.temperatureMilliCelsius)],
    [
      'Key establishments',
      `${counters.keAttempts}, ${counters.keFailures} failed${time.lastKeError === 'none' ? '' : ` (last: ${printable(textOfName(keErrorNames, time.lastKeError))})`}`,
    ],
    ['Requests', `${counters.sent} sent, ${counters.authenticated} authenticated answers`],
    ['Refused', `${counters.rejected} (last: ${printable(time.lastReject)}), ${counters.naks} NAKs`],
    ['Events lost', counters.eventsLost === 0 ? undefined : String(counters.eventsLost)],
  ];
}
