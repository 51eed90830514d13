// The publisher with a real broker: what is retained, what arrives, and what happens when broker or gateway fail.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode as decodeCbor } from 'cborg';
import { connectAsync } from 'mqtt';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Ring } from '../../as/abi/codes.ts';
import { type MqttSettings, Secret } from '../../host/config/settings.ts';
import {
  eventSchema,
  gatewayStateSchema,
  infoSchema,
  meterStateSchema,
  serverSchema,
  timeSchema,
} from '../../host/mqtt/payloads.ts';
import { MqttPublisher, type PublisherOptions, type PublisherReport } from '../../host/mqtt/publisher.ts';
import { recordTopicSchema, tariffSchema } from '../../host/mqtt/record-payloads.ts';
import { Outbox } from '../../host/outbox/outbox.ts';
import { type ContextPart, decodeContext, decodeEntry } from '../../host/record/entry.ts';
import { LabCa, writeCertificate } from '../../host/setup/lab-ca.ts';
import { freePorts } from '../../host/setup/lab-server.ts';
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { CuttableLine } from '../e2e/cuttable-line.ts';
import { bundleChild } from './bundle-child.ts';
import { fullDisk } from './full-disk.ts';
import { chainOf } from './gateway/record-meter.ts';
import { event, info, serverReport, tariff, time } from './mqtt-samples.ts';
import { mqttSettings } from './mqtt-settings.ts';
import { Watcher } from './mqtt-watcher.ts';

let directory = '';
let reports: PublisherReport[] = [];
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metertime-mqtt-'));
  reports = [];
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(directory, { recursive: true, force: true });
});

const codes = () => reports.map(({ code }) => code);
const messages = () => reports.map(({ message }) => message).join('\n');

async function startBroker(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const broker = await startMosquitto(options);
  cleanUp.push(() => broker.stop());
  return broker;
}

async function watch(broker: Mosquitto, options = {}): Promise<Watcher> {
  const watcher = await Watcher.start(broker.url, options);
  cleanUp.push(() => watcher.stop());
  return watcher;
}

async function publish(
  url: string,
  more: Partial<MqttSettings> = {},
  options: Partial<PublisherOptions> = {},
): Promise<{ publisher: MqttPublisher; outbox: Outbox }> {
  const outbox = new Outbox({ directory: join(directory, 'outbox'), maxBytes: 1 << 26, reserveBytes: 1 << 16 });
  const publisher = new MqttPublisher({
    settings: mqttSettings(url, more),
    gateway: 'g1',
    version: '1.2.3',
    outbox,
    report: (report) => reports.push(report),
    firstRetryMs: 50,
    longestRetryMs: 200,
    ...options,
  });
  await publisher.start();
  cleanUp.push(() => publisher.stop());
  return { publisher, outbox };
}

const connected = (publisher: MqttPublisher) => until('a connection to the broker', () => publisher.connected);

