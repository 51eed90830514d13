// The lab's broker is mosquitto, and does what the tests rely on: MQTT 5, TLS, users, access control, persistence.
import { connectAsync, type IClientOptions, type MqttClient } from 'mqtt';
import { afterEach, expect, test } from 'vitest';
import { LabCa } from '../../host/setup/lab-ca.ts';
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../../host/setup/mosquitto.ts';

const brokers: Mosquitto[] = [];
const clients: MqttClient[] = [];

async function start(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const broker = await startMosquitto(options);
  brokers.push(broker);
  return broker;
}

async function connect(url: string, options: IClientOptions = {}): Promise<MqttClient> {
  const client = await connectAsync(url, { protocolVersion: 5, reconnectPeriod: 0, ...options }, false);
  clients.push(client);
  return client;
}

function nextMessage(client: MqttClient): Promise<string> {
  return new Promise((resolve) => client.once('message', (_topic, payload) => resolve(payload.toString())));
}

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.endAsync(true)));
  await Promise.all(brokers.splice(0).map((broker) => broker.stop()));
});

test('accepts MQTT 5 and delivers with user properties', async () => {
  const broker = await start();
  const client = await connect(broker.url);
  await client.subscribeAsync('a/b', { qos: 1 });
  const received = new Promise((resolve) => client.once('message', (_t, _p, packet) => resolve(packet.properties)));
  await client.publishAsync('a/b', 'x', { qos: 1, properties: { userProperties: { unit: 'ns' } } });
  expect(await received).toMatchObject({ userProperties: { unit: 'ns' } });
});

test('takes TLS connections with a certificate of the lab, and no others', async () => {
  const ca = await LabCa.create();
  const broker = await start({ tls: { ca } });
  const client = await connect(broker.tlsUrl!, { ca: ca.certificatePem });
  expect(client.connected).toBe(true);
  const other = await LabCa.create('another root');
  await expect(connect(broker.tlsUrl!, { ca: other.certificatePem })).rejects.toThrow(/certificate/);
});

test('tells users apart by password, and refuses what the access list does not grant', async () => {
  const broker = await start({
    users: { gateway: 'correct horse', reader: 'battery staple' },
    acl: ['user gateway', 'topic readwrite metertime/#', 'user reader', 'topic read metertime/#'],
  });
  await expect(connect(broker.url)).rejects.toThrow(/Not authorized/);
  await expect(connect(broker.url, { username: 'gateway', password: 'wrong' })).rejects.toThrow(/Not authorized/);
  const reader = await connect(broker.url, { username: 'reader', password: 'battery staple' });
  // 0x87: not authorized; in MQTT 5 the PUBACK says so.
  await expect(reader.publishAsync('metertime/x', '1', { qos: 1 })).rejects.toMatchObject({ code: 0x87 });
  const gateway = await connect(broker.url, { username: 'gateway', password: 'correct horse' });
  await gateway.publishAsync('metertime/x', '1', { qos: 1 });
});

test('keeps retained messages over a kill when asked to persist', async () => {
  const broker = await start({ persistence: true });
  const before = await connect(broker.url);
  await before.publishAsync('kept', 'value', { qos: 1, retain: true });
  await before.endAsync();
  await broker.kill();
  await broker.start();
  const after = await connect(broker.url);
  const message = nextMessage(after);
  await after.subscribeAsync('kept', { qos: 1 });
  expect(await message).toBe('value');
});
