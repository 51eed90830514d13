// A gateway as its settings say it, with meters with the real core and a real broker: what the broker is told of them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type Packet } from 'mqtt';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { GatewayService } from '../../host/cli/gateway-service.ts';
import { loadSettings } from '../../host/config/settings.ts';
import type { CoreModule } from '../../host/core/core.ts';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { silentLogger } from '../../host/log.ts';
import { MemoryStorage } from '../../host/meter/storage.ts';
import { responseSchema } from '../../host/mqtt/command-payloads.ts';
import type { EntryPayload } from '../../host/mqtt/record-payloads.ts';
import { startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { runMetertime } from './cli-run.ts';
import { coreModule, startMeter } from './gateway/software-meters.ts';
import { Watcher } from './mqtt-watcher.ts';

let folder = '';
const cleanUp: (() => unknown)[] = [];
let core: CoreModule;

beforeAll(async () => {
  core = await coreModule();
}, 180_000);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-service-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

test('after an orderly stop, meters are offline because of the gateway; one that had gone before, because of its link', async () => {
  const broker = await startMosquitto();
  cleanUp.push(() => broker.stop());
  const watcher = await Watcher.start(broker.url);
  cleanUp.push(() => watcher.stop());
  const file = join(folder, 'gateway.yaml');
  writeFileSync(
    file,
    `name: g1
links: ["unix-listen:${folder}/g.sock"]
mqtt: {url: "${broker.url}"}
dataDirectory: data
`,
    { mode: 0o600 },
  );
  const service = new GatewayService({ settings: loadSettings(file), log: silentLogger, version: '1.2.3', core });
  cleanUp.push(() => service.stop());
  await service.start();
  const [leaves] = ['leaves', 'stays'].map((id) => {
    const transport = openLink(`unix:${folder}/g.sock`) as LinkTransport;
    const meter = startMeter(transport, core, id);
    cleanUp.push(
      () => transport.close(),
      () => meter.powerCut(),
    );
    transport.start();
    return transport;
  });
  await watcher.expect('metertime/g1/leaves/state', { state: 'online' });
  await watcher.expect('metertime/g1/stays/state', { state: 'online' });
  await leaves!.close();
  await watcher.expect('metertime/g1/leaves/state', { state: 'offline', reason: 'link' });

  await service.stop();
  await watcher.expect('metertime/g1/state', { state: 'offline', reason: 'stopped' });
  // Meters' states come before the gateway's, so all is there by now.
  expect(watcher.last('metertime/g1/leaves/state')).toMatchObject({ state: 'offline', reason: 'link' });
  const states = watcher.on('metertime/g1/stays/state').map((text) => JSON.parse(text).reason ?? 'online');
  expect(states).toEqual(['online', 'gateway']);
});

test('without mqtt.commands nobody listens to commands', async () => {
  const broker = await startMosquitto();
  cleanUp.push(() => broker.stop());
  const client = await connectAsync(broker.url, { protocolVersion: 5 });
  cleanUp.push(() => client.endAsync());
  const noSubscriber = 0x10;
  for (const [name, commands] of [
    ['listens', true],
    ['deaf', false],
  ] as const) {
    const file = join(folder, `${name}.yaml`);
    const lines = [`name: ${name}`, `links: ["unix-listen:${folder}/${name}.sock"]`, `dataDirectory: ${name}`];
    writeFileSync(file, [...lines, `mqtt: {url: "${broker.url}", commands: ${commands}}`].join('\n'), { mode: 0o600 });
    const service = new GatewayService({ settings: loadSettings(file), log: silentLogger, version: '1.2.3', core });
    cleanUp.push(() => service.stop());
    await service.start();
    // It subscribes before it says that it is online.
    const online = new Promise((resolve) => client.once('message', resolve));
    await client.subscribeAsync(`metertime/${name}/state`);
    await online;
    const answer = new Promise<Packet>((resolve) => {
      client.on('packetreceive', (packet) => packet.cmd === 'puback' && resolve(packet));
    });
    await client.publishAsync(`metertime/${name}/m1/command/records`, '{}', { qos: 1 });
    expect(await answer).toMatchObject({ reasonCode: commands ? 0 : noSubscriber });
  }
});

test('commands reach a meter with the real core: a tariff program is stored and in force, the logbook is told and released', {
  timeout: 90_000,
}, async () => {
  const broker = await startMosquitto();
  cleanUp.push(() => broker.stop());
  const watcher = await Watcher.start(broker.url);
  cleanUp.push(() => watcher.stop());
  const file = join(folder, 'gateway.yaml');
  const text = `name: g1\nlinks: ["unix-listen:${folder}/g.sock"]\nmqtt: {url: "${broker.url}"}\ndataDirectory: data\n`;
  writeFileSync(file, text, { mode: 0o600 });
  const service = new GatewayService({ settings: loadSettings(file), log: silentLogger, version: '1.2.3', core });
  cleanUp.push(() => service.stop());
  await service.start();
  const transport = openLink(`unix:${folder}/g.sock`) as LinkTransport;
  const storage = new MemoryStorage(StorageMap.TariffBytes + 64 * StorageMap.EntryBytes);
  const meter = startMeter(transport, core, 'm1', undefined, storage);
  cleanUp.push(
    () => transport.close(),
    () => meter.powerCut(),
  );
  transport.start();
  await watcher.expect('metertime/g1/m1/tariff', { program: null }, 30_000);
  const run = (...args: string[]) => runMetertime(['command', 'm1', ...args, '--mqtt', broker.url]);
  const program = join(folder, 'program.yaml');
  writeFileSync(program, 'name: household\nzone: CET-1CEST,M3.5.0,M10.5.0/3\ndefaultTariff: 3\n');
  expect(await run('tariff-program', program)).toMatchObject({
    exitCode: 0,
    stdout: 'Stored program household, in force at once.\n',
  });
  await until('the program in force', () => {
    const last = watcher.last('metertime/g1/m1/tariff') as { program: { name: string } | null } | undefined;
    return last?.program?.name === 'household';
  });
  const dynamic = join(folder, 'dynamic.yaml');
  writeFileSync(dynamic, 'entries: [{ utc: 2036-02-07T00:00:00Z, tariff: 5 }]\nendUtc: 2036-02-08T00:00:00Z\n');
  expect((await run('dynamic-tariffs', dynamic)).stdout).toBe(
    'Stored 1 dynamic tariffs, until 2036-02-08T00:00:00Z.\n',
  );
  const log = await run('logbook', '--from', '1');
  expect(log.stdout).toMatch(/^1 {2}\(no time\) {2}The meter started/);
  expect((await run('logbook-release', '--sequence', '1')).stdout).toMatch(/^Released up to entry 1 of \d+\.\n$/);
  expect((await run('logbook-release', '--sequence', '9999')).stderr).toMatch(/came 9999/);
  // The start is recorded as soon as the meter knows its own key.
  await until(
    'a record',
    () => watcher.on('metertime/g1/m1/record').some((text) => JSON.parse(text).format === 'record'),
    {
      timeoutMs: 30_000,
    },
  );
  const records = await run('records', '--from', '1', '--count', '20', '--json');
  const { result } = responseSchema.parse(JSON.parse(records.stdout)) as { result: { entries: EntryPayload[] } };
  // It comes behind its context, byte for byte as the storage has them.
  const formats = result.entries.map(({ format }) => format);
  expect(formats[0]).toBe('context');
  expect(formats).toContain('record');
  for (const [index, { sequence, bytes }] of result.entries.entries()) {
    expect(sequence).toBe(index + 1);
    const at = StorageMap.Records + sequence * StorageMap.EntryBytes;
    expect(Buffer.from(storage.read(at, StorageMap.EntryBytes)).toString('base64')).toBe(bytes);
  }
  const logbook = await runMetertime(['logbook', 'm1', '--mqtt', broker.url, '--json']);
  expect(JSON.parse(logbook.stdout.trimEnd().split('\n').at(-1)!)).toMatchObject({
    ok: true,
    rings: [{ ring: 'logbook', from: 1, gaps: 0, links: { failed: 0 } }],
  });
});
