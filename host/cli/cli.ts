// The command line as a function: arguments and streams in, exit code out. Nothing here ends the process.
import { Command, CommanderError } from 'commander';
import { boardsCommand } from './boards.ts';
import { buildCommand } from './build.ts';
import { commandCommand } from './command.ts';
import { conformanceCommand } from './conformance.ts';
import type { Context } from './context.ts';
import { dlmsCommand } from './dlms.ts';
import { describeError, exitCodeOf } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { exportCommand } from './export.ts';
import { flashCommand } from './flash.ts';
import { gatewayCommand } from './gateway.ts';
import { initCommand } from './init.ts';
import { keCommand } from './ke.ts';
import { keysCommand } from './keys.ts';
import { logbookCommand } from './logbook.ts';
import { monitorCommand } from './monitor.ts';
import { ocmfCommand } from './ocmf.ts';
import { ocppCommand } from './ocpp.ts';
import { versionText } from './program-info.ts';
import { provisionCommand } from './provision.ts';
import { provisionBatchCommand } from './provision-batch.ts';
import { replayCommand } from './replay.ts';
import { runCommand } from './run.ts';
import { schemaCommand } from './schema.ts';
import { selftestCommand } from './selftest.ts';
import { statusCommand } from './status.ts';
import { syncCommand } from './sync.ts';
import { tariffCommand } from './tariff.ts';
import { type Sink, Terminal } from './terminal.ts';
import { updateCommand } from './update.ts';
import { verifyCommand } from './verify.ts';

export interface CliOptions {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

/** Runs one command; `args` without node and program. */
export async function runCli(args: readonly string[], options: CliOptions): Promise<ExitCode> {
  const context: Context = {
    terminal: new Terminal(options),
    env: options.env,
    signal: options.signal,
    exitCode: ExitCode.Ok,
  };
  const program = makeProgram(context, options);
  if (args.length === 0) {
    options.stderr.write(program.helpInformation());
    return ExitCode.Usage;
  }
  try {
    await program.parseAsync(args as string[], { from: 'user' });
    return context.exitCode;
  } catch (error) {
    // commander has printed its own errors, and help and version are none.
    if (error instanceof CommanderError) return error.exitCode === 0 ? ExitCode.Ok : ExitCode.Usage;
    if (options.signal.aborted) return ExitCode.Interrupted;
    const debug = args.includes('--debug');
    const [first, ...others] = describeError(error, debug);
    context.terminal.note(`metertime: ${first}`, ...others);
    return exitCodeOf(error);
  }
}

/** All commands; each adds itself to the program's help. */
export function makeProgram(context: Context, { stdout, stderr }: Pick<CliOptions, 'stdout' | 'stderr'>): Command {
  const program = new Command('metertime')
    .description(
      'Authenticated time for electricity meters and chargers: NTS from power-on to a reported time, with one core for microcontroller, gateway and tests.',
    )
    .option('-V, --version', "print the version and the core's SHA-256")
    .on('option:version', () => {
      stdout.write(`${versionText()}\n`);
      throw new CommanderError(0, 'commander.version', '');
    })
    .helpCommand('help [command]', 'explain a command')
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      '\nEach command explains itself: metertime COMMAND --help. Results go to standard output, everything else to\nstandard error; --json gives results to programs; NO_COLOR takes colours away.',
    );
  const commands = [
    boardsCommand(context),
    initCommand(context),
    provisionCommand(context),
    provisionBatchCommand(context),
    keysCommand(context),
    tariffCommand(context),
    buildCommand(context),
    flashCommand(context),
    exportCommand(context),
    conformanceCommand(context),
    runCommand(context),
    gatewayCommand(context, stderr),
    monitorCommand(context),
    statusCommand(context),
    dlmsCommand(context),
    ocppCommand(context),
    commandCommand(context),
    updateCommand(context),
    schemaCommand(context),
    keCommand(context),
    syncCommand(context),
    selftestCommand(context),
    replayCommand(context),
    verifyCommand(context),
    logbookCommand(context),
    ocmfCommand(context),
  ];
  for (const command of [program, ...commands]) {
    command
      .exitOverride()
      .configureOutput({
        writeOut: (text) => stdout.write(text),
        writeErr: (text) => stderr.write(text),
        outputError: (text, write) => write(text.replace(/^error: /, 'metertime: ')),
        getOutHelpWidth: () => Math.min(stdout.columns ?? 100, 120),
        getErrHelpWidth: () => Math.min(stderr.columns ?? 100, 120),
      })
      .showHelpAfterError(command === program ? false : `Try: metertime ${command.name()} --help`);
    if (command !== program) program.addCommand(command);
  }
  return program;
}
