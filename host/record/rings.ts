// Rings of entries as a storage holds them: entry n in slot n modulo the number of slots, blank where none was written.
// What always holds: no slot that was written is left out; what does not fit its place stays, for the checks to find.
import { crc32 } from 'node:zlib';
import { ChainField, Format, HeadField, HeadFormat, LogField, Ring, StorageMap } from '../../as/abi/codes.ts';
import { entryBytes } from './entry.ts';

/** Pieces of 128 bytes; what is left at the end is not among them. */
export function slotsOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.floor(bytes.length / entryBytes);
  return Array.from({ length: count }, (_, slot) => bytes.subarray(slot * entryBytes, (slot + 1) * entryBytes));
}

/** As in new or erased storage. */
function isBlank(slot: Uint8Array): boolean {
  const value = slot[0];
  return (value === 0 || value === 0xff) && slot.every((byte) => byte === value);
}

function sequenceIn(slot: Uint8Array): number {
  return Buffer.from(slot.buffer, slot.byteOffset, slot.length).readUInt32LE(ChainField.Sequence);
}

/** The sequences of the slots whose entry is in its place. */
function inPlace(slots: readonly Uint8Array[]): number[] {
  return slots.flatMap((slot, index) => {
    if (isBlank(slot)) return [];
    const sequence = sequenceIn(slot);
    return sequence > 0 && sequence % slots.length === index ? [sequence] : [];
  });
}

/** The entries of a ring, the oldest first. */
export function ringOrder(slots: readonly Uint8Array[]): Uint8Array[] {
  const newest = inPlace(slots).reduce((most, sequence) => Math.max(most, sequence), 0);
  const begin = (newest + 1) % Math.max(1, slots.length);
  return [...slots.slice(begin), ...slots.slice(0, begin)].filter((slot) => !isBlank(slot));
}

/** Whether these are the slots of a ring rather than entries in order: most are in their places. */
export function isRing(slots: readonly Uint8Array[]): boolean {
  const written = slots.filter((slot) => !isBlank(slot)).length;
  return 2 * inPlace(slots).length > written;
}

/** The ring that most of the entries say they are of; undefined where most say nothing that is one. */
export function ringOfEntries(entries: readonly Uint8Array[]): Ring | undefined {
  const votes = new Map<Ring, number>();
  for (const entry of entries) {
    const ring = claimedRing(entry);
    if (ring !== undefined) votes.set(ring, (votes.get(ring) ?? 0) + 1);
  }
  const [best] = [...votes].sort(([, a], [, b]) => b - a);
  return best?.[0];
}

function claimedRing(entry: Uint8Array): Ring | undefined {
  const format = entry[ChainField.Format];
  if (format === Format.Record || format === Format.Context) return Ring.Records;
  const ring = entry[LogField.Ring];
  return format === Format.Log && (ring === Ring.Logbook || ring === Ring.Network) ? ring : undefined;
}

/** What of a meter's storage can be verified. */
export interface StoredEvidence {
  readonly rings: readonly { readonly ring: Ring; readonly entries: readonly Uint8Array[] }[];
  /** The head in force, 184 bytes; undefined where none is whole. */
  readonly head: Uint8Array | undefined;
}

/** Reads the rings of a storage; undefined where it is too small to have any. */
export function storedEvidence(storage: Uint8Array): StoredEvidence | undefined {
  if (storage.length < StorageMap.TariffBytes) return undefined;
  const ring = (from: number, slots: number) =>
    ringOrder(slotsOf(storage.subarray(from, from + slots * StorageMap.EntryBytes)));
  const recordSlots = Math.floor((storage.length - StorageMap.Records) / StorageMap.EntryBytes);
  return {
    rings: [
      { ring: Ring.Records, entries: ring(StorageMap.Records, recordSlots) },
      { ring: Ring.Logbook, entries: ring(StorageMap.Logbook, StorageMap.LogbookSlots) },
      { ring: Ring.Network, entries: ring(StorageMap.NetworkLog, StorageMap.NetworkLogSlots) },
    ],
    head: headInForce(storage),
  };
}

function headInForce(storage: Uint8Array): Uint8Array | undefined {
  const slots = [StorageMap.HeadA, StorageMap.HeadB].flatMap((from) => {
    const slot = Buffer.from(storage.subarray(from, from + HeadField.StoredBytes));
    const whole =
      slot.readUInt32LE(HeadField.Magic) === HeadFormat.Magic &&
      slot.readUInt32LE(HeadField.Crc) === crc32(slot.subarray(0, HeadField.Crc));
    return whole ? [slot] : [];
  });
  const [newest] = slots.sort((a, b) => b.readUInt32LE(HeadField.Count) - a.readUInt32LE(HeadField.Count));
  return newest?.subarray(HeadField.Magic, HeadField.Bytes);
}
