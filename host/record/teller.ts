// The entries of a meter, one after the other, as the lines that are published of them.
// What always holds: each entry becomes one line with its bytes; one that does not fit its layout is told as that.
import { Format, type Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { ringNames } from '../text/names.ts';
import { type Context, type ContextPart, decodeContext, sequenceOf, tryDecodeEntry } from './entry.ts';
import { type ContextJson, contextJson, type LogJson, logJson, type RecordJson, recordJson } from './json.ts';

/** An entry that this program cannot read: its bytes alone. */
export interface UnreadableJson {
  readonly format: 'unreadable';
  readonly meter: string;
  readonly sequence: number;
  readonly chain: { readonly ring: string };
  /** The 128 bytes, base64. */
  readonly bytes: string;
}

export type ToldEntry = RecordJson | ContextJson | LogJson | UnreadableJson;

/** Remembers contexts for the records that follow them. */
export class EntryTeller {
  readonly #contexts = new Map<number, Context>();
  #parts: ContextPart[] = [];

  constructor(private readonly meter: string) {}

  tell(ring: Ring, bytes: Uint8Array): ToldEntry {
    const { meter } = this;
    const entry = tryDecodeEntry(ring, bytes);
    if (entry instanceof MessageError) {
      const base64 = Buffer.from(bytes).toString('base64');
      return {
        format: 'unreadable',
        meter,
        sequence: sequenceOf(bytes),
        chain: { ring: ringNames[ring].name },
        bytes: base64,
      };
    }
    if (entry.format === Format.Log) return logJson(meter, entry);
    if (entry.format === Format.Record) return recordJson(meter, entry, this.#contexts.get(entry.context));
    return contextJson(meter, entry, this.#addPart(entry));
  }

  /** The context that a part is the last of; undefined where it is not, or where others are missing. */
  #addPart(part: ContextPart): Context | undefined {
    this.#parts = part.index === 0 ? [part] : [...this.#parts, part];
    if (part.index + 1 < part.count) return undefined;
    try {
      const context = decodeContext(this.#parts);
      this.#contexts.set(context.sequence, context);
      return context;
    } catch (error) {
      // What is wrong with it is a finding of those who verify.
      if (error instanceof MessageError) return undefined;
      throw error;
    }
  }
}
