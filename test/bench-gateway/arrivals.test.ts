// What the gateway's bench counts of records at the broker.
import { beforeEach, expect, it } from 'vitest';
import { RecordReason, Ring } from '../../as/abi/codes.ts';
import { Arrivals } from '../../bench/gateway-arrivals.ts';
import { chainOf } from '../host/gateway/record-meter.ts';

const minute = 60_000;
/** A whole minute, Unix ms. */
const noon = Date.UTC(2026, 10, 23, 12);
let arrivals: Arrivals;
beforeEach(() => {
  arrivals = new Arrivals();
});

/** A chain of a context and records whose periods end each minute from noon on. */
function chain(meter: string, records: number): readonly Buffer[] {
  const made = chainOf(meter);
  made.context();
  for (let index = 0; index < records; index++) {
    made.record({ reasons: RecordReason.Period, targetUnixSeconds: BigInt((noon + index * minute) / 1000) });
  }
  return made.rings[Ring.Records];
}

const figures = () => {
  const { entries, duplicates, missing, broken } = arrivals;
  return { entries, duplicates, missing, broken };
};

it('records in order: each counts once, and how late it was', () => {
  for (const meter of ['m1', 'm2']) {
    const entries = chain(meter, 3);
    const parts = entries.length - 3;
    for (const [index, entry] of entries.entries()) arrivals.take(meter, entry, noon + (index - parts) * minute + 40);
    expect(arrivals.newest(meter)).toBe(entries.length);
  }
  expect(arrivals.newest('m3')).toBe(0);
  expect(figures()).toMatchObject({ duplicates: 0, missing: 0, broken: 0 });
  // From behind noon on: two ends of periods, of two meters.
  const window = arrivals.within(noon + 1, noon + 2 * minute, 2, minute);
  expect(window).toEqual({ expected: 4, arrived: 4, delaysMs: [40, 40, 40, 40] });
  expect(arrivals.within(noon - 1, noon + 3 * minute, 3, minute)).toMatchObject({ expected: 12, arrived: 6 });
});

it('a meter has recorded something when a record has come, not with its context alone', () => {
  const entries = chain('m1', 1);
  for (const entry of entries.slice(0, -1)) arrivals.take('m1', entry, noon);
  expect(arrivals.recorded).toEqual(new Set());
  arrivals.take('m1', entries.at(-1)!, noon);
  expect(arrivals.recorded).toEqual(new Set(['m1']));
});

it('one that comes again is a duplicate', () => {
  const entries = chain('m1', 2);
  for (const entry of [...entries, ...entries.slice(-2)]) arrivals.take('m1', entry, noon);
  expect(figures()).toEqual({ entries: entries.length, duplicates: 2, missing: 0, broken: 0 });
  expect(arrivals.within(noon - 1, noon + minute, 1, minute).arrived).toBe(2);
});

it('one that is passed over is missing, once', () => {
  const entries = chain('m1', 4);
  for (const entry of [...entries.slice(0, -3), ...entries.slice(-1)]) arrivals.take('m1', entry, noon);
  expect(figures()).toEqual({ entries: entries.length - 2, duplicates: 0, missing: 2, broken: 0 });
});

it('any changed bit shows at the entry itself, or at the next', () => {
  const entries = chain('m1', 3);
  const changed = entries.map((entry) => Buffer.from(entry));
  changed.at(-2)![20]! ^= 1;
  for (const entry of changed) arrivals.take('m1', entry, noon);
  expect(figures()).toMatchObject({ entries: entries.length, missing: 0, broken: 1 });
});

it('one that cannot be read is counted', () => {
  const [entry] = chain('m1', 1);
  const strange = Buffer.from(entry!);
  strange[0] = 77;
  arrivals.take('m1', strange, noon);
  expect(figures()).toMatchObject({ entries: 1, broken: 1 });
});
