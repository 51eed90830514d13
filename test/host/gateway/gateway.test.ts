// A gateway with several links and meters with the real core: who is online, and that one costs the others nothing.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { ClockStatus } from '../../../as/abi/codes.ts';
import type { CoreModule } from '../../../host/core/core.ts';
import { Gateway, type Meter } from '../../../host/gateway/gateway.ts';
import {
  type AcceptLimits,
  createPair,
  type LinkListener,
  type LinkTransport,
  openLink,
} from '../../../host/link/transports.ts';
import { type LogRecord, loggerTo } from '../../../host/log.ts';
import { TrustAnchors } from '../../../host/net/trust-anchors.ts';
import { coreModule, startMeter } from './software-meters.ts';

const long = { timeout: 20_000 };
let core: CoreModule;
let folder: string;
let records: LogRecord[];
const open: (() => unknown)[] = [];

beforeAll(async () => {
  core = await coreModule();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-gateway-'));
  records = [];
});
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
  rmSync(folder, { recursive: true });
});

async function startGateway(links: string[], acceptLimits: Partial<AcceptLimits> = {}): Promise<Gateway> {
  const log = loggerTo((one) => records.push(one));
  const gateway = new Gateway({ links, anchors: new TrustAnchors(), core, log, acceptLimits });
  open.push(() => gateway.stop());
  await gateway.start();
  return gateway;
}

/** A meter that connects to a URL; the function switches it off and takes its line away. */
function connectMeter(url: string, id: string): { stop: () => Promise<void>; transport: LinkTransport } {
  const transport = openLink(url) as LinkTransport;
  const meter = startMeter(transport, core, id);
  transport.start();
  const stop = async () => {
    meter.powerCut();
    await transport.close();
  };
  open.push(stop);
  return { stop, transport };
}

const find = (gateway: Gateway, id: string): Meter | undefined => gateway.meters.find((meter) => meter.id === id);

test('meters come, report, go and come back', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0', `unix-listen:${folder}/g.sock`]);
  const met: string[] = [];
  gateway.on('meter', (meter) => met.push(meter.id));
  const first = connectMeter(`tcp://127.0.0.1:${gateway.listeningPorts[0]}`, 'tcp-meter');
  connectMeter(`unix:${folder}/g.sock`, 'unix-meter');
  await expect.poll(() => gateway.meters.filter((meter) => meter.isUp).length, long).toBe(2);
  expect(met.sort()).toEqual(['tcp-meter', 'unix-meter']);

  const meter = find(gateway, 'tcp-meter')!;
  expect(meter.info).toMatchObject({ meterId: 'tcp-meter', board: 'test', firmwareVersion: '1.2.3' });
  await expect.poll(() => meter.time?.status, long).toBe(ClockStatus.Unsynchronised);
  expect((await meter.probeTime()).status).toBe(ClockStatus.Unsynchronised);

  const downs: string[] = [];
  meter.on('down', (reason) => downs.push(reason));
  await first.stop();
  await expect.poll(() => downs.length, long).toBe(1);
  expect(meter.isUp).toBe(false);
  expect(find(gateway, 'unix-meter')!.isUp).toBe(true);
  await expect(meter.probeTime()).rejects.toMatchObject({ code: 'meter-offline' });
  await expect.poll(() => gateway.sessions.length).toBe(1);

  connectMeter(`tcp://127.0.0.1:${gateway.listeningPorts[0]}`, 'tcp-meter');
  await expect.poll(() => meter.isUp, long).toBe(true);
  expect(met).toHaveLength(2);
});

test('a gateway that connects to its meters, before or after they are there', async () => {
  const gateway = await startGateway([`unix:${folder}/meter.sock`]);
  const server = openLink(`unix-listen:${folder}/meter.sock`) as LinkListener;
  server.on('link', (transport) => {
    const meter = startMeter(transport, core, 'waiting-meter');
    open.push(async () => {
      meter.powerCut();
      await transport.close();
    });
    transport.start();
  });
  await server.start();
  open.push(() => server.close());
  await expect.poll(() => find(gateway, 'waiting-meter')?.isUp, long).toBe(true);
});

test('two links with one id: the newer one speaks for the meter, and it is told', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0']);
  const url = `tcp://127.0.0.1:${gateway.listeningPorts[0]}`;
  connectMeter(url, 'twin');
  await expect.poll(() => find(gateway, 'twin')?.isUp, long).toBe(true);
  const meter = find(gateway, 'twin')!;
  const old = meter.session!;
  const log: string[] = [];
  meter.on('up', () => log.push('up'));
  meter.on('down', () => log.push('down'));
  const duplicate = once(gateway, 'duplicate');
  connectMeter(url, 'twin');
  const [told] = await duplicate;
  expect(told.meter).toBe(meter);
  expect(told.newLink).not.toBe(told.oldLink);
  await expect.poll(() => meter.session !== undefined && meter.session !== old).toBe(true);
  expect(log).toEqual(['down', 'up']);
  expect(gateway.meters).toHaveLength(1);
  // What the older one reports is not the meter's any more.
  let reports = 0;
  meter.on('time', () => reports++);
  old.emit('time', meter.time!);
  expect(reports).toBe(0);
});

