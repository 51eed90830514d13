// What tests in node reach of records and logbook; the names begin with `test`, firmware links none of them.
// What always holds: in a core without records they do nothing.

import { copy } from '../abi/bytes';
import { ChainField, RecordField } from '../abi/codes';
import { headRequest } from './head';
import { logFull } from './log';
import { markedSince, markedTariff, markedTransaction, markTariff, markTransaction } from './mark';
import { recordAdd, recordCommit, recordLossMark } from './records';
import { storeFull, storeNewest, storeOldest, storeReady } from './store';

/** Hands in a record whose body is at `body`; false where it is lost. */
export function testRecord(body: usize): bool {
  const at = recordAdd();
  if (at == 0) return false;
  copy(at, body, ChainField.BodyBytes);
  store<u16>(at, load<u16>(at, RecordField.Marks) | <u16>recordLossMark(), RecordField.Marks);
  recordCommit(-1, 0);
  return true;
}

export function testHeadRequest(): void {
  headRequest();
}

export function testLogFull(): bool {
  return logFull();
}

export function testMark(since: i64, tariff: u32, transaction: u32): void {
  markTariff(since, tariff);
  markTransaction(transaction);
}

export function testMarkedTariff(): i32 {
  return markedTariff();
}

export function testMarkedSince(): i64 {
  return markedSince();
}

export function testMarkedTransaction(): u32 {
  return markedTransaction();
}

export function testStoreReady(): bool {
  return storeReady();
}

export function testStoreFull(): bool {
  return storeFull();
}

export function testStoreNewest(ring: u32): u32 {
  return storeNewest(ring);
}

export function testStoreOldest(): u32 {
  return storeOldest();
}
