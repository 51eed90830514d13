// The contexts of a meter's records: put together from entries as they come, or as they were asked for.
// What always holds: a context is whole, and known by the sequence of its first part; the last few are kept.
import { Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/messages.ts';
import type { ContextEntries } from '../outbox/record-ledger.ts';
import { type Context, type ContextPart, decodeContext, decodeEntry } from '../record/entry.ts';

/** The newest contexts of a meter. */
export class ContextKeeper {
  /** By sequence; undefined for one that is not to be had. */
  readonly #known = new Map<number, Context | undefined>();
  #parts: ContextPart[] = [];
  /** Entries of the newest one, until they are stored. */
  #newest: ContextEntries | undefined;

  has(sequence: number): boolean {
    return this.#known.has(sequence);
  }

  get(sequence: number): Context | undefined {
    return this.#known.get(sequence);
  }

  giveUp(sequence: number): void {
    this.#keep(sequence, undefined);
  }

  clear(): void {
    this.#known.clear();
    this.#parts = [];
    this.#newest = undefined;
  }

  /** What an earlier run kept. */
  restore(entries: ContextEntries): void {
    for (const bytes of entries) {
      const part = readEntry(bytes);
      if (part !== undefined && 'part' in part) this.take(part);
    }
    this.#newest = undefined;
  }

  /** Takes parts as they come in the ring; gives the context with its last one. */
  take(part: ContextPart): Context | undefined {
    if (part.index === 0) this.#parts = [];
    this.#parts.push(part);
    if (part.index !== part.count - 1) return undefined;
    const parts = this.#parts;
    this.#parts = [];
    const context = contextOf(parts);
    if (context === undefined) return undefined;
    this.#keep(context.sequence, context);
    this.#newest = parts.map(({ bytes }) => bytes);
    return context;
  }

  /** Takes entries that were asked for, where they begin with a whole context. */
  takeAll(sequence: number, entries: readonly Uint8Array[]): Context | undefined {
    const parts: ContextPart[] = [];
    for (const bytes of entries) {
      const entry = readEntry(bytes);
      if (entry === undefined || !('part' in entry)) break;
      parts.push(entry);
      if (entry.index === entry.count - 1) break;
    }
    const context = parts[0]?.sequence === sequence ? contextOf(parts) : undefined;
    if (context !== undefined) this.#keep(sequence, context);
    return context;
  }

  /** The newest context, where it is not stored yet. */
  takeNewest(): ContextEntries | undefined {
    const newest = this.#newest;
    this.#newest = undefined;
    return newest;
  }

  giveBack(newest: ContextEntries | undefined): void {
    this.#newest ??= newest;
  }

  #keep(sequence: number, context: Context | undefined): void {
    this.#known.delete(sequence);
    this.#known.set(sequence, context);
    const [oldest] = this.#known.keys();
    if (this.#known.size > 3) this.#known.delete(oldest!);
  }
}

/** The context that entries are the parts of; undefined where they are none. */
export function contextFrom(entries: ContextEntries): Context | undefined {
  const parts = entries.map(readEntry);
  return contextOf(parts.filter((entry) => entry !== undefined && 'part' in entry) as ContextPart[]);
}

/** An entry of the records; undefined for bytes that are none. */
export function readEntry(bytes: Uint8Array): ReturnType<typeof decodeEntry> | undefined {
  try {
    return decodeEntry(Ring.Records, bytes);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    return undefined;
  }
}

/** A context of its parts; undefined where they are none. */
function contextOf(parts: readonly ContextPart[]): Context | undefined {
  try {
    return decodeContext(parts);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    return undefined;
  }
}
