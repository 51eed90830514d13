// metertime ocpp: a meter's published reports as messages of OCPP 2.0.1 and 2.1 about its clock.
import { Command } from 'commander';
import { notifyReport, settingSystemTime, variablesResponse } from '../ocpp/clock-controller.ts';
import { readProgramFile } from '../tariff/program-file.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { readMeterState } from './meter-state.ts';
import { wholeNumber } from './options.ts';

interface Options {
  state: string;
  meter?: string;
  zone?: string;
  program?: string;
  threshold?: number;
  requestId: number;
}

export function ocppCommand(context: Context): Command {
  const command = new Command('ocpp')
    .summary("a meter's clock in messages of OCPP 2.0.1 and 2.1")
    .description(
      "Reads a meter's published reports (time, tariff, events), one JSON object a line, with or without the topic before it, to the end of the input. Prints the variables of the component ClockCtrlr as NotifyReportRequest and as GetVariablesResponse, and a SecurityEventNotificationRequest (SettingSystemTime) for each event in which the clock was changed by more than the threshold.",
    )
    .option('--state <file>', 'the reports; - for standard input', '-')
    .option('--meter <id>', 'whose, where they are of several')
    .option('--zone <zone>', 'legal time: IANA name or POSIX TZ string')
    .option('--program <file>', 'the tariff program that says the zone')
    .option(
      '--threshold <seconds>',
      'TimeAdjustmentReportingThreshold; without it there are no security events',
      wholeNumber,
    )
    .option('--request-id <number>', 'of the report request that is answered', wholeNumber, 0)
    .action((options: Options) => ocpp(context, options));
  return withHelp(command, {
    examples: [
      ['ocpp --state reports.jsonl --zone Europe/Oslo --threshold 1', 'with time zone and security events'],
      ['monitor mqtt://broker --json | head -n 50 | metertime ocpp --meter m1', 'of what a meter reports now'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function ocpp(context: Context, options: Options): Promise<void> {
  const { threshold: thresholdSeconds, requestId } = options;
  const zone = zoneOf(options);
  const { time, tariff, events } = await readMeterState(context, options.state, options.meter);
  const state = { time, tariff, zone, thresholdSeconds };
  context.terminal.printJson({
    notifyReport: notifyReport(state, { requestId, generatedAt: new Date() }),
    getVariables: variablesResponse(state),
    securityEvents:
      thresholdSeconds === undefined ? [] : events.flatMap((event) => settingSystemTime(event, thresholdSeconds) ?? []),
  });
}

function zoneOf({ zone, program }: Options): string | undefined {
  if (program === undefined) return zone;
  if (zone !== undefined) throw usageError('--zone and --program both say the zone', 'Give one of them.');
  const said = readProgramFile(program).program.zone;
  if (typeof said === 'string') return said;
  throw usageError(`${program}: expected a zone by name or rule, came a list of transitions`, 'Give --zone instead.');
}
