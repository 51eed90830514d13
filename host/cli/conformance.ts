// metertime conformance: tries a port of the core, over its line.
import { Command, InvalidArgumentError } from 'commander';
import type { Checked } from '../export/conformance.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';
import { printable } from './terminal.ts';

interface Options {
  readonly erase?: boolean;
  readonly seconds: number;
  readonly json?: boolean;
}

function secondsOf(text: string): number {
  const value = Number(text);
  if (!(value >= 1 && value <= 3600)) throw new InvalidArgumentError('Expected 1 to 3600.');
  return value;
}

const marks = { ok: '✓', failed: '✗', none: '·' } as const;
const styles = { ok: 'green', failed: 'red', none: 'dim' } as const;

export function conformanceCommand(context: Context): Command {
  const command = new Command('conformance')
    .summary('try a port of the core, over its line')
    .description(
      "Asks the conformance program of an export (metertime export --target c), which runs with a port of one's own at the other end of the line: whether its ticks, its waits, its line, its storage and its other parts keep what metertime_platform.h asks, and whether the compiled core takes on its processor the decisions that it takes in node. The storage is overwritten, unless it holds the settings of a meter.",
    )
    .argument('<link>', 'where the port is: serial:PATH?baud=N, unix-listen:PATH, or another link')
    .option('--erase', 'overwrite the storage also where it holds the settings of a meter')
    .option('--seconds <number>', "how long ticks are compared with this machine's", secondsOf, 5)
    .option('--json', 'print the checks as JSON')
    .action((link: string, options: Options) => runConformance(context, link, options));
  return withHelp(command, {
    examples: [
      ['conformance serial:/dev/ttyUSB0?baud=115200', 'a microcontroller on a serial line'],
      ['conformance unix-listen:/tmp/meter.sock', "the export's example, started with that path"],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Mismatch, ExitCode.Interrupted],
  });
}

async function runConformance(context: Context, link: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  const [{ checkPort }, { openLink }] = await Promise.all([
    import('../export/conformance.ts'),
    import('../link/transports.ts'),
  ]);
  const show = ({ name, result, detail }: Checked): void => {
    terminal.print(`${terminal.paint(styles[result], marks[result])} ${name.padEnd(12)} ${printable(detail)}`);
  };
  const checks = await checkPort({
    link: openLink(link),
    erase: options.erase === true,
    seconds: options.seconds,
    signal,
    ...(options.json === true ? {} : { onCheck: show }),
  });
  if (options.json === true) terminal.printJson(checks);
  if (checks.some(({ result }) => result === 'failed')) context.exitCode = ExitCode.Mismatch;
}
