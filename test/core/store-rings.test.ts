// The rings in the meter's storage: the newest entry is found at a start, with few reads; what was changed while the meter was
// off is found and told; nothing that was not delivered is overwritten.
import { beforeAll, describe, expect, it } from 'vitest';
import {
  ChainField,
  Format,
  HeadField,
  HeadFormat,
  MeterEvent,
  RecordField,
  RecordMark,
  RecordReason,
  Ring,
  StorageMap,
  Tampering,
} from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from './random.ts';
import { entryBytes, StoreLab, storageOf } from './store-lab.ts';

let random: SeededRandom;
beforeAll(async () => {
  await buildCore();
  random = seededRandom('rings');
});

const newest = (lab: StoreLab, ring = Ring.Records) => lab.core.testStoreNewest(ring);

/** Records that are all delivered, until there are so many entries. */
function grow(lab: StoreLab, entries: number): void {
  for (let value = 1; newest(lab) < entries; value++) {
    lab.fill(1, value);
    lab.acknowledgeAll();
  }
  lab.sim.run(1);
}

const tampering = (lab: StoreLab) =>
  lab.sim.events.filter(({ code }) => code === MeterEvent.Tampered).map(({ a, b }) => [Number(a), Number(b)]);

/** The newest record is this one, or that of this start behind it. */
function expectFound(lab: StoreLab, sequence: number): void {
  const behind = lab.entries(Ring.Records).filter((entry) => entry.sequence > sequence);
  expect(behind.every(({ bytes }) => bytes[RecordField.Reasons] === RecordReason.Start)).toBe(true);
  expect(behind.length).toBeLessThanOrEqual(1);
  expect(newest(lab)).toBe(sequence + behind.length);
}

/** Off, changed, and on again, until everything was looked through. */
function changedWhileOff(lab: StoreLab, change: () => void): void {
  lab.sim.meter.powerCut();
  lab.sim.events.length = 0;
  change();
  lab.start();
  lab.sim.run(300);
}

describe('the newest entry', () => {
  it.each([64, 65, 100, 257])('of a ring of %i slots is found at any place, over three laps', (slots) => {
    const lab = new StoreLab({ storageBytes: storageOf(slots) });
    lab.start();
    for (let at = 0; at < 3 * slots; at += 1 + random.below(slots / 8)) {
      grow(lab, at);
      const before = [newest(lab), newest(lab, Ring.Logbook), newest(lab, Ring.Network)];
      const entries = lab.entries(Ring.Records);
      lab.restart();
      expectFound(lab, before[0]!);
      expect(newest(lab, Ring.Network)).toBe(before[2]);
      expect(entries.at(-1)?.sequence ?? 0).toBe(before[0]);
      expect(newest(lab, Ring.Logbook)).toBeGreaterThanOrEqual(before[1]!);
    }
    lab.verify();
    expect(tampering(lab)).toEqual([]);
    // All slots but the one behind the newest hold what they should.
    expect(lab.entries(Ring.Records).length).toBeGreaterThanOrEqual(slots - 1);
  });

  it('is found with few reads', () => {
    const lab = new StoreLab({ storageBytes: storageOf(3500) });
    lab.start();
    grow(lab, 200);
    let reads = 0;
    const read = lab.sim.storage.read.bind(lab.sim.storage);
    lab.sim.storage.read = (offset, length) => {
      if (offset >= StorageMap.Records) reads++;
      return read(offset, length);
    };
    lab.restart();
    expect(reads).toBeLessThan(22);
  });

  it('in a storage without room for records is not looked for, and nothing else suffers', () => {
    const lab = new StoreLab({ storageBytes: StorageMap.TariffBytes - 1 });
    lab.sim.meter.start();
    lab.sim.runUntilSynchronised();
    expect(lab.core.testStoreReady()).toBe(0);
    expect(lab.storage.subarray(StorageMap.HeadA).every((byte) => byte === 0xff)).toBe(true);
    expect(lab.sim.eventCodes()).toContain(MeterEvent.Synchronised);
  });

  it('after a start in which the storage fails is found later', () => {
    const lab = new StoreLab();
    lab.start();
    grow(lab, 20);
    lab.sim.meter.powerCut();
    const read = lab.sim.storage.read.bind(lab.sim.storage);
    let failing = 25;
    lab.sim.storage.read = (offset, length) => {
      if (offset >= StorageMap.HeadA && failing-- > 0) throw new Error('no answer');
      return read(offset, length);
    };
    lab.sim.meter.start();
    lab.sim.runUntil('rings found', () => lab.core.testStoreReady() !== 0, 90_000);
    expect(newest(lab)).toBe(lab.entries(Ring.Records).at(-1)!.sequence);
    expect(lab.sim.eventCodes().filter((code) => code === MeterEvent.StorageFailed).length).toBeLessThan(5);
  });
});

