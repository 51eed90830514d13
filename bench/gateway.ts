// A gateway with a thousand meters in software that record each minute: no backlog, and what a meter costs it.
// Run by scripts/bench-gateway.mjs; docs/testing.md says what it shows.
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildCore } from '../scripts/build-core.mjs';
import { buildDist } from '../scripts/build-dist.mjs';
import { step } from '../scripts/lib/progress.mjs';
import { root } from '../scripts/lib/project.mjs';
import { type MetersOptions, runMeters } from './gateway-meters.ts';
import { type PeerOptions, runPeer } from './gateway-peer.ts';
import { failuresOf, tableOf } from './gateway-report.ts';
import { type RunResult, runOnce } from './gateway-run.ts';
import { gatewayUsage } from './usage.mjs';

function wrong(message: string): never {
  console.error(message);
  process.exit(2);
}

function readArguments() {
  try {
    return parseArgs({
      options: {
        meters: { type: 'string', default: '1000' },
        minutes: { type: 'string', default: '5' },
        servers: { type: 'string', default: '4' },
        report: { type: 'string', default: '10' },
        start: { type: 'string', default: '120' },
        flags: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
        check: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
        role: { type: 'string' },
      },
    }).values;
  } catch (error) {
    wrong(`${(error as Error).message}\n\n${gatewayUsage}`);
  }
}

function whole(option: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && Number.isInteger(value) && value >= least && value <= most) return value;
  wrong(`--${option}: expected a whole number from ${least} to ${most}, came ${text === '' ? 'nothing' : text}`);
}

async function main(values: ReturnType<typeof readArguments>): Promise<void> {
  if (values.help) return console.log(gatewayUsage);
  const options = {
    meters: whole('meters', values.meters, 1, 4_000),
    minutes: whole('minutes', values.minutes, 0, 1_440),
    servers: whole('servers', values.servers, 1, 4),
    reportSeconds: whole('report', values.report, 1, 65_535),
    startSeconds: whole('start', values.start, 1, 3_600),
  };
  // With an `exit`, what was started ends and folders go.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130));
  const program = join(root, 'build', 'bench-gateway', 'program');
  await step('building the gateway', () => buildDist({ outDir: program }));
  const { path: corePath } = await buildCore();
  const runs = values.flags.length === 0 ? [''] : values.flags.map((flags) => (flags === 'none' ? '' : flags));
  const results: RunResult[] = [];
  for (const [index, flags] of runs.entries()) {
    const title =
      runs.length === 1 ? `${options.meters} meters` : `run ${index + 1} of ${runs.length}: ${flags || 'no flags'}`;
    const one = { ...options, flags, corePath, program: join(program, 'metertime.mjs') };
    // The peer does the same whatever the flags are.
    results.push(await step(title, (note) => runOnce({ ...one, withPeer: index === 0, note })));
  }
  const failures = results.flatMap(failuresOf);
  if (values.json) console.log(JSON.stringify({ ...options, results, failures }));
  else console.log(tableOf(results, failures));
  if (values.check && failures.length > 0) process.exitCode = 1;
}

const values = readArguments();
if (values.role === undefined) await main(values);
else {
  // A child of a run: what it is to do comes as the first message.
  process.once('message', (told) => {
    if (values.role === 'meters') runMeters(told as MetersOptions);
    else void runPeer(told as PeerOptions);
  });
  process.once('disconnect', () => process.exit(0));
}
