// metertime status: what the broker keeps about gateways and meters, as a table or, for one meter, in full.
import { Command } from 'commander';
import type { GatewayStatePayload, InfoPayload, MeterStatePayload, TimePayload } from '../mqtt/payloads.ts';
import { aeadName } from '../text/names.ts';
import { type BrokerOptions, connectBroker, type Report, readReports, withBrokerOptions } from './broker.ts';
import { type Context, withHelp } from './context.ts';
import { CliError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { formatPairs, formatTable } from './table.ts';
import { printable, type Terminal } from './terminal.ts';
import { ageText, plainNs, ppmText, reachText, signedNs } from './units.ts';

interface Options extends BrokerOptions {
  mqtt: string;
  gateway?: string;
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
}

/** Gathers reports by gateway and meter. */
export class StatusBoard {
  readonly gateways = new Map<string, GatewayStatePayload>();
  readonly foreign = new Map<string, string>();
  readonly #meters = new Map<string, { state?: MeterStatePayload; info?: InfoPayload; time?: TimePayload }>();

  take(report: Report): void {
    if (report.kind === 'foreign') this.foreign.set(report.topic, report.reason);
    else if (report.kind === 'gateway') this.gateways.set(report.gateway, report.payload);
    else if (report.kind !== 'event') {
      const key = `${report.gateway}/${report.meter}`;
      this.#meters.set(key, { ...this.#meters.get(key), [report.kind]: report.payload });
    }
  }

  meters(): MeterStatus[] {
    return [...this.#meters]
      .sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
      .map(([key, { state, info, time }]) => {
        const [gateway = '', meter = ''] = key.split('/');
        const online = state?.state === 'online' && this.gateways.get(gateway)?.state === 'online';
        return { gateway, meter, online, state: state ?? null, info: info ?? null, time: time ?? null };
      });
  }
}

const legend = `
  Meter    meter's id                           St     stratum of the server
  State    online if meter and gateway say so   AEAD   algorithm of the keys (15: AES-SIV-CMAC-256)
  Clock    status of the meter's clock          Ck     cookies held
  Server   NTP server in use                    Reach  eight last polls, octal: 377 is all answered
  Offset   server minus meter, of the last      Bound  hard bound on the error
           authenticated sample                 Last   since that sample
  U (k=2)  expanded uncertainty of the time
`.split('\n');

export function statusCommand(context: Context): Command {
  const command = new Command('status')
    .summary('what the broker knows of gateways and meters')
    .description(
      "Shows what gateways keep at the broker about themselves and their meters: who is online, each meter's clock, offset, uncertainty and hard bound. With a meter's id, everything about that one.",
    )
    .argument('[meter]', 'id of one meter')
    .option('-m, --mqtt <url>', 'the broker', 'mqtt://localhost:1883')
    .option('-g, --gateway <name>', 'of this gateway only')
    .option('-v, --verbose', 'explain the columns')
    .option('--json', 'print the state as JSON')
    .action((meter: string | undefined, options: Options) => status(context, meter, options));
  return withHelp(withBrokerOptions(command), {
    examples: [
      ['status', 'all meters known to the broker on this machine'],
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
    printAll(terminal, gateways, wanted, options.verbose === true);
  } else {
    for (const [index, each] of wanted.entries())
      terminal.print(...(index > 0 ? [''] : []), ...meterLines(terminal, each));
  }
}

function hasTime({ online, time }: MeterStatus): boolean {
  return online && time !== null && time.status === 'synchronised';
}

function printAll(
  terminal: Terminal,
  gateways: readonly (readonly [string, GatewayStatePayload])[],
  meters: readonly MeterStatus[],
  verbose: boolean,
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
  terminal.print(...(verbose ? legend : ['']));
  terminal.print(
    ...formatTable(
      meterColumns,
      meters.map((each) => meterRow(terminal, each)),
    ),
  );
}

const meterColumns = [
  { heading: 'Meter' },
  { heading: 'State' },
  { heading: 'Clock' },
  { heading: 'Server' },
  { heading: 'St', align: 'right' },
  { heading: 'AEAD', align: 'right' },
  { heading: 'Ck', align: 'right' },
  { heading: 'Reach', align: 'right' },
  { heading: 'Offset', align: 'right' },
  { heading: 'U (k=2)', align: 'right' },
  { heading: 'Bound', align: 'right' },
  { heading: 'Last', align: 'right' },
] as const;

function meterRow(terminal: Terminal, { meter, online, time }: MeterStatus): string[] {
  const begin = [printable(meter), stateText(terminal, online), time === null ? '-' : clockText(terminal, time.status)];
  if (time === null) return [...begin, ...Array.from({ length: 9 }, () => '-')];
  return [
    ...begin,
    printable(time.server.ntp ?? time.server.ke ?? '-'),
    String(time.server.stratum ?? '-'),
    String(time.nts.aead ?? '-'),
    String(time.nts.cookies),
    reachText(time.reach),
    signedNs(time.offsetNs),
    plainNs(time.uncertaintyNs),
    plainNs(time.boundNs),
    ageText(ageSeconds(time.lastSynchronisationUtcNs)),
  ];
}

/** Since a time of the meter's, by this machine's clock. */
function ageSeconds(utcNs: string | null): number | null {
  return utcNs === null ? null : Date.now() / 1000 - Number(BigInt(utcNs) / 1_000_000n) / 1000;
}

function stateText(terminal: Terminal, online: boolean): string {
  return online ? terminal.paint('green', 'online') : terminal.paint('red', 'offline');
}

/** A clock's status in its colour. */
export function clockText(terminal: Terminal, status: string): string {
  const style = status === 'synchronised' ? 'green' : status === 'holdover' ? 'yellow' : 'red';
  return terminal.paint(style, printable(status));
}

/** Everything about one meter, as chronyc tracking and authdata show it. */
export function meterLines(terminal: Terminal, { gateway, meter, online, state, info, time }: MeterStatus): string[] {
  const flags = time?.flags.map(printable).join(', ');
  return formatPairs([
    ['Meter', `${printable(meter)} at gateway ${printable(gateway)}`],
    ['State', `${stateText(terminal, online)}${state === null ? '' : ` since ${state.sinceUtc}`}`],
    [
      'Board',
      info === null ? undefined : `${printable(info.board)}, firmware ${printable(info.firmwareVersion) || '-'}`,
    ],
    ['Core SHA-256', info?.software.coreSha256],
    ['Image SHA-256', info?.software.imageSha256 ?? undefined],
    ['Started by', info === null ? undefined : printable(info.resetCause)],
    ...(time === null ? [] : timePairs(terminal, time, flags ?? '')),
  ]);
}

/** What a time report says, as pairs of name and value. */
export function timePairs(terminal: Terminal, time: TimePayload, flags: string): [string, string | undefined][] {
  const { nts, server, counters } = time;
  return [
    ['Clock', `${clockText(terminal, time.status)}${flags === '' ? '' : ` (${flags})`}`],
    ['Time', time.utc ?? 'not known'],
    ['Uncertainty', `${plainNs(time.uncertaintyNs)} (k = 2)`],
    ['Bound', `${plainNs(time.boundNs)} (hard)`],
    ['NTS-KE server', server.ke === null ? undefined : printable(server.ke)],
    ['NTP server', server.ntp === null ? undefined : `${printable(server.ntp)}, stratum ${server.stratum ?? '-'}`],
    ['Root delay', plainNs(server.rootDelayNs)],
    ['Root dispersion', plainNs(server.rootDispersionNs)],
    ['Last offset', `${signedNs(time.offsetNs)} (server minus meter)`],
    ['Last delay', plainNs(time.delayNs)],
    ['Last synchronised', time.lastSynchronisationUtc ?? 'never'],
    ['Frequency', ppmText(time.frequencyPpb)],
    ['Poll interval', `${time.pollSeconds} s, reach ${reachText(time.reach)}`],
    ['AEAD', nts.aead === null ? 'no keys' : `${aeadName(nts.aead)} (${nts.aead})`],
    ['Cookies', `${nts.cookies}, ${nts.cookieBytes} bytes each`],
    ['Keys since', nts.keysSinceUtc ?? undefined],
    [
      'Key establishments',
      `${counters.keAttempts}, ${counters.keFailures} failed (last: ${printable(time.lastKeError)})`,
    ],
    ['Requests', `${counters.sent} sent, ${counters.authenticated} authenticated answers`],
    ['Refused', `${counters.rejected} (last: ${printable(time.lastReject)}), ${counters.naks} NAKs`],
    ['Events lost', counters.eventsLost === 0 ? undefined : String(counters.eventsLost)],
  ];
}
