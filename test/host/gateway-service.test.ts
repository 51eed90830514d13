// A gateway as its settings say it, with meters with the real core and a real broker: what the broker is told of them.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { GatewayService } from '../../host/cli/gateway-service.ts';
import { loadSettings } from '../../host/config/settings.ts';
import { type LinkTransport, openLink } from '../../host/link/transports.ts';
import { silentLogger } from '../../host/log.ts';
import { startMosquitto } from '../../host/setup/mosquitto.ts';
import { coreModule, startMeter } from './gateway/software-meters.ts';
import { Watcher } from './mqtt-watcher.ts';

let folder = '';
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-service-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

test('after an orderly stop, meters are offline because of the gateway; one that had gone before, because of its link', async () => {
  const core = await coreModule();
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
