// From published lines or entries of a ring to records, each in its context.
// What always holds: what a context says counts only where its own seal holds; a record without its context is left out
// and told of, as nothing can be said about its registers.
import { Format, Ring } from '../../as/abi/codes.ts';
import { ContextParts } from '../record/context-parts.ts';
import { type Context, decodeEntry, entryBytes } from '../record/entry.ts';
import { isBlank, isRing, ringOrder, slotsOf } from '../record/rings.ts';
import { sealHolds } from '../record/seal.ts';
import { OcmfError, type RecordInContext } from './from-records.ts';

/**
 * The entries of a file: lines of JSON with `bytes`, as MQTT publishes them, or 128 bytes each, also the slots of a ring with
 * blank ones among them. What is no entry of the records, such as a head, is left out.
 * @param recordKey tells an unfinished write in a ring from an entry
 * @throws {OcmfError} file
 */
export function entriesOf(name: string, contents: Buffer, recordKey: Uint8Array): readonly Uint8Array[] {
  if (contents.find((byte) => byte > 0x20) !== 0x7b) {
    if (contents.length % entryBytes === 0) {
      const slots = slotsOf(contents);
      return isRing(slots) ? ringOrder(Ring.Records, slots, recordKey).entries : slots.filter((slot) => !isBlank(slot));
    }
    throw new OcmfError(
      'file-records',
      `${name}: expected lines of JSON, or entries of ${entryBytes} bytes; came neither`,
    );
  }
  const entries: Uint8Array[] = [];
  for (const [index, text] of contents.toString('utf8').split('\n').entries()) {
    if (text.trim() === '') continue;
    const line = parseLine(`${name}, line ${index + 1}`, text);
    if (line.format !== 'record' && line.format !== 'context') continue;
    const bytes = Buffer.from(String(line.bytes ?? ''), 'base64');
    if (bytes.length !== entryBytes) {
      throw new OcmfError(
        'file-records',
        `${name}, line ${index + 1}: expected \`bytes\` of ${entryBytes} bytes in base64, came ${bytes.length}`,
      );
    }
    entries.push(bytes);
  }
  return entries;
}

function parseLine(at: string, text: string): { format?: unknown; bytes?: unknown } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new OcmfError('file-records', `${at}: expected a line of JSON, came text that is none, or is cut`, { cause });
  }
  if (typeof value === 'object' && value !== null) return value;
  throw new OcmfError('file-records', `${at}: expected an object, came ${JSON.stringify(value).slice(0, 40)}`);
}

export interface Collected {
  readonly records: readonly RecordInContext[];
  /** Records whose context is not among the entries. */
  readonly withoutContext: number;
}

/**
 * @param entries of one meter's ring of records, in any order
 * @param recordKey 16 bytes
 * @throws {OcmfError} seal, where that of a context does not hold; MessageError, for bytes that are no entry
 */
export function collectRecords(entries: readonly Uint8Array[], recordKey: Uint8Array): Collected {
  const decoded = entries.map((bytes) => decodeEntry(Ring.Records, bytes)).sort((a, b) => a.sequence - b.sequence);
  const parts = new ContextParts();
  const contexts = new Map<number, Context>();
  for (const entry of decoded) {
    if (entry.format !== Format.Context) continue;
    if (!sealHolds(Ring.Records, entry.bytes, recordKey)) {
      throw new OcmfError(
        'seal',
        `entry ${entry.sequence}, a part of a context: its seal does not hold under this meter's record key; nothing was signed`,
      );
    }
    const context = parts.take(entry);
    if (context !== undefined) contexts.set(context.sequence, context);
  }
  const records: RecordInContext[] = [];
  let withoutContext = 0;
  for (const record of decoded) {
    if (record.format !== Format.Record) continue;
    const context = contexts.get(record.context);
    if (context === undefined) withoutContext++;
    else records.push({ record, context });
  }
  return { records, withoutContext };
}
