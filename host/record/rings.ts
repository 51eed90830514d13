// Rings of entries as a storage holds them: entry n in slot n modulo the number of slots, blank where none was written.
// What always holds: no slot that was written is left out but one: that behind the newest entry, where it does not hold, as
// power may have failed while it was written; what does not fit its place stays, for the checks to find.
import { crc32 } from 'node:zlib';
import { ChainField, Format, HeadField, HeadFormat, LogField, Ring, StorageMap } from '../../as/abi/codes.ts';
import { entryBytes } from './entry.ts';
import { sealHolds } from './seal.ts';

/** Pieces of 128 bytes; what is left at the end is not among them. */
export function slotsOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.floor(bytes.length / entryBytes);
  return Array.from({ length: count }, (_, slot) => bytes.subarray(slot * entryBytes, (slot + 1) * entryBytes));
}

/** As in new or erased storage. */
export function isBlank(slot: Uint8Array): boolean {
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

/** Whether these are the slots of a ring rather than entries in their order: most are in their places, and it went round. */
export function isRing(slots: readonly Uint8Array[]): boolean {
  const written = slots.filter((slot) => !isBlank(slot)).length;
  const sequences = inPlace(slots);
  const inOrder = sequences.every((sequence, index) => index === 0 || sequence > sequences[index - 1]!);
  return 2 * sequences.length > written && !(inOrder && written === slots.length);
}

/** The entries of a ring, the oldest first. */
export interface OrderedRing {
  readonly entries: readonly Uint8Array[];
  /** What a write left that was not finished. */
  readonly unfinished: boolean;
}

/**
 * Puts the slots of a ring in order.
 * @param recordKey tells a write that was not finished from an entry; without it, all that was written stays
 */
export function ringOrder(ring: Ring, slots: readonly Uint8Array[], recordKey?: Uint8Array): OrderedRing {
  const newest = inPlace(slots).reduce((most, sequence) => Math.max(most, sequence), 0);
  const behind = (newest + 1) % Math.max(1, slots.length);
  const entries = [...slots.slice(behind), ...slots.slice(0, behind)].filter((slot) => !isBlank(slot));
  const [first, last] = [entries[0], entries.at(-1)];
  if (recordKey === undefined || first === undefined || last === undefined) return { entries, unfinished: false };
  // The write may have come so far that the slot has its new sequence, and is taken for the newest, or not so far.
  if (!sealHolds(ring, last, recordKey)) return { entries: entries.slice(0, -1), unfinished: true };
  const isOldest = sequenceIn(first) + slots.length === newest + 1 && sealHolds(ring, first, recordKey);
  if (first === slots[behind] && !isOldest) return { entries: entries.slice(1), unfinished: true };
  return { entries, unfinished: false };
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

/** The slots of a ring in a storage; undefined where it is too small to have rings. */
export function storedSlots(storage: Uint8Array, ring: Ring): Uint8Array[] | undefined {
  if (storage.length < StorageMap.TariffBytes) return undefined;
  const slots = (at: number, count: number) => slotsOf(storage.subarray(at, at + count * StorageMap.EntryBytes));
  if (ring === Ring.Logbook) return slots(StorageMap.Logbook, StorageMap.LogbookSlots);
  if (ring === Ring.Network) return slots(StorageMap.NetworkLog, StorageMap.NetworkLogSlots);
  return slotsOf(storage.subarray(StorageMap.Records));
}

/** The head in force of a storage, 184 bytes; undefined where none is whole. */
export function storedHead(storage: Uint8Array): Uint8Array | undefined {
  if (storage.length < StorageMap.TariffBytes) return undefined;
  const slots = [StorageMap.HeadA, StorageMap.HeadB].flatMap((at) => {
    const slot = Buffer.from(storage.subarray(at, at + HeadField.StoredBytes));
    const whole =
      slot.readUInt32LE(HeadField.Magic) === HeadFormat.Magic &&
      slot.readUInt32LE(HeadField.Crc) === crc32(slot.subarray(0, HeadField.Crc));
    return whole ? [slot] : [];
  });
  const [newest] = slots.sort((a, b) => b.readUInt32LE(HeadField.Count) - a.readUInt32LE(HeadField.Count));
  return newest?.subarray(HeadField.Magic, HeadField.Bytes);
}