describe('with a broker', () => {
  test('publishes states, info, time and events, described by their schemas and as JSON', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const { publisher, outbox } = await publish(broker.url);
    const meter = publisher.meter('m1');
    meter.state(true);
    meter.info(info);
    meter.time({ ...time, servers: 2 });
    meter.server(serverReport(0));
    meter.server(serverReport(1));
    await meter.event(event);
    await watcher.expect('metertime/g1/m1/event', { sequence: event.sequence });
    await until('an empty outbox', () => outbox.state.entries === 0);
    await watcher.expect('metertime/g1/m1/time', {});
    await watcher.expect('metertime/g1/m1/server/2', { number: 2, ke: 'ke.example' });

    gatewayStateSchema.parse(await watcher.expect('metertime/g1/state', { state: 'online', version: '1.2.3' }));
    meterStateSchema.parse(await watcher.expect('metertime/g1/m1/state', { state: 'online' }));
    infoSchema.parse(watcher.last('metertime/g1/m1/info'));
    timeSchema.parse(watcher.last('metertime/g1/m1/time'));
    serverSchema.parse(watcher.last('metertime/g1/m1/server/1'));
    eventSchema.parse(watcher.last('metertime/g1/m1/event'));
    for (const { properties } of watcher.seen.filter(({ text }) => text !== '')) {
      expect(properties).toMatchObject({ contentType: 'application/json', payloadFormatIndicator: true });
    }
    // Who comes later gets what is retained.
    const late = await watch(broker);
    await until('seven retained messages', () => late.seen.length >= 7);
    expect(late.seen.every(({ retain }) => retain)).toBe(true);
    expect(late.last('metertime/g1/m1/event')).toMatchObject({ sequence: event.sequence });
    expect(late.seen.map(({ topic }) => topic).sort()).toEqual([
      'metertime/g1/m1/event',
      'metertime/g1/m1/info',
      'metertime/g1/m1/server/1',
      'metertime/g1/m1/server/2',
      'metertime/g1/m1/state',
      'metertime/g1/m1/time',
      'metertime/g1/state',
    ]);
    expect(codes()).toEqual(['broker-connected']);
  });

  test.each(['json', 'cbor'] as const)('publishes records in order, heads and tariffs, as %s', async (recordFormat) => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const { publisher, outbox } = await publish(broker.url, { recordFormat });
    const meter = publisher.meter('m1');
    const chain = chainOf('m1');
    const context = decodeContext(chain.context().map((bytes) => decodeEntry(Ring.Records, bytes) as ContextPart));
    for (let index = 0; index < 5; index++) chain.record();
    const entries = chain.rings[Ring.Records];
    await meter.ledger.store(
      entries.map((entry, index) => ({
        sequence: index + 1,
        link: `${index}`,
        message: meter.encodeRecord(entry, context),
      })),
    );
    meter.head(chain.head());
    meter.tariff(tariff);
    // The broker acknowledges, retains and passes on in any order.
    await until('all acknowledged', () => outbox.state.entries === 0 && meter.ledger.delivered === entries.length);
    expect(meter.ledger.stored).toBe(entries.length);
    const of = (topic: string) => watcher.seen.filter((seen) => seen.topic === `metertime/g1/m1/${topic}`);
    await until(
      'all records, head and tariff',
      () => of('record').length === entries.length && of('head').length > 0 && of('tariff').length > 0,
    );
    const read = ({ payload }: { payload: Buffer }) =>
      (recordFormat === 'cbor' ? decodeCbor(payload) : JSON.parse(`${payload}`)) as Record<string, unknown>;
    for (const [index, seen] of of('record').entries()) {
      const json = read(seen);
      const bytes =
        recordFormat === 'cbor' ? Buffer.from(json.bytes as Uint8Array) : Buffer.from(`${json.bytes}`, 'base64');
      expect(bytes.equals(entries[index]!)).toBe(true);
      recordTopicSchema.parse({ ...json, bytes: bytes.toString('base64') });
      expect(seen.retain).toBe(false);
      expect(seen.properties).toMatchObject({
        contentType: `application/${recordFormat}`,
        payloadFormatIndicator: recordFormat === 'json',
        userProperties: { schema: `metertime-${json.format}/1`, sequence: `${index + 1}`, meter: 'm1' },
      });
    }
    const [head] = of('head');
    expect(read(head!)).toMatchObject({ format: 'head', records: { sequence: entries.length } });
    expect(head!.properties.userProperties).toMatchObject({
      schema: 'metertime-head/1',
      sequence: `${entries.length}`,
    });
    tariffSchema.parse(watcher.last('metertime/g1/m1/tariff'));
    expect(of('tariff')[0]!.properties).toMatchObject({ userProperties: { schema: 'metertime-tariff/1' } });
    expect(of('tariff')[0]!.properties.messageExpiryInterval).toBeGreaterThan(0);
    // What is retained comes with the subscription, in any order; a record that were among it, too.
    const late = await watch(broker);
    const kept = () => late.seen.map(({ topic }) => topic.split('/').at(-1));
    await until('what is retained', () => ['state', 'head', 'tariff'].every((leaf) => kept().includes(leaf)));
    expect(kept()).not.toContain('record');
  });

  test('tells Home Assistant of meters and their registers, once, and makes it forget them when switched off', async () => {
    const broker = await startBroker();
    const chain = chainOf('m1');
    const parts = chain.context({
      registers: [
        { obis: [1, 0, 1, 8, 0, 255], scale: -3, unit: 30 },
        { obis: [1, 0, 16, 7, 0, 255], scale: 0, unit: 27 },
      ],
    });
    const context = decodeContext(parts.map((bytes) => decodeEntry(Ring.Records, bytes) as ContextPart));
    const record = chain.record({ readings: [2_935_600n, 250n] });
    const discovered = async () => {
      const client = await connectAsync(broker.url, { protocolVersion: 5 });
      const messages = new Map<string, Record<string, unknown>>();
      client.on('message', (topic, payload) => {
        // One that is taken back while this looks.
        if (payload.length === 0) messages.delete(topic);
        else messages.set(topic, JSON.parse(`${payload}`));
      });
      await client.subscribeAsync(['homeassistant/#', 'home/#'], { qos: 0 });
      await client.subscribeAsync('none', { qos: 0 });
      await client.endAsync();
      return messages;
    };
    const first = await publish(broker.url, { homeAssistant: true });
    const meter = first.publisher.meter('m1');
    meter.info(info);
    const stored = { sequence: record.readUInt32LE(4), link: 'x', message: meter.encodeRecord(record, context) };
    await meter.ledger.store([stored], parts);
    const [topic, message] = await until('a meter with its registers', async () =>
      [...(await discovered())].find(([, { components }]) => Object.keys(components as object).length === 6),
    );
    expect(topic).toMatch(/^homeassistant\/device\/metertime-g1-m1-[0-9a-f]{8}\/config$/);
    expect(message).toMatchObject({
      device: { name: 'm1', model: info.board, sw_version: info.firmwareVersion },
      origin: { name: 'metertime', sw_version: '1.2.3' },
      availability: [{ topic: 'metertime/g1/state' }, { topic: 'metertime/g1/m1/state' }],
      availability_mode: 'all',
      components: {
        tariff: { platform: 'sensor', state_topic: 'metertime/g1/m1/tariff' },
        next_switch: { device_class: 'timestamp' },
        status: { device_class: 'enum', options: ['unsynchronised', 'synchronised', 'holdover'] },
        uncertainty: { unit_of_measurement: 'ms', state_topic: 'metertime/g1/m1/time' },
        register_1_0_1_8_0_255: {
          name: '1-0:1.8.0*255',
          state_topic: 'metertime/g1/m1/record',
          device_class: 'energy',
          state_class: 'total_increasing',
          unit_of_measurement: 'Wh',
          suggested_display_precision: 3,
        },
        register_1_0_16_7_0_255: { device_class: 'power', state_class: 'measurement', unit_of_measurement: 'W' },
      },
    });
    const ids = Object.values(message.components as Record<string, { unique_id: string }>).map((one) => one.unique_id);
    expect(new Set(ids).size).toBe(6);
    // A chain that starts over has contexts with lower sequences: what its meter has is told.
    const registers = async () => Object.keys((await discovered()).get(topic)?.components as object).length - 4;
    meter.encodeRecord(record, { ...context, sequence: 500, registers: context.registers.slice(1) });
    await until('the one register', async () => (await registers()) === 1);
    meter.encodeRecord(record, context);
    await until('both registers again', async () => (await registers()) === 2);
    await until('an empty outbox', () => first.outbox.state.entries === 0);
    await first.publisher.stop();

    // The next run knows the registers before a record comes.
    const second = await publish(broker.url, { homeAssistant: true });
    second.publisher.meter('m1').info({ ...info, firmwareVersion: '9.9.9' });
    await until('the new version, and the registers still', async () => {
      const found = (await discovered()).get(topic) as { device: { sw_version: string }; components: object };
      return found.device.sw_version === '9.9.9' && Object.keys(found.components).length === 6;
    });
    await second.publisher.stop();

    const third = await publish(broker.url, { homeAssistant: 'home', recordFormat: 'cbor' });
    third.publisher.meter('m1').info(info);
    const other = await until('the other prefix alone', async () => {
      const all = await discovered();
      return all.size === 1 && [...all].find(([at]) => at.startsWith('home/device/'));
    });
    // Home Assistant reads no CBOR.
    expect(Object.keys(other[1].components as object)).toEqual(['tariff', 'next_switch', 'status', 'uncertainty']);
    await third.publisher.stop();

    await publish(broker.url);
    await until('nothing', async () => (await discovered()).size === 0);
  });

  test('lets the report of a server expire as a time does', async () => {
    const broker = await startBroker();
    const { publisher } = await publish(broker.url, { timeExpirySeconds: 10 });
    publisher.meter('m1').server(serverReport(0));
    const watcher = await watch(broker);
    const seen = await until('a server', () => watcher.seen.find(({ topic }) => topic.endsWith('/server/1')));
    expect(seen.properties.messageExpiryInterval).toBeGreaterThan(0);
    expect(seen.properties.messageExpiryInterval).toBeLessThanOrEqual(10);
  });

  test('keeps no server at the broker that a meter has no more, also not one of an earlier run', async () => {
    const broker = await startBroker();
    const first = await publish(broker.url);
    const meter = first.publisher.meter('m1');
    // What comes before the time that counts it stays too.
    for (const index of [0, 1, 2, 3]) meter.server(serverReport(index));
    meter.time({ ...time, servers: 3 });
    const kept = async () => {
      const late = await watch(broker);
      await until('the state of the gateway', () => late.last('metertime/g1/state'));
      const servers = late.seen.filter(({ topic }) => topic.includes('/server/')).map(({ topic }) => topic.at(-1));
      await late.stop();
      return servers.sort().join('');
    };
    await until('three of four servers', async () => (await kept()) === '123');
    await first.publisher.stop();
    expect(await kept()).toBe('123');

    const { publisher } = await publish(broker.url);
    const again = publisher.meter('m1');
    again.time({ ...time, servers: 1 });
    again.server(serverReport(0, { keHost: 'other.example' }));
    await until('one server', async () => (await kept()) === '1');
    again.time({ ...time, servers: 0 });
    await until('no server', async () => (await kept()) === '');
  });

  test('lets a time expire, also one published anew', async () => {
    const broker = await startBroker();
    const { publisher } = await publish(broker.url, { timeExpirySeconds: 10 });
    publisher.meter('m1').time(time);
    const watcher = await watch(broker);
    const seen = await until('a time', () => watcher.seen.find(({ topic }) => topic.endsWith('/time')));
    expect(seen.properties.messageExpiryInterval).toBeGreaterThan(0);
    expect(seen.properties.messageExpiryInterval).toBeLessThanOrEqual(10);
    const first = seen.properties.messageExpiryInterval!;
    // The broker forgets everything; what comes again has less time left.
    await broker.kill();
    await until('the connection lost', () => !publisher.connected);
    const killedMs = performance.now();
    await until('two seconds gone', () => performance.now() - killedMs > 2000);
    await broker.start();
    await until(
      'the time again',
      () => watcher.seen.filter(({ topic }) => topic.endsWith('/time')).length >= 2 || undefined,
    );
    const again = watcher.seen.filter(({ topic }) => topic.endsWith('/time')).at(-1)!;
    expect(again.properties.messageExpiryInterval).toBeLessThan(first);
  });

  test('what an earlier run left is told and published where a full disk lets it be known later', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const left = await publish(broker.url);
    for (const id of ['m1', 'm2']) left.publisher.meter(id).state(true);
    await watcher.expect('metertime/g1/m2/state', { state: 'online' });
    await broker.kill();
    await until('the connection lost', () => !left.publisher.connected);
    await left.publisher.meter('m1').event(event);
    await left.publisher.stop();
    await broker.start();

    const disk = fullDisk(() => true);
    cleanUp.push(() => disk.restore());
    const outbox = new Outbox({
      ...{ directory: join(directory, 'outbox'), maxBytes: 1 << 26, reserveBytes: 1 << 16, retryMs: 20 },
    });
    const { publisher } = await publish(broker.url, {}, { outbox });
    await connected(publisher);
    publisher.meter('m2').state(true);
    await watcher.expect('metertime/g1/m2/state', { state: 'online' });
    disk.restore();
    await watcher.expect('metertime/g1/m1/event', { sequence: event.sequence });
    await watcher.expect('metertime/g1/m1/state', { state: 'offline', reason: 'gateway' });
    await until('an empty outbox', () => outbox.state.entries === 0);
    expect(watcher.last('metertime/g1/m2/state')).toMatchObject({ state: 'online' });
  });

  test('says on a stop that the gateway and its meters are offline, and disconnects cleanly', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const { publisher, outbox } = await publish(broker.url);
    publisher.meter('m1').state(true);
    publisher.meter('m2').state(true);
    publisher.meter('m2').state(false);
    await watcher.expect('metertime/g1/m1/state', { state: 'online' });
    await publisher.stop();
    await watcher.expect('metertime/g1/m1/state', { state: 'offline', reason: 'gateway' });
    await watcher.expect('metertime/g1/m2/state', { state: 'offline', reason: 'link' });
    await watcher.expect('metertime/g1/state', { state: 'offline', reason: 'stopped' });
    await until('a clean disconnect in the log', () => /metertime-g1 disconnected\./.test(broker.log(200)));
    expect(watcher.on('metertime/g1/state').join()).not.toContain('lost');
    expect([...outbox.notes]).toEqual([]);
  });

  test('takes no more at once than the broker allows', async () => {
    const broker = await startBroker({ extraConfig: ['max_inflight_messages 2'] });
    const watcher = await watch(broker);
    const { publisher, outbox } = await publish(broker.url);
    const meter = publisher.meter('m1');
    await Promise.all(Array.from({ length: 50 }, (_, index) => meter.event({ ...event, sequence: index + 1 })));
    await until('50 events', () => watcher.on('metertime/g1/m1/event').length >= 50);
    await until('an empty outbox', () => outbox.state.entries === 0);
    expect(watcher.on('metertime/g1/m1/event').map((text) => JSON.parse(text).sequence)).toEqual(
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
    expect(codes()).toEqual(['broker-connected']);
  });

  test('keeps what is larger than the broker takes, says so, and goes on with the rest', async () => {
    const broker = await startBroker({ extraConfig: ['max_packet_size 600'] });
    const watcher = await watch(broker);
    const { publisher, outbox } = await publish(broker.url);
    const meter = publisher.meter('m1');
    await meter.event({ ...event, sequence: 1, text: 'x'.repeat(250) });
    await meter.event({ ...event, sequence: 2, text: 'short' });
    await watcher.expect('metertime/g1/m1/event', { sequence: 2 });
    await until('the refusal', () => codes().includes('event-refused'));
    expect(messages()).toContain('larger than the broker allows (0x95)');
    await until('one entry', () => outbox.state.entries === 1 && outbox.state.refused === 1);
    expect(publisher.connected).toBe(true);
  });

  test('also through a WebSocket', async () => {
    const [port] = await freePorts(1);
    const broker = await startBroker({ extraConfig: [`listener ${port} 127.0.0.1`, 'protocol websockets'] });
    const watcher = await watch(broker);
    const { publisher } = await publish(`ws://127.0.0.1:${port}/mqtt`);
    await publisher.meter('m1').event(event);
    await watcher.expect('metertime/g1/m1/event', { sequence: event.sequence });
  });

  test('writes an event that comes twice meanwhile only once', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const { publisher } = await publish(broker.url);
    const meter = publisher.meter('m1');
    await Promise.all([meter.event(event), meter.event(event), meter.event(event)]);
    await meter.event({ ...event, sequence: 9 });
    await watcher.expect('metertime/g1/m1/event', { sequence: 9 });
    expect(watcher.on('metertime/g1/m1/event')).toHaveLength(2);
  });
});

