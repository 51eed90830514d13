// metertime replay FILE: feeds a recorded trace to the core and compares what it does, bit for bit.
import { Command } from 'commander';
import { replayTrace } from '../core/trace.ts';
import { type Context, withHelp } from './context.ts';
import { ExitCode } from './exit-codes.ts';

export function replayCommand(context: Context): Command {
  const command = new Command('replay')
    .summary("replay a recorded trace of a meter's core")
    .description(
      'Feeds the events of a trace to the core and compares its actions with the recorded ones, bit for bit. Traces are recorded by meters in software, on request (metertime sync --record FILE); they hold secrets.',
    )
    .argument('<file>', 'the trace')
    .option('--json', 'print the result as JSON')
    .action((file: string, options: { json?: boolean }) => {
      const result = replayTrace(file);
      if (result.mismatch !== undefined) context.exitCode = ExitCode.Mismatch;
      const { terminal } = context;
      if (options.json) {
        terminal.printJson({ file, ok: result.mismatch === undefined, ...result });
      } else if (result.mismatch === undefined) {
        const restarts = result.instances > 1 ? `, ${result.instances - 1} restarts of the core` : '';
        terminal.print(
          `${terminal.paint('green', 'same')}  ${result.events} events, ${result.actions} actions${restarts}: replayed to the same actions, bit for bit`,
        );
      } else {
        const { event, name, difference } = result.mismatch;
        terminal.print(`${terminal.paint('red', 'differs')}  event ${event} (${name}): ${difference}`);
      }
    });
  return withHelp(command, {
    examples: [
      ['sync --record meter.trace time.example', 'records a trace'],
      ['replay meter.trace', 'replays it'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Mismatch],
  });
}
