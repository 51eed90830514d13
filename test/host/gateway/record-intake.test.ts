// Records on their way from a meter into the outbox: in order, none missing, told to the meter only when it is true.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { CommandResult, Message, Ring } from '../../../as/abi/codes.ts';
import type { MeterMessage } from '../../../host/link/messages.ts';
import { recordTopicSchema } from '../../../host/mqtt/record-payloads.ts';
import type { OutboxOptions } from '../../../host/outbox/outbox.ts';
import { until } from '../../../host/setup/until.ts';
import { seededRandom } from '../../core/random.ts';
import { tariff as anyTariff } from '../mqtt-samples.ts';
import { connect, startRecordGateway } from './record-gateway.ts';
import { attach, chainOf, RecordMeter } from './record-meter.ts';

let folder = '';
const cleanUp: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-records-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

async function startGateway(options: Partial<OutboxOptions> = {}) {
  const gateway = await startRecordGateway({ directory: folder, ...options });
  cleanUp.push(gateway.stop);
  return gateway;
}

type Gateway = Awaited<ReturnType<typeof startGateway>>;

async function payloadOf({ outbox }: Gateway, number: number): Promise<Record<string, unknown>> {
  const entry = await outbox.read(number);
  return JSON.parse(`${Buffer.from(entry!.payload)}`) as Record<string, unknown>;
}

/** Sequences of what waits in the outbox, as published. */
async function waiting(gateway: Gateway): Promise<number[]> {
  const sequences: number[] = [];
  for (const { number } of [...gateway.outbox.waiting()]) {
    const payload = await payloadOf(gateway, number);
    recordTopicSchema.parse(payload);
    sequences.push(Number(payload.sequence));
  }
  return sequences;
}

/** The broker acknowledges the `count` oldest messages. */
async function deliver({ outbox, ledgers }: Gateway, count: number): Promise<void> {
  for (const { number, place } of [...outbox.waiting()].slice(0, count)) {
    ledgers.acknowledged(place!);
    outbox.remove(number);
  }
  await outbox.settled();
}

/** The broker takes the `count` oldest messages: their bytes by position. */
async function arrive(gateway: Gateway, arrived: Map<number, string>, count: number): Promise<void> {
  for (const { number, place } of [...gateway.outbox.waiting()].slice(0, count)) {
    arrived.set(place!.position, String((await payloadOf(gateway, number)).bytes));
    gateway.ledgers.acknowledged(place!);
    gateway.outbox.remove(number);
  }
}

const upTo = (last: number, first = 1) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

describe('a meter and a gateway that have not met', () => {
  test('all entries are stored in order, and told as delivered as the broker acknowledges them', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    meter.make(95);
    const count = meter.ring.length;
    await until('all stored', () => gateway.ledger.stored === count);
    expect(await waiting(gateway)).toEqual(upTo(count));
    await gateway.link.expect(Message.RecordAck, { stored: count, delivered: 0 });
    await deliver(gateway, 30);
    await until('30 delivered', () => meter.delivered === 30);
    await deliver(gateway, count);
    await until('all delivered', () => meter.delivered === count);
    expect(meter.sent).toEqual(upTo(count));
    expect(meter.asked).toEqual([]);
    expect(gateway.logged).toEqual([]);
  });

  test('the gateway says at once that it has nothing', async () => {
    const gateway = await startGateway();
    connect(gateway);
    expect(gateway.link.sent[0]).toEqual({ type: Message.RecordAck, stored: 0, delivered: 0 });
  });

  test('the gateway says it again to a meter that was not ready to hear it', async () => {
    const gateway = await startGateway();
    const chain = chainOf('m1');
    chain.context();
    const count = chain.rings[Ring.Records].length;
    const meter = new RecordMeter(chain, (message) => gateway.link.say(message));
    gateway.link.open();
    meter.open();
    await gateway.link.expect(Message.RecordAck, { stored: 0 });
    gateway.link.clear();
    gateway.link.on('sent' as 'drain', () => meter.take(gateway.link.sent.at(-1)!));
    gateway.link.say(tariff(count));
    await until('all stored', () => gateway.ledger.stored === count);
  });

  test('a chain that is met in its middle is taken from there on, and what came before is nothing that was delivered', async () => {
    const gateway = await startGateway();
    const chain = chainOf('m1');
    for (let index = 0; index < 40; index++) chain.record({ context: 1 });
    const meter = new RecordMeter(chain, (message) => gateway.link.say(message));
    meter.delivered = 25;
    attach(meter, gateway.link);
    await until('the rest stored', () => gateway.ledger.stored === 40);
    expect(await waiting(gateway)).toEqual(upTo(40, 26));
    expect(gateway.ledger.delivered).toBe(0);
    await deliver(gateway, 2);
    expect(gateway.ledger.delivered).toBe(27);
  });
});

