// Power may fail at any byte that is written for a switch of the tariff: it is recorded once, and what was registered
// before it is under the tariff before.
import { beforeAll, expect, it } from 'vitest';
import { Format, RecordReason, Ring, StorageMap } from '../../as/abi/codes.ts';
import { encodeSeedSlot } from '../../host/provision/settings-block.ts';
import { entryBytes, type RecordEntry, tryDecodeEntry } from '../../host/record/entry.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { seededRandom } from './random.ts';
import { second } from './simulated-meter.ts';
import { berlin, hour, runningMeter, targetsOf, utcNsOf } from './tariff-meter.ts';

beforeAll(async () => {
  await buildCore();
});

/** The records in a storage, in order. */
function recordsIn(contents: Uint8Array): RecordEntry[] {
  const slots = (contents.length - StorageMap.Records) / entryBytes;
  const at = (slot: number) => StorageMap.Records + slot * entryBytes;
  return Array.from({ length: slots }, (_, slot) => contents.subarray(at(slot), at(slot) + entryBytes))
    .map((bytes) => tryDecodeEntry(Ring.Records, bytes))
    .filter((entry): entry is RecordEntry => !(entry instanceof Error) && entry.format === Format.Record)
    .sort((a, b) => a.sequence - b.sequence);
}

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
    for (const [index, { contents, where }] of cuts.entries()) {
      sim.meter.powerCut();
      storage.contents.set(contents);
      // Cookies and random numbers of then are not used again.
      storage.contents.fill(0xff, StorageMap.Reserves, StorageMap.HeadA);
      storage.write(StorageMap.SeedA, encodeSeedSlot(random.bytes(32), 1_000_000 + index));
      sim.meter.start();
      sim.runUntilSynchronised();
      sim.run(30);
      const records = recordsIn(storage.contents);
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
