// metertime gateway: serves meters and publishes what they report, as a settings file says.
import { Command } from 'commander';
import { formatProblem, loadSettings, type Settings } from '../config/settings.ts';
import { createLogger } from '../log.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { GatewayService } from './gateway-service.ts';
import { version } from './program-info.ts';
import type { Sink } from './terminal.ts';
import { ended } from './wait.ts';

interface Options {
  config: string;
  check?: boolean;
}

export function gatewayCommand(context: Context, stderr: Sink): Command {
  const command = new Command('gateway')
    .summary('serve meters and publish what they report')
    .description(
      'Gives its meters sockets (TLS 1.3, UDP, DNS) over their links and publishes what they report over MQTT 5, until it is ended. Settings come from a YAML file; metertime init writes one with every setting explained.',
    )
    .requiredOption('-c, --config <file>', 'the settings')
    .option('--check', 'only check the settings, and the files that they name')
    .action((options: Options) => runGateway(context, stderr, options));
  return withHelp(command, {
    examples: [
      ['gateway -c /etc/metertime.yaml --check', 'says what is wrong, line by line'],
      ['gateway -c /etc/metertime.yaml', 'runs it'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
    untilCtrlC: true,
  });
}

async function runGateway({ terminal, signal }: Context, stderr: Sink, options: Options): Promise<void> {
  const settings = loadSettings(options.config, (problem) => terminal.note(formatProblem(problem)));
  if (options.check) {
    terminal.print(
      `${options.config} is fine: gateway ${settings.name}, ${linksText(settings)}, ${brokerText(settings)}${ocmfText(settings)}`,
    );
    return;
  }
  const log = createLogger({ level: settings.log.level, json: settings.log.format === 'json', stream: stderr });
  const service = new GatewayService({ settings, log, version });
  await service.start();
  log.info('gateway started', { gateway: settings.name, version, links: settings.links.length });
  try {
    await ended(signal);
  } finally {
    log.info('gateway stops', { gateway: settings.name });
    await service.stop();
  }
}

function linksText({ links }: Settings): string {
  return links.length === 1 ? '1 link' : `${links.length} links`;
}

function brokerText({ mqtt }: Settings): string {
  return mqtt === undefined ? 'no broker' : `broker ${mqtt.url}`;
}

function ocmfText({ ocmf }: Settings): string {
  if (ocmf === undefined) return '';
  return `, OCMF of ${ocmf.meters.length === 1 ? '1 meter' : `${ocmf.meters.length} meters`}`;
}
