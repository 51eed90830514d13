// The entries of a transaction are asked for back to its begin, whatever a meter answers.
import { expect, test } from 'vitest';
import { ChainField, RecordReason } from '../../as/abi/codes.ts';
import { EntrySource, transactionEntries } from '../../host/ocmf/transaction-entries.ts';
import { chainOf } from './gateway/record-meter.ts';

test('a meter that answers the same again and again is asked for no more than the longest transaction has', async () => {
  const entry = chainOf('m1').record({ reasons: RecordReason.Period, transaction: 7 });
  const end = 1_000_000;
  entry.writeUInt32LE(end, ChainField.Sequence);
  let asked = 0;
  const source = new EntrySource(async (_, count) => {
    asked += count;
    return [entry];
  });
  expect(await transactionEntries(end, 7, source)).toEqual([entry]);
  expect(asked).toBe(65_536);
});
