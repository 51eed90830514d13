// Brokers that cannot be used. Debian has none of them, so small servers give the answers that such brokers give;
// the bytes are those of MQTT 3.1.1 (3.2) and MQTT 5 (3.2).
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MqttPublisher, type PublisherReport } from '../../host/mqtt/publisher.ts';
import { Outbox } from '../../host/outbox/outbox.ts';
import { until } from '../../host/setup/until.ts';
import { event } from './mqtt-samples.ts';
import { mqttSettings } from './mqtt-settings.ts';

let directory = '';
let server: Server | undefined;
let publisher: MqttPublisher | undefined;
const sockets = new Set<Socket>();

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metertime-brokers-'));
});
afterEach(async () => {
  await publisher?.stop();
  for (const socket of sockets) socket.destroy();
  server?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Answers the first bytes of each connection with `answer` (hexadecimal), or closes or resets it. */
async function listen(answer: string | 'close' | 'reset', received: Buffer[] = []): Promise<number> {
  server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    socket.on('data', (data) => received.push(data));
    socket.once('data', () => {
      if (answer === 'close') socket.end();
      else if (answer === 'reset') socket.resetAndDestroy();
      else socket.write(Buffer.from(answer, 'hex'));
    });
  });
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return (server.address() as { port: number }).port;
}

async function start(port: number): Promise<PublisherReport[]> {
  const reports: PublisherReport[] = [];
  publisher = new MqttPublisher({
    settings: mqttSettings(`mqtt://127.0.0.1:${port}`),
    gateway: 'g1',
    version: '0',
    outbox: new Outbox({ directory, maxBytes: 1 << 20, reserveBytes: 4096 }),
    report: (report) => reports.push(report),
    firstRetryMs: 20,
    longestRetryMs: 20,
  });
  await publisher.start();
  return reports;
}

test.each([
  ['MQTT 3.1.1: unacceptable protocol version', '20020001', 'broker-version', 'does not speak MQTT 5'],
  ['MQTT 3.1.1: accepted, as if it had been asked for 3.1.1', '20020000', 'broker-version', 'does not speak MQTT 5'],
  ['MQTT 5: unsupported protocol version', '2003008400', 'broker-version', 'does not speak MQTT 5'],
  ['no answer but a close', 'close', 'broker-lost', 'perhaps it does not speak MQTT 5, or expects TLS (mqtts'],
  ['no answer but a reset', 'reset', 'broker-lost', 'perhaps it does not speak MQTT 5, or expects TLS (mqtts'],
  [
    'an alert of TLS',
    '15030300020232',
    'broker-lost',
    'answered with what is not MQTT 5; perhaps it expects TLS (mqtts',
  ],
  ['MQTT 5: maximum QoS 0', '200500000224 00'.replace(' ', ''), 'broker-capability', 'maximum QoS is 0'],
  ['MQTT 5: QoS not supported', '2003009b00', 'broker-capability', 'QoS 1'],
  ['MQTT 5: no retained messages', '20050000022500', 'broker-capability', 'does not keep retained messages'],
  ['MQTT 5: retain not supported', '2003009a00', 'broker-capability', 'retained messages'],
  ['MQTT 5: bad user name or password', '2003008600', 'broker-login', 'wrong user name, password'],
  ['MQTT 5: server busy', '2003008900', 'broker-refused', 'busy (0x89)'],
  ['bytes that are no MQTT', '485454502f312e31', 'broker-lost', 'answered with what is not MQTT 5'],
])('%s: refused, said once, and events are kept', async (_, answer, code, said) => {
  const received: Buffer[] = [];
  const port = await listen(answer, received);
  const reports = await start(port);
  await publisher!.meter('m1').event(event);
  await until('trouble', () => reports.length > 0);
  await until('several attempts', () => received.length >= 4);
  expect(reports.map((report) => report.code)).toEqual([code]);
  expect(reports[0]!.message).toContain(said);
  expect(reports[0]!.message).toContain(`mqtt://127.0.0.1:${port}`);
  expect(publisher!.connected).toBe(false);
  // Nothing was published to it: all that came are CONNECT packets (type 1).
  expect(received.every((data) => data[0]! >> 4 === 1)).toBe(true);
});

test('a broker that gives the client identifier to another client: said, with what to do', async () => {
  // CONNACK, then DISCONNECT with 0x8e, session taken over.
  const reports = await start(await listen('2003000000e0028e00'));
  await until('trouble', () => reports.some(({ code }) => code === 'broker-refused'));
  expect(reports[0]!.code).toBe('broker-connected');
  expect(reports[1]!.message).toContain('each gateway needs one of its own (mqtt.clientId)');
});
