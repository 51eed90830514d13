// Commands to meters over a real broker: what is answered, what is refused, and who may do what.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAsync, type MqttClient } from 'mqtt';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Block, CommandResult, Message, ProgramError, Ring } from '../../as/abi/codes.ts';
import { type CommandResponse, commandBytesMax, responseSchema } from '../../host/mqtt/command-payloads.ts';
import type { PublisherReport } from '../../host/mqtt/publisher.ts';
import type { Mosquitto, MosquittoOptions } from '../../host/setup/mosquitto.ts';
import { until } from '../../host/setup/until.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { runMetertime } from './cli-run.ts';
import { startCommandGateway } from './command-gateway.ts';
import { chainOf } from './gateway/record-meter.ts';
import { info } from './mqtt-samples.ts';
import { schemaProblem } from './mqtt-schemas.ts';

let directory = '';
let reports: PublisherReport[] = [];
const cleanUp: (() => unknown)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'metertime-commands-'));
  reports = [];
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(directory, { recursive: true, force: true });
});

const program = {
  name: 'household',
  zone: 'CET-1CEST,M3.5.0,M10.5.0/3',
  defaultTariff: 1,
  weeks: [{ name: 'all', days: [1, 1, 1, 1, 1, 1, 1] }],
  seasons: [{ name: 'year', start: { month: 1, day: 1 }, week: 'all' }],
  days: [
    {
      id: 1,
      actions: [
        { time: '06:00', tariff: 2 },
        { time: '22:00', tariff: 1 },
      ],
    },
  ],
};
const dynamic = {
  entries: Array.from({ length: 96 }, (_, index) => ({
    utc: new Date(Date.UTC(2036, 1, 7) + index * 900_000).toISOString().replace('.000Z', 'Z'),
    tariff: index % 7,
  })),
  endUtc: '2036-02-08T00:00:00Z',
};

/** A gateway with a meter `m1` that is there, and one `away` that is not. */
function start(options: MosquittoOptions = {}, login?: { username: string; password: string }) {
  const chain = chainOf('m1');
  chain.context();
  for (let index = 0; index < 30; index++) chain.record();
  for (let index = 0; index < 12; index++) chain.log(Ring.Logbook, { text: `server-${index}` });
  chain.log(Ring.Network);
  return startCommandGateway({ directory, cleanUp, chain, options, login, report: (each) => reports.push(each) });
}

async function client(broker: Mosquitto, user?: string): Promise<MqttClient> {
  const login = user === undefined ? {} : { username: user, password: `${user}-password` };
  const made = await connectAsync(broker.url, { protocolVersion: 5, reconnectPeriod: 0, ...login });
  cleanUp.push(() => made.endAsync(true));
  return made;
}

let requests = 0;
/** Sends a command and gives its answer, which is what its schema says. */
async function ask(to: MqttClient, name: string, payload: unknown, meter = 'm1'): Promise<CommandResponse> {
  const correlationData = Buffer.from(`request ${++requests}`);
  const responseTopic = `metertime/g1/${meter}/response/${to.options.username ?? 'anyone'}/${requests}`;
  const answer = new Promise<CommandResponse>((resolve) => {
    to.on('message', (topic, bytes, packet) => {
      if (packet.properties?.correlationData?.equals(correlationData) !== true) return;
      expect(topic).toBe(responseTopic);
      expect(packet).toMatchObject({ qos: 1, retain: false });
      expect(packet.properties).toMatchObject({
        contentType: 'application/json',
        userProperties: { schema: 'metertime-response/1' },
      });
      const json = JSON.parse(bytes.toString());
      expect(schemaProblem('response', json)).toBeUndefined();
      resolve(responseSchema.parse(json));
    });
  });
  await to.subscribeAsync(responseTopic, { qos: 1 });
  const bytes = typeof payload === 'string' ? payload : JSON.stringify(payload);
  await to.publishAsync(`metertime/g1/${meter}/command/${name}`, bytes, {
    qos: 1,
    properties: { responseTopic, correlationData },
  });
  return answer;
}