describe('a gateway that comes back', () => {
  test('knows what is stored and delivered, says the one at once and the other when it knows the chain', async () => {
    let gateway = await startGateway();
    let meter = connect(gateway);
    meter.chain.context();
    meter.make(10);
    const count = meter.ring.length;
    await until('all stored', () => gateway.ledger.stored === count);
    await deliver(gateway, 7);
    await gateway.stop();

    gateway = await startGateway();
    expect(gateway.ledger).toMatchObject({ stored: count, delivered: 7 });
    expect(gateway.ledger.context.length).toBeGreaterThan(0);
    meter = connect(gateway, meter.chain);
    expect(gateway.link.sent[0]).toEqual({ type: Message.RecordAck, stored: count, delivered: 0 });
    await until('what is delivered told', () => meter.delivered === 7);
    expect(meter.sent).toEqual([]);
    // The context is known still.
    meter.make(1);
    await until('the next stored', () => gateway.ledger.stored === count + 1);
    expect(meter.asked.map(({ from, count }) => [from, count])).toEqual([[count, 1]]);
    const last = [...gateway.outbox.waiting()].at(-1)!;
    const json = recordTopicSchema.parse(await payloadOf(gateway, last.number));
    expect(json).toMatchObject({ format: 'record', sequence: count + 1, evidence: { server: 'time.example' } });
    expect(gateway.logged).toEqual([]);
  });

  test('knows the chain by the next entry where the meter does not have the last one any more', async () => {
    let gateway = await startGateway();
    const first = connect(gateway);
    first.chain.context();
    first.make(5);
    const count = first.ring.length;
    await until('all stored', () => gateway.ledger.stored === count);
    await deliver(gateway, count);
    await gateway.stop();

    gateway = await startGateway();
    const meter = new RecordMeter(first.chain, (message) => gateway.link.say(message));
    Object.assign(meter, { delivered: count, forgets: true });
    attach(meter, gateway.link);
    await until('asked', () => meter.asked.length === 1);
    meter.make(1);
    await until('the next stored', () => gateway.ledger.stored === count + 1);
    await gateway.link.expect(Message.RecordAck, { stored: count + 1, delivered: count });
    expect(gateway.logged).toEqual([]);
  });

  test.each([
    ['with fewer entries, which it says', 3],
    ['with as many entries', 8],
    ['with more entries', 12],
  ])('starts over with a meter that was provisioned anew, %s', async (_, entries) => {
    let gateway = await startGateway();
    const old = connect(gateway);
    for (let index = 0; index < 8; index++) old.chain.record({ context: 1 });
    old.pump();
    await until('all stored', () => gateway.ledger.stored === 8);
    await deliver(gateway, 6);
    await gateway.stop();

    gateway = await startGateway();
    const chain = chainOf('m1', 2);
    chain.context();
    while (chain.rings[Ring.Records].length < entries) chain.record();
    const meter = connect(gateway, chain);
    gateway.link.say(tariff(chain.rings[Ring.Records].length));
    const count = chain.rings[Ring.Records].length;
    await until('all of the new chain stored', () => gateway.outbox.state.entries === 2 + count);
    expect(gateway.ledger.stored).toBe(count);
    expect(meter.delivered).toBe(0);
    // The rest of the old chain is published too.
    expect(await waiting(gateway)).toEqual([7, 8, ...upTo(count)]);
    await deliver(gateway, 2);
    expect(gateway.ledger.delivered).toBe(0);
    await deliver(gateway, 99);
    await until('all delivered', () => meter.delivered === count);
    expect(gateway.logged.join('\n')).toContain('warn: the records of this meter begin anew');
  });

  test('asks for everything again where the outbox has lost an entry', async () => {
    let gateway = await startGateway();
    const first = connect(gateway);
    first.chain.context();
    first.make(6);
    const count = first.ring.length;
    await until('all stored', () => gateway.ledger.stored === count);
    await deliver(gateway, 2);
    const lost = [...gateway.outbox.waiting()].find(({ place }) => place?.position === 5)!;
    gateway.outbox.remove(lost.number);
    await gateway.stop();

    gateway = await startGateway();
    expect(gateway.ledger).toMatchObject({ stored: 0, delivered: 0 });
    const meter = new RecordMeter(first.chain, (message) => gateway.link.say(message));
    meter.delivered = 2;
    attach(meter, gateway.link);
    await until('all stored', () => gateway.ledger.stored === count);
    expect(new Set(await waiting(gateway))).toEqual(new Set(upTo(count, 3)));
    await deliver(gateway, 99);
    await until('all delivered', () => meter.delivered === count);
  });
});