test('links full of noise leave the other meters their time', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0']);
  const port = gateway.listeningPorts[0]!;
  connectMeter(`tcp://127.0.0.1:${port}`, 'good');
  await expect.poll(() => find(gateway, 'good')?.isUp, long).toBe(true);
  for (let count = 0; count < 4; count++) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    const noise = randomBytes(65_536).map((byte, at) => (at % 200 === 0 ? 0 : byte));
    const more = () => {
      while (!socket.destroyed && socket.write(noise));
    };
    socket.on('drain', more);
    socket.on('connect', more);
    open.push(() => socket.destroy());
  }
  await expect.poll(() => gateway.sessions.length).toBe(5);
  const meter = find(gateway, 'good')!;
  const spans: number[] = [];
  for (let times = 0; times < 50; times++) {
    const { hostBeforeNs, hostAfterNs } = await meter.probeTime();
    spans.push(Number(hostAfterNs - hostBeforeNs) / 1e6);
  }
  spans.sort((a, b) => a - b);
  expect(spans[25], `ms, of ${spans.map((ms) => ms.toFixed(1)).join(' ')}`).toBeLessThan(100);
  expect(gateway.meters).toHaveLength(1);
});

/** Connections that say nothing; how many of them have been closed. */
function connectSilently(port: number, count: number, localAddress: string): { closed: () => number } {
  let closed = 0;
  for (let number = 0; number < count; number++) {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).resume();
    socket.on('error', () => {});
    socket.on('close', () => closed++);
    open.push(() => socket.destroy());
  }
  return { closed: () => closed };
}

test('600 silent connections keep no meter out, whether from elsewhere or from behind the same address', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0'], { certainMs: 500 });
  const port = gateway.listeningPorts[0]!;
  const silent = connectSilently(port, 600, '127.0.0.2');
  // Of one peer, 64 may wait for a session.
  await expect.poll(silent.closed, long).toBe(536);
  connectMeter(`tcp://127.0.0.1:${port}`, 'elsewhere');
  await expect.poll(() => find(gateway, 'elsewhere')?.isUp, long).toBe(true);
  expect(silent.closed()).toBe(536);
  connectSilently(port, 64, '127.0.0.1');
  connectMeter(`tcp://127.0.0.1:${port}`, 'same-address');
  await expect.poll(() => find(gateway, 'same-address')?.isUp, long).toBe(true);
  const lines = records.filter((one) => one.message === 'a connection was turned away');
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThanOrEqual(5);
  expect(lines[0]).toMatchObject({
    level: 'warn',
    fields: {
      peer: expect.stringContaining('127.0.0.2'),
      // The latter where the first of them are older than a connection is certain of its place.
      reason: expect.stringMatching(
        /^(64 connections of this peer have no session yet|it had no session yet, and .*)$/,
      ),
    },
  });
}, 30_000);

test('a connection that never begins a session is closed; a meter with one stays', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0'], { sessionMs: 2_000 });
  const port = gateway.listeningPorts[0]!;
  connectMeter(`tcp://127.0.0.1:${port}`, 'good');
  await expect.poll(() => find(gateway, 'good')?.isUp, long).toBe(true);
  let downs = 0;
  find(gateway, 'good')!.on('down', () => downs++);
  const silent = connectSilently(port, 3, '127.0.0.1');
  await expect.poll(silent.closed, long).toBe(3);
  await expect.poll(() => gateway.sessions.length).toBe(1);
  expect(downs).toBe(0);
});

test('a meter in the process, by its transport', async () => {
  const gateway = await startGateway([]);
  const [a, b] = createPair('inside');
  const meter = startMeter(a, core, 'inside');
  open.push(() => meter.powerCut());
  gateway.addLink(b);
  a.start();
  await expect.poll(() => find(gateway, 'inside')?.isUp, long).toBe(true);
});

test('starting: an address in use is an error and leaves nothing open; stopping closes everything', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0', `unix-listen:${folder}/g.sock`]);
  const taken = gateway.listeningPorts[0]!;
  const second = new Gateway({
    links: [`unix-listen:${folder}/second.sock`, `tcp-listen://127.0.0.1:${taken}`],
    anchors: new TrustAnchors(),
    core,
  });
  await expect(second.start()).rejects.toMatchObject({
    code: 'link-listen',
    message: `tcp-listen://127.0.0.1:${taken}: another program listens there, perhaps another gateway; end that one, or name another port`,
  });
  expect(existsSync(join(folder, 'second.sock'))).toBe(false);

  const meter = connectMeter(`tcp://127.0.0.1:${taken}`, 'm');
  await expect.poll(() => gateway.meters.length, long).toBe(1);
  const down = once(gateway.meters[0]!, 'down');
  const lost = once(meter.transport, 'down');
  await gateway.stop();
  await Promise.all([down, lost]);
  expect(gateway.sessions).toEqual([]);
  expect(existsSync(join(folder, 'g.sock'))).toBe(false);
  await gateway.stop();
});

test('what happens to links and meters is in the log', async () => {
  const gateway = await startGateway(['tcp-listen://127.0.0.1:0']);
  connectMeter(`tcp://127.0.0.1:${gateway.listeningPorts[0]}`, 'logged');
  await expect.poll(() => find(gateway, 'logged')?.isUp, long).toBe(true);
  expect(records.map((one) => one.message)).toEqual(
    expect.arrayContaining(['waiting for meters', 'link up', 'meter online']),
  );
});