describe('without a broker', () => {
  test('takes events all the same, says once that there is none, and delivers when it comes', async () => {
    const broker = await startBroker();
    await broker.kill();
    const { publisher, outbox } = await publish(broker.url);
    const meter = publisher.meter('m1');
    meter.state(true);
    await meter.event({ ...event, sequence: 1 });
    await meter.event({ ...event, sequence: 2 });
    await until('trouble', () => reports.length > 0);
    const atMs = performance.now();
    await until('several attempts', () => performance.now() - atMs > 1500);
    expect(codes()).toEqual(['broker-unreachable']);
    expect(messages()).toContain('nothing listens there');
    expect(outbox.state.entries).toBe(2);
    await broker.start();
    const watcher = await watch(broker);
    await connected(publisher);
    await until('an empty outbox', () => outbox.state.entries === 0);
    await watcher.expect('metertime/g1/m1/state', { state: 'online' });
    expect(codes()).toEqual(['broker-unreachable', 'broker-connected']);
  });

  test.each([
    ['a name that does not exist', 'mqtt://no-such-broker.invalid', 'broker-unreachable'],
    ['a port that nothing listens on', 'mqtt://127.0.0.1:1', 'broker-unreachable'],
    ['the same with TLS', 'mqtts://127.0.0.1:1', 'broker-unreachable'],
  ])('%s: clear, and once', async (_, url, code) => {
    const { publisher } = await publish(url);
    await until('trouble', () => reports.length > 0);
    await publisher.stop();
    expect(codes()).toEqual([code]);
  });
});