describe('what is not as it should be', () => {
  test('an entry that comes again is passed over; one with other bytes is published too, and said', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    meter.make(4);
    const count = meter.ring.length;
    await until('all stored', () => gateway.ledger.stored === count);
    const entry = meter.ring[2]!;
    gateway.link.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry });
    const other = Buffer.from(entry);
    other[20]! ^= 1;
    gateway.link.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry: other });
    await until('the other one stored', () => gateway.outbox.state.entries === count + 1);
    expect(await waiting(gateway)).toEqual([...upTo(count), 3]);
    expect(gateway.logged).toEqual(['warn: the meter sent a record again with other bytes: both are published']);
    meter.make(1);
    await until('the next stored', () => gateway.ledger.stored === count + 1);
    await deliver(gateway, 99);
    await until('all delivered', () => meter.delivered === count + 1);
  });

  test('a missing entry makes the meter send again; one that it does not have is said', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    meter.make(3);
    const before = meter.ring.length;
    await until('all stored', () => gateway.ledger.stored === before);
    for (let index = 0; index < 3; index++) meter.chain.record();
    gateway.link.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry: meter.ring[before + 1]! });
    await until('all stored', () => gateway.ledger.stored === before + 3);
    expect(gateway.link.restarts).toBe(1);
    expect(await waiting(gateway)).toEqual(upTo(before + 3));

    // The next one is lost in the meter.
    for (let index = 0; index < 2; index++) meter.chain.record();
    meter.delivered = before + 4;
    gateway.link.drop();
    await until('the last stored', () => gateway.ledger.stored === before + 5);
    expect(await waiting(gateway)).toEqual([...upTo(before + 3), before + 5]);
    expect(gateway.logged.filter((line) => line.startsWith('error'))).toEqual([
      'error: the meter has no more of these records: they did not come here',
    ]);
    await deliver(gateway, 99);
    await until('told as far as there is something', () => meter.delivered === before + 5);
  });

  test('an entry that does not name the one before it is published and said', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    meter.make(2);
    await until('all stored', () => gateway.ledger.stored === meter.ring.length);
    const entry = meter.chain.record();
    entry[100]! ^= 1;
    meter.pump();
    await until('stored', () => gateway.ledger.stored === meter.ring.length);
    expect(gateway.logged).toEqual(['warn: a record does not name the one before it: the chain is broken']);
  });

  test('an entry that cannot be read is published as it is', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    const entry = meter.chain.record({ context: 1 });
    entry[0] = 99;
    meter.pump();
    await until('stored', () => gateway.ledger.stored === 1);
    const [first] = gateway.outbox.waiting();
    const json = recordTopicSchema.parse(await payloadOf(gateway, first!.number));
    expect(json).toMatchObject({
      format: 'unreadable',
      sequence: 1,
      chain: { ring: 'records' },
      bytes: entry.toString('base64'),
    });
  });

  test('a context that is not known is asked for before the record is published', async () => {
    const gateway = await startGateway();
    const chain = chainOf('m1');
    chain.context();
    const from = chain.rings[Ring.Records].length;
    for (let index = 0; index < 3; index++) chain.record();
    const meter = new RecordMeter(chain, (message) => gateway.link.say(message));
    meter.delivered = from;
    attach(meter, gateway.link);
    await until('all stored', () => gateway.ledger.stored === from + 3);
    expect(meter.asked.map((ask) => ask.from)).toEqual([1]);
    for (const { number } of gateway.outbox.waiting()) {
      const json = await payloadOf(gateway, number);
      expect(json).toMatchObject({ format: 'record', evidence: { server: 'time.example' } });
    }
  });

  test('a context that a busy meter does not say is asked for again', async () => {
    const gateway = await startGateway();
    const chain = chainOf('m1');
    chain.context();
    const from = chain.rings[Ring.Records].length;
    chain.record();
    const { commands } = gateway.session;
    const ask = commands.entries.bind(commands);
    let asked = 0;
    commands.entries = async (...what) =>
      asked++ === 0 ? { result: CommandResult.Busy, detail: 0, entries: [] } : ask(...what);
    const meter = new RecordMeter(chain, (message) => gateway.link.say(message));
    meter.delivered = from;
    attach(meter, gateway.link);
    await until('stored', () => gateway.ledger.stored === from + 1);
    const [only] = gateway.outbox.waiting();
    expect(await payloadOf(gateway, only!.number)).toMatchObject({ evidence: { server: 'time.example' } });
    expect(asked).toBe(2);
  });

  test('a context that the meter does not have any more does not hold up its records', async () => {
    const gateway = await startGateway();
    const chain = chainOf('m1');
    chain.context();
    const from = chain.rings[Ring.Records].length;
    for (let index = 0; index < 3; index++) chain.record();
    const meter = new RecordMeter(chain, (message) => gateway.link.say(message));
    Object.assign(meter, { delivered: from, forgets: true });
    attach(meter, gateway.link);
    await until('all stored', () => gateway.ledger.stored === from + 3);
    expect(meter.asked).toHaveLength(1);
    expect(gateway.logged).toEqual([
      'warn: the meter does not have the context that a record names: the record is published without it',
    ]);
  });

  test('a full outbox stops what is stored, and nothing is lost when there is room again', async () => {
    const gateway = await startGateway({ maxBytes: 20_000 });
    const meter = connect(gateway);
    meter.chain.context();
    meter.make(60);
    const count = meter.ring.length;
    await until('it is full', () => gateway.logged.includes('debug: records stay with their meter'));
    const { stored } = gateway.ledger;
    expect(stored).toBeLessThan(count);
    // Records leave room for events.
    expect(gateway.outbox.state.bytes).toBeLessThanOrEqual((20_000 * 7) / 8);
    const arrived = new Map<number, string>();
    await until('all delivered', async () => {
      await arrive(gateway, arrived, 99);
      return meter.delivered === count;
    });
    expect([...arrived.keys()].sort((a, b) => a - b)).toEqual(upTo(count));
  });
});

