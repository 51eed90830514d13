// The gateway's bench: which targets a run misses, and its table.
import { expect, it } from 'vitest';
import { failuresOf, peerRatio, tableOf } from '../../bench/gateway-report.ts';
import type { RunResult } from '../../bench/gateway-run.ts';

const cpu = { seconds: 60, gatewayMs: 12_000, brokerMs: 600, metersMs: 6_000, serversMs: 60, benchMs: 300 };
const mebibyte = 1 << 20;

const good: RunResult = {
  flags: '',
  meters: 100,
  minutes: 1,
  start: { ...cpu, synchronised: 100 },
  window: {
    ...cpu,
    expected: 100,
    arrived: 100,
    messagesPerMinute: 4_000,
    delayMedianMs: 30,
    delayP99Ms: 60,
    delayMostMs: 90,
    backlogMost: 100,
    backlogEnd: 0,
    unacknowledgedMost: 100,
    unacknowledgedEnd: 0,
    loopDelayP99Ms: 5,
    loopDelayMostMs: 50,
    collectionMs: 600,
  },
  entries: 1_000,
  duplicates: 0,
  missing: 0,
  broken: 0,
  traps: 0,
  outboxEntries: 0,
  memory: {
    idleResidentBytes: 90 * mebibyte,
    residentBytes: 190 * mebibyte,
    residentMostBytes: 200 * mebibyte,
    idleHeapBytes: 20 * mebibyte,
    heapBytes: 30 * mebibyte,
    externalBytes: 5 * mebibyte,
  },
  peer: { seconds: 60, cpuMs: 3_000, messages: 4_000 },
};

it('a good run misses nothing', () => {
  expect(failuresOf(good)).toEqual([]);
});

it.each<[string, Partial<RunResult>]>([
  ['99 of 100 meters came to a time', { start: { ...good.start, synchronised: 99 } }],
  ['98 of 100 records of periods arrived', { window: { ...good.window, arrived: 98 } }],
  ['7 entries were not at the broker at the end', { window: { ...good.window, backlogEnd: 7 } }],
  ['8 entries were not known to be delivered at the end', { window: { ...good.window, unacknowledgedEnd: 8 } }],
  ['a record came 60.0 s late', { window: { ...good.window, delayMostMs: 60_000 } }],
  ['1 entries were passed over', { missing: 1 }],
  ['2 entries came twice', { duplicates: 2 }],
  ['3 entries do not follow the one before', { broken: 3 }],
  ['4 cores trapped', { traps: 4 }],
  ['5 entries were left in the outbox', { outboxEntries: 5 }],
  ['the gateway took 100 % of a processor', { window: { ...good.window, gatewayMs: 60_000 } }],
])('missed: %s', (failure, change) => {
  expect(failuresOf({ ...good, ...change })).toEqual([failure]);
  expect(failuresOf({ ...good, ...change, flags: '--flag' })).toEqual([`--flag: ${failure}`]);
});

it('the table has figures for each meter, and the ratio to the peer', () => {
  expect(peerRatio(good)).toBeCloseTo(4);
  const table = tableOf([good], []);
  const line = (title: string) =>
    table
      .split('\n')
      .find((text) => text.trim().startsWith(title))
      ?.trim();
  expect(line('gateway, ms per meter and minute')).toMatch(/ 120\.00$/);
  expect(line('gateway, ms per message')).toMatch(/ 3\.000$/);
  expect(line('gateway / peer')).toMatch(/ 4\.00$/);
  expect(line('a meter, KiB')).toMatch(/ 1024\.0$/);
  expect(line('... of which objects in use, KiB')).toMatch(/ 102\.4$/);
  expect(table.endsWith('all targets are met')).toBe(true);
});

it('runs stand side by side, with their flags', () => {
  const table = tableOf([good, { ...good, flags: '--max-semi-space-size=64' }], ['x']);
  expect(table.split('\n')[0]).toMatch(/^flags +none +--max-semi-space-size=64$/);
  expect(table).toMatch(/\n {2}mosquitto +1\.0 +1\.0\n/);
  expect(table.endsWith('MISSED:\n  x')).toBe(true);
});

it('a run of no minutes tells of the start alone', () => {
  const none = { ...good.window, expected: 0, arrived: 0, delayMostMs: Number.NaN };
  const { peer: _peer, ...short } = { ...good, minutes: 0, window: none };
  const run = { ...short, peer: undefined };
  expect(failuresOf(run)).toEqual([]);
  const table = tableOf([run], []);
  expect(table).not.toContain('mosquitto');
  expect(table).toMatch(/all synchronised after, s +60\.0\n/);
  expect(table).toMatch(/\.\.\. most, ms +-\n/);
});
