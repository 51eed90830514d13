// `npm run demo`: says what it is about, sets up what is missing, bundles host/demo/main.ts and runs it.
// `npm run demo -- --once` ends by itself; `--json` prints one JSON object a line. Without compiler or emulator the demo
// still runs; it asks debianTool() itself what there is.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bundle } from './build-dist.mjs';
import { killDescendants, onceOrphaned } from './lib/processes.mjs';
import { step } from './lib/progress.mjs';
import { root } from './lib/project.mjs';
import { paragraphWidth, wrap } from './lib/wrap.mjs';
import { setUp } from './setup.mjs';

const startedMs = Date.now();
const usage = `Usage: npm run demo [-- OPTIONS]

  --once   end when everything was shown, instead of going on until Ctrl-C
  --json   one JSON object a line on standard output
  --help   this text

METERTIME_NO_EMULATOR=1 runs the meters in software.`;

const introduction = `metertime demo

Electricity meters and chargers bill by time: who can change a meter's time can
change the bill. The usual way to ask for the time over a network, NTP, can be
forged by anybody on the way. Here, two meters ask with NTS (Network Time
Security, RFC 8915): the time server first proves who it is with a certificate
and agrees on secret keys with each meter; then every answer carries a seal made
with these keys, and the meter throws away what is not sealed.

Set-up (installs nothing; what is fetched and built lies in .cache and build)`;

const options = readOptions();
// With --json, standard output belongs to the JSON.
const stream = options.json ? process.stderr : process.stdout;
const width = Math.min((stream.columns ?? paragraphWidth + 1) - 1, paragraphWidth);
const paragraphs = introduction.split('\n\n').map((text) => wrap(text.replaceAll('\n', ' '), width).join('\n'));
stream.write(`${paragraphs.join('\n\n')}\n`);

// Until the demo's program runs, an end is an end.
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) process.on(signal, endSetUp);

const outDir = join(root, 'build', 'demo');
try {
  const missing = await setUp({ debian: ['servers', 'firmware', 'emulator'] });
  for (const reason of new Set(missing.map((each) => each.reason))) console.error(`  ! ${reason}`);
  await step('demo program', async () => {
    await bundle('host/demo/main.ts', outDir);
  });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

const demo = spawn(process.execPath, [join(outDir, 'metertime.mjs'), ...process.argv.slice(2)], {
  cwd: root,
  // The channel tells the program when this process is gone, however it went.
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  env: { ...process.env, METERTIME_DEMO_STARTED_MS: String(startedMs) },
});
// The demo ends what it started, and this process waits for it. Ctrl-C reaches it by itself, being in the same group;
// there SIGTERM asks for nothing more, while a second SIGINT would not wait for an orderly end.
process.off('SIGINT', endSetUp).on('SIGINT', () => demo.kill('SIGTERM'));
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGHUP'])) {
  process.off(signal, endSetUp).on(signal, () => demo.kill(signal));
}
if (process.env.npm_lifecycle_event !== undefined) onceOrphaned(() => demo.kill('SIGTERM'));
demo.on('close', (code, signal) => {
  process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
});

function endSetUp() {
  killDescendants();
  process.stderr.write('\n');
  process.exit(130);
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: { once: { type: 'boolean' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    return values;
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    process.exit(2);
  }
}