test('whatever is cut off and whenever, every entry arrives, and what the meter may free was acknowledged', {
  timeout: 90_000,
}, async () => {
  const { below } = seededRandom('records');
  const chain = chainOf('m1');
  const arrived = new Map<number, string>();
  let gateway = await startGateway();
  let meter = connect(gateway, chain);
  const arriveSome = async (count: number) => {
    await arrive(gateway, arrived, count);
    // What is told as delivered has arrived.
    for (let sequence = 1; sequence <= gateway.ledger.delivered; sequence++) expect(arrived.has(sequence)).toBe(true);
  };
  for (let round = 0; round < 40; round++) {
    if (below(4) === 0) chain.context();
    meter.make(below(12));
    for (let turn = below(4); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
    if (below(3) === 0) await arriveSome(below(20));
    if (below(4) === 0) gateway.link.drop();
    if (below(5) === 0) {
      await gateway.stop();
      gateway = await startGateway();
      const { delivered } = meter;
      meter = new RecordMeter(chain, (message) => gateway.link.say(message));
      meter.delivered = delivered;
      attach(meter, gateway.link);
    }
  }
  await until(
    'all delivered',
    async () => {
      await arriveSome(999);
      return meter.delivered === chain.rings[Ring.Records].length;
    },
    // The disk of a busy machine takes its time.
    { timeoutMs: 60_000 },
  );
  expect([...arrived.keys()].sort((a, b) => a - b)).toEqual(upTo(chain.rings[Ring.Records].length));
  for (const [sequence, bytes] of arrived) {
    expect(bytes).toBe(chain.rings[Ring.Records][sequence - 1]!.toString('base64'));
  }
});

function tariff(recordNewest: number): Extract<MeterMessage, { type: Message.Tariff }> {
  return { ...anyTariff, recordNewest };
}
