// metertime monitor: a meter's log and state, live, from the broker or straight from its link.
import { Command } from 'commander';
import { type BrokerOptions, connectBroker, type Report, readReports, withBrokerOptions } from './broker.ts';
import { type Context, collect, withHelp } from './context.ts';
import { CliError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { LiveView } from './live.ts';
import { monitorLink } from './monitor-link.ts';
import { printable } from './terminal.ts';

interface Options extends BrokerOptions {
  gateway?: string;
  meter?: string;
  json?: boolean;
  leaveEvents?: boolean;
  verbose?: boolean;
  ca: string[];
  keys: string[];
}

export function monitorCommand(context: Context): Command {
  const command = new Command('monitor')
    .summary("show a meter's log and state, live")
    .description(
      'Shows what meters report, as it comes, until Ctrl-C. From a broker: of all its gateways and meters. From a link: of the meter at its other end, which is served as by a gateway, sockets and all. A meter tells each event until it is acknowledged: with --leave-events it keeps them for the gateway that comes next (it holds eight and tells no more then).',
    )
    .argument(
      '<source>',
      'a broker (mqtt://HOST, mqtts://HOST), a link (serial:PATH, tcp://HOST:PORT, unix:PATH, …-listen) or the path of a serial port',
    )
    .option('-g, --gateway <name>', 'of this gateway only (broker)')
    .option('-M, --meter <id>', 'of this meter only (broker)')
    .option('--leave-events', 'do not acknowledge events (link)')
    .option('-v, --verbose', "show the gateway's log too (link)")
    .option('--json', 'print one JSON object a line')
    .option('--ca <file>', "further certificate authorities of the meter's time servers (link)", collect, [])
    .option('--keys <file>', "the meter's keys, where its link is sealed (link)", collect, [])
    .action((source: string, options: Options) => monitor(context, source, options));
  return withHelp(withBrokerOptions(command), {
    examples: [
      ['monitor mqtt://localhost', 'all meters of the broker on this machine'],
      ['monitor mqtts://broker.example --meter meter-1 --json', 'one meter, for a program'],
      ['monitor /dev/ttyUSB0', 'the meter at a serial port, 115200 baud'],
      ['monitor serial:/dev/ttyUSB0?baud=38400', 'at another rate'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
    untilCtrlC: true,
  });
}

async function monitor(context: Context, source: string, options: Options): Promise<void> {
  if (/^(mqtts?|wss?):/.test(source)) await monitorBroker(context, source, options);
  else {
    await monitorLink(context, source.startsWith('/') ? `serial:${source}` : source, options);
  }
}

async function monitorBroker(context: Context, url: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const view = new LiveView(terminal, { json: options.json === true });
  const client = await terminal.during(
    () => 'connecting to the broker',
    () => connectBroker(url, options, signal),
  );
  const gone = new Promise<Error | undefined>((resolve) => {
    client.on('close', () => resolve(undefined));
    client.on('error', resolve);
  });
  if (signal.aborted) {
    context.exitCode = ExitCode.Interrupted;
    return;
  }
  await readReports(client, options.prefix, (report) => show(view, report, options, terminal.note.bind(terminal)));
  if (options.json !== true) terminal.note('Watching; Ctrl-C ends it.');
  const error = await gone;
  if (!signal.aborted) {
    throw new CliError('broker-lost', `the connection to the broker broke${error ? `: ${error.message}` : ''}`);
  }
}

function show(view: LiveView, report: Report, options: Options, note: (line: string) => void): void {
  if (report.kind === 'foreign') {
    note(`${printable(report.topic)}: not of this version of metertime (${printable(report.reason)})`);
    return;
  }
  const { gateway } = report;
  if (options.gateway !== undefined && gateway !== options.gateway) return;
  if (report.kind === 'gateway') {
    view.gateway(gateway, report.payload.state === 'online', report.payload.reason);
    return;
  }
  const { meter } = report;
  if (options.meter !== undefined && meter !== options.meter) return;
  if (report.kind === 'state') view.presence(meter, report.payload.state === 'online', report.payload.reason, gateway);
  else if (report.kind === 'info') view.info(meter, report.payload, gateway);
  else if (report.kind === 'time') view.time(meter, report.payload, { gateway });
  else if (report.kind === 'server') view.server(meter, report.payload, gateway);
  else if (report.kind === 'tariff') view.tariff(meter, report.payload, gateway);
  else if (report.kind === 'record') view.record(meter, report.payload, gateway);
  else if (report.kind === 'head') view.head(report.payload, gateway);
  else view.event(meter, report.payload, gateway);
}
