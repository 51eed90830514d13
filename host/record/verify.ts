// Verifies a meter's entries and heads as a whole: each ring by itself, signatures, and that nothing is missing at the end.
// What always holds: whatever the bytes are, there is a report and no exception; it says `ok` only when everything that
// could be checked with what was given held.
import { ContextPartField, Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { hex } from '../text/hex.ts';
import { ringNames } from '../text/names.ts';
import { type Context, decodeHead, type Entry, entryBytes, type Head, sequenceOf } from './entry.ts';
import { type Finding, RingCheck, type Trust } from './ring-check.ts';
import { entryHash, signatureHolds } from './seal.ts';

export type { Check, Finding, Trust } from './ring-check.ts';

/** What is known of a ring's end. */
export type Tail =
  | 'signed' // a head that holds was signed for the newest entry
  | 'behind-head' // the newest entries are behind the last head
  | 'cut' // entries that were signed for are missing
  | 'changed' // it is another one than the last head was signed for
  | 'not-proven'; // no head that holds says anything about it

export interface RingReport {
  readonly ring: string;
  readonly entries: number;
  /** Of the first and the last entry. */
  readonly from: number;
  readonly to: number;
  /** Entries that do not follow the one before by their number. */
  readonly gaps: number;
  /** Those that hold; of links, those whose entry before is there. */
  readonly links: { readonly held: number; readonly failed: number };
  readonly seals: { readonly held: number; readonly failed: number; readonly unchecked: number };
  readonly tail: Tail;
}

export interface Report {
  /** Nothing was found. */
  readonly ok: boolean;
  /** As the records say; null where none does. */
  readonly meter: string | null;
  readonly rings: readonly RingReport[];
  /** `unchecked`: there was no public key to check them with. */
  readonly heads: { readonly held: number; readonly failed: number; readonly unchecked: number };
  readonly findings: readonly Finding[];
}

/** Checks entries and heads of one meter, in the order in which they come. */
export class EvidenceCheck {
  readonly findings: Finding[] = [];
  readonly #rings = new Map<Ring, RingCheck>();
  readonly #heads: { head: Head; at: string | null; holds: boolean | undefined }[] = [];
  #broken = 0;
  readonly #known = new Map<number, Context>();
  #knowing: RingCheck | undefined;
  /** Meters that were named beside the bytes, and where first. */
  readonly #claims = new Map<string, string | null>();

  constructor(private readonly trust: Trust) {}

  /** Of whom all this is, as far as anything has said it. */
  get meter(): string | undefined {
    return this.trust.meter ?? this.#rings.get(Ring.Records)?.meter ?? this.#claims.keys().next().value;
  }

  /** Somebody says of which meter the entries are. */
  claimMeter(meter: string, at: string | null = null): void {
    if (!this.#claims.has(meter)) this.#claims.set(meter, at);
  }

  #checkMeter(came: string, at: string | null): void {
    const { meter } = this;
    if (meter === undefined || meter === came) return;
    const expected = `meter ${JSON.stringify(meter)}`;
    this.add({ check: 'meter', ring: null, sequence: null, at, expected, came: JSON.stringify(came) });
  }

  /** Adds a part of a context that holds for records to come, from before the first of them. */
  addContext(bytes: Uint8Array, at: string | null = null): void {
    const first = bytes.length === entryBytes && bytes[ContextPartField.Index] === 0;
    if (first || this.#knowing === undefined) {
      const ring = ringNames[Ring.Records].name;
      const tell = (finding: Omit<Finding, 'ring' | 'at'>) => this.add({ at: null, ...finding, ring });
      this.#knowing = new RingCheck(Ring.Records, { ...this.trust, from: {} }, tell);
    }
    this.#knowing.add(bytes, at);
    for (const [sequence, context] of this.#knowing.contexts) this.#known.set(sequence, context);
  }

  /** This ring is looked at, also where it has no entries: a head may say that it had some. */
  expectRing(ring: Ring): void {
    this.#ring(ring);
  }

  /** Adds an entry of a ring; the next one of that ring has to follow it. Undefined where it does not fit its layout. */
  addEntry(ring: Ring, bytes: Uint8Array, at: string | null = null): Entry | undefined {
    return this.#ring(ring).add(bytes, at);
  }

  /** The context whose first part has this sequence; undefined where it is not known. */
  contextOf(sequence: number): Context | undefined {
    return this.#rings.get(Ring.Records)?.contexts.get(sequence) ?? this.#known.get(sequence);
  }

  /** Whether an entry with these very bytes has come already. */
  hasEntry(ring: Ring, bytes: Uint8Array): boolean {
    if (bytes.length !== entryBytes) return false;
    const hash = this.#rings.get(ring)?.hashOf(sequenceOf(bytes));
    return hash !== undefined && Buffer.compare(hash, entryHash(bytes)) === 0;
  }

  /** Adds a head: 184 bytes, from `HeadField.Magic` on. */
  addHead(bytes: Uint8Array, at: string | null = null): Head | undefined {
    let head: Head;
    try {
      head = decodeHead(bytes);
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.#broken++;
      this.add({
        check: 'layout',
        ring: null,
        sequence: null,
        at,
        expected: 'a head that fits its layout',
        came: error.message,
      });
      return undefined;
    }
    const { publicKey } = this.trust;
    const holds = publicKey === undefined ? undefined : signatureHolds(head, publicKey);
    this.#heads.push({ head, at, holds });
    if (holds === false) {
      const came = 'a signature that does not hold: the head was changed, or signed with another key';
      this.add({
        check: 'signature',
        ring: null,
        sequence: null,
        at,
        expected: "the signature of the meter's key",
        came,
      });
    }
    return head;
  }

  /** Adds a finding of the reader's own. */
  add(finding: Finding): void {
    this.findings.push(finding);
  }

  /** Compares with the heads, once everything has come. */
  finish(): Report {
    const { meter } = this;
    const isEmpty = [...this.#rings.values()].every(({ entries }) => entries === 0);
    if (isEmpty && this.trust.mayBeEmpty !== true) {
      this.add({ check: 'file', ring: null, sequence: null, at: null, expected: 'entries of a meter', came: 'none' });
    }
    for (const [claim, at] of this.#claims) this.#checkMeter(claim, at);
    const good = this.#heads.filter(({ holds }) => holds !== false);
    for (const { head, at } of good) this.#compareHead(head, at);
    const last = newest(good.filter(({ holds }) => holds === true).map(({ head }) => head));
    const rings = [...this.#rings.values()].map((ring) => this.#reportRing(ring, last));
    const count = (state: boolean | undefined) => this.#heads.filter(({ holds }) => holds === state).length;
    return {
      ok: this.findings.length === 0,
      meter: meter ?? last?.meter ?? null,
      rings,
      heads: { held: count(true), failed: count(false) + this.#broken, unchecked: count(undefined) },
      findings: this.findings,
    };
  }

  #ring(ring: Ring): RingCheck {
    let check = this.#rings.get(ring);
    if (check === undefined) {
      const { name } = ringNames[ring];
      check = new RingCheck(ring, this.trust, (finding) => this.add({ at: null, ...finding, ring: name }));
      this.#rings.set(ring, check);
    }
    return check;
  }

  #compareHead(head: Head, at: string | null): void {
    this.#checkMeter(head.meter, at);
    if (head.meter !== (this.meter ?? head.meter)) return;
    for (const [ring, sequence, hash] of signedOf(head)) {
      const check = this.#rings.get(ring);
      if (check === undefined || sequence === 0 || sequence < check.from) continue;
      const came = check.hashOf(sequence);
      const finding = { ring: ringNames[ring].name, sequence, at };
      if (came === undefined) {
        const until = sequence > check.to ? `the last one is ${check.to}` : 'it is missing';
        this.add({
          check: 'tail',
          ...finding,
          expected: `entry ${sequence}, which a head was signed for`,
          came: until,
        });
      } else if (Buffer.compare(came.subarray(0, 32), hash) !== 0) {
        const expected = `the entry with hash ${hex(hash)}, which the head was signed for`;
        this.add({ check: 'head', ...finding, expected, came: hex(came.subarray(0, 32)) });
      }
    }
  }

  #reportRing(check: RingCheck, last: Head | undefined): RingReport {
    const { ring, entries, from, to, gaps, links, seals } = check;
    const tail = tailOf(check, last);
    if (this.trust.headCoversAll === true) this.#checkTail(check, tail, last);
    return { ring: ringNames[ring].name, entries, from, to, gaps, links, seals, tail };
  }

  // Nobody signs what the network provokes.
  #checkTail({ ring, to }: RingCheck, tail: Tail, last: Head | undefined): void {
    const finding = { check: 'tail', ring: ringNames[ring].name, sequence: to, at: null } as const;
    if (tail === 'behind-head') {
      const covered = signedOf(last!).find(([of]) => of === ring)?.[1];
      const expected = `no entry behind ${covered}, for which the last head was signed`;
      this.add({ ...finding, expected, came: `entry ${to}` });
    } else if (tail === 'not-proven' && ring !== Ring.Network) {
      this.add({ ...finding, expected: 'a head that holds, signed for the last entry', came: 'none' });
    }
  }
}

function signedOf(head: Head): [ring: Ring, sequence: number, hash: Uint8Array][] {
  return [
    [Ring.Records, head.recordSequence, head.recordHash],
    [Ring.Logbook, head.logSequence, head.logHash],
  ];
}

function tailOf(check: RingCheck, last: Head | undefined): Tail {
  const signed = last === undefined ? undefined : signedOf(last).find(([ring]) => ring === check.ring);
  if (signed === undefined) return 'not-proven';
  const [, sequence, hash] = signed;
  if (check.to !== sequence) return check.to > sequence ? 'behind-head' : 'cut';
  if (sequence === 0) return 'signed';
  return Buffer.compare(check.hashOf(sequence)!.subarray(0, hash.length), hash) === 0 ? 'signed' : 'changed';
}

/** A ring grows only, so the newest head names the latest entries. */
function newest(heads: readonly Head[]): Head | undefined {
  const rank = ({ recordSequence, logSequence }: Head) => recordSequence + logSequence;
  return heads.reduce<Head | undefined>(
    (best, each) => (best === undefined || rank(each) >= rank(best) ? each : best),
    undefined,
  );
}

/** Entries of one ring, in order. */
export interface RingEntries {
  readonly ring: Ring;
  readonly entries: readonly Uint8Array[];
}

/** Checks what is at hand as a whole. */
export function verifyEvidence(rings: readonly RingEntries[], heads: readonly Uint8Array[], trust: Trust): Report {
  const check = new EvidenceCheck(trust);
  for (const { ring, entries } of rings) for (const bytes of entries) check.addEntry(ring, bytes);
  for (const head of heads) check.addHead(head);
  return check.finish();
}
