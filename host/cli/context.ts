// What every command gets: the terminal, what ends it, and options that all commands share.
import type { Command } from 'commander';
import { type ExitCode, exitCodeTexts, untilCtrlCTexts } from './exit-codes.ts';
import type { Terminal } from './terminal.ts';

export interface Context {
  readonly terminal: Terminal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts on Ctrl-C and SIGTERM: everything that was started ends then. */
  readonly signal: AbortSignal;
  /** What the process ends with when nothing else is said. */
  exitCode: ExitCode;
}

export interface Help {
  readonly examples: readonly (readonly [command: string, meaning: string])[];
  readonly exitCodes: readonly ExitCode[];
  /** Whether the command goes on until Ctrl-C: that is no interruption then. */
  readonly untilCtrlC?: boolean;
}

/** Adds examples, exit codes and --debug to a command. */
export function withHelp(command: Command, help: Help): Command {
  const widest = Math.max(...help.examples.map(([text]) => text.length));
  const examples = help.examples.map(([text, meaning]) => `  $ metertime ${text.padEnd(widest)}  ${meaning}`);
  const texts = help.untilCtrlC === true ? { ...exitCodeTexts, ...untilCtrlCTexts } : exitCodeTexts;
  const codes = help.exitCodes.map((code) => `  ${String(code).padEnd(3)} ${texts[code]}`);
  return command
    .option('--debug', 'on an error, show where in metertime it happened')
    .addHelpText('after', ['', 'Examples:', ...examples, '', 'Exit codes:', ...codes].join('\n'));
}

/** For an option that may be given several times. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