describe('a full ring', () => {
  it('takes no more records, says so, and goes on when the broker has some', () => {
    const lab = new StoreLab();
    lab.start();
    let taken = 0;
    for (let value = 1; value <= 60; value++) {
      if (lab.record(value)) taken++;
      lab.sim.run(2);
    }
    expect(lab.core.testStoreFull()).toBe(1);
    expect(lab.sim.eventCodes().filter((code) => code === MeterEvent.RecordsFull)).toHaveLength(1);
    const lost = 60 - taken;
    expect(lost).toBeGreaterThan(10);
    const before = lab.entries(Ring.Records);
    expect(before[0]!.sequence).toBe(1);
    // None of what is not delivered goes, whatever the gateway has.
    lab.acknowledge(newest(lab), 0);
    lab.sim.run(5);
    expect(lab.entries(Ring.Records)).toHaveLength(before.length);
    lab.acknowledge(newest(lab), 20);
    lab.sim.run(5);
    expect(lab.core.testStoreFull()).toBe(0);
    const resumed = lab.sim.events.find(({ code }) => code === MeterEvent.RecordsResumed);
    expect(resumed?.a).toBe(BigInt(lost));
    lab.fill(1, 1000);
    lab.sim.run(5);
    const marks = lab
      .handedIn()
      .map(({ bytes }) => [
        bytes.readUInt32LE(RecordField.Values),
        bytes.readUInt16LE(RecordField.Marks) & RecordMark.RecordsLost,
      ]);
    expect(marks.filter(([, mark]) => mark !== 0)).toEqual([[1000, RecordMark.RecordsLost]]);
    lab.verify();
  });

  it('of 512 KB has 35 days of quarter hours before it is full, with the longest names of servers', () => {
    const servers = [1, 2, 3, 4].map((number) => ({ host: `${number}${'x'.repeat(62)}`, port: 4460 }));
    const lab = new StoreLab({ storageBytes: 524_288, settings: { id: 'm'.repeat(32), servers } });
    lab.start();
    for (let value = 1; value <= 35 * 96; value++) {
      while (!lab.record(value)) lab.sim.run(0.1);
      lab.sim.run(0.01);
    }
    lab.sim.run(5);
    expect(lab.core.testStoreFull()).toBe(0);
    expect(lab.handedIn()).toHaveLength(35 * 96);
    const contexts = lab.entries(Ring.Records).filter(({ format }) => format === Format.Context);
    expect(contexts.length).toBeGreaterThan(15 * 8);
    lab.verify();
  }, 120_000);

  it('stays full over a restart, and marks that records may be missing', () => {
    const lab = new StoreLab();
    lab.start();
    for (let value = 1; value <= 40; value++) {
      lab.record(value);
      lab.sim.run(2);
    }
    expect(lab.core.testStoreFull()).toBe(1);
    const last = newest(lab);
    lab.restart();
    lab.record(500);
    lab.sim.run(5);
    expect(lab.core.testStoreFull()).toBe(1);
    lab.acknowledgeAll();
    lab.sim.run(5);
    // The first one of the new start, and no other.
    const records = lab
      .entries(Ring.Records)
      .filter(({ format, sequence }) => format === Format.Record && sequence > last);
    const marks = records.map(({ bytes }) => bytes.readUInt16LE(RecordField.Marks) & RecordMark.RecordsLost);
    expect(marks.length).toBeGreaterThan(0);
    expect(marks.map((mark, at) => (mark !== 0) === (at === 0))).not.toContain(false);
  });

  it('keeps all parts of the context of the oldest undelivered record, or delivered them, through any acknowledgements', () => {
    const lab = new StoreLab({ storageBytes: storageOf(100) });
    lab.start();
    let delivered = 0;
    for (let value = 1; value <= 400; value++) {
      lab.record(value);
      lab.sim.run(2);
      if (random.below(3) === 0) {
        delivered += random.below(newest(lab) - delivered + 1);
        lab.acknowledge(newest(lab), delivered);
      }
      if (random.below(60) === 0) lab.restart();
      const entries = lab.entries(Ring.Records);
      const oldest = entries.find(({ sequence, format }) => sequence > delivered && format === Format.Record);
      if (oldest === undefined) continue;
      const context = oldest.bytes.readUInt32LE(RecordField.Context);
      const first = entries.find(({ sequence }) => sequence === context);
      // A context comes whole before the records that name it.
      if (first === undefined) expect(context).toBeLessThanOrEqual(delivered);
      const parts = first?.bytes[2] ?? 0;
      for (let part = 0; part < parts; part++) {
        const entry = entries.find(({ sequence }) => sequence === context + part);
        expect(entry?.format, `part ${part} of the context of ${oldest.sequence}`).toBe(Format.Context);
        expect(entry?.bytes[1]).toBe(part);
      }
    }
    lab.verify();
  });
});

