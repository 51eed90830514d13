// metertime build: firmware for a board, with what it uses of the board's memories.
import { Command, InvalidArgumentError } from 'commander';
import { serversMax } from '../../scripts/build-core.mjs';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';

/** As many time servers as a core can be built for. */
function serverCount(text: string): number {
  const value = Number(text);
  if (!/^\d$/.test(text) || value < 1 || value > serversMax) {
    throw new InvalidArgumentError(`Expected a number from 1 to ${serversMax}.`);
  }
  return value;
}

export function buildCommand(context: Context): Command {
  const command = new Command('build')
    .summary('build firmware for a board')
    .description(
      "Builds the firmware of a board and prints its use of flash and RAM against the board's budgets; over budget fails. The same commit gives the same bits. With another number of servers than the board's, to see what they take, the budgets are only reported. Needs a checkout of metertime.",
    )
    .requiredOption('-b, --board <board>', 'the board; metertime boards lists them')
    .option('--servers <number>', "time servers at once, 1 to 4 (default: the board's number)", serverCount)
    .option('-o, --out <folder>', 'where the image goes (default build/BOARD in the checkout)')
    .option('--json', 'print the report as JSON')
    .action(async (options: { board: string; servers?: number; out?: string; json?: boolean }) => {
      const { terminal } = context;
      const { buildFirmware, formatBuildReport } = await import('../build/index.ts');
      let step = 'preparing';
      const report = await terminal.during(
        () => `building ${options.board}: ${step}`,
        () =>
          buildFirmware({
            board: options.board,
            signal: context.signal,
            ...(options.servers === undefined ? {} : { servers: options.servers }),
            ...(options.out === undefined ? {} : { outDir: options.out }),
            onStep: (text) => {
              step = text;
            },
          }),
      );
      if (options.json) terminal.printJson(report);
      else terminal.print(formatBuildReport(report));
    });
  return withHelp(command, {
    examples: [
      ['build --board mps2-an385', 'image, sizes and hashes'],
      ['build --board mps2-an385 --servers 4', 'what three further servers take'],
      ['build --board mps2-an385 --json', 'for a program'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}
