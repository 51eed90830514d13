// Checks the entries of one ring as they come: layout, sequence, links, seals, contexts.
// What always holds: whatever the bytes are, there are findings and no exception; a finding says what was expected and
// what came.
import type { KeyObject } from 'node:crypto';
import { ChainField, Format, type Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { hex } from '../text/hex.ts';
import {
  type Context,
  type ContextPart,
  decodeContext,
  type Entry,
  entryBytes,
  type RecordEntry,
  sequenceOf,
  tryDecodeEntry,
} from './entry.ts';
import { entryHash, linkOf, sealHolds } from './seal.ts';

/** What was checked, where a finding came from. */
export type Check =
  | 'file' // what was read is neither an entry nor a head
  | 'layout' // the bytes of an entry or head do not fit as/abi/codes.ts
  | 'sequence' // a gap, a repetition, another order
  | 'link' // the entry before is another one
  | 'seal' // not sealed with the record key
  | 'context' // a context that is not whole, or a record that names another one
  | 'meter' // of another meter
  | 'json' // decoded fields say something else than the bytes
  | 'signature' // a head that the meter did not sign
  | 'head' // a head that was signed for another entry
  | 'tail'; // entries that were signed for are missing, or entries that no head covers

export interface Finding {
  readonly check: Check;
  /** `records`, `logbook` or `network`; null where it is about none of them. */
  readonly ring: string | null;
  /** Of the entry; null where it has none, or is no entry. */
  readonly sequence: number | null;
  /** Where it stands: file, and line or entry in it; null where nobody said. */
  readonly at: string | null;
  readonly expected: string;
  readonly came: string;
}

/** What the checks can use; each may be missing. */
export interface Trust {
  /** Of the meter. */
  readonly meter?: string | undefined;
  /** 16 bytes: without it, seals are not checked. */
  readonly recordKey?: Uint8Array | undefined;
  /** Ed25519: without it, heads prove nothing. */
  readonly publicKey?: KeyObject | undefined;
  /** The last head has to cover the newest entries: nothing may be behind it. */
  readonly headCoversAll?: boolean | undefined;
  /** A meter that has written nothing yet is no finding. */
  readonly mayBeEmpty?: boolean | undefined;
  /** Sequence with which records, logbook or network's ring have to begin. */
  readonly from?: Partial<Readonly<Record<Ring, number>>> | undefined;
}

type Tell = (finding: Omit<Finding, 'ring' | 'at'> & { at?: string | null }) => void;

/** Checks the entries of one ring, in the order in which they come. */
export class RingCheck {
  entries = 0;
  from = 0;
  to = 0;
  gaps = 0;
  readonly links = { held: 0, failed: 0 };
  readonly seals = { held: 0, failed: 0, unchecked: 0 };
  /** Whole contexts by the sequence of their first part. */
  readonly contexts = new Map<number, Context>();
  meter: string | undefined;
  readonly #hashes = new Map<number, Uint8Array>();
  #hash: Uint8Array | undefined;
  /** The newest context in the input, whole or not; 0 for none. */
  #context = 0;
  #parts: ContextPart[] = [];
  /** The input may begin within a context. */
  #partsMayMiss = true;

  constructor(
    readonly ring: Ring,
    private readonly trust: Trust,
    private readonly tell: Tell,
  ) {}

  /** Hash of the entry of this sequence, the last that had it. */
  hashOf(sequence: number): Uint8Array | undefined {
    return this.#hashes.get(sequence);
  }

  add(bytes: Uint8Array, at: string | null): Entry | undefined {
    if (bytes.length !== entryBytes) {
      const came = `${bytes.length} bytes`;
      this.tell({ check: 'layout', sequence: null, at, expected: `an entry of ${entryBytes} bytes`, came });
      return undefined;
    }
    const sequence = sequenceOf(bytes);
    const entry = this.#decode(bytes, sequence, at);
    const follows = this.#checkSequence(sequence, at);
    this.#checkLink(bytes, sequence, follows, at);
    this.#checkSeal(bytes, sequence, at);
    this.#hash = entryHash(bytes);
    this.#hashes.set(sequence, this.#hash);
    if (this.entries++ === 0) this.from = sequence;
    this.to = sequence;
    if (entry?.format === Format.Context) this.#addPart(entry, follows, at);
    if (entry?.format === Format.Record) this.#checkContext(entry, at);
    return entry;
  }

  #decode(bytes: Uint8Array, sequence: number, at: string | null): Entry | undefined {
    const entry = tryDecodeEntry(this.ring, bytes);
    if (!(entry instanceof MessageError)) return entry;
    this.tell({ check: 'layout', sequence, at, expected: 'an entry that fits its layout', came: entry.message });
    return undefined;
  }

  #checkSequence(sequence: number, at: string | null): boolean {
    const first = this.entries === 0;
    const expected = first ? this.trust.from?.[this.ring] : this.to + 1;
    if (expected === undefined ? sequence > 0 : sequence === expected) return !first;
    if (!first) this.gaps++;
    this.tell({
      check: 'sequence',
      sequence,
      at,
      expected: `entry ${expected ?? '1 or later'}`,
      came: `${sequence}`,
    });
    return false;
  }

  #checkLink(bytes: Uint8Array, sequence: number, follows: boolean, at: string | null): void {
    const begins = sequence === 1 && this.entries === 0;
    if (!begins && !follows) return;
    const expected = begins || this.#hash === undefined ? new Uint8Array(16) : linkOf(this.#hash);
    const came = bytes.subarray(ChainField.Link, ChainField.Seal);
    if (Buffer.compare(expected, came) === 0) {
      this.links.held++;
      return;
    }
    this.links.failed++;
    const text = `${hex(expected)}, ${begins ? 'as it is the first' : `of entry ${this.to}`}`;
    this.tell({ check: 'link', sequence, at, expected: text, came: hex(came) });
  }

  #checkSeal(bytes: Uint8Array, sequence: number, at: string | null): void {
    const { recordKey } = this.trust;
    if (recordKey === undefined) {
      this.seals.unchecked++;
    } else if (sealHolds(this.ring, bytes, recordKey)) {
      this.seals.held++;
    } else {
      this.seals.failed++;
      // What the seal would have to be is nobody's business who has no key.
      const came = 'a seal that does not hold: the entry was changed, or is of another meter';
      this.tell({ check: 'seal', sequence, at, expected: "the seal of this meter's record key", came });
    }
  }

  // A context that a power cut left unfinished is followed by a new one, so only what is named has to be whole.
  #addPart(part: ContextPart, follows: boolean, at: string | null): void {
    if (part.index === 0) {
      this.#parts = [part];
      this.#partsMayMiss = false;
    } else {
      const before = follows ? this.#parts.at(-1) : undefined;
      const next = before === undefined ? 0 : before.index + 1;
      if (part.index === next && part.count === before?.count) this.#parts.push(part);
      else if (!this.#partsMayMiss) {
        const expected = `part ${next + 1}${before === undefined ? '' : ` of ${before.count}`} of a context`;
        const came = `part ${part.index + 1} of ${part.count}`;
        this.tell({ check: 'context', sequence: part.sequence, at, expected, came });
        this.#parts = [];
      }
    }
    if (this.#parts.length !== part.count) return;
    this.#useContext(this.#parts, at);
    this.#parts = [];
  }

  #useContext(parts: readonly ContextPart[], at: string | null): void {
    const { sequence } = parts[0]!;
    this.#context = sequence;
    let context: Context;
    try {
      context = decodeContext(parts);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.tell({ check: 'context', sequence, at, expected: 'a context that fits its layout', came: error.message });
      return;
    }
    this.contexts.set(sequence, context);
    const expected = this.trust.meter ?? this.meter;
    if (expected !== undefined && expected !== context.meter) {
      const came = JSON.stringify(context.meter);
      this.tell({ check: 'meter', sequence, at, expected: `meter ${JSON.stringify(expected)}`, came });
    }
    this.meter ??= context.meter;
  }

  #checkContext(record: RecordEntry, at: string | null): void {
    const { sequence, context } = record;
    this.#partsMayMiss = false;
    // One from before the input's begin is not known.
    const holds = this.#context > 0 ? context === this.#context : context > 0 && context < this.from;
    if (holds) return;
    const expected =
      this.#context > 0 ? `the context of entry ${this.#context}` : `a context before entry ${this.from}`;
    this.tell({ check: 'context', sequence, at, expected, came: `entry ${context}` });
  }
}
