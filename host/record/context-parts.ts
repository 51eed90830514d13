// Puts contexts together from their parts.
// What always holds: parts may come again, from any of them on; what is kept does not grow beyond the last few contexts.

import { Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { type Context, type ContextPart, decodeContext, tryDecodeEntry } from './entry.ts';

/** Contexts whose parts are kept: more than are made between two tries to store them. */
const kept = 4;

export class ContextParts {
  /** By the sequence of the first part. */
  readonly #parts = new Map<number, readonly ContextPart[]>();

  /** The context that a part is the last of; undefined where it is not, or where those before it are missing. */
  take(part: ContextPart): Context | undefined {
    const first = part.sequence - part.index;
    const before = (this.#parts.get(first) ?? []).slice(0, part.index);
    this.#parts.delete(first);
    if (before.length !== part.index || before.some(({ count }) => count !== part.count)) return undefined;
    const parts = [...before, part];
    this.#parts.set(first, parts);
    const [oldest] = this.#parts.keys();
    if (this.#parts.size > kept) this.#parts.delete(oldest!);
    return part.index + 1 < part.count ? undefined : contextOf(parts);
  }

  /** The bytes of the parts of a context that came. */
  entriesOf(sequence: number): readonly Uint8Array[] {
    return (this.#parts.get(sequence) ?? []).map(({ bytes }) => bytes);
  }

  clear(): void {
    this.#parts.clear();
  }
}

/** The context that entries begin with; undefined where they begin with none. */
export function contextFrom(entries: readonly Uint8Array[]): Context | undefined {
  const parts = new ContextParts();
  for (const bytes of entries) {
    const entry = tryDecodeEntry(Ring.Records, bytes);
    if (entry instanceof MessageError || !('part' in entry)) return undefined;
    const context = parts.take(entry);
    if (context !== undefined) return context;
  }
  return undefined;
}

// What is wrong with one is a finding of those who verify.
function contextOf(parts: readonly ContextPart[]): Context | undefined {
  try {
    return decodeContext(parts);
  } catch (error) {
    if (!(error instanceof MessageError)) throw error;
    return undefined;
  }
}
