// What has come to the broker of the meters' records: whether any is missing, came twice, or is not what its meter made,
// and how late those of registration periods are.
// What always holds: an entry counts once; one that does not follow the one before it is counted as such and taken as the
// new last one.
import { createHash } from 'node:crypto';
import { RecordReason, Ring } from '../as/abi/codes.ts';
import { MessageError } from '../host/link/messages.ts';
import { sequenceOf, tryDecodeEntry } from '../host/record/entry.ts';

interface Chain {
  sequence: number;
  /** The first 16 bytes of its SHA-512, as the entry behind it names it. */
  hash: Buffer;
}

/** Records of one period end. */
interface Boundary {
  records: number;
  /** From the end of the period to the broker, ms. */
  readonly delaysMs: number[];
}

/** What happened in a window of time. */
export interface WindowArrivals {
  /** One of each meter for each end of a period in it. */
  readonly expected: number;
  readonly arrived: number;
  readonly delaysMs: readonly number[];
}

export class Arrivals {
  readonly #chains = new Map<string, Chain>();
  readonly #boundaries = new Map<number, Boundary>();
  /** Meters of which a record has come, and not only its context. */
  readonly recorded = new Set<string>();
  /** Entries, each counted once. */
  entries = 0;
  /** That had come before. */
  duplicates = 0;
  /** Sequences that were passed over. */
  missing = 0;
  /** That do not name the entry before them, or cannot be read. */
  broken = 0;

  /** Takes an entry of a meter's record ring. @param atMs Unix ms at which it came */
  take(meter: string, bytes: Uint8Array, atMs: number): void {
    const sequence = sequenceOf(bytes);
    const last = this.#chains.get(meter) ?? { sequence: 0, hash: Buffer.alloc(16) };
    if (sequence <= last.sequence) {
      this.duplicates++;
      return;
    }
    this.entries++;
    this.missing += sequence - last.sequence - 1;
    const hash = createHash('sha512').update(bytes).digest().subarray(0, 16);
    this.#chains.set(meter, { sequence, hash });
    const entry = tryDecodeEntry(Ring.Records, bytes);
    if (entry instanceof MessageError || (sequence === last.sequence + 1 && !last.hash.equals(entry.link))) {
      this.broken++;
      return;
    }
    if (!('reasons' in entry)) return;
    this.recorded.add(meter);
    if ((entry.reasons & RecordReason.Period) !== 0) {
      this.#period(Number(entry.targetUtcNs / 1_000_000n), atMs);
    }
  }

  #period(endMs: number, atMs: number): void {
    let boundary = this.#boundaries.get(endMs);
    if (boundary === undefined) {
      boundary = { records: 0, delaysMs: [] };
      this.#boundaries.set(endMs, boundary);
    }
    boundary.records++;
    boundary.delaysMs.push(atMs - endMs);
  }

  /** Newest sequence that came of a meter; 0 where none did. */
  newest(meter: string): number {
    return this.#chains.get(meter)?.sequence ?? 0;
  }

  /** Of the periods that end behind `fromMs` and up to `toMs`, Unix ms, of so many meters. */
  within(fromMs: number, toMs: number, meters: number, periodMs: number): WindowArrivals {
    const first = Math.floor(fromMs / periodMs) + 1;
    const last = Math.floor(toMs / periodMs);
    const ends = Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * periodMs);
    const found = ends.flatMap((end) => this.#boundaries.get(end) ?? []);
    return {
      expected: ends.length * meters,
      arrived: found.reduce((sum, { records }) => sum + records, 0),
      delaysMs: found.flatMap(({ delaysMs }) => delaysMs),
    };
  }
}
