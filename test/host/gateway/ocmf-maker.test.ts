// Transactions of a meter as data sets: one for each that can be signed, over kills, and none for the others.
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ChainField, CommandResult, Message, RecordField, RecordReason, Ring } from '../../../as/abi/codes.ts';
import { FileError } from '../../../host/files.ts';
import { ocmfPublication } from '../../../host/mqtt/ocmf-payload.ts';
import { OcmfError } from '../../../host/ocmf/from-records.ts';
import { KeptSigner } from '../../../host/ocmf/kept-signer.ts';
import { KeylessFollower, OcmfMaker, type OcmfMakerOptions } from '../../../host/ocmf/maker.ts';
import { type OcmfSigner, pemSigner } from '../../../host/ocmf/signer.ts';
import { OutboxError, type OutboxOptions } from '../../../host/outbox/outbox.ts';
import { TransactionMarks } from '../../../host/outbox/transaction-marks.ts';
import { until as untilWithin } from '../../../host/setup/until.ts';
import { seededRandom } from '../../core/random.ts';
import { opensslAccepts, roadLabs } from '../ocmf-verify.ts';
import type { ChainMaker, RecordFields } from '../record-chain.ts';
import { connect, startRecordGateway } from './record-gateway.ts';
import { attach, chainOf, RecordMeter } from './record-meter.ts';

const { TransactionBegin, TransactionEnd, Switch, Period } = RecordReason;
const pem = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ format: 'pem', type: 'pkcs8' });
const signer = pemSigner(Buffer.from(pem), 'key');

// Each gateway waits for the disk, and that of a busy machine takes its time.
vi.setConfig({ testTimeout: 240_000 });
const until = <T>(what: string, check: () => T) => untilWithin(what, check, { timeoutMs: 60_000 });

let folder = '';
const cleanUp: (() => unknown)[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-ocmf-maker-'));
});
afterEach(async () => {
  for (const undo of cleanUp.splice(0).reverse()) await undo();
  rmSync(folder, { recursive: true, force: true });
});

interface Settings {
  readonly outbox?: Partial<OutboxOptions>;
  readonly maker?: Partial<OcmfMakerOptions>;
  readonly keyless?: boolean;
}

/** A gateway's side for one meter, with what signs. */
async function startGateway({ outbox = {}, maker = {}, keyless = false }: Settings = {}) {
  const kept = await KeptSigner.start(async () => signer);
  let marks!: TransactionMarks;
  const gateway = await startRecordGateway({ directory: folder, ...outbox }, (parts) => {
    marks = new TransactionMarks('m1', parts.outbox);
    if (keyless) return new KeylessFollower(parts.log);
    return new OcmfMaker({
      marks,
      seals: { meter: 'm1', recordKey: Buffer.alloc(16, 1) },
      options: { gateway: { identification: 'metertime', serial: 'gw-1', version: '0.1.0' } },
      signer: kept,
      commands: () => (parts.link.isUp ? parts.session.commands : undefined),
      message: (text, about) => ({ topic: 'ocmf', ...ocmfPublication('m1', text, about) }),
      context: parts.ledger.context,
      log: parts.log,
      firstRetryMs: 20,
      longestRetryMs: 100,
      ...maker,
    });
  });
  cleanUp.push(gateway.stop);
  return { ...gateway, marks };
}

type Gateway = Awaited<ReturnType<typeof startGateway>>;

const fields = (reasons: number, transaction: number, more: RecordFields = {}): RecordFields => ({
  ...{ reasons, transaction, letter: 'S', ...more },
});

/** A whole transaction with some records in it. */
function charge(chain: ChainMaker, transaction: number, between = 1, more: RecordFields = {}): void {
  chain.record(fields(TransactionBegin, transaction, more));
  for (let index = 0; index < between; index++) {
    chain.record(fields(index === 0 ? Switch | Period : Period, transaction, more));
  }
  chain.record(fields(TransactionEnd, transaction, more));
}

/** What waits for the broker on the topic of data sets. */
async function published({ outbox }: Gateway) {
  const entries = await Promise.all([...outbox.waiting()].map(({ number }) => outbox.read(number)));
  return entries
    .filter((entry) => entry?.topic === 'ocmf')
    .map((entry) => ({ text: Buffer.from(entry!.payload).toString(), properties: entry!.properties! }));
}