describe('what was changed while the meter was off', () => {
  it('any bit of any entry of records and logbook is found and told', () => {
    let changed = 0;
    for (let turn = 0; turn < 60; turn++) {
      const lab = new StoreLab();
      lab.start();
      grow(lab, 20 + random.below(100));
      for (let i = 0; i < 6; i++) lab.restart();
      const ring = random.below(2) as Ring.Records | Ring.Logbook;
      const entries = lab.entries(ring);
      // The newest looks like a write that power cut short, unless a head was signed for it.
      const entry = entries[random.below(entries.length - 1)]!;
      // The next start may overwrite some of the oldest, which are delivered.
      if (ring === Ring.Records && entry.sequence + lab.slots(ring) <= newest(lab) + 16) continue;
      changedWhileOff(lab, () => {
        const at = lab.offset(ring, entry.sequence % lab.slots(ring)) + random.below(entryBytes);
        lab.storage[at]! ^= 1 << random.below(8);
      });
      const kind = ring === Ring.Records ? Tampering.Record : Tampering.Logbook;
      expect(tampering(lab), `entry ${entry.sequence} of ring ${ring}`).toEqual([[kind, entry.sequence]]);
      expect(lab.logged(Ring.Logbook)).toContain(MeterEvent.Tampered);
      changed++;
    }
    expect(changed).toBeGreaterThan(30);
  }, 120_000);

  it('entries that changed places are found', () => {
    const lab = new StoreLab();
    lab.start();
    grow(lab, 30);
    changedWhileOff(lab, () => {
      const [a, b] = [lab.slotBytes(Ring.Records, 8), lab.slotBytes(Ring.Records, 9)];
      lab.storage.set(b, lab.offset(Ring.Records, 8));
      lab.storage.set(a, lab.offset(Ring.Records, 9));
    });
    // The first of them that was looked at.
    expect([[[Tampering.Record, 8]], [[Tampering.Record, 9]]]).toContainEqual(tampering(lab));
  });

  it('an entry of another ring does not count', () => {
    const lab = new StoreLab();
    lab.start();
    grow(lab, 30);
    lab.restart();
    lab.sim.run(1);
    changedWhileOff(lab, () => lab.storage.set(lab.slotBytes(Ring.Records, 1), lab.offset(Ring.Logbook, 1)));
    expect(tampering(lab)).toEqual([[Tampering.Logbook, 1]]);
  });

  /** The heads that were signed for at least the cut, the one in force first. */
  const heads = (lab: StoreLab) =>
    [StorageMap.HeadA, StorageMap.HeadB]
      .map((at) => Buffer.from(before.get(lab)!.subarray(at, at + HeadField.StoredBytes)))
      .filter((head) => head.readUInt32LE(HeadField.Magic) === HeadFormat.Magic)
      .sort((a, b) => b.readUInt32LE(0) - a.readUInt32LE(0));
  /** What the storage held before it was changed. */
  const before = new Map<StoreLab, Uint8Array>();

  function signed(): StoreLab {
    const lab = new StoreLab();
    lab.start();
    grow(lab, 30);
    lab.core.testHeadRequest();
    lab.sim.run(30);
    return lab;
  }

  it('a tail that is cut off is found by the head, and no sequence comes twice', () => {
    for (const blank of [0xff, 0x00]) {
      const lab = signed();
      const last = newest(lab);
      before.set(lab, lab.storage.slice());
      changedWhileOff(lab, () => {
        for (let sequence = last - 4; sequence <= last; sequence++) {
          lab.storage.fill(
            blank,
            lab.offset(Ring.Records, sequence % 64),
            lab.offset(Ring.Records, (sequence % 64) + 1),
          );
        }
      });
      expect(tampering(lab)).toEqual([[Tampering.RecordsCut, last]]);
      lab.fill(3, 700);
      lab.sim.run(5);
      // The first one behind the cut is bound to what the head was signed for.
      const entries = lab.entries(Ring.Records);
      const behind = entries.find(({ sequence }) => sequence > last)!;
      expect(behind.sequence).toBe(last + 1);
      const [head] = heads(lab);
      const hash = head!.subarray(HeadField.RecordHash, HeadField.RecordHash + 16);
      expect(behind.bytes.subarray(ChainField.Link, ChainField.Seal).equals(hash)).toBe(true);
      // And is found again.
      const end = newest(lab);
      lab.restart();
      expectFound(lab, end);
    }
  });

  it('a logbook that is cut off is found by the head', () => {
    const lab = signed();
    const last = newest(lab, Ring.Logbook);
    changedWhileOff(lab, () => lab.storage.fill(0xff, StorageMap.Logbook, StorageMap.NetworkLog));
    expect(tampering(lab)).toEqual([[Tampering.LogbookCut, last]]);
    expect(newest(lab, Ring.Logbook)).toBeGreaterThan(last);
  });

  it('records that are gone without a head are missed where they were delivered', () => {
    const lab = new StoreLab();
    lab.start();
    grow(lab, 30);
    // The mark is stored within the hour.
    lab.sim.run(3700);
    const last = newest(lab);
    changedWhileOff(lab, () => {
      lab.storage.fill(0xff, StorageMap.Records);
      lab.storage.fill(0xff, StorageMap.HeadA, StorageMap.MarkA);
    });
    expect(tampering(lab).map(([what]) => what)).toEqual([Tampering.RecordsCut]);
    lab.fill(1, 800);
    lab.sim.run(5);
    expect(lab.entries(Ring.Records).at(-1)!.sequence).toBeGreaterThanOrEqual(last);
  });

  it('a head that was signed for another entry is found', () => {
    const lab = signed();
    const other = signed();
    changedWhileOff(lab, () => {
      // Another meter's head, for the same sequences.
      lab.storage.set(other.storage.slice(StorageMap.HeadA, StorageMap.MarkA), StorageMap.HeadA);
    });
    expect(tampering(lab)).toContainEqual([Tampering.Head, expect.any(Number)]);
  });

  it('a mark of which neither slot holds is found, one slot that does not is none', () => {
    const lab = signed();
    // A second one, so that both slots were written.
    lab.restart();
    lab.sim.run(3700);
    changedWhileOff(lab, () => {
      lab.storage[StorageMap.MarkA + 9]! ^= 1;
    });
    expect(tampering(lab)).toEqual([]);
    lab.sim.run(3700);
    changedWhileOff(lab, () => {
      for (const at of [StorageMap.MarkA, StorageMap.MarkB]) lab.storage.fill(0x5a, at + 9, at + 20);
    });
    expect(tampering(lab)).toEqual([[Tampering.Mark, 0]]);
  });

  it('nothing is found where nothing was changed', () => {
    const lab = signed();
    changedWhileOff(lab, () => {});
    expect(tampering(lab)).toEqual([]);
    expect(lab.sim.eventCodes()).not.toContain(MeterEvent.SettingsChanged);
    expect(lab.sim.eventCodes()).not.toContain(MeterEvent.SoftwareChanged);
  });
});
