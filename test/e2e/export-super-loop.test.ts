// What `metertime export` writes, as its example has it: a process of its own that a gateway brings to authenticated time
// of chronyd, also after its power was cut.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import { exportC } from '../../host/export/c-export.ts';
import { provisionStorage } from '../../host/provision/storage-file.ts';
import { type Chronyd, startChronyd } from '../../host/setup/chronyd.ts';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { makeFolder } from '../../host/setup/lab-server.ts';
import { until } from '../../host/setup/until.ts';
import { makeExported } from '../firmware/exported.ts';
import { labGateway } from './lab.ts';
import { labSettings } from './meters.ts';
import { MeterWatch } from './watch.ts';

const folder = makeFolder('export');
const program = join(folder, 'exported', 'build', 'super-loop');
let ca: LabCa;
let server: Chronyd;
beforeAll(async () => {
  await exportC({ servers: 1, example: 'super-loop', outDir: join(folder, 'exported'), measure: false });
  await makeExported(join(folder, 'exported'), ['build/super-loop']);
  ca = await LabCa.create();
  server = await startChronyd({ ca, stratum: 2 });
});
afterAll(() => server?.stop());

interface Told {
  readonly status: string;
  readonly utcNs?: string;
  readonly boundNs?: number;
}

function start(socket: string, storage: string) {
  const child: ChildProcess = spawn(program, [socket, storage], { stdio: ['ignore', 'pipe', 'pipe'] });
  const told: Told[] = [];
  /** How far the time that it told lay outside of its bound as its line came; later is no error of its own. */
  const early: number[] = [];
  let complaints = '';
  child.stderr!.on('data', (chunk) => {
    complaints += chunk;
  });
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const time = JSON.parse(line) as Told;
    told.push(time);
    if (time.utcNs !== undefined)
      early.push(Number(BigInt(time.utcNs) - BigInt(Date.now()) * 1_000_000n) - time.boundNs!);
  });
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const closed = once(child, 'close');
    child.kill('SIGKILL');
    await closed;
  };
  return { told, early, kill, complaints: () => complaints };
}

it('is synchronised by a gateway, and again after its power was cut', async () => {
  const socket = join(folder, 'g.sock');
  const storage = join(folder, 'storage');
  const settings = labSettings({ id: 'own', servers: [{ host: '127.0.0.1', port: server.kePort }] });
  provisionStorage(storage, settings, { bytes: 8192 });
  const gateway = labGateway(ca, { links: [`unix-listen:${socket}`] });
  const watch = new MeterWatch(gateway, 'own');
  await gateway.start();
  let meter = start(socket, storage);
  try {
    const first = await watch.synchronised();
    expect(first).toMatchObject({ stratum: 2, rejected: 0, keFailures: 0 });
    expect(first.flags & TimeFlag.FromRtc).toBe(0);
    expect(watch.infos.at(-1)).toMatchObject({ board: 'super-loop', serversMax: 1 });
    await until('its program tells the time', () => meter.told.some(({ status }) => status === 'synchronised'));
    // A line comes after the instant that it tells, and the host's clock is read in whole milliseconds.
    for (const ns of meter.early) expect(ns).toBeLessThan(2e6);
    expect(meter.told.at(-1)!.boundNs).toBeLessThan(1e9);

    const sessions = watch.ups;
    const { length } = watch.events;
    await meter.kill();
    meter = start(socket, storage);
    await watch.until('a new session', () => watch.ups > sessions);
    const again = await watch.synchronised();
    expect(again.keAttempts).toBe(0);
    expect(watch.events.slice(length).map(({ code }) => code)).toContain(MeterEvent.Started);
    expect(meter.complaints()).toBe('');
  } finally {
    await meter.kill();
    await gateway.stop();
  }
});