async function expectPublished(gateway: Gateway, count: number) {
  await until(`${count} data sets`, async () => (await published(gateway)).length >= count).catch((error: unknown) => {
    throw new Error(`${gateway.logged.join('\n')}\n${gateway.marks.pending.length} marks`, { cause: error });
  });
  const found = await published(gateway);
  expect(found).toHaveLength(count);
  for (const { text } of found) {
    expect(await roadLabs(text, signer.publicKeyPem)).toBeDefined();
    expect(opensslAccepts(text, signer.publicKeyPem)).toBe(true);
  }
  return found;
}

const payloadOf = (text: string) =>
  JSON.parse(text.split('|')[1]!) as { PG: string; MS: string; RD: { TM: string; TX: string; RV: number }[] };

describe('a transaction', () => {
  test('that was seen from begin to end is signed with what came, and the meter is asked for nothing', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    const first = meter.ring.length + 1;
    charge(meter.chain, 7);
    const last = meter.ring.length;
    meter.pump();
    const [only] = await expectPublished(gateway, 1);
    expect(only!.properties).toEqual({
      contentType: 'text/plain; charset=utf-8',
      payloadFormatIndicator: true,
      userProperties: {
        ...{ schema: 'metertime-ocmf/1', meter: 'm1', transaction: '7' },
        ...{ firstSequence: `${first}`, lastSequence: `${last}` },
      },
    });
    const { PG, MS, RD } = payloadOf(only!.text);
    expect([PG, MS]).toEqual(['T7', 'm1']);
    expect(RD.map(({ TX }) => TX)).toEqual(['B', 'T', 'E']);
    expect(meter.asked).toEqual([]);
    expect(gateway.marks.pending).toEqual([]);
    expect(gateway.logged).toEqual(['info: a transaction was signed']);
  });

  test('of which the gateway has seen the end alone is asked for, back to its begin and the context of that', async () => {
    let gateway = await startGateway();
    const { chain } = connect(gateway);
    chain.context();
    for (let index = 0; index < 40; index++) chain.record(fields(Period, 0));
    const begin = chain.rings[Ring.Records].length + 1;
    chain.record(fields(TransactionBegin, 7, { readings: [5_000n] }));
    for (let index = 0; index < 80; index++) chain.record(fields(Period, 7));
    // Another context in the middle of it.
    chain.context({ program: 'other' });
    chain.record(fields(Switch, 7));
    gateway.link.drop();
    await until('all stored', () => gateway.ledger.stored === chain.rings[Ring.Records].length);
    await gateway.stop();

    gateway = await startGateway();
    const meter = connect(gateway, chain);
    meter.delivered = chain.rings[Ring.Records].length;
    chain.record(fields(TransactionEnd, 7));
    meter.pump();
    const [only] = await expectPublished(gateway, 1);
    expect(payloadOf(only!.text).RD[0]!.RV).toBe(5);
    expect(only!.properties.userProperties).toMatchObject({ firstSequence: `${begin}` });
    // The last 96 in three parts, and the context, beside what the intake asks for.
    const asks = meter.asked.map(({ from, count }) => [from, count]);
    const last = chain.rings[Ring.Records].length;
    expect(asks).toEqual(expect.arrayContaining([[1, 10]]));
    expect(asks.filter(([, count]) => count === 32).length).toBe(Math.ceil((last - begin) / 32));
  });

  test('has no better time than its records', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    charge(meter.chain, 1, 0, { letter: 'U' });
    charge(meter.chain, 2, 0, { letter: 'R' });
    meter.chain.record(fields(TransactionBegin, 3));
    meter.chain.record(fields(TransactionEnd, 3, { letter: 'I' }));
    meter.pump();
    const found = await expectPublished(gateway, 3);
    const letters = found.map(({ text }) =>
      payloadOf(text)
        .RD.map(({ TM }) => TM.at(-1))
        .join(''),
    );
    expect(letters).toEqual(['UU', 'RR', 'II']);
  });

  test('is signed once where the gateway ends between the end of it and its data set', async () => {
    let gateway = await startGateway();
    const { chain } = connect(gateway);
    chain.context();
    chain.record(fields(TransactionBegin, 7));
    gateway.link.drop();
    await until('its begin stored', () => gateway.ledger.stored === chain.rings[Ring.Records].length);
    await gateway.stop();

    // The meter tells the end, and does not answer when it is asked for the begin.
    let asked = 0;
    const entries = () => {
      asked++;
      return new Promise<never>(() => {});
    };
    gateway = await startGateway({ maker: { commands: () => ({ entries }) } });
    const meter = connect(gateway, chain);
    chain.record(fields(TransactionEnd, 7));
    meter.pump();
    await until('asked for the begin', () => asked > 0);
    expect(await published(gateway)).toEqual([]);
    expect(gateway.marks.pending).toMatchObject([{ transaction: 7, sequence: chain.rings[Ring.Records].length }]);
    await gateway.stop();

    gateway = await startGateway();
    expect(gateway.marks.pending).toHaveLength(1);
    connect(gateway, chain);
    const [only] = await expectPublished(gateway, 1);
    expect(gateway.marks.pending).toEqual([]);
    await gateway.stop();

    gateway = await startGateway();
    connect(gateway, chain);
    charge(chain, 8, 0);
    gateway.link.drop();
    const [again, next] = await expectPublished(gateway, 2);
    expect(again!.text).toBe(only!.text);
    expect(payloadOf(next!.text).PG).toBe('T8');
  });

  test('whose entries come again as the outbox was damaged is not signed anew', async () => {
    let gateway = await startGateway();
    const { chain } = connect(gateway);
    chain.context();
    charge(chain, 7);
    gateway.link.drop();
    await expectPublished(gateway, 1);
    const count = chain.rings[Ring.Records].length;
    const lost = [...gateway.outbox.waiting()].find(({ place }) => place?.position === count - 1)!;
    gateway.outbox.remove(lost.number);
    await gateway.stop();

    gateway = await startGateway();
    expect(gateway.ledger.stored).toBe(0);
    connect(gateway, chain);
    await until('all stored again', () => gateway.ledger.stored === count);
    charge(chain, 8);
    gateway.link.drop();
    const found = await expectPublished(gateway, 2);
    expect(found.map(({ text }) => payloadOf(text).PG)).toEqual(['T7', 'T8']);
  });

  test('is signed once where its entries were changed on their way: those of the meter count', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    const { chain } = meter;
    chain.context();
    meter.pump();
    const count = meter.ring.length;
    await gateway.link.expect(Message.RecordAck, { stored: count });
    await until('the meter has heard that', () => meter.heard === count);
    chain.record(fields(TransactionBegin, 7, { readings: [1_000n] }));
    const changed = Buffer.from(meter.ring.at(-1)!);
    changed.writeBigInt64LE(2_000n, RecordField.Values);
    gateway.link.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry: changed });
    chain.record(fields(TransactionEnd, 7, { readings: [9_000n] }));
    gateway.link.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry: meter.ring.at(-1)! });
    const [only] = await expectPublished(gateway, 1);
    expect(payloadOf(only!.text).RD.map(({ RV }) => RV)).toEqual([1, 9]);
    expect(meter.asked.some(({ count: most }) => most > 1)).toBe(true);
    // Its end comes again, changed: it is marked, and no second data set is made.
    const end = Buffer.from(meter.ring.at(-1)!);
    end[100]! ^= 1;
    gateway.link.say({ type: Message.Entry, ring: Ring.Records, token: 0, entry: end });
    charge(chain, 8);
    meter.pump();
    const found = await expectPublished(gateway, 2);
    expect(found.map(({ text }) => payloadOf(text).PG)).toEqual(['T7', 'T8']);
    await until('no mark left', () => gateway.marks.pending.length === 0);
  });
});

