// The demo's program, started by scripts/demo.mjs: arguments and signals in, exit code out.
// What always holds: whatever ends it (the last act, an error, Ctrl-C, a closed terminal, its parent's death), servers,
// emulators and compilers are gone and temporary files removed before this process is.
import { parseArgs } from 'node:util';
import { killDescendants } from '../../scripts/lib/processes.mjs';
import { type Cast, closing, forgeAnswer, powerOnMeters, type Stage, setTheStage, showBroker } from './acts.ts';
import { Cleanup } from './cleanup.ts';
import { Interrupted } from './errors.ts';
import { watchLive } from './live.ts';
import { showQuarterHour } from './quarter-hour.ts';
import { Story } from './story.ts';

const exitCodes = { shown: 0, failed: 1, interrupted: 130 } as const;

const { values } = parseArgs({ options: { once: { type: 'boolean' }, json: { type: 'boolean' } } });
const once = values.once === true;
const abort = new AbortController();
let failure: unknown;

process.on('exit', killDescendants);
let interrupted = false;
process.on('SIGINT', () => {
  // A second Ctrl-C waits for nothing. The SIGTERM with which the parent passes on the first may overtake it.
  if (interrupted) process.exit(exitCodes.interrupted);
  interrupted = true;
  abort.abort();
});
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => abort.abort());
// The parent is gone, or the terminal, or the reader of a pipe.
process.on('disconnect', () => abort.abort());
process.channel?.unref();
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => abort.abort());

const story = new Story({
  sink: process.stdout,
  env: process.env,
  startedMs: Number(process.env.METERTIME_DEMO_STARTED_MS ?? Date.now()),
  json: values.json === true,
});
const stage: Stage = {
  story,
  cleanup: new Cleanup(),
  signal: abort.signal,
  env: process.env,
  fail: (error) => {
    if (abort.signal.aborted) return;
    failure = error;
    abort.abort();
  },
};

let cast: Cast | undefined;
let shown = false;
try {
  cast = await setTheStage(stage);
  await powerOnMeters(stage, cast);
  await showBroker(stage, cast);
  await forgeAnswer(stage, cast);
  const evidence = await showQuarterHour(stage, cast);
  closing(stage, cast, { once, evidence });
  shown = true;
  if (!once) await watchLive(stage, cast);
} catch (error) {
  if (!(error instanceof Interrupted)) failure ??= error;
}
const exitCode = failure !== undefined ? exitCodes.failed : shown ? exitCodes.shown : exitCodes.interrupted;

story.end();
if (failure !== undefined) tellFailure(failure);
if (!(once && shown)) story.paragraph('Ending: meters, gateway, broker and time server are being stopped.');
// From here on an emulator that ends is no failure.
abort.abort();
// What is only being started would be waited for.
if (!shown) killDescendants();
for (const trouble of await stage.cleanup.run()) process.stderr.write(`${trouble}\n`);
process.exit(exitCode);

/** What went wrong, and the last lines of the logs. */
function tellFailure(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  const [first = '', ...others] = message.split('\n');
  story.line('demo', 'failed', `cannot go on: ${first}`, { event: 'failed' });
  if (error instanceof Error && !('code' in error)) others.push(error.stack ?? '');
  const lines = [...others, ...(cast?.log() ?? '').split('\n')].filter((line) => line !== '');
  process.stderr.write(lines.map((line) => `  ${line}\n`).join(''));
}
