// Runs the command line in this process, as main.ts does, and keeps what it prints.
import { runCli } from '../../host/cli/cli.ts';
import type { ExitCode } from '../../host/cli/exit-codes.ts';

export interface Ran {
  readonly exitCode: ExitCode;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly isTTY?: boolean;
  readonly signal?: AbortSignal;
  /** Sees each piece of output as it comes. */
  readonly watch?: (text: string) => void;
}

export async function runMetertime(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const isTTY = options.isTTY ?? false;
  const exitCode = await runCli(args, {
    stdout: {
      isTTY,
      columns: 100,
      write: (text) => {
        stdout += text;
        options.watch?.(text);
      },
    },
    stderr: {
      isTTY,
      columns: 100,
      write: (text) => {
        stderr += text;
        options.watch?.(text);
      },
    },
    env: options.env ?? {},
    signal: options.signal ?? new AbortController().signal,
  });
  return { exitCode, stdout, stderr };
}
