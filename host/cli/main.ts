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
let outputLost = false;
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe may go before us, as `head` does.
  if (error.code === 'EPIPE') process.exit(ExitCode.Ok);
  if (outputLost) return;
  outputLost = true;
  process.exitCode = ExitCode.Failed;
  process.stderr.write(`metertime: standard output cannot be written: ${error.message}\n`);
  // What runs until Ctrl-C has nobody to tell any more.
  abort.abort('stdout');
});
// There is no place left to say it, and a gateway outlives a full disk under its log.
process.stderr.on('error', () => {});

const exitCode = await runCli(process.argv.slice(2), {
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  signal: abort.signal,
});
if (!outputLost) process.exitCode = exitCode;