describe('a command', () => {
  test('stores tariff programs and dynamic tariffs as blocks of the meter', async () => {
    const { broker, meter } = await start();
    const user = await client(broker);
    expect(await ask(user, 'tariff-program', program)).toMatchObject({
      ok: true,
      meter: 'm1',
      command: 'tariff-program',
      result: { name: 'household', activationUtc: null },
    });
    expect(await ask(user, 'dynamic-tariffs', dynamic)).toMatchObject({
      ok: true,
      result: { entries: 96, endUtc: '2036-02-08T00:00:00Z' },
    });
    expect(meter.blocks.map(({ block }) => block)).toEqual([Block.Program, Block.Dynamic]);
    expect(meter.blocks[0]!.bytes.equals(encodeProgram(program))).toBe(true);
    expect(meter.blocks[1]!.bytes.equals(encodeDynamic(dynamic))).toBe(true);
  });

  test('tells records and logs by sequence, or the newest', async () => {
    const { broker, chain } = await start();
    const user = await client(broker);
    const sequences = (response: CommandResponse) =>
      response.ok && 'entries' in response.result && Array.isArray(response.result.entries)
        ? response.result.entries.map((entry) => ('sequence' in entry ? entry.sequence : undefined))
        : response;
    expect(sequences(await ask(user, 'records', { from: 10, count: 3 }))).toEqual([10, 11, 12]);
    const newest = chain.rings[Ring.Records].length;
    expect(sequences(await ask(user, 'records', { count: 2 }))).toEqual([newest - 1, newest]);
    expect(sequences(await ask(user, 'records', { from: newest + 1 }))).toEqual([]);
    expect(sequences(await ask(user, 'logbook', ''))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const network = await ask(user, 'logbook', { ring: 'network' });
    expect(network).toMatchObject({ ok: true, result: { ring: 'network', entries: [{ chain: { ring: 'network' } }] } });
    const [first] = chain.rings[Ring.Logbook];
    expect(await ask(user, 'logbook', { from: 1, count: 1 })).toMatchObject({
      result: { entries: [{ format: 'log', detail: 'server-0', bytes: first!.toString('base64') }] },
    });
  });

  test('releases the logbook, and says what there is where it cannot', async () => {
    const { broker, meter } = await start();
    const user = await client(broker);
    expect(await ask(user, 'logbook-release', { sequence: 9 })).toMatchObject({ result: { released: 9, newest: 12 } });
    expect(meter.released).toBe(9);
    const refused = await ask(user, 'logbook-release', { sequence: 99 });
    expect(refused).toMatchObject({ ok: false, error: { code: 'meter-refused' } });
    expect(JSON.stringify(refused)).toMatch(/newest is 12.*came 99/);
    expect(meter.released).toBe(9);
  });

  test.each<[string, string, unknown, string, RegExp]>([
    ['that there is not', 'reboot', {}, 'command-unknown', /expected one of tariff-program, .*, came \\"reboot\\"/],
    ['of another shape', 'records', { from: 0 }, 'command-invalid', /records\.from: .* from 1 to 4294967295, came 0/],
    ['that is no JSON', 'logbook', '{', 'command-invalid', /expected JSON/],
    ['with what it does not take', 'logbook', { all: true }, 'command-invalid', /all/],
    [
      'that is too large',
      'tariff-program',
      ' '.repeat(commandBytesMax + 1),
      'command-too-large',
      /65536 bytes, came 65537/,
    ],
    [
      'with a program that cannot be',
      'tariff-program',
      { ...program, seasons: [{ name: 'year', start: { month: 1, day: 1 }, week: 'none' }] },
      'command-invalid',
      /tariff-program:1:\d+.*none/,
    ],
  ])('%s is refused, and the meter is not bothered', async (_, name, payload, code, message) => {
    const { broker, link } = await start();
    const user = await client(broker);
    const before = link.sent.length;
    const response = await ask(user, name, payload);
    expect(response).toMatchObject({ ok: false, error: { code } });
    expect(JSON.stringify(response)).toMatch(message);
    expect(link.sent.slice(before).map(({ type }) => Message[type])).toEqual([]);
  });

  test('that the meter refuses is answered with its reason', async () => {
    const { broker, meter } = await start();
    const user = await client(broker);
    meter.answer = { result: CommandResult.Invalid, detail: ProgramError.Date };
    expect(await ask(user, 'tariff-program', program)).toMatchObject({
      ok: false,
      error: { code: 'meter-refused', message: expect.stringContaining('a date or a time of day that cannot be') },
    });
    meter.answer = { result: CommandResult.Absent, detail: 0 };
    expect(await ask(user, 'dynamic-tariffs', dynamic)).toMatchObject({
      ok: false,
      error: { message: expect.stringContaining('this meter has no tariffs') },
    });
    expect(meter.blocks).toEqual([]);
  });

  test('to a meter that is offline, unknown, or goes offline is answered at once', async () => {
    const { broker, meter, link } = await start();
    const user = await client(broker);
    expect(await ask(user, 'records', {}, 'away')).toMatchObject({ ok: false, error: { code: 'meter-offline' } });
    expect(await ask(user, 'records', {}, 'm9')).toMatchObject({ ok: false, error: { code: 'meter-unknown' } });
    meter.silent = true;
    const answer = ask(user, 'records', { from: 1 });
    await until('asked', () => meter.asked.length > 0);
    link.drop();
    expect(await answer).toMatchObject({ ok: false, error: { code: 'meter-offline' } });
  });

  test('waits for the one before it; too many are refused', async () => {
    const { broker, meter, link } = await start();
    const user = await client(broker);
    meter.silent = true;
    const first = ask(user, 'records', { from: 1, count: 1 });
    await until('the first under way', () => meter.asked.length === 1);
    const others = [2, 3, 4, 5].map((from) => ask(user, 'records', { from, count: 1 }));
    expect(await ask(user, 'records', { from: 6 })).toMatchObject({ ok: false, error: { code: 'command-busy' } });
    expect(meter.asked).toHaveLength(1);
    meter.silent = false;
    link.say({ type: Message.Done, result: CommandResult.Done, token: meter.asked[0]!.token, detail: 0 });
    for (const answer of [first, ...others]) expect(await answer).toMatchObject({ ok: true });
    expect(meter.asked.map(({ from }) => from)).toEqual([1, 2, 3, 4, 5]);
  });

  test('is tried again where the meter says that another one is under way', async () => {
    const { broker, meter, link } = await start();
    const user = await client(broker);
    meter.silent = true;
    const answer = ask(user, 'records', { from: 1, count: 1 });
    await until('asked', () => meter.asked.length === 1);
    meter.silent = false;
    link.say({ type: Message.Done, result: CommandResult.Busy, token: meter.asked[0]!.token, detail: 0 });
    expect(await answer).toMatchObject({ ok: true, result: { entries: [{ sequence: 1 }] } });
    expect(meter.asked).toHaveLength(2);
  });

  test('with another response topic is not carried out: nobody makes the gateway publish elsewhere', async () => {
    const { broker, meter } = await start();
    const user = await client(broker);
    for (const responseTopic of [
      'metertime/g1/m1/time',
      'metertime/g1/m2/response/x',
      'x/y',
      'metertime/g1/m1/response/',
    ]) {
      reports = [];
      await user.publishAsync('metertime/g1/m1/command/records', '{"from":1}', {
        qos: 1,
        properties: { responseTopic },
      });
      await until('said', () => reports.some(({ code }) => code === 'command-unanswerable'));
    }
    expect(meter.asked).toEqual([]);
  });

  test('that the broker keeps (retained) is not carried out', async () => {
    const { broker, meter, publisher } = await start();
    const user = await client(broker);
    const options = { qos: 1, retain: true } as const;
    await user.publishAsync('metertime/g1/m1/command/logbook-release', '{"sequence":3}', options);
    await until('carried out as it came', () => meter.released === 3);
    meter.released = 0;
    await publisher.stop();
    await publisher.start();
    await until('a connection again', () => publisher.connected);
    expect(await ask(user, 'records', { from: 1, count: 1 })).toMatchObject({ ok: true });
    expect(meter.released).toBe(0);
  });
});

/** The access list in docs/mqtt.md, for gateway g1. */
function documentedAcl(): string[] {
  const text = readFileSync(new URL('../../docs/mqtt.md', import.meta.url), 'utf8');
  const [, lines] = /```mosquitto-acl\n(.*?)```/s.exec(text) ?? [];
  return lines!.replaceAll('GATEWAY', 'g1').split('\n');
}

describe('with the access list of docs/mqtt.md', () => {
  const names = ['g1', 'operator', 'price-feed', 'reader'];
  const startGuarded = () =>
    start(
      { users: Object.fromEntries(names.map((name) => [name, `${name}-password`])), acl: documentedAcl() },
      { username: 'g1', password: 'g1-password' },
    );
  /** Whether the broker takes it. */
  const may = async (user: MqttClient, topic: string) => {
    try {
      await user.publishAsync(topic, '{}', { qos: 1 });
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 0x87 });
      return false;
    }
  };

  test('an operator may send every command and read the answers', async () => {
    const { broker, meter } = await startGuarded();
    const operator = await client(broker, 'operator');
    expect(await ask(operator, 'tariff-program', program)).toMatchObject({ ok: true });
    expect(await ask(operator, 'logbook', { from: 1, count: 2 })).toMatchObject({ ok: true });
    expect(await ask(operator, 'logbook-release', { sequence: 2 })).toMatchObject({ ok: true });
    expect(meter.released).toBe(2);
    expect(reports.map(({ code }) => code)).not.toContain('subscription-refused');
  });

  test('a price feed may publish dynamic tariffs and nothing else', async () => {
    const { broker, meter } = await startGuarded();
    const feed = await client(broker, 'price-feed');
    expect(await ask(feed, 'dynamic-tariffs', dynamic)).toMatchObject({ ok: true });
    expect(meter.blocks).toHaveLength(1);
    for (const topic of [
      'command/tariff-program',
      'command/logbook-release',
      'command/records',
      'time',
      'response/x',
    ]) {
      expect(await may(feed, `metertime/g1/m1/${topic}`)).toBe(false);
    }
    expect(await may(feed, 'metertime/g1/state')).toBe(false);
  });

  test('a reader sees reports, and may publish nothing', async () => {
    const { broker } = await startGuarded();
    const reader = await client(broker, 'reader');
    const state = new Promise((resolve) => reader.once('message', (_, payload) => resolve(JSON.parse(`${payload}`))));
    await reader.subscribeAsync('metertime/g1/m1/state', { qos: 1 });
    expect(await state).toMatchObject({ state: 'online' });
    for (const topic of ['command/dynamic-tariffs', 'command/logbook', 'record', 'state', 'response/x']) {
      expect(await may(reader, `metertime/g1/m1/${topic}`)).toBe(false);
    }
  });

  test('a reader sees neither commands nor answers', async () => {
    const { broker, publisher } = await startGuarded();
    const seen: string[] = [];
    const watchAs = async (name: string, topics: (topic: string) => void) => {
      const user = await client(broker, name);
      user.on('message', topics);
      await user.subscribeAsync('metertime/#', { qos: 0 });
    };
    await watchAs('reader', (topic) => seen.push(topic));
    // Who may see them sees them: there is something to be seen.
    const others: string[] = [];
    await watchAs('operator', (topic) => others.push(topic));
    const operator = await client(broker, 'operator');
    await ask(operator, 'logbook', { from: 1, count: 1 });
    await until('the answer seen', () => others.some((topic) => topic.includes('/m1/response/operator/')));
    // What the broker has passed on to a subscriber it passes on in its order: behind this, nothing of before comes.
    publisher.meter('m1').info(info);
    await until('what came last', () => seen.includes('metertime/g1/m1/info'));
    expect(seen.filter((topic) => /response|command/.test(topic))).toEqual([]);
  });
});

