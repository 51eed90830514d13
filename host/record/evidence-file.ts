// Files of evidence: lines of JSON as they were published, or entries of 128 bytes one behind the other, as a ring's dump.
// What always holds: the first byte says which of both it is; no more than a line, or the entries, is kept in memory;
// whatever a file holds is a finding at worst.
import { FileError } from '../files.ts';
import { entryBytes } from './entry.ts';
import { EvidenceLines } from './evidence-line.ts';
import { isRing, ringOfEntries, ringOrder, slotsOf } from './rings.ts';
import type { EvidenceCheck } from './verify.ts';

/** The longest line, and the most entries of a file that holds nothing but entries: years of records each minute. */
const lineBytes = 65_536;
const dumpBytes = 268_435_456;

const newline = 0x0a;

export interface EvidenceFileOptions {
  /** For people: the file's name. */
  readonly name: string;
  /** It holds contexts from before the records, and only those are taken. */
  readonly contextsOnly?: boolean;
  /** Tells a write that was not finished from an entry, in a ring. */
  readonly recordKey?: Uint8Array | undefined;
}

/** Takes the bytes of a file, piece by piece. */
export class EvidenceFile {
  readonly #lines: EvidenceLines;
  #kind: 'unknown' | 'lines' | 'entries' = 'unknown';
  #pieces: Buffer[] = [];
  #bytes = 0;
  #line = 0;
  #tooLong = false;
  #unfinished = false;

  constructor(
    private readonly check: EvidenceCheck,
    private readonly options: EvidenceFileOptions,
  ) {
    this.#lines = new EvidenceLines(check, options.contextsOnly);
  }

  /** Entries that came again with the same bytes, and were left out. */
  get repeated(): number {
    return this.#lines.repeated;
  }

  /** A ring holds what a write left that was not finished, which was left out. */
  get unfinished(): boolean {
    return this.#unfinished;
  }

  /** @throws {FileError} file-size */
  push(piece: Buffer): void {
    if (this.#kind === 'unknown') {
      const first = piece.find((byte) => byte !== newline && byte !== 0x20 && byte !== 0x0d);
      if (first === undefined) return;
      this.#kind = first === 0x7b ? 'lines' : 'entries';
    }
    if (this.#kind === 'lines') this.#pushLines(piece);
    else this.#keep(piece, dumpBytes, 'file-size');
  }

  /** Nothing follows. */
  end(): void {
    if (this.#kind === 'entries') this.#addEntries(Buffer.concat(this.#pieces));
    else if (this.#kind === 'lines') this.#endLine();
    else this.#refuse(null, 'entries, or lines of JSON', 'nothing');
  }

  #keep(piece: Buffer, limit: number, code: 'file-size'): void {
    this.#bytes += piece.length;
    if (this.#bytes > limit) throw new FileError(code, this.options.name, `expected at most ${limit} bytes, came more`);
    this.#pieces.push(Buffer.from(piece));
  }

  #pushLines(piece: Buffer): void {
    let begin = 0;
    for (let end = piece.indexOf(newline); end >= 0; end = piece.indexOf(newline, begin)) {
      this.#pushPart(piece.subarray(begin, end));
      this.#endLine();
      begin = end + 1;
    }
    this.#pushPart(piece.subarray(begin));
  }

  #pushPart(part: Buffer): void {
    this.#bytes += part.length;
    this.#tooLong ||= this.#bytes > lineBytes;
    // The piece is the reader's, which uses it again.
    if (this.#tooLong) this.#pieces = [];
    else if (part.length > 0) this.#pieces.push(Buffer.from(part));
  }

  #endLine(): void {
    const text = Buffer.concat(this.#pieces).toString('utf8');
    const tooLong = this.#tooLong;
    this.#pieces = [];
    this.#bytes = 0;
    this.#tooLong = false;
    this.#line++;
    const at = `${this.options.name}:${this.#line}`;
    if (tooLong) this.#refuse(at, `a line of at most ${lineBytes} bytes`, 'a longer one');
    else if (text.trim() !== '') this.#lines.add(text, at);
  }

  #addEntries(bytes: Buffer): void {
    const over = bytes.length % entryBytes;
    if (over !== 0) {
      this.#refuse(
        null,
        `entries of ${entryBytes} bytes each`,
        `${over} bytes behind the last one: it was cut, or is no file of entries`,
      );
    }
    const slots = slotsOf(bytes);
    const ring = ringOfEntries(slots);
    if (ring === undefined) {
      this.#refuse(null, 'entries of a ring, or lines of JSON', `${bytes.length} bytes that are neither`);
      return;
    }
    const ordered = isRing(slots) ? ringOrder(ring, slots, this.options.recordKey) : undefined;
    this.#unfinished = ordered?.unfinished === true;
    const entries = ordered?.entries ?? slots;
    for (const [index, entry] of entries.entries()) {
      const at = `${this.options.name}:${index + 1}`;
      if (this.options.contextsOnly === true) this.check.addContext(entry, at);
      else this.check.addEntry(ring, entry, at);
    }
  }

  #refuse(at: string | null, expected: string, came: string): void {
    this.check.add({ check: 'file', ring: null, sequence: null, at: at ?? this.options.name, expected, came });
  }
}