describe('nothing is published, the reason is logged once, and the next transaction is signed', () => {
  const refused = async (gateway: Gateway, meter: RecordMeter, reason: RegExp) => {
    await until('refused', () => gateway.logged.some((line) => line.startsWith('error')));
    expect(await published(gateway)).toEqual([]);
    charge(meter.chain, 99);
    meter.pump();
    const [only] = await expectPublished(gateway, 1);
    expect(payloadOf(only!.text).PG).toBe('T99');
    const errors = gateway.logged.filter((line) => line.startsWith('error: a transaction'));
    expect(errors).toEqual([expect.stringMatching(/^error: a transaction is not signed: its records do not hold \(/)]);
    expect(errors[0]).toMatch(reason);
    expect(gateway.marks.pending).toEqual([]);
  };

  test('where a record was changed, whichever it is', async () => {
    for (const which of [0, 1, 2]) {
      const gateway = await startGateway();
      const meter = connect(gateway, chainOf('m1'));
      meter.chain.context();
      const from = meter.ring.length;
      charge(meter.chain, 7);
      meter.ring[from + which]![90]! ^= 1;
      meter.pump();
      await refused(gateway, meter, which === 1 ? /record \d+: its seal does not hold/ : /its seal does not hold/);
      await gateway.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('where the meter does not have its begin any more', async () => {
    let gateway = await startGateway();
    const { chain } = connect(gateway);
    chain.context();
    chain.record(fields(TransactionBegin, 7));
    chain.context();
    gateway.link.drop();
    const count = chain.rings[Ring.Records].length;
    await until('stored', () => gateway.ledger.stored === count);
    await gateway.stop();

    gateway = await startGateway();
    const meter = new RecordMeter(chain, (message) => gateway.link.say(message));
    Object.assign(meter, { delivered: count, forgets: true });
    attach(meter, gateway.link);
    chain.record(fields(TransactionEnd, 7));
    meter.pump();
    await refused(gateway, meter, /transaction 7: expected one record of its begin, came 0/);
  });

  test('where it ended without a begin, behind another one', async () => {
    const gateway = await startGateway();
    const meter = connect(gateway);
    meter.chain.context();
    meter.chain.record(fields(TransactionEnd, 7));
    meter.pump();
    await refused(gateway, meter, /expected one record of its begin, came 0/);
  });

  test('where an entry within is missing', async () => {
    let gateway = await startGateway();
    const { chain } = connect(gateway);
    chain.context();
    chain.record(fields(TransactionBegin, 7));
    for (let index = 0; index < 5; index++) chain.record(fields(Switch, 7));
    gateway.link.drop();
    const count = chain.rings[Ring.Records].length;
    await until('stored', () => gateway.ledger.stored === count);
    await gateway.stop();

    // Its storage has lost one since.
    const entries: ReturnType<NonNullable<OcmfMakerOptions['commands']>> & object = {
      entries: async (ring, from, most) => {
        const found = chain.rings[ring]
          .slice(from - 1, from - 1 + most)
          .filter((entry) => entry.readUInt32LE(ChainField.Sequence) !== count - 2);
        return { result: CommandResult.Done, detail: found.length, entries: found };
      },
    };
    gateway = await startGateway({ maker: { commands: () => entries } });
    const meter = connect(gateway, chain);
    chain.record(fields(TransactionEnd, 7));
    meter.pump();
    await refused(gateway, meter, new RegExp(`expected entry ${count - 2}, came ${count - 1}`));
  });

  test('where it has no readings, or is of another meter', async () => {
    for (const [more, id, reason] of [
      [{ readings: [] }, 'm1', /has no reading of 1-0:1\.8\.0/],
      [{}, 'm2', /expected records of m1, came those of m2/],
    ] as const) {
      const gateway = await startGateway();
      const chain = chainOf(id);
      const meter = connect(gateway, chain);
      chain.context();
      charge(chain, 7, 0, more);
      meter.pump();
      await until('refused', () => gateway.logged.some((line) => reason.test(line)));
      expect(await published(gateway)).toEqual([]);
      expect(gateway.marks.pending).toEqual([]);
      await gateway.stop();
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('what fails for a while', () => {
  test('a key that does not sign now holds a transaction up, also over a start, and loses none', async () => {
    let works = false;
    const sometimes: OcmfMakerOptions['signer'] = {
      sign: async (payload) => {
        if (!works) throw new OcmfError('token', 'the token does not sign');
        return (await KeptSigner.start(async () => signer)).sign(payload);
      },
    };
    let gateway = await startGateway({ maker: { signer: sometimes } });
    const { chain } = connect(gateway);
    chain.context();
    charge(chain, 7);
    gateway.link.drop();
    const waits = 'error: a transaction waits for its signature: the key does not sign';
    await until('tried again', () => gateway.logged.filter((line) => line === waits).length > 2);
    await gateway.stop();

    gateway = await startGateway({ maker: { signer: sometimes } });
    connect(gateway, chain);
    await until('tried', () => gateway.logged.includes(waits));
    expect(await published(gateway)).toEqual([]);
    works = true;
    await expectPublished(gateway, 1);
  });

  test('an outbox that has stored what it seemed to refuse gets the same data set again', async () => {
    const gateway = await startGateway();
    const putAll = gateway.outbox.putAll.bind(gateway.outbox);
    let failures = 0;
    gateway.outbox.putAll = async (messages, options) => {
      const numbers = await putAll(messages, options);
      if (messages[0]!.topic === 'ocmf' && failures++ === 0) {
        // As a restart would not find it: the mark is written back.
        gateway.outbox.note(`ocmf/m1/${mark!.link}`, JSON.stringify(mark));
        gateway.outbox.note('ocmf-made/m1', undefined);
        throw new OutboxError('outbox-unavailable', 'too late');
      }
      return numbers;
    };
    const meter = connect(gateway);
    meter.chain.context();
    charge(meter.chain, 7);
    let mark: { link: string } | undefined;
    const { marks } = gateway;
    const notesOf = marks.notesOf.bind(marks);
    marks.notesOf = (ends) => {
      mark ??= ends[0];
      return notesOf(ends);
    };
    meter.pump();
    const found = await expectPublished(gateway, 2);
    expect(found[0]!.text).toBe(found[1]!.text);
  });

  test('without the keys of a meter its transactions are not signed, which is said once', async () => {
    const gateway = await startGateway({ keyless: true });
    const meter = connect(gateway);
    meter.chain.context();
    for (let transaction = 1; transaction <= 3; transaction++) charge(meter.chain, transaction);
    meter.pump();
    await until('all stored', () => gateway.ledger.stored === meter.ring.length);
    expect(gateway.logged).toEqual([
      'warn: a transaction has ended and is not signed: the keys of its meter are not in ocmf.meters',
    ]);
    expect(await published(gateway)).toEqual([]);
    expect(gateway.marks.pending).toEqual([]);
  });
});

describe('what signs', () => {
  const broken = (error: Error): OcmfSigner => ({
    publicKeyPem: signer.publicKeyPem,
    sign: () => {
      throw error;
    },
    close: () => {},
  });

  test('is opened again after it has failed, and has to have the same key', async () => {
    const other = pemSigner(
      Buffer.from(
        generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey.export({ format: 'pem', type: 'pkcs8' }),
      ),
      'other',
    );
    const failure = new OcmfError('token', 'pulled out');
    const opened = [broken(failure), other, signer];
    const kept = await KeptSigner.start(async () => opened.shift()!);
    await expect(kept.sign('{}')).rejects.toBe(failure);
    await expect(kept.sign('{}')).rejects.toThrow(/expected the key that was there/);
    expect(opensslAccepts(await kept.sign('{}'), kept.publicKeyPem)).toBe(true);
    expect(opensslAccepts(await kept.sign('{}'), kept.publicKeyPem)).toBe(true);
    expect(opened).toEqual([]);
  });

  test('waits for the file of its PIN, as for the token', async () => {
    const gone = new FileError('file-missing', '/run/pin', 'it does not exist');
    const opened = [broken(new OcmfError('token', 'pulled out')), gone, gone, signer];
    const open = async () => {
      const next = opened.shift()!;
      if (next instanceof Error) throw next;
      return next;
    };
    const gateway = await startGateway({ maker: { signer: await KeptSigner.start(open) } });
    const meter = connect(gateway);
    meter.chain.context();
    charge(meter.chain, 7);
    meter.pump();
    await expectPublished(gateway, 1);
    const errors = gateway.logged.filter((line) => line.startsWith('error'));
    expect(errors).toEqual(Array(3).fill('error: a transaction waits for its signature: the key does not sign'));
  });

  test('has its PIN refused once, not again and again', async () => {
    let opened = 0;
    const refused = new OcmfError('file-pin', 'the PIN was not accepted');
    const kept = await KeptSigner.start(async () => {
      if (opened++ > 0) throw refused;
      return broken(new OcmfError('token', 'session lost'));
    });
    await expect(kept.sign('{}')).rejects.toThrow('session lost');
    for (let round = 0; round < 3; round++) await expect(kept.sign('{}')).rejects.toBe(refused);
    expect(opened).toBe(2);
  });
});

test('whatever ends when, each transaction has one data set', async () => {
  const { below } = seededRandom('transactions');
  const chain = chainOf('m1');
  chain.context();
  let gateway = await startGateway();
  let meter = connect(gateway, chain);
  let transactions = 0;
  let running = false;
  for (let round = 0; round < 40; round++) {
    for (let index = below(5); index > 0; index--) {
      const kind = below(6);
      if (kind === 0) chain.context();
      else if (kind < 4) chain.record(fields(Period, running ? transactions : 0));
      else if (running) {
        chain.record(fields(TransactionEnd, transactions));
        running = false;
      } else {
        chain.record(fields(TransactionBegin, ++transactions));
        running = true;
      }
    }
    meter.pump();
    for (let turn = below(6); turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
    if (below(4) === 0) gateway.link.drop();
    if (below(3) === 0) {
      await gateway.stop();
      gateway = await startGateway();
      meter = connect(gateway, chain);
    }
  }
  if (running) chain.record(fields(TransactionEnd, transactions));
  meter.pump();
  await until('no mark left', () => gateway.ledger.stored === meter.ring.length && gateway.marks.pending.length === 0);
  const numbers = (await published(gateway)).map(({ text }) => Number(payloadOf(text).PG.slice(1)));
  expect(transactions).toBeGreaterThan(5);
  expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: transactions }, (_, index) => index + 1));
});
