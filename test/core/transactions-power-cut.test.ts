// Power may fail at any byte that is written for a transaction: where its begin is in the ring, so is its end, once.
import { beforeAll, expect, it } from 'vitest';
import { Format, RecordField, RecordReason, Ring } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from './random.ts';
import { StoreLab, storageOf } from './store-lab.ts';

beforeAll(async () => {
  await buildCore();
});

const { TransactionBegin, TransactionEnd } = RecordReason;

/** Numbers of the transactions that begin, or end, in the ring. */
function numbers(lab: StoreLab, reason: RecordReason): number[] {
  return lab
    .entries(Ring.Records)
    .filter(({ format, bytes }) => format === Format.Record && (bytes[RecordField.Reasons]! & reason) !== 0)
    .map(({ bytes }) => bytes.readUInt32LE(RecordField.Transaction));
}

const newLab = (rootKey: Uint8Array, contents?: Uint8Array) =>
  new StoreLab({ rootKey, storageBytes: storageOf(128) }, contents);

it('power that fails at every byte that a transaction writes', { timeout: 300_000 }, () => {
  const random = seededRandom('transactions and power cuts');
  const rootKey = random.bytes(16);
  const lab = newLab(rootKey);
  const cuts: { contents: Uint8Array; where: string }[] = [];
  const write = lab.sim.storage.write.bind(lab.sim.storage);
  lab.start();
  lab.sim.run(20);
  let what = '';
  lab.sim.storage.write = (offset, bytes) => {
    const before = lab.storage.slice();
    for (const count of [0, 1 + random.below(bytes.length - 1), bytes.length]) {
      const contents = before.slice();
      contents.set(bytes.subarray(0, count), offset);
      cuts.push({ contents, where: `${what}, ${count} bytes at ${offset.toString(16)}` });
    }
    return write(offset, bytes);
  };
  // A context comes before some of them, and one follows the other at once.
  for (let number = 1; number <= 30; number++) {
    what = `transaction ${number}`;
    lab.sim.meter.transaction(true);
    if (random.below(2) === 0) lab.sim.run(random.below(4));
    lab.sim.meter.transaction(false);
    if (random.below(2) === 0) lab.sim.run(random.below(4));
  }
  lab.sim.run(10);
  expect(cuts.length).toBeGreaterThan(300);
  for (const { contents, where } of cuts) {
    const next = newLab(rootKey, contents);
    next.start();
    next.sim.run(10);
    const begun = numbers(next, TransactionBegin);
    const ended = numbers(next, TransactionEnd);
    expect(new Set(begun).size, where).toBe(begun.length);
    expect(new Set(ended).size, where).toBe(ended.length);
    expect(
      begun.filter((number) => !ended.includes(number)),
      where,
    ).toEqual([]);
    // The next one has a number of its own.
    next.sim.meter.transaction(true);
    next.sim.run(5);
    expect(begun, where).not.toContain(numbers(next, TransactionBegin).at(-1));
  }
  console.log(`${cuts.length} power cuts`);
});