describe('a broker killed and started again', () => {
  test.each([
    ['without persistence', false],
    ['with persistence', true],
  ])(
    '%s has everything again',
    async (_, persistence) => {
      const broker = await startBroker({ persistence });
      const { publisher, outbox } = await publish(broker.url);
      const meters = ['m1', 'm2'].map((id) => publisher.meter(id));
      for (const meter of meters) {
        meter.state(true);
        meter.info(info);
        meter.time(time);
      }
      await connected(publisher);
      const watcher = await watch(broker);
      await watcher.expect('metertime/g1/m2/time', {});
      let sequence = 0;
      for (let round = 0; round < 3; round++) {
        for (let n = 0; n < 10; n++) await meters[0]!.event({ ...event, sequence: ++sequence });
        await broker.kill();
        for (let n = 0; n < 10; n++) await meters[0]!.event({ ...event, sequence: ++sequence });
        await broker.start();
        await until('an empty outbox', () => outbox.state.entries === 0, { timeoutMs: 15_000 });
      }
      await connected(publisher);
      const late = await watch(broker);
      const states = ['m1', 'm2'].flatMap((id) =>
        ['state', 'info', 'time'].map((leaf) => `metertime/g1/${id}/${leaf}`),
      );
      await until('what is retained', () => ['metertime/g1/state', ...states].every((topic) => late.last(topic)));
      expect(late.last('metertime/g1/state')).toMatchObject({ state: 'online' });
      for (const id of ['m1', 'm2']) {
        expect(late.last(`metertime/g1/${id}/state`)).toMatchObject({ state: 'online' });
        infoSchema.parse(late.last(`metertime/g1/${id}/info`));
        timeSchema.parse(late.last(`metertime/g1/${id}/time`));
      }
      // Without persistence the broker may lose what it has acknowledged and not yet passed on: its choice, not ours.
      if (persistence) {
        expect(new Set(codes())).toEqual(
          new Set(['broker-connected', ...codes().filter((code) => code.startsWith('broker-'))]),
        );
      }
    },
    60_000,
  );
});

