// metertime build: firmware for a board, or for all, with what it uses of the board's memories.
import { Command, InvalidArgumentError, Option } from 'commander';
import { serversMax } from '../../scripts/build-core.mjs';
import type { BuildOutcome } from '../build/report.ts';
import { type Sanitizer, sanitizerNames } from '../build/sanitizers.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';

interface Options {
  readonly board?: string;
  readonly all?: boolean;
  readonly servers?: number;
  readonly sanitize?: readonly Sanitizer[];
  readonly out?: string;
  readonly json?: boolean;
}

/** As many time servers as a core can be built for. */
function serverCount(text: string): number {
  const value = Number(text);
  if (!/^\d$/.test(text) || value < 1 || value > serversMax) {
    throw new InvalidArgumentError(`Expected a number from 1 to ${serversMax}.`);
  }
  return value;
}

function sanitizerList(text: string): readonly Sanitizer[] {
  return text.split(',').map((name) => {
    const known = sanitizerNames.find((each) => each === name);
    if (known === undefined) throw new InvalidArgumentError(`Expected some of ${sanitizerNames.join(',')}.`);
    return known;
  });
}

export function buildCommand(context: Context): Command {
  const command = new Command('build')
    .summary('build firmware for a board, or for all of them')
    .description(
      "Builds the firmware of a board and prints its use of flash and RAM against the board's budgets; over budget fails. The same commit gives the same bits. With another number of servers than the board's, to see what they take, the budgets are only reported. With --all, one table of all boards. Needs a checkout of metertime.",
    )
    .option('-b, --board <board>', 'the board; metertime boards lists them')
    .addOption(new Option('--all', 'all boards, in one table').conflicts(['board', 'servers', 'sanitize', 'out']))
    .option('--servers <number>', "time servers at once, 1 to 4 (default: the board's number)", serverCount)
    .option('--sanitize <list>', `a process with sanitizers: ${sanitizerNames.join(',')}`, sanitizerList)
    .option('-o, --out <folder>', 'where the image goes (default build/BOARD in the checkout)')
    .option('--json', 'print the report as JSON')
    .action((options: Options) => {
      if (options.all === true) return buildAll(context, options.json === true);
      if (options.board !== undefined) return buildOne(context, options.board, options);
      throw usageError('expected --board BOARD, or --all', 'metertime boards lists them.');
    });
  return withHelp(command, {
    examples: [
      ['build --board mps2-an385', 'image, sizes and hashes'],
      ['build --board mps2-an385 --servers 4', 'what three further servers take'],
      ['build --board posix --sanitize address,undefined', 'a process that ends where it does what C leaves undefined'],
      ['build --all', 'the memories of all boards'],
      ['build --board mps2-an385 --json', 'for a program'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function buildOne({ terminal, signal }: Context, board: string, options: Options): Promise<void> {
  const { buildFirmware, formatBuildReport } = await import('../build/index.ts');
  let step = 'preparing';
  const report = await terminal.during(
    () => `building ${board}: ${step}`,
    () =>
      buildFirmware({
        board,
        signal,
        ...(options.servers === undefined ? {} : { servers: options.servers }),
        ...(options.sanitize === undefined ? {} : { sanitize: options.sanitize }),
        ...(options.out === undefined ? {} : { outDir: options.out }),
        onStep: (text) => {
          step = text;
        },
      }),
  );
  if (options.json) terminal.printJson(report);
  else terminal.print(formatBuildReport(report));
}

// A board that fails keeps none of the others from being built.
async function buildAll(context: Context, json: boolean): Promise<void> {
  const { terminal, signal } = context;
  const { BuildError, buildFirmware, formatBuildTable, listBoards } = await import('../build/index.ts');
  const outcomes: BuildOutcome[] = [];
  const boards = listBoards();
  for (const [at, { name }] of boards.entries()) {
    let step = 'preparing';
    const onStep = (text: string) => {
      step = text;
    };
    try {
      const report = await terminal.during(
        () => `building ${name} (${at + 1} of ${boards.length}): ${step}`,
        () => buildFirmware({ board: name, signal, onStep }),
      );
      outcomes.push({ board: name, report });
    } catch (error) {
      if (!(error instanceof BuildError)) throw error;
      outcomes.push({ board: name, error });
    }
  }
  const failed = outcomes.flatMap((outcome) => ('error' in outcome ? [outcome] : []));
  if (failed.length > 0) context.exitCode = ExitCode.Failed;
  if (json) {
    terminal.printJson(
      outcomes.map((outcome) =>
        'error' in outcome
          ? { board: outcome.board, error: { code: outcome.error.code, message: outcome.error.message } }
          : outcome.report,
      ),
    );
    return;
  }
  terminal.print(...formatBuildTable(outcomes));
  for (const { board, error } of failed) terminal.note('', `${board}: ${error.message}`);
}
