// What the outbox knows of records: contiguous, never more than is true, over restarts and damage.
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Outbox } from '../../host/outbox/outbox.ts';
import { type MeterLedger, RecordLedger } from '../../host/outbox/record-ledger.ts';
import { until } from '../../host/setup/until.ts';
import { seededRandom } from '../core/random.ts';
import { fullDisk } from './full-disk.ts';

let directory = '';
let outbox: Outbox;
let ledgers: RecordLedger;
let ledger: MeterLedger;

async function start(): Promise<void> {
  outbox = new Outbox({ directory, maxBytes: 1 << 26, reserveBytes: 1 << 16 });
  await outbox.open();
  ledgers = new RecordLedger(outbox);
  ledgers.load();
  ledger = ledgers.meter('m1');
}

async function restart(): Promise<void> {
  await outbox.close();
  await start();
}

/** Leaves the store nothing to do when it is opened: else its files come and go in the background for a while. */
async function compact(): Promise<void> {
  const store = new ClassicLevel(join(directory, 'store'));
  await store.compactRange('!', '~');
  await store.close();
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'metertime-ledger-'));
  await start();
});
afterEach(async () => {
  await outbox.close();
  rmSync(directory, { recursive: true, force: true });
});

const message = { topic: 't', payload: new Uint8Array(8) };
const entry = (sequence: number) => ({ sequence, link: `link ${sequence}`, message });
const store = (...sequences: number[]) => ledger.store(sequences.map(entry));

/** The broker acknowledges the entries at these positions. */
async function acknowledge(...positions: number[]): Promise<void> {
  for (const { number, place } of [...outbox.waiting()]) {
    if (!positions.includes(place!.position)) continue;
    ledgers.acknowledged(place!);
    outbox.remove(number);
  }
  await outbox.settled();
}

test('what is acknowledged out of order counts when what is before it is', async () => {
  await store(1, 2, 3);
  await store(4, 5, 6);
  await acknowledge(3, 5, 2);
  expect(ledger).toMatchObject({ stored: 6, delivered: 0, link: 'link 6' });
  await restart();
  expect(ledger).toMatchObject({ stored: 6, delivered: 0, link: 'link 6' });
  await acknowledge(1);
  expect(ledger.delivered).toBe(3);
  await acknowledge(4);
  expect(ledger.delivered).toBe(5);
  await restart();
  await acknowledge(6);
  expect(ledger.delivered).toBe(6);
});

test('what the meter does not have any more holds up nothing', async () => {
  await store(1, 2);
  await store(5, 6);
  expect(ledger.stored).toBe(6);
  await acknowledge(1);
  await restart();
  expect(ledger).toMatchObject({ stored: 6, delivered: 1 });
  await acknowledge(2);
  expect(ledger.delivered).toBe(4);
  await acknowledge(5, 6);
  expect(ledger.delivered).toBe(6);
});

test('an entry that comes again is published again, and moves nothing back', async () => {
  await store(1, 2, 3);
  await store(2);
  await store(4, 2);
  expect(ledger).toMatchObject({ stored: 4, link: 'link 4' });
  expect(outbox.state.entries).toBe(6);
  await acknowledge(1, 2, 3, 4);
  await restart();
  expect(ledger).toMatchObject({ stored: 4, delivered: 4 });
});

test('one that is refused changes nothing', async () => {
  await store(1);
  const before = { stored: ledger.stored, delivered: ledger.delivered, link: ledger.link };
  await outbox.close();
  await expect(store(2)).rejects.toMatchObject({ code: 'outbox-closed' });
  expect(ledger).toMatchObject(before);
  await start();
  expect(ledger).toMatchObject(before);
});

test('the newest context is kept with what was stored with it', async () => {
  const context = [new Uint8Array(128).fill(1), new Uint8Array(128).fill(2)];
  await ledger.store([entry(1), entry(2)], context);
  await store(3);
  await restart();
  expect(ledger.context.map((bytes) => [...bytes])).toEqual(context.map((bytes) => [...bytes]));
  ledger.startOver();
  expect(ledger.context).toEqual([]);
  await restart();
  expect(ledger.context).toEqual([]);
});

