// Power fails where what is marked for a record and what is in the ring are apart: a context comes between them, or records
// of several switches wait.
import { beforeAll, describe, expect, it } from 'vitest';
import { CommandResult, Message, MeterEvent, RecordReason, StorageMap } from '../../as/abi/codes.ts';
import { entryBytes } from '../../host/record/entry.ts';
import { utcText } from '../../host/tariff/model.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { recordsIn, restartWith } from './power-cuts.ts';
import { seededRandom } from './random.ts';
import { berlin, hour, runningMeter, sendDynamic, sendProgram, unix, utcNsOf } from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

const random = seededRandom('marks and power cuts');

/** A meter whose ring of records cannot be written while `fails`; each write that is done is kept as a cut. */
function cuttable(options: Parameters<typeof runningMeter>[0]) {
  const sim = runningMeter({ rootKey: random.bytes(16), settings: { spreadSeconds: 0 }, ...options });
  const lab = { sim, fails: false, cuts: undefined as Uint8Array[] | undefined };
  const write = sim.storage.write.bind(sim.storage);
  sim.storage.write = (offset, bytes) => {
    if (lab.fails && offset >= StorageMap.Records) throw new Error('worn out');
    const done = write(offset, bytes);
    lab.cuts?.push(sim.storage.contents.slice());
    return done;
  };
  return lab;
}

describe('a context that comes between what is marked and its record', () => {
  /** A new program makes a new context; power may fail at each write from then on. */
  function cutsWithContext(lab: ReturnType<typeof cuttable>): Uint8Array[] {
    expect(sendProgram(lab.sim, { ...berlin, name: 'another' }).result).toBe(CommandResult.Done);
    lab.fails = false;
    const cuts: Uint8Array[] = [];
    lab.cuts = cuts;
    lab.sim.run(120);
    lab.cuts = undefined;
    expect(cuts.length).toBeGreaterThan(5);
    return cuts;
  }

  it('of a begin', { timeout: 120_000 }, () => {
    const lab = cuttable({ program: berlin, rules: { periodMinutes: 0 }, startUtcNs: utcNsOf('2026-07-01T12:00:00Z') });
    const { sim } = lab;
    sim.run(60);
    lab.fails = true;
    sim.meter.transaction(true);
    sim.run(5);
    for (const [index, contents] of cutsWithContext(lab).entries()) {
      const records = restartWith(sim, contents, random);
      const numbers = (reason: number) =>
        records.filter(({ reasons }) => (reasons & reason) !== 0).map(({ transaction }) => transaction);
      expect(numbers(RecordReason.TransactionEnd), `cut ${index}`).toEqual(numbers(RecordReason.TransactionBegin));
    }
  });

  it('of a switch', { timeout: 120_000 }, () => {
    const lab = cuttable({ program: berlin, rules: { periodMinutes: 0 }, startUtcNs: utcNsOf('2026-07-01T19:30:00Z') });
    const { sim } = lab;
    sim.run(60);
    lab.fails = true;
    sim.runUntil('a while after the switch', () => sim.utcNs > utcNsOf('2026-07-01T20:00:05Z'), hour);
    for (const [index, contents] of cutsWithContext(lab).entries()) {
      const records = restartWith(sim, contents, random);
      const last = records.findLast(({ reasons }) => (reasons & RecordReason.Switch) !== 0)!;
      expect(last, `cut ${index}`).toMatchObject({ tariff: 1, targetUtcNs: utcNsOf('2026-07-01T20:00:00Z') });
      expect(sim.tariff, `cut ${index}`).toMatchObject({ tariff: 2 });
    }
  });
});

it('records of several switches that wait for room, and some that are lost', { timeout: 120_000 }, () => {
  const begin = unix('2026-07-01T12:10:00Z');
  const lab = cuttable({
    program: berlin,
    rules: { periodMinutes: 0 },
    startUtcNs: utcNsOf('2026-07-01T12:00:00Z'),
    storageBytes: StorageMap.Records + 64 * entryBytes,
  });
  const { sim } = lab;
  // One a minute.
  const entries = Array.from({ length: 90 }, (_, i) => ({ utc: utcText(begin + 60 * i), tariff: 100 + i }));
  expect(sendDynamic(sim, { entries, endUtc: utcText(begin + 60 * 90) }).result).toBe(CommandResult.Done);
  sim.acknowledgeRecords = false;
  sim.runUntil('records without room', () => sim.eventCodes().includes(MeterEvent.RecordsFull), 2 * hour);
  sim.run(400);
  const newest = sim.tariff!.recordNewest;
  lab.cuts = [];
  sim.deliver({ type: Message.RecordAck, stored: newest, delivered: newest });
  sim.run(130);
  const { cuts } = lab;
  lab.cuts = undefined;
  expect(cuts.length).toBeGreaterThan(10);
  for (const [index, contents] of cuts.entries()) {
    const last = recordsIn(contents).at(-1)!;
    const next = restartWith(sim, contents, random).find(({ sequence }) => sequence > last.sequence)!;
    const [switched] = [last].filter(({ reasons }) => (reasons & RecordReason.Switch) !== 0);
    expect(next.reasons & RecordReason.Start).not.toBe(0);
    expect(next.tariff, `cut ${index} behind ${last.sequence}`).toBe(last.tariff + (switched === undefined ? 0 : 1));
  }
});
