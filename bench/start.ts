// How long it takes from power-on to a reported, authenticated time, beside `chronyd -Q` with NTS: the same server, the
// same machine, in turns. Run by scripts/bench-start.mjs.
//
//   meter      from the start of the emulator's process to the gateway's first report that says synchronised;
//              its storage is new, so it has no keys, no time and no proof for its real-time clock
//   chronyd    from the start of its process to the line that tells the offset; iburst maxsamples 1
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ClockStatus, MeterEvent } from '../as/abi/codes.ts';
import { type Chronyd, startChronyd } from '../host/setup/chronyd.ts';
import { LabCa } from '../host/setup/lab-ca.ts';
import { currentUser, makeFolder } from '../host/setup/lab-server.ts';
import { debianTool } from '../scripts/debian.mjs';
import { labGateway } from '../test/e2e/lab.ts';
import { EmulatedMeter } from '../test/e2e/meters.ts';
import { MeterWatch } from '../test/e2e/watch.ts';
import { median, quantile } from './figures.ts';

/** When what happened, ms after power-on. */
interface MeterRun {
  /** The emulator's link can be connected to. */
  readonly linkMs: number;
  /** The link's session stands. */
  readonly sessionMs: number;
  /** The meter's own counter at its events, ms after its start. */
  readonly keysUptimeMs: number;
  readonly syncUptimeMs: number;
  /** The first report that says synchronised. */
  readonly totalMs: number;
}

/** Ends at a line that says by how much the clock is wrong. */
async function timeChronyd(server: Chronyd, caFile: string): Promise<number> {
  const folder = makeFolder('chronyd-q');
  const config = join(folder, 'chrony.conf');
  writeFileSync(
    config,
    `${[
      `server ${server.address} nts iburst maxsamples 1 ntsport ${server.kePort}`,
      `ntstrustedcerts ${caFile}`,
      'cmdport 0',
      'bindcmdaddress /',
      `pidfile ${join(folder, 'pid')}`,
    ].join('\n')}\n`,
  );
  const tool = debianTool('chronyd');
  if (!tool.ok) throw new Error(tool.reason);
  const harmless = process.getuid?.() === 0 ? ['--bounding-set', '-sys_time'] : [];
  const args = ['--pdeathsig', 'KILL', ...harmless, '--', tool.path, ...tool.args];
  const startMs = performance.now();
  const child = spawn('setpriv', [...args, '-Q', '-t', '60', '-U', '-u', currentUser(), '-f', config], {
    env: { ...process.env, ...tool.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  try {
    return await offsetLine(child, startMs);
  } finally {
    child.kill('SIGKILL');
    await rm(folder, { recursive: true, force: true });
  }
}

function offsetLine(child: ChildProcess, startMs: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let output = '';
    const take = (chunk: Buffer) => {
      output += chunk;
      if (/System clock wrong by -?[\d.]+ seconds/.test(output)) resolve(performance.now() - startMs);
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.on('error', reject);
    child.on('close', (code) => reject(new Error(`chronyd -Q ended with ${code} and no offset:\n${output}`)));
  });
}

async function timeMeter(server: Chronyd, ca: LabCa, run: number): Promise<MeterRun> {
  const id = `meter-${run}`;
  const meter = await EmulatedMeter.create({ id, servers: [{ host: server.address, port: server.kePort }] });
  const gateway = labGateway(ca);
  const watch = new MeterWatch(gateway, id);
  try {
    let sessionMs = Number.NaN;
    gateway.on('link', ({ up }) => {
      if (up && Number.isNaN(sessionMs)) sessionMs = performance.now() - startMs;
    });
    const startMs = performance.now();
    await meter.start();
    const linkMs = performance.now() - startMs;
    gateway.addLink(meter.transport());
    const time = await watch.until(
      'synchronised',
      () => watch.times.find(({ status }) => status === ClockStatus.Synchronised),
      60_000,
    );
    const totalMs = time.atMs - startMs;
    const keys = await watch.event(MeterEvent.KeysEstablished);
    const synchronised = await watch.event(MeterEvent.Synchronised);
    const ms = (uptimeNs: bigint) => Number(uptimeNs) / 1e6;
    return { linkMs, sessionMs, keysUptimeMs: ms(keys.uptimeNs), syncUptimeMs: ms(synchronised.uptimeNs), totalMs };
  } finally {
    await gateway.stop();
    await meter.remove();
  }
}

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
});
const runs = Number(values.runs);
if (!Number.isInteger(runs) || runs < 1 || runs > 1_000) {
  console.error(`--runs: expected a whole number from 1 to 1000, came ${values.runs}`);
  process.exit(2);
}

const ca = await LabCa.create();
const server = await startChronyd({ ca });
const caFile = join(server.folder, 'ca.pem');
writeFileSync(caFile, ca.certificatePem);
const meters: MeterRun[] = [];
const chronyds: number[] = [];
try {
  // One of each that does not count: programs and firmware come into memory.
  await timeMeter(server, ca, 0);
  await timeChronyd(server, caFile);
  if (!values.json) console.log('run   meter ms   chronyd -Q ms');
  for (let run = 1; run <= runs; run++) {
    // In turns, and the first of a turn changes, so that neither always follows the other.
    const both = [
      async () => meters.push(await timeMeter(server, ca, run)),
      async () => chronyds.push(await timeChronyd(server, caFile)),
    ];
    for (const one of run % 2 === 0 ? both : both.reverse()) await one();
    if (values.json) continue;
    const columns = [String(run).padStart(3), ms(meters.at(-1)!.totalMs, 10), ms(chronyds.at(-1)!, 15)];
    console.log(columns.join(' '));
  }
} finally {
  await server.stop();
}

function ms(value: number, width: number): string {
  return value.toFixed(0).padStart(width);
}

const totals = meters.map(({ totalMs }) => totalMs);
const ratio = median(totals) / median(chronyds);
const within = ratio <= 1;
if (values.json) {
  const of = (numbers: number[]) => ({
    medianMs: median(numbers),
    leastMs: Math.min(...numbers),
    mostMs: Math.max(...numbers),
    ms: numbers,
  });
  console.log(JSON.stringify({ runs, meter: { ...of(totals), steps: meters }, chronyd: of(chronyds), ratio, within }));
} else {
  const step = (of: (run: MeterRun) => number) => median(meters.map(of));
  const line = (name: string, numbers: number[]) =>
    `${name.padEnd(34)} ${ms(median(numbers), 7)} ${ms(quantile(numbers, 0), 7)} ${ms(quantile(numbers, 1), 7)}`;
  console.log(`
from start to authenticated time    median   least    most   ms
${line('emulated meter, first report', totals)}
${line('chronyd -Q, offset known', chronyds)}
ratio of the medians               ${ratio.toFixed(2).padStart(7)}   ${within ? 'no slower than chronyd' : 'SLOWER than chronyd'}

where the meter's time goes (medians)
  emulator started, link reachable ${ms(
    step(({ linkMs }) => linkMs),
    8,
  )} ms
  session of the link              ${ms(
    step(({ sessionMs, linkMs }) => sessionMs - linkMs),
    8,
  )} ms
  keys, first answer, report       ${ms(
    step(({ totalMs, sessionMs }) => totalMs - sessionMs),
    8,
  )} ms, of which from keys to time ${step((run) => run.syncUptimeMs - run.keysUptimeMs).toFixed(0)} ms`);
}
if (values.check && !within) process.exitCode = 1;
