// Heads: signed by the meter for the newest entries of records and logbook, within the hour and when one is asked for; and what
// verifies records offline finds nothing wrong with what a meter made.
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { HeadField, Ring, StorageMap } from '../../as/abi/codes.ts';
import { decodeHead } from '../../host/record/entry.ts';
import { EvidenceCheck } from '../../host/record/verify.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { StoreLab, sha512 } from './store-lab.ts';

beforeAll(async () => {
  await buildCore();
});

const newest = (lab: StoreLab, ring: Ring) => lab.core.testStoreNewest(ring);

/** The heads in the storage whose checksum holds, the newest first. */
function stored(lab: StoreLab): Buffer[] {
  const slots = [StorageMap.HeadA, StorageMap.HeadB].map((at) =>
    Buffer.from(lab.storage.slice(at, at + HeadField.StoredBytes)),
  );
  return slots
    .filter((slot) => crc32(slot.subarray(0, HeadField.Crc)) === slot.readUInt32LE(HeadField.Crc))
    .sort((a, b) => b.readUInt32LE(0) - a.readUInt32LE(0));
}

describe('a head', () => {
  it('is signed, for the newest entries, stored and sent', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(60);
    // The start's own.
    expect(lab.heads).toHaveLength(1);
    lab.fill(7);
    lab.core.testHeadRequest();
    lab.sim.run(20);
    expect(lab.heads).toHaveLength(2);
    const bytes = lab.heads[1];
    expect(lab.isSigned(bytes!)).toBe(true);
    const head = decodeHead(bytes!);
    expect(head.meter).toBe('sim-1');
    for (const [ring, sequence, hash] of [
      [Ring.Records, head.recordSequence, head.recordHash],
      [Ring.Logbook, head.logSequence, head.logHash],
    ] as const) {
      expect(sequence).toBe(newest(lab, ring));
      const entry = lab.entries(ring).at(-1)!.bytes;
      expect(Buffer.from(hash).equals(sha512(entry).subarray(0, 32))).toBe(true);
    }
    const [slot] = stored(lab);
    expect(slot!.subarray(HeadField.Magic, HeadField.Bytes).equals(bytes!)).toBe(true);
  });

  it('waits for the records that are not stored yet', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(60);
    for (let value = 1; value <= 4; value++) lab.record(value);
    lab.core.testHeadRequest();
    lab.sim.run(20);
    expect(decodeHead(lab.heads[1]!).recordSequence).toBe(newest(lab, Ring.Records));
    expect(lab.values()).toHaveLength(4);
  });

  it('comes in each hour in which something was stored, and in no other; the slots take turns', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(4 * 3600);
    // A start is an entry of the logbook.
    expect(lab.heads).toHaveLength(1);
    for (let hour = 1; hour <= 3; hour++) {
      lab.fill(1, hour);
      lab.sim.run(3600);
      lab.sim.run(3600);
      expect(lab.heads).toHaveLength(1 + hour);
      expect(stored(lab)[0]!.readUInt32LE(0)).toBe(1 + hour);
    }
    expect(stored(lab)).toHaveLength(2);
    const last = stored(lab)[0]!.readUInt32LE(0);
    lab.restart();
    lab.sim.run(60);
    expect(stored(lab)[0]!.readUInt32LE(0)).toBe(last + 1);
  });

  it('that the storage refused is written a little later', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(600);
    const { storage } = lab.sim;
    const write = storage.write.bind(storage);
    let failures = 3;
    storage.write = (offset, bytes) => {
      if (offset >= StorageMap.HeadA && offset < StorageMap.DynamicA && failures-- > 0) throw new Error('worn out');
      return write(offset, bytes);
    };
    lab.core.testHeadRequest();
    lab.sim.meter.time();
    lab.sim.run(4);
    expect(failures).toBeLessThan(0);
    expect(stored(lab)[0]!.readUInt32LE(0)).toBeGreaterThan(1);
  });

  it('holds nothing else up: the meter answers while it signs, and each event is short', () => {
    const lab = new StoreLab();
    lab.start();
    lab.sim.run(60);
    lab.core.testHeadRequest();
    let stored = 0;
    for (let i = 0; i < 1000 && lab.heads.length === 1; i++) {
      lab.sim.run(0.02);
      if (lab.record(i)) stored++;
    }
    expect(lab.heads).toHaveLength(2);
    // Records go on being stored while it is made.
    expect(stored).toBeGreaterThan(20);
    expect(decodeHead(lab.heads[1]!).recordSequence).toBeLessThan(newest(lab, Ring.Records));
  });
});

it('what a meter keeps over restarts is verified offline, and any change of it is found', () => {
  const lab = new StoreLab();
  lab.start();
  for (let start = 0; start < 4; start++) {
    lab.fill(4, 10 * start);
    lab.core.testHeadRequest();
    lab.sim.run(30);
    lab.restart();
  }
  const check = (change: (ring: Ring, at: number, bytes: Buffer) => Buffer | undefined = (_, __, bytes) => bytes) => {
    const evidence = new EvidenceCheck({ recordKey: lab.recordKey, publicKey: lab.publicKey, meter: 'sim-1' });
    for (const ring of [Ring.Records, Ring.Logbook, Ring.Network]) {
      for (const [at, { bytes }] of lab.entries(ring).entries()) {
        const changed = change(ring, at, Buffer.from(bytes));
        if (changed !== undefined) evidence.addEntry(ring, changed);
      }
    }
    for (const head of lab.heads) evidence.addHead(head);
    return evidence.finish();
  };
  expect(check().findings).toEqual([]);
  expect(check().ok).toBe(true);
  const without = check((ring, at, bytes) => (ring === Ring.Records && at === 7 ? undefined : bytes));
  expect(without.ok).toBe(false);
});
