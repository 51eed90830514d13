// The entries of a meter, one after the other, as the lines that are published of them.
// What always holds: each entry becomes one line with its bytes; one that does not fit its layout is told as that.
import { Format, type Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { ContextParts } from './context-parts.ts';
import { type Context, type ContextPart, tryDecodeEntry } from './entry.ts';
import { type ContextJson, contextJson, type LogJson, logJson, type RecordJson, recordJson } from './json.ts';
import { type UnreadableJson, unreadableJson } from './unreadable.ts';

export type ToldEntry = RecordJson | ContextJson | LogJson | UnreadableJson;

/** Remembers contexts for the records that follow them. */
export class EntryTeller {
  readonly #contexts = new Map<number, Context>();
  readonly #parts = new ContextParts();

  constructor(private readonly meter: string) {}

  tell(ring: Ring, bytes: Uint8Array): ToldEntry {
    const { meter } = this;
    const entry = tryDecodeEntry(ring, bytes);
    if (entry instanceof MessageError) {
      return unreadableJson(meter, ring, bytes);
    }
    if (entry.format === Format.Log) return logJson(meter, entry);
    if (entry.format === Format.Record) return recordJson(meter, entry, this.#contexts.get(entry.context));
    return contextJson(meter, entry, this.#addPart(entry));
  }

  #addPart(part: ContextPart): Context | undefined {
    const context = this.#parts.take(part);
    if (context !== undefined) this.#contexts.set(context.sequence, context);
    return context;
  }
}
