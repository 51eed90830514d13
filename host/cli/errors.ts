// Errors as people see them: what happened, what to do about it, in one or two lines; a stack only with --debug.
import { ExitCode } from './exit-codes.ts';

/** An error of a command: `message` says what happened, `hint` what to do. */
export class CliError extends Error {
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(
    readonly code: string,
    message: string,
    options: ErrorOptions & { hint?: string; exitCode?: ExitCode } = {},
  ) {
    super(message, options);
    this.name = 'CliError';
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? ExitCode.Failed;
  }
}

/** The command line asks for something that cannot be. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError('usage', message, { exitCode: ExitCode.Usage, ...(hint === undefined ? {} : { hint }) });
}

const usageCodes = /^(usage|file-|settings-|tariff-|link-url|trust-anchors|board-unknown|batch-list)/;

/** The exit code that an error leads to. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return usageCodes.test(code) ? ExitCode.Usage : ExitCode.Failed;
}

/** The lines that explain an error; with `debug`, stacks and causes too. */
export function describeError(error: unknown, debug: boolean): string[] {
  if (!(error instanceof Error)) return [String(error)];
  // An error of this project carries a message for people; any other one is shown with its kind.
  const known = 'code' in error || error instanceof CliError;
  const lines = (known ? error.message : `${error.name}: ${error.message}`).split('\n');
  if (error instanceof CliError && error.hint !== undefined) lines.push(error.hint);
  if (!known && !debug) lines.push('This is a defect of metertime; run it again with --debug for the place.');
  if (debug) {
    for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
      lines.push(...(cause.stack ?? cause.message).split('\n').map((line) => `  ${line}`));
    }
  }
  return lines;
}