describe('refusals', () => {
  const users = { g1: 'correct horse', reader: 'battery staple' };
  const reader = { username: 'reader', password: 'battery staple' };

  test('of events by the access list: they stay, are said once, do not hold up others, and arrive when allowed', async () => {
    const allowStates = [
      'user g1',
      'topic write metertime/g1/state',
      'topic write metertime/g1/+/state',
      'topic write metertime/g1/m2/#',
    ];
    const broker = await startBroker({ users, acl: [...allowStates, 'user reader', 'topic read metertime/#'] });
    const watcher = await watch(broker, reader);
    const { publisher, outbox } = await publish(
      broker.url,
      { username: 'g1', password: new Secret(users.g1) },
      { firstRefusedRetryMs: 200 },
    );
    await publisher.meter('m1').event({ ...event, sequence: 1 });
    await publisher.meter('m2').event({ ...event, sequence: 2 });
    await watcher.expect('metertime/g1/m2/event', { sequence: 2 });
    const refusal = await until('a refusal', () => reports.find(({ code }) => code === 'event-refused'));
    expect(refusal).toMatchObject({ level: 'error', fields: { topic: 'metertime/g1/m1/event', reasonCode: 0x87 } });
    expect(refusal.message).toContain('not authorised');
    await until('further attempts', () => [...outbox.waiting()].some(({ refused }) => (refused?.times ?? 0) >= 3));
    expect(outbox.state).toMatchObject({ entries: 1, refused: 1 });
    expect(reports.filter(({ code, level }) => code === 'event-refused' && level === 'error')).toHaveLength(1);
    // The operator allows it; mosquitto reads its list again on SIGHUP.
    writeFileSync(
      join(broker.folder, 'acl'),
      'user g1\ntopic write metertime/#\nuser reader\ntopic read metertime/#\n',
      {
        mode: 0o600,
      },
    );
    broker.signal('SIGHUP');
    await watcher.expect('metertime/g1/m1/event', { sequence: 1 });
    await until('an empty outbox', () => outbox.state.entries === 0);
    expect(codes()).toContain('event-accepted-late');
  });

  test('of retained messages by the access list: said once for each topic', async () => {
    const broker = await startBroker({
      users,
      acl: [
        'user g1',
        'topic write metertime/g1/+/event',
        'topic write metertime/g1/state',
        'user reader',
        'topic read metertime/#',
      ],
    });
    const { publisher } = await publish(broker.url, { username: 'g1', password: new Secret(users.g1) });
    const meter = publisher.meter('m1');
    meter.info(info);
    await until('a refusal', () => codes().includes('retained-refused'));
    meter.info(info);
    meter.time(time);
    await until('another refusal', () => messages().includes('m1/time'));
    expect(reports.filter(({ message }) => message.includes('m1/info'))).toHaveLength(1);
    expect(publisher.connected).toBe(true);
  });

  test('of a wrong password: said once, without it, and over when the password file is right', async () => {
    const broker = await startBroker({ users });
    const passwordFile = join(directory, 'password');
    writeFileSync(passwordFile, 'wrong-zebra\n', { mode: 0o600 });
    const { publisher } = await publish(broker.url, { username: 'g1', passwordFile });
    await until('trouble', () => reports.length > 0);
    const atMs = performance.now();
    await until('several attempts', () => performance.now() - atMs > 1000);
    expect(codes()).toEqual(['broker-login']);
    expect(messages()).toContain('wrong user name, password');
    expect(JSON.stringify(reports)).not.toContain('zebra');
    writeFileSync(passwordFile, `${users.g1}\n`, { mode: 0o600 });
    await connected(publisher);
    writeFileSync(passwordFile, '\n');
    await broker.kill();
    await broker.start();
    await until('the empty file', () => messages().includes(`${passwordFile} holds no password`));
    rmSync(passwordFile);
    await until('the missing file', () => messages().includes(`${passwordFile} cannot be read: it does not exist`));
    expect(codes().slice(-2)).toEqual(['broker-file', 'broker-file']);
  });
});