test('a defect is answered with a sentence; where it is, only the log says', async () => {
  const { broker, target } = await start();
  vi.spyOn(target, 'newest').mockImplementation(() => {
    throw new TypeError('inner secret');
  });
  const answer = await ask(await client(broker), 'records', {});
  expect(answer).toMatchObject({ ok: false, error: { code: 'gateway-failed' } });
  expect(JSON.stringify(answer)).not.toMatch(/inner secret|\.ts|node:/);
  const [report] = reports.filter(({ code }) => code === 'command-failed');
  expect(report).toMatchObject({ level: 'error', message: expect.stringMatching(/inner secret[\s\S]*\.ts:\d+/) });
});

describe('metertime command', () => {
  test('sends commands and prints the answers, finding the gateway by itself', async () => {
    const { broker, meter } = await start();
    const run = (...args: string[]) => runMetertime(['command', 'm1', ...args, '--mqtt', broker.url]);
    const file = join(directory, 'program.json');
    writeFileSync(file, JSON.stringify(program));
    expect(await run('tariff-program', file)).toMatchObject({
      exitCode: 0,
      stdout: 'Stored program household, in force at once.\n',
    });
    expect(meter.blocks).toHaveLength(1);
    const dynamicFile = join(directory, 'dynamic.json');
    writeFileSync(dynamicFile, JSON.stringify(dynamic));
    expect((await run('dynamic-tariffs', dynamicFile)).stdout).toBe(
      'Stored 96 dynamic tariffs, until 2036-02-08T00:00:00Z.\n',
    );
    const log = await run('logbook', '--from', '1', '--count', '2');
    expect(log.stdout).toMatch(/^1 {2}2026-.*server-0.*\n2 {2}2026-.*server-1.*\n$/);
    const records = await run('records', '--from', '9', '--count', '1', '--json');
    const answer = responseSchema.parse(JSON.parse(records.stdout));
    expect(answer).toMatchObject({ ok: true, result: { entries: [{ format: 'record', sequence: 9 }] } });
    expect((await run('logbook-release', '--sequence', '4')).stdout).toBe('Released up to entry 4 of 12.\n');
  });

  test('says what is wrong, and ends with another exit code', async () => {
    const { broker } = await start();
    const run = (...args: string[]) => runMetertime(['command', ...args, '--mqtt', broker.url]);
    expect(await run('m1', 'logbook-release', '--sequence', '99')).toMatchObject({ exitCode: 1, stdout: '' });
    const failed = await run('m1', 'logbook-release', '--sequence', '99', '--json');
    expect(JSON.parse(failed.stdout)).toMatchObject({ ok: false, error: { code: 'meter-refused' } });
    expect(failed.stderr).toMatch(/newest is 12.*\nRead the logbook/);
    expect(await run('m1', 'reboot')).toMatchObject({ exitCode: 2 });
    expect(await run('m1', 'tariff-program')).toMatchObject({ exitCode: 2 });
    expect(await run('m1', 'records', '--count', '1000')).toMatchObject({ exitCode: 2 });
    const unknown = await run('m7', 'records');
    expect(unknown).toMatchObject({ exitCode: 1 });
    expect(unknown.stderr).toMatch(/knows no meter "m7"/);
    const missing = await run('m1', 'records', '-g', 'g9', '--timeout', '0.3');
    expect(missing).toMatchObject({ exitCode: 1 });
    expect(missing.stderr).toMatch(/no answer came within 0\.3 s/);
  });

  test('shows nothing that a terminal would obey, whatever the answer says', async () => {
    const { broker } = await start();
    const other = await client(broker);
    const evil = '\u001b[2Jgone\u0007';
    other.on('message', (topic, _, { properties }) => {
      const result = topic.endsWith('program')
        ? { name: evil, activationUtc: evil, bytes: 1 }
        : { entries: 1, endUtc: evil, bytes: 1 };
      const answer = { ok: true, meter: 'm9', command: topic.split('/').at(-1), result };
      const { correlationData, responseTopic } = properties!;
      other.publish(responseTopic!, JSON.stringify(answer), { properties: { correlationData: correlationData! } });
    });
    await other.subscribeAsync('metertime/g9/m9/command/#', { qos: 1 });
    for (const [name, contents] of Object.entries({ 'tariff-program': program, 'dynamic-tariffs': dynamic })) {
      const file = join(directory, `${name}.json`);
      writeFileSync(file, JSON.stringify(contents));
      const ran = await runMetertime(['command', 'm9', name, file, '-g', 'g9', '--mqtt', broker.url]);
      expect(ran).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^Stored .*gone/) });
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
      expect(ran.stdout.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f]/);
    }
  });

  test('waits no longer than it is told for a broker that acknowledges nothing', async () => {
    for (const silentAt of [8, 3]) {
      const broker = await silentBroker(silentAt);
      const beginMs = performance.now();
      const ran = await runMetertime(['command', 'm1', 'records', '-g', 'g1', '--timeout', '0.3', '--mqtt', broker]);
      expect(ran).toMatchObject({ exitCode: 1, stderr: expect.stringMatching(/no answer came within 0\.3 s/) });
      expect(performance.now() - beginMs).toBeLessThan(10_000);
    }
  }, 30_000);
});

/** A broker that takes connections and subscriptions, but answers no packet of one type (MQTT 5.0, 2.1.2). */
async function silentBroker(silentAt: number): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const type = bytes[0]! >> 4;
      if (type === silentAt) return;
      if (type === 1) socket.write(Buffer.from('2003000000', 'hex'));
      if (type === 8) socket.write(Buffer.from([0x90, 4, bytes[2]!, bytes[3]!, 0, 1]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanUp.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
