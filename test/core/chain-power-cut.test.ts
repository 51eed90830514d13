// Power may fail at any instant, also in the middle of a write: at the next start the entry under way is whole or was never
// made, no other is hurt, none comes twice, and nothing is taken for tampering.
import { beforeAll, describe, expect, it } from 'vitest';
import { MeterEvent, Ring, StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type SeededRandom, seededRandom } from './random.ts';
import { StoreLab, storageOf } from './store-lab.ts';

let random: SeededRandom;
beforeAll(async () => {
  await buildCore();
  random = seededRandom('records and power cuts');
});

const rings = [Ring.Records, Ring.Logbook, Ring.Network] as const;

interface Write {
  readonly before: Uint8Array;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Notes what is written for records and logs. */
function noteWrites(lab: StoreLab): Write[] {
  const writes: Write[] = [];
  const write = lab.sim.storage.write.bind(lab.sim.storage);
  lab.sim.storage.write = (offset, bytes) => {
    if (offset >= StorageMap.HeadA) writes.push({ before: lab.storage.slice(), offset, bytes });
    return write(offset, bytes);
  };
  return writes;
}

const kindOf = (offset: number) => {
  if (offset >= StorageMap.Records) return 'record';
  if (offset >= StorageMap.NetworkLog) return 'network';
  if (offset >= StorageMap.Logbook) return 'logbook';
  return offset >= StorageMap.MarkA ? 'mark' : 'head';
};

/** What the storage holds when power fails after so many bytes of a write; the byte being written holds anything. */
function torn({ before, offset, bytes }: Write, count: number): Uint8Array {
  const contents = before.slice();
  contents.set(bytes.subarray(0, count), offset);
  if (count < bytes.length && random.below(2) === 0) contents[offset + count] = random.below(256);
  return contents;
}

/** Starts a meter on what is left, and lets it go on. @throws where anything was lost, doubled or taken for tampering */
function goesOn(rootKey: Uint8Array, contents: Uint8Array, where: string): void {
  const lab = new StoreLab({ rootKey, storageBytes: contents.length }, contents.slice());
  const before = rings.map((ring) => lab.entries(ring));
  const delivered = lab.mark()?.readUInt32LE(4) ?? 0;
  lab.start();
  lab.fill(1, 9999);
  lab.sim.run(5);
  const tampered = lab.sim.events.filter(({ code }) => code === MeterEvent.Tampered);
  expect(tampered, where).toEqual([]);
  for (const ring of rings) {
    const after = lab.entries(ring);
    expect(lab.problems(after), `${where}, ring ${ring}`).toEqual([]);
    const slots = lab.slots(ring);
    const newest = after.at(-1)?.sequence ?? 0;
    for (const { sequence, bytes } of before[ring]!) {
      if (sequence + slots <= newest) {
        if (ring === Ring.Records && sequence > delivered) throw new Error(`${where}: ${sequence} is overwritten`);
        continue;
      }
      const same = after.find((entry) => entry.sequence === sequence)?.bytes;
      if (same === undefined || !same.equals(bytes)) throw new Error(`${where}: ${sequence} of ring ${ring} is hurt`);
    }
    // What is there is what follows: none is left out.
    expect(newest, where).toBeGreaterThanOrEqual(before[ring]!.at(-1)?.sequence ?? 0);
  }
  expect(lab.values().at(-1), where).toBe(9999);
}

/** A life with all kinds of writes, its record ring beginning its second lap. */
function life(): { rootKey: Uint8Array; writes: Write[] } {
  const lab = new StoreLab({ storageBytes: storageOf(64), rootKey: random.bytes(16) });
  const writes = noteWrites(lab);
  lab.start();
  lab.fill(3);
  lab.core.testHeadRequest();
  lab.sim.run(10);
  // From here on only what is behind counts.
  const early = writes.length;
  for (let i = 0; i < 5; i++) {
    lab.fill(8, 100 * i);
    lab.acknowledgeAll();
  }
  const later = writes.length;
  lab.fill(7, 300);
  lab.core.testMark(1_795_305_600n, 7, 3);
  lab.core.testHeadRequest();
  lab.sim.run(10);
  lab.restart();
  lab.fill(1, 400);
  lab.sim.run(3700);
  lab.verify();
  // The ring is in its second lap, and has room for what comes after a cut.
  expect(lab.entries(Ring.Records).at(-1)!.sequence).toBeGreaterThan(64);
  expect(lab.core.testStoreFull()).toBe(0);
  return { rootKey: lab.rootKey, writes: [...writes.slice(0, early), ...writes.slice(later)] };
}

describe('power that fails', () => {
  it('at every byte of every write of a life', () => {
    const { rootKey, writes } = life();
    const seen = new Map<string, number>();
    for (const [at, write] of writes.entries()) {
      const kind = kindOf(write.offset);
      const times = seen.get(kind) ?? 0;
      seen.set(kind, times + 1);
      // All bytes of some of each kind, and some of all others.
      const all = times < 3;
      for (let count = 0; count <= write.bytes.length; count += all ? 1 : 1 + random.below(24)) {
        goesOn(rootKey, torn(write, count), `write ${at} (${kind}), ${count} bytes`);
      }
    }
    console.log(`torn: ${[...seen].map(([kind, times]) => `${kind} ${times}`).join(', ')}`);
    for (const kind of ['record', 'logbook', 'mark', 'head']) expect(seen.get(kind), kind).toBeGreaterThan(1);
  }, 300_000);

  it('again and again, in the write that the last start began', () => {
    const lab = new StoreLab({ storageBytes: storageOf(64), rootKey: random.bytes(16) });
    let contents: Uint8Array = lab.storage.slice();
    for (let start = 0; start < 200; start++) {
      const next = new StoreLab({ rootKey: lab.rootKey, storageBytes: contents.length }, contents);
      const writes = noteWrites(next);
      next.start();
      next.acknowledgeAll();
      const { meter } = next.sim;
      for (let i = 0; i < random.below(6); i++) {
        next.record(start);
        next.sim.run(0.5);
      }
      const codes = next.sim.eventCodes();
      expect(codes, `start ${start}`).not.toContain(MeterEvent.Tampered);
      expect(codes, `start ${start}`).not.toContain(MeterEvent.SettingsChanged);
      meter.powerCut();
      const last = writes.at(-1);
      contents = last === undefined ? next.storage.slice() : torn(last, random.below(last.bytes.length + 1));
      next.storage.set(contents);
      next.verify();
    }
  }, 120_000);
});