describe('TLS to the broker', () => {
  test('with an authority of its own, and refused for any other', async () => {
    const ca = await LabCa.create();
    const broker = await startBroker({ tls: { ca } });
    const caFile = join(directory, 'ca.pem');
    writeFileSync(caFile, ca.certificatePem);
    const watcher = await watch(broker);
    const { publisher } = await publish(broker.tlsUrl!, { caFile });
    await watcher.expect('metertime/g1/state', { state: 'online' });
    await publisher.stop();

    reports = [];
    const system = await publish(broker.tlsUrl!);
    await until('trouble', () => reports.length > 0);
    expect(codes()).toEqual(['broker-tls']);
    expect(messages()).toContain('leads to no trusted authority (mqtt.caFile)');
    expect(system.publisher.connected).toBe(false);
  });

  test.each([
    ['an expired certificate', { names: ['localhost'], notAfter: new Date(Date.now() - 3_600_000) }, 'has expired'],
    ['a certificate for another name', { names: ['elsewhere.example'] }, 'is for another name'],
    [
      'a certificate for code',
      { names: ['localhost'], extendedKeyUsage: ['codeSigning' as const] },
      'certificate is not meant for servers (its extended key usage lacks serverAuth)',
    ],
  ])('is refused for %s', async (_, request, said) => {
    const ca = await LabCa.create();
    const notBefore = new Date(Date.now() - 2 * 86_400_000);
    const broker = await startBroker({ tls: { ca, certificate: await ca.issue({ notBefore, ...request }) } });
    const caFile = join(directory, 'ca.pem');
    writeFileSync(caFile, ca.certificatePem);
    await publish(broker.tlsUrl!, { caFile });
    await until('trouble', () => reports.length > 0);
    expect(codes()).toEqual(['broker-tls']);
    expect(messages()).toContain(said);
  });

  test('with a client certificate where the broker wants one', async () => {
    const ca = await LabCa.create();
    const caFile = join(directory, 'ca.pem');
    writeFileSync(caFile, ca.certificatePem);
    const client = await writeCertificate(
      directory,
      'client',
      await ca.issue({ names: ['g1'], extendedKeyUsage: ['clientAuth'] }),
    );
    const broker = await startBroker({ tls: { ca }, extraConfig: [`cafile ${caFile}`, 'require_certificate true'] });
    const without = await publish(broker.tlsUrl!, { caFile });
    await until('trouble', () => reports.length > 0);
    expect(codes()).toEqual(['broker-tls']);
    expect(messages()).toContain('wants a client certificate');
    await without.publisher.stop();
    const { publisher } = await publish(broker.tlsUrl!, { caFile, certFile: client.certificate, keyFile: client.key });
    await connected(publisher);
  });

  test('says that the broker expects it', async () => {
    const broker = await startBroker({ tls: { ca: await LabCa.create() } });
    await publish(`mqtt://localhost:${broker.tlsPort}`);
    await until('trouble', () => reports.length > 0);
    expect(codes()).toEqual(['broker-lost']);
    expect(messages()).toContain('expects TLS (mqtts');
  });

  test('says that the broker does not speak it', async () => {
    const broker = await startBroker();
    await publish(broker.url.replace('mqtt:', 'mqtts:'));
    await until('trouble', () => reports.length > 0);
    expect(codes()).toEqual(['broker-tls']);
  });
});

