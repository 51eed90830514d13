// Contexts from their parts: in order, again from the middle, with parts missing.
import { expect, test } from 'vitest';
import { Ring } from '../../as/abi/codes.ts';
import { ContextKeeper } from '../../host/gateway/context-keeper.ts';
import { ContextParts, contextFrom } from '../../host/record/context-parts.ts';
import { type ContextPart, decodeEntry } from '../../host/record/entry.ts';
import { ChainMaker, signingKey } from './record-chain.ts';

const maker = new ChainMaker('m1', Buffer.alloc(16, 0x4b), signingKey(Buffer.alloc(32, 7)));
const partsOf = (entries: readonly Uint8Array[]) =>
  entries.map((bytes) => decodeEntry(Ring.Records, bytes) as ContextPart);
const first = partsOf(maker.context());
const second = partsOf(maker.context({ firmwareVersion: '0.2.0' }));

test('parts that come again from the middle, also behind those of a newer context, make the context again', () => {
  for (const taker of [new ContextParts(), new ContextKeeper()]) {
    for (const part of [...first, ...second]) taker.take(part);
    for (let from = 0; from < first.length; from++) {
      const [last] = first
        .slice(from)
        .map((part) => taker.take(part))
        .slice(-1);
      expect(last, `from part ${from}`).toMatchObject({ sequence: 1, firmwareVersion: '0.1.0' });
    }
    expect(second.map((part) => taker.take(part)).at(-1)).toMatchObject({ firmwareVersion: '0.2.0' });
  }
});

test('the entries of the newest context are there again when its parts are', () => {
  const keeper = new ContextKeeper();
  for (const part of first) keeper.take(part);
  expect(keeper.takeNewest()).toEqual(first.map(({ bytes }) => bytes));
  keeper.take(first.at(-1)!);
  expect(keeper.takeNewest()).toEqual(first.map(({ bytes }) => bytes));
});

test('a part without those before it makes nothing, however often it comes', () => {
  const parts = new ContextParts();
  for (let times = 0; times < 3; times++) {
    expect(
      first
        .slice(1)
        .map((part) => parts.take(part))
        .filter(Boolean),
    ).toEqual([]);
  }
  expect(parts.entriesOf(1)).toEqual([]);
  parts.take(first[0]!);
  expect(parts.take({ ...first.at(-1)!, count: first.length + 1 })).toBeUndefined();
});

test('only the last few are kept', () => {
  const parts = new ContextParts();
  for (let turn = 0; turn < 100; turn++) parts.take({ ...first[0]!, sequence: 1 + 10 * turn });
  expect([1, 951, 991].map((sequence) => parts.entriesOf(sequence).length)).toEqual([0, 0, 1]);
});

test('entries begin with a context, or with none', () => {
  const bytes = first.map((part) => part.bytes);
  expect(contextFrom([...bytes, maker.record()])?.meter).toBe('m1');
  expect(contextFrom(bytes.slice(0, -1))).toBeUndefined();
  expect(contextFrom([maker.record(), ...bytes])).toBeUndefined();
});
