// The `metertime` command: gives the process's arguments, streams and signals to the command line (cli.ts).
// The first Ctrl-C ends everything in order; a second one ends the process at once.
import { runCli } from './cli.ts';
import { ExitCode } from './exit-codes.ts';

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (abort.signal.aborted) process.exit(ExitCode.Interrupted);
    abort.abort(signal);
  });
}
// The reader of a pipe may go before us, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(ExitCode.Ok);
  throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: abort.signal,
});
