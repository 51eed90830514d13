// A meter whose power failed at some write: what its storage holds then, and a start with that.
import { Format, Ring, StorageMap } from '../../as/abi/codes.ts';
import { encodeSeedSlot } from '../../host/provision/settings-block.ts';
import { type RecordEntry, tryDecodeEntry } from '../../host/record/entry.ts';
import { storedSlots } from '../../host/record/rings.ts';
import type { SeededRandom } from './random.ts';
import type { SimulatedMeter } from './simulated-meter.ts';

/** The records in a storage, in order. */
export function recordsIn(contents: Uint8Array): RecordEntry[] {
  return storedSlots(contents, Ring.Records)!
    .map((slot) => tryDecodeEntry(Ring.Records, slot))
    .filter((entry): entry is RecordEntry => !(entry instanceof Error) && entry.format === Format.Record)
    .sort((a, b) => a.sequence - b.sequence);
}

let seeds = 1_000_000;

/** Starts a meter with what its storage held at a power cut; its records half a minute after it has a time. */
export function restartWith(sim: SimulatedMeter, contents: Uint8Array, random: SeededRandom): RecordEntry[] {
  sim.meter.powerCut();
  sim.storage.contents.set(contents);
  // Cookies and random numbers of then are not used again.
  sim.storage.contents.fill(0xff, StorageMap.Reserves, StorageMap.HeadA);
  sim.storage.write(StorageMap.SeedA, encodeSeedSlot(random.bytes(32), seeds++));
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.run(30);
  return recordsIn(sim.storage.contents);
}