describe('a gateway killed', () => {
  let child = '';
  const children: ChildProcess[] = [];
  beforeAll(async () => {
    child = await bundleChild('mqtt-child.ts');
  });
  afterEach(() => {
    for (const process_ of children.splice(0)) process_.kill('SIGKILL');
  });

  function startChild(url: string, what: string) {
    const process_ = spawn(process.execPath, [child, url, join(directory, 'outbox'), what]);
    children.push(process_);
    const lines: string[] = [];
    let rest = '';
    process_.stdout.on('data', (data: Buffer) => {
      const parts = (rest + data).split('\n');
      rest = parts.pop()!;
      lines.push(...parts);
    });
    return { process_, lines };
  }

  test('is said to be offline by last will, and its meter again by the next run before that is online', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const first = startChild(broker.url, 'idle');
    await watcher.expect('metertime/g1/m1/state', { state: 'online' });
    await watcher.expect('metertime/g1/state', { state: 'online' });
    first.process_.kill('SIGKILL');
    gatewayStateSchema.parse(await watcher.expect('metertime/g1/state', { state: 'offline', reason: 'lost' }));
    expect(watcher.last('metertime/g1/m1/state')).toMatchObject({ state: 'online' });
    const from = watcher.seen.length;
    await publish(broker.url);
    await watcher.expect('metertime/g1/state', { state: 'online' });
    expect(watcher.seen.slice(from).map(({ topic, text }) => [topic, JSON.parse(text).state])).toEqual([
      ['metertime/g1/m1/state', 'offline'],
      ['metertime/g1/state', 'online'],
    ]);
  });

  test('again and again while it publishes loses no event that it has taken, and duplicates can be told', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const acknowledged = new Set<number>();
    let next = 1;
    for (let round = 0; round < 6; round++) {
      const { process_, lines } = startChild(broker.url, String(next));
      const taken = () => lines.filter((line) => line.startsWith('ok')).map((line) => Number(line.slice(3)));
      const arrived = () => watcher.on('metertime/g1/m1/event').length;
      const before = arrived();
      await until('events under way', () => taken().length > 20 + round * 7 && arrived() > before, { intervalMs: 1 });
      process_.kill('SIGKILL');
      await once(process_, 'close');
      for (const sequence of taken()) acknowledged.add(sequence);
      next = Math.max(...acknowledged) + 2;
    }
    const { outbox } = await publish(broker.url);
    await until('an empty outbox', () => outbox.state.entries === 0, { timeoutMs: 20_000 });
    const events = watcher.on('metertime/g1/m1/event').map((text) => eventSchema.parse(JSON.parse(text)));
    const arrived = new Set(events.map(({ boot, sequence }) => `${boot}/${sequence}`));
    expect([...acknowledged].filter((sequence) => !arrived.has(`abcdef01/${sequence}`))).toEqual([]);
    expect(acknowledged.size).toBeGreaterThan(120);
  });

  test('ends cleanly on SIGTERM', async () => {
    const broker = await startBroker();
    const watcher = await watch(broker);
    const { process_ } = startChild(broker.url, 'idle');
    await watcher.expect('metertime/g1/m1/state', { state: 'online' });
    process_.kill('SIGTERM');
    await once(process_, 'close');
    await watcher.expect('metertime/g1/state', { state: 'offline', reason: 'stopped' });
    await watcher.expect('metertime/g1/m1/state', { state: 'offline', reason: 'gateway' });
  });
});

test('a gateway whose connection breaks and comes back before the will is due was never offline', async () => {
  const broker = await startBroker();
  const watcher = await watch(broker);
  const wire = await CuttableLine.start(0, { port: broker.port, host: '127.0.0.1' });
  cleanUp.push(() => wire.stop());
  const { publisher } = await publish(`mqtt://127.0.0.1:${wire.port}`, { willDelaySeconds: 30 });
  await watcher.expect('metertime/g1/state', { state: 'online' });
  wire.sever();
  await until('the loss', () => codes().includes('broker-lost'));
  await connected(publisher);
  await until('online again', () => watcher.on('metertime/g1/state').length >= 2);
  expect(watcher.on('metertime/g1/state').map((text) => JSON.parse(text).state)).toEqual(['online', 'online']);
});
