// The contexts of a meter's records: put together from entries as they come, or as they were asked for.
// What always holds: a context is whole, and known by the sequence of its first part; the last few are kept.
import { CommandResult, Ring } from '../../as/abi/codes.ts';
import type { ContextEntries } from '../outbox/record-ledger.ts';
import { ContextParts, contextFrom } from '../record/context-parts.ts';
import { type Context, type ContextPart, type Entry, tryDecodeEntry } from '../record/entry.ts';
import { type MeterCommands, MeterSessionError } from './meter-commands.ts';

/** More entries than the longest context has. */
const contextEntriesMax = 10;

/** The newest contexts of a meter. */
export class ContextKeeper {
  /** By sequence; undefined for one that is not to be had. */
  readonly #known = new Map<number, Context | undefined>();
  readonly #parts = new ContextParts();
  /** Entries of the newest one, until they are stored. */
  #newest: ContextEntries | undefined;

  get(sequence: number): Context | undefined {
    return this.#known.get(sequence);
  }

  giveUp(sequence: number): void {
    this.#keep(sequence, undefined);
  }

  clear(): void {
    this.#known.clear();
    this.#parts.clear();
    this.#newest = undefined;
  }

  /** What an earlier run kept. */
  restore(entries: ContextEntries): void {
    for (const bytes of entries) {
      const part = tryDecodeEntry(Ring.Records, bytes);
      if ('part' in part) this.take(part);
    }
    this.#newest = undefined;
  }

  /** Takes parts as they come in the ring, also again; gives the context with its last one. */
  take(part: ContextPart): Context | undefined {
    const context = this.#parts.take(part);
    if (context === undefined) return undefined;
    this.#keep(context.sequence, context);
    this.#newest = this.#parts.entriesOf(context.sequence);
    return context;
  }

  /** The context that an entry of the records names, or is the last part of; `ask` gives the one that is not known. */
  of<T>(entry: Entry, ask: (sequence: number) => T): Context | undefined | T {
    if ('part' in entry) return this.take(entry);
    if (!('context' in entry)) return undefined;
    const { context } = entry;
    return this.#known.has(context) ? this.#known.get(context) : ask(context);
  }

  /** Asks the meter; undefined where it does not have this context. @throws MeterSessionError */
  async ask(commands: Pick<MeterCommands, 'entries'>, sequence: number): Promise<Context | undefined> {
    const { result, entries } = await commands.entries(Ring.Records, sequence, contextEntriesMax);
    if (result === CommandResult.Busy) throw new MeterSessionError('meter-busy', 'the meter gives no records now');
    const context = contextFrom(entries);
    if (context?.sequence !== sequence) return undefined;
    this.#keep(sequence, context);
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
