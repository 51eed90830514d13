// The entries of a transaction, back from its end to its begin and to the context of that: those that came lately are at
// hand, the meter is asked for the others.
// What always holds: entries are as they came, and nothing is judged here: what is missing or wrong is found where they
// are checked. Whatever a meter answers, it is asked for no more than `mostEntries`.
import { Format, RecordReason, Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { type ContextPart, entryBytes, type RecordEntry, sequenceOf, tryDecodeEntry } from '../record/entry.ts';

/** Asks a meter for entries of its records; those that it does not have are left out. */
export type AskEntries = (from: number, count: number) => Promise<readonly Uint8Array[]>;

/** Asked for at once: other commands to the meter need not wait long. */
const askedTogether = 32;
/** More entries than the longest context has. */
const contextEntriesMost = 10;
/** Of one transaction: a minute's records of six weeks. */
const mostEntries = 65_536;
/** Kept of one meter, in bytes: the quarter hours of five days. */
const recentBytes = 65_536;

/** The last entries that a meter sent. */
export class RecentEntries {
  readonly #entries = new Map<number, Uint8Array>();

  add(entries: readonly Uint8Array[]): void {
    for (const bytes of entries) {
      const sequence = sequenceOf(bytes);
      this.#entries.delete(sequence);
      this.#entries.set(sequence, bytes);
    }
    for (const sequence of this.#entries.keys()) {
      if (this.#entries.size * entryBytes <= recentBytes) break;
      this.#entries.delete(sequence);
    }
  }

  clear(): void {
    this.#entries.clear();
  }

  /** As many as there are of those up to this one, without a gap. */
  upTo(last: number, count: number): readonly Uint8Array[] {
    const found: Uint8Array[] = [];
    for (let sequence = last; sequence > last - count; sequence--) {
      const bytes = this.#entries.get(sequence);
      if (bytes === undefined) break;
      found.push(bytes);
    }
    return found;
  }

  /** All parts of a context; none where one is missing. */
  context(sequence: number): readonly Uint8Array[] {
    const first = this.#entries.get(sequence);
    const part = first === undefined ? undefined : partOf(first);
    const count = part?.count ?? 0;
    const parts = this.upTo(sequence + count - 1, count);
    return parts.length === count ? parts : [];
  }
}

/** Where the entries of transactions come from: what came lately, where it is given, else the meter. */
export class EntrySource {
  /** Whether something is not what the meter has now. */
  usedRecent = false;

  constructor(
    private readonly ask: AskEntries,
    private readonly recent?: RecentEntries,
  ) {}

  /** Some of the entries up to this one; none where there are none any more. */
  async upTo(last: number): Promise<readonly Uint8Array[]> {
    const from = Math.max(1, last - askedTogether + 1);
    return this.#orAsk(this.recent?.upTo(last, last - from + 1), from, last - from + 1);
  }

  /** The entries from the first part of a context on. */
  async context(sequence: number): Promise<readonly Uint8Array[]> {
    return this.#orAsk(this.recent?.context(sequence), sequence, contextEntriesMost);
  }

  async #orAsk(recent: readonly Uint8Array[] = [], from: number, count: number): Promise<readonly Uint8Array[]> {
    if (recent.length === 0) return this.ask(from, count);
    this.usedRecent = true;
    return recent;
  }
}

/**
 * All entries of a transaction that are to be had.
 * @param end sequence of the record of its end
 * @throws whatever asking the meter does
 */
export async function transactionEntries(
  end: number,
  transaction: number,
  source: EntrySource,
): Promise<readonly Uint8Array[]> {
  const found = new Map<number, Uint8Array>();
  const keep = (entries: readonly Uint8Array[]) => {
    for (const bytes of entries) found.set(sequenceOf(bytes), bytes);
  };
  let begin: RecordEntry | undefined;
  for (let [next, asked] = [end, 0]; next > 0 && asked < mostEntries; asked += askedTogether) {
    const entries = await source.upTo(next);
    if (entries.length === 0) break;
    keep(entries);
    const records = entries.flatMap((bytes) => recordOf(bytes) ?? []).filter(({ sequence }) => sequence < end);
    begin = records.find((record) => isOf(record, RecordReason.TransactionBegin) && record.transaction === transaction);
    // Behind the end of another one, there is no begin of this one.
    if (begin !== undefined || records.some((record) => isOf(record, RecordReason.TransactionEnd))) break;
    next = Math.min(next, ...entries.map(sequenceOf)) - 1;
  }
  if (begin !== undefined && !found.has(begin.context)) keep(await source.context(begin.context));
  return [...found.values()];
}

const isOf = ({ reasons }: RecordEntry, reason: RecordReason) => (reasons & reason) !== 0;

function recordOf(bytes: Uint8Array): RecordEntry | undefined {
  const entry = tryDecodeEntry(Ring.Records, bytes);
  return entry instanceof MessageError || entry.format !== Format.Record ? undefined : entry;
}

function partOf(bytes: Uint8Array): ContextPart | undefined {
  const entry = tryDecodeEntry(Ring.Records, bytes);
  return entry instanceof MessageError || entry.format !== Format.Context ? undefined : entry;
}

/** The number of the transaction that ends with this entry; undefined for any other one. */
export function endedTransaction(bytes: Uint8Array): number | undefined {
  const record = recordOf(bytes);
  return record !== undefined && isOf(record, RecordReason.TransactionEnd) ? record.transaction : undefined;
}
