// Power may fail at any byte that is written for a switch of the tariff: it is recorded once, and what was registered
// before it is under the tariff before.
import { beforeAll, expect, it } from 'vitest';
import { Message, MeterEvent, RecordReason, StorageMap } from '../../as/abi/codes.ts';
import { entryBytes, type RecordEntry } from '../../host/record/entry.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { restartWith } from './power-cuts.ts';
import { seededRandom } from './random.ts';
import { second } from './simulated-meter.ts';
import { berlin, hour, recordsOf, runningMeter, targetsOf, tariffMeter, utcNsOf } from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

it.each([15, 0])(
  'power that fails at every byte that a switch writes, with periods of %s minutes',
  {
    timeout: 300_000,
  },
  (periodMinutes) => {
    const random = seededRandom('switches and power cuts');
    const options = {
      rootKey: random.bytes(16),
      program: berlin,
      rules: { periodMinutes },
      settings: { spreadSeconds: 0 },
    };
    const switched = '2026-07-01T20:00:00Z';
    const sim = runningMeter({ ...options, startUtcNs: utcNsOf(switched) - 3600n * second });
    sim.run(hour - 20 - Number(sim.time.nowNs / second));
    const cuts: { contents: Uint8Array; where: string }[] = [];
    const { storage } = sim;
    const write = storage.write.bind(storage);
    storage.write = (offset, bytes) => {
      for (const count of [0, 1 + random.below(bytes.length - 1), bytes.length]) {
        const contents = storage.contents.slice();
        contents.set(bytes.subarray(0, count), offset);
        const where = `${count} bytes at ${offset.toString(16)}, ${Number(sim.utcNs - utcNsOf(switched)) / 1e9} s after it`;
        cuts.push({ contents, where });
      }
      return write(offset, bytes);
    };
    sim.run(60);
    storage.write = write;
    expect(cuts.length).toBeGreaterThan(8);
    for (const { contents, where } of cuts) {
      const records = restartWith(sim, contents, random);
      const switches = records.filter(({ reasons, tariff }) => (reasons & RecordReason.Switch) !== 0 && tariff === 1);
      expect(targetsOf(switches), where).toEqual([switched]);
      const [record] = switches as [RecordEntry];
      for (const { sequence, tariff } of records.filter((each) => each.tariff !== 0)) {
        expect(tariff, `record ${sequence}, cut ${where}`).toBe(sequence <= record.sequence ? 1 : 2);
      }
      expect(sim.tariff, where).toMatchObject({ tariff: 2 });
    }
    console.log(`${cuts.length} power cuts`);
  },
);

it('a switch is marked with one write', () => {
  const sim = runningMeter({
    program: berlin,
    startUtcNs: utcNsOf('2026-07-01T19:30:00Z'),
    settings: { spreadSeconds: 0 },
  });
  sim.runUntil('a while before the switch', () => sim.utcNs > utcNsOf('2026-07-01T19:59:30Z'), hour);
  let marks = 0;
  const write = sim.storage.write.bind(sim.storage);
  sim.storage.write = (offset, bytes) => {
    if (offset >= StorageMap.MarkA && offset < StorageMap.DynamicA) marks++;
    return write(offset, bytes);
  };
  sim.run(60);
  expect(recordsOf(sim, RecordReason.Switch).at(-1)?.targetUtcNs).toBe(utcNsOf('2026-07-01T20:00:00Z'));
  expect(marks).toBe(1);
});

it('a switch whose record was lost for want of room is not undone by the next start', () => {
  const sim = tariffMeter({
    program: berlin,
    startUtcNs: utcNsOf('2026-07-01T18:30:00Z'),
    rules: { periodMinutes: 1 },
    storageBytes: StorageMap.Records + 64 * entryBytes,
  });
  sim.acknowledgeRecords = false;
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.deliver({ type: Message.RecordAck, stored: 0, delivered: 0 });
  sim.runUntil('a while after the switch', () => sim.utcNs > utcNsOf('2026-07-01T20:10:00Z'), 2 * hour);
  expect(sim.eventCodes()).toContain(MeterEvent.RecordsFull);
  const newest = sim.tariff!.recordNewest;
  sim.deliver({ type: Message.RecordAck, stored: newest, delivered: newest });
  sim.run(600);
  expect(recordsOf(sim, RecordReason.Switch).map(({ tariff }) => tariff)).not.toContain(1);
  expect(sim.records.at(-1)).toMatchObject({ tariff: 2 });
  sim.records.length = 0;
  sim.acknowledgeRecords = true;
  sim.meter.powerCut();
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(600);
  expect(sim.records.length).toBeGreaterThan(5);
  expect(sim.records.filter(({ tariff }) => tariff !== 2)).toEqual([]);
});