test('an entry that is missing in the outbox makes its meter start over, and no other one', async () => {
  await store(1, 2, 3);
  await ledgers.meter('m2').store([entry(1)]);
  const { series } = ledger;
  const [first] = outbox.waiting();
  expect(first!.place).toEqual({ series, position: 1 });
  outbox.remove(first!.number);
  await restart();
  expect(ledger).toMatchObject({ stored: 0, delivered: 0, link: '' });
  expect(ledger.series).not.toBe(series);
  expect(ledgers.meter('m2').stored).toBe(1);
  // What is left of the old chain counts for nothing.
  await acknowledge(2, 3);
  expect(ledger.delivered).toBe(0);
});

test('a meter that was met before the disk had room starts over: what waits of its chain counts for nothing', async () => {
  await store(1, 2, 3);
  const { series } = ledger;
  await outbox.close();
  const disk = fullDisk(() => true);
  try {
    outbox = new Outbox({ directory, maxBytes: 1 << 26, reserveBytes: 1 << 16, retryMs: 1 });
    ledgers = new RecordLedger(outbox);
    outbox.onLoaded(() => ledgers.load());
    await outbox.open();
    ledger = ledgers.meter('m1');
    await expect(store(1)).rejects.toMatchObject({ code: 'outbox-disk-full' });
    disk.restore();
    await until('stored', () =>
      store(1, 2).then(
        () => true,
        () => false,
      ),
    );
    expect(ledger).toMatchObject({ stored: 2, delivered: 0 });
    expect(ledger.series).not.toBe(series);
    const old = [...outbox.waiting()].filter(({ place }) => place!.series === series);
    expect(old.map(({ place }) => place!.position)).toEqual([1, 2, 3]);
    for (const { number, place } of old) {
      ledgers.acknowledged(place!);
      outbox.remove(number);
    }
    expect(ledger.delivered).toBe(0);
    await acknowledge(1);
    await restart();
    expect(ledger).toMatchObject({ stored: 2, delivered: 1 });
  } finally {
    disk.restore();
  }
});

test('one that damage takes while the outbox is open makes its meter start over at once', async () => {
  const marker = Buffer.from('here is the one that is damaged');
  const large = (sequence: number) => {
    const payload = Buffer.alloc(50_000, sequence);
    if (sequence === 20) payload.set(marker, 20_000);
    return { ...entry(sequence), message: { topic: 't', payload } };
  };
  // More than the store's cache holds, so that it reads its files.
  for (let sequence = 1; sequence <= 60; sequence++) await ledger.store([large(sequence)]);
  await outbox.close();
  await compact();
  await start();
  const folder = join(directory, 'store');
  for (const name of readdirSync(folder).filter((name) => name.endsWith('.ldb'))) {
    const bytes = readFileSync(join(folder, name));
    const at = bytes.indexOf(marker);
    if (at < 0) continue;
    const file = openSync(join(folder, name), 'r+');
    writeSync(file, Buffer.of(bytes[at]! ^ 1), 0, 1, at);
    closeSync(file);
  }
  let changes = 0;
  ledger.onChange(() => changes++);
  const damaged = [...outbox.waiting()].find(({ place }) => place?.position === 20)!;
  expect(await outbox.read(damaged.number)).toBeUndefined();
  expect(ledger.stored).toBe(0);
  expect(changes).toBe(1);
});

test('meters do not share anything, also where one id begins with another', async () => {
  const other = ledgers.meter('m1.b');
  await store(1, 2);
  await other.store([entry(9)]);
  await acknowledge(9);
  expect(ledger.delivered).toBe(0);
  expect(other.delivered).toBe(9);
});

test('whatever is acknowledged in whatever order, delivered is the longest start of it that has no hole', async () => {
  const random = seededRandom('record ledger');
  const acknowledged = new Set<number>();
  let next = 1;
  for (let round = 0; round < 40; round++) {
    const count = 1 + random.below(6);
    await store(...Array.from({ length: count }, (_, index) => next + index));
    next += count;
    for (let times = random.below(6); times > 0; times--) {
      const sequence = 1 + random.below(next - 1);
      acknowledged.add(sequence);
      await acknowledge(sequence);
    }
    let expected = 0;
    while (acknowledged.has(expected + 1)) expected++;
    if (random.below(4) === 0) await restart();
    expect(ledger).toMatchObject({ stored: next - 1, delivered: expected });
  }
});
