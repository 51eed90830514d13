// A line of a file of evidence: a record, a part of a context, an event of the logbook or a head, as MQTT publishes it.
// What always holds: the bytes are what is verified; what was decoded beside them is compared with what they say.
import { z } from 'zod';
import { Format, Ring } from '../../as/abi/codes.ts';
import { MessageError } from '../link/message-bytes.ts';
import { ringNames } from '../text/names.ts';
import { type Difference, firstDifference, repeatedKey, withoutContext } from './compare.ts';
import { type Entry, entryBytes, sequenceOf, tryDecodeEntry } from './entry.ts';
import { contextJson, headJson, logJson, recordJson, ringOfName } from './json.ts';
import type { EvidenceCheck } from './verify.ts';

const chainSchema = z.looseObject({ ring: z.string() });
const entryLineSchema = z.looseObject({
  format: z.enum(['record', 'context', 'log']),
  meter: z.string(),
  chain: chainSchema,
  bytes: z.base64(),
});
const otherLineSchema = z.looseObject({ format: z.enum(['head', 'unreadable']), meter: z.string(), bytes: z.base64() });
const lineSchema = z.discriminatedUnion('format', [entryLineSchema, otherLineSchema]);
type EntryLine = z.infer<typeof entryLineSchema>;
type OtherLine = z.infer<typeof otherLineSchema>;
type Line = EntryLine | OtherLine;

/** What a program writes behind its lines about all of them: no evidence. */
const reportFormat = 'report';

/** Takes lines in the order in which they stand. */
export class EvidenceLines {
  /** Lines that say once more what one before said: MQTT delivers at least once. */
  repeated = 0;
  readonly #missingContexts = new Set<number>();

  constructor(
    private readonly check: EvidenceCheck,
    /** Parts of contexts from before the records: nothing else is taken. */
    private readonly contextsOnly = false,
  ) {}

  /** @param at where the line stands */
  add(text: string, at: string): void {
    const line = this.#parse(text, at);
    if (line === undefined) return;
    this.check.claimMeter(line.meter, at);
    const bytes = Buffer.from(line.bytes, 'base64');
    if (this.contextsOnly) {
      if (line.format === 'context') this.check.addContext(bytes, at);
      return;
    }
    if (line.format === 'head') this.#addHead(line, bytes, at);
    else if (line.format === 'unreadable') this.#addUnreadable(line, bytes, at);
    else this.#addEntry(line as EntryLine, bytes, at);
  }

  #parse(text: string, at: string): Line | undefined {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      this.#refuse(at, 'a line of JSON', 'text that is no JSON, or is cut');
      return undefined;
    }
    if (typeof value === 'object' && value !== null && 'format' in value && value.format === reportFormat) {
      return undefined;
    }
    const repeated = repeatedKey(text);
    if (repeated !== undefined) {
      this.#refuse(at, 'each field once', `${JSON.stringify(repeated)} twice`);
      return undefined;
    }
    const { error } = lineSchema.safeParse(value);
    // As it came: a copy may leave out what is compared.
    if (error === undefined) return value as Line;
    const where = error.issues[0]!.path.join('.');
    const expected = 'a record, a context, an event of the logbook or a head, as docs/mqtt.md has them';
    this.#refuse(at, expected, where === '' ? 'something else' : `another ${where}, or none`);
    return undefined;
  }

  #refuse(at: string, expected: string, came: string): void {
    this.check.add({ check: 'file', ring: null, sequence: null, at, expected, came });
  }

  #addHead(line: Line, bytes: Uint8Array, at: string): void {
    const head = this.check.addHead(bytes, at);
    if (head === undefined) return;
    this.#tell(firstDifference(headJson(head), line), null, null, at);
  }

  // Whoever could not read an entry told its bytes alone; without a ring it is of the records.
  #addUnreadable(line: OtherLine, bytes: Uint8Array, at: string): void {
    const { success, data } = chainSchema.safeParse(line.chain);
    const ring = success ? ringOfName(data.ring) : line.chain === undefined ? Ring.Records : undefined;
    if (ring === undefined) {
      this.#refuseRing(line.chain, at);
      return;
    }
    this.#entry(ring, bytes, at);
    if (bytes.length !== entryBytes) return;
    const { format, meter, chain, bytes: base64 } = line;
    const sequence = sequenceOf(bytes);
    const ringOnly = chain === undefined ? {} : { chain: { ring: ringNames[ring].name } };
    const expected = { format, meter, sequence, ...ringOnly, bytes: base64 };
    this.#tell(firstDifference(expected, line), ringNames[ring].name, sequence, at);
  }

  #refuseRing(chain: unknown, at: string): void {
    this.#refuse(at, 'chain.ring records, logbook or network', JSON.stringify(chain));
  }

  #addEntry(line: EntryLine, bytes: Uint8Array, at: string): void {
    const ring = ringOfName(line.chain.ring);
    if (ring === undefined) {
      this.#refuseRing(line.chain, at);
      return;
    }
    const entry = this.#entry(ring, bytes, at);
    if (entry !== undefined) this.#compare(entry, line, at);
  }

  #entry(ring: Ring, bytes: Uint8Array, at: string): Entry | undefined {
    if (!this.check.hasEntry(ring, bytes)) return this.check.addEntry(ring, bytes, at);
    this.repeated++;
    const entry = tryDecodeEntry(ring, bytes);
    // What does not fit was told when it came first.
    return entry instanceof MessageError ? undefined : entry;
  }

  #compare(entry: Entry, line: EntryLine, at: string): void {
    const { sequence } = entry;
    const ring = line.chain.ring;
    if (entry.format === Format.Log) {
      this.#tell(firstDifference(logJson(line.meter, entry), line), ring, sequence, at);
      return;
    }
    const named = entry.format === Format.Record ? entry.context : sequence - entry.index;
    const isRecord = entry.format === Format.Record;
    // The gateway may have known no context; what it then left out is no claim.
    const bare = isRecord ? withoutContext(line) : { ...line, contents: null };
    const claims = firstDifference(bare, line) !== undefined;
    const context = claims ? this.check.contextOf(named) : undefined;
    const expected = isRecord ? recordJson(line.meter, entry, context) : contextJson(line.meter, entry, context);
    this.#tell(firstDifference(expected, context === undefined ? bare : line), ring, sequence, at);
    if (claims && context === undefined) this.#missContext(named, sequence, at);
  }

  #missContext(named: number, sequence: number, at: string): void {
    if (this.#missingContexts.has(named)) return;
    this.#missingContexts.add(named);
    const expected = `the context of entry ${named}, without which units and software are not proven; add its lines, or give them by --context`;
    this.check.add({ check: 'json', ring: 'records', sequence, at, expected, came: 'none' });
  }

  #tell(difference: Difference | undefined, ring: string | null, sequence: number | null, at: string): void {
    if (difference === undefined) return;
    const { path, expected, came } = difference;
    const says = (text: string) => `${path === '' ? 'the line' : path} ${text}`;
    this.check.add({ check: 'json', ring, sequence, at, expected: `${says(expected)}, as the bytes say`, came });
  }
}
