// Which transactions of a meter have ended and have no data set yet, kept in the outbox as notes: a mark is there together
// with the record of the end, or not at all, and it goes together with the data set that comes in its place.
//
// What always holds:
// - A transaction is named by the hash of its end: a record that comes again marks nothing anew, also not one whose data
//   set is made.
// - No kill and no power cut loses a mark, or leaves both a mark and its data set.
import type { Outbox, OutboxMessage } from './outbox.ts';

/** A transaction that has ended. */
export interface TransactionMark {
  /** Of the record of its end. */
  readonly sequence: number;
  /** How the entry behind the end names it (`ChainField.Link`), in hexadecimal digits. */
  readonly link: string;
  readonly transaction: number;
}

const markNote = 'ocmf/';
const madeNote = 'ocmf-made/';
/** Ends whose data sets are made, by the start of their hashes: more than a meter sends again. */
const madeKept = 256;
const madeDigits = 16;

export type Notes = Readonly<Record<string, string | undefined>>;

export class TransactionMarks {
  readonly #prefix: string;
  readonly #madeName: string;

  /** @param meter its id: letters, digits, dots, dashes and underscores only */
  constructor(
    meter: string,
    private readonly outbox: Outbox,
  ) {
    this.#prefix = `${markNote}${meter}/`;
    this.#madeName = `${madeNote}${meter}`;
  }

  /** All there are, in the order of their sequences. */
  get pending(): TransactionMark[] {
    const marks = [...this.outbox.notes].filter(([name]) => name.startsWith(this.#prefix));
    return marks.map(([, text]) => JSON.parse(text) as TransactionMark).sort((a, b) => a.sequence - b.sequence);
  }

  /** Notes that mark these, to be written with the records of their ends. */
  notesOf(ends: readonly TransactionMark[]): Notes {
    const fresh = ends.filter(({ link }) => !this.isMade(link));
    return Object.fromEntries(fresh.map((mark) => [this.#nameOf(mark), JSON.stringify(mark)]));
  }

  /** Whether the data set of the transaction with this end is in the outbox, or was. */
  isMade(link: string): boolean {
    return this.#made.includes(link.slice(0, madeDigits));
  }

  get #made(): string[] {
    return JSON.parse(this.outbox.noteOf(this.#madeName) ?? '[]') as string[];
  }

  /**
   * Puts a data set into the outbox in the place of its mark.
   * @param link of the end that it was made of
   * @throws OutboxError
   */
  async replace(mark: TransactionMark, link: string, message: OutboxMessage): Promise<void> {
    const made = [...this.#made, link.slice(0, madeDigits)].slice(-madeKept);
    const notes = { [this.#nameOf(mark)]: undefined, [this.#madeName]: JSON.stringify(made) };
    await this.outbox.putAll([message], { notes });
  }

  /** Takes a mark away: there will be no data set. */
  remove(mark: TransactionMark): void {
    this.outbox.note(this.#nameOf(mark), undefined);
  }

  #nameOf({ link }: TransactionMark): string {
    return `${this.#prefix}${link}`;
  }
}
