// Makes the data sets of a meter's charging transactions: each is marked with the record of its end, and the mark is
// replaced by the signed data set, in the outbox.
//
// What always holds:
// - Nothing is signed whose seals or chain do not hold; what is refused is logged, once, and its mark is taken away.
// - A transaction has one data set: also over kills, and where the outbox, the meter or the key fails meanwhile.
// - Transactions of a meter are signed one after the other; one meter holds up no other one.
import { CommandResult, Ring } from '../../as/abi/codes.ts';
import { type MeterCommands, MeterSessionError } from '../gateway/meter-commands.ts';
import type { FollowedEntry, RecordFollower } from '../gateway/record-intake.ts';
import { MessageError } from '../link/message-bytes.ts';
import type { Logger } from '../log.ts';
import { OutboxError, type OutboxMessage } from '../outbox/outbox.ts';
import type { Notes, TransactionMark, TransactionMarks } from '../outbox/transaction-marks.ts';
import { entryHash, linkOf } from '../record/seal.ts';
import { OcmfError, type OcmfOptions } from './from-records.ts';
import type { KeptSigner } from './kept-signer.ts';
import { EntrySource, endedTransaction, RecentEntries, transactionEntries } from './transaction-entries.ts';
import { type MeterSeals, Transactions } from './transactions.ts';

/** What a data set is of: the number of the transaction, and the sequences of the records of its begin and its end. */
export interface AboutTransaction {
  readonly transaction: number;
  readonly first: number;
  readonly last: number;
}

export interface OcmfMakerOptions {
  readonly marks: TransactionMarks;
  readonly seals: MeterSeals;
  readonly options: OcmfOptions;
  readonly signer: Pick<KeptSigner, 'sign'>;
  /** Of the meter's session; undefined while it is offline. */
  readonly commands: () => Pick<MeterCommands, 'entries'> | undefined;
  /** A data set as it is to be published. */
  readonly message: (text: string, about: AboutTransaction) => OutboxMessage;
  /** Entries of the newest context that is known. */
  readonly context?: readonly Uint8Array[];
  readonly log: Logger;
  /** Pauses before what failed is tried again: the first, doubled each time up to the longest. */
  readonly firstRetryMs?: number;
  readonly longestRetryMs?: number;
}

/** Who goes on with the records of a meter's transactions, until it is closed. */
export interface TransactionFollower extends RecordFollower {
  /** A session of the meter has begun. */
  wake(): void;
  close(): void;
}

interface Payload extends AboutTransaction {
  readonly text: string;
  /** How the entry behind the end would name it. */
  readonly link: string;
}

export class OcmfMaker implements TransactionFollower {
  readonly #options: Required<Omit<OcmfMakerOptions, 'context'>>;
  readonly #recent = new RecentEntries();
  /** What was signed and found no place yet: a second signature would be another one. */
  #signed: { readonly mark: string; readonly payload: Payload; readonly text: string } | undefined;
  /** Links of marks that are left for the next start. */
  readonly #given = new Set<string>();
  #running = false;
  #again = false;
  #closed = false;
  #pauseMs: number;
  #retry: NodeJS.Timeout | undefined;

  constructor({ context = [], ...options }: OcmfMakerOptions) {
    this.#options = { firstRetryMs: 5_000, longestRetryMs: 600_000, ...options };
    this.#pauseMs = this.#options.firstRetryMs;
    this.#recent.add(context);
    const { length } = options.marks.pending;
    if (length > 0) options.log.info('transactions that ended before this start wait to be signed', { count: length });
  }

  notesOf(entries: readonly FollowedEntry[]): Notes {
    return this.#options.marks.notesOf(entries.flatMap(markOf));
  }

  stored(entries: readonly FollowedEntry[]): void {
    this.#recent.add(entries.map(({ bytes }) => bytes));
    if (entries.some((entry) => markOf(entry).length > 0)) this.wake();
  }

  begunAnew(): void {
    this.#recent.clear();
  }

  /** A session of the meter has begun, or there is something new to do. */
  wake(): void {
    clearTimeout(this.#retry);
    this.#again = true;
    void this.#run();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
  }

  async #run(): Promise<void> {
    if (this.#running || this.#closed) return;
    this.#running = true;
    try {
      while (this.#again && !this.#closed) {
        this.#again = false;
        if (!(await this.#makeAll())) this.#pause();
      }
    } finally {
      this.#running = false;
    }
  }

  #pause(): void {
    if (this.#closed || this.#again) return;
    this.#retry = setTimeout(() => this.wake(), this.#pauseMs).unref();
    this.#pauseMs = Math.min(2 * this.#pauseMs, this.#options.longestRetryMs);
  }

  /** Goes through all marks; false where some are to be tried again. */
  async #makeAll(): Promise<boolean> {
    for (const mark of this.#options.marks.pending) {
      if (this.#closed || this.#given.has(mark.link)) continue;
      if (!(await this.#make(mark))) return false;
      this.#pauseMs = this.#options.firstRetryMs;
    }
    return true;
  }

  /** False where it is to be tried again. */
  async #make(mark: TransactionMark): Promise<boolean> {
    const { transaction, sequence } = mark;
    const { log } = this.#options;
    try {
      const payload = this.#signed?.mark === mark.link ? this.#signed.payload : await this.#payloadOf(mark);
      if (payload instanceof Error) this.#refuse(mark, payload);
      else await this.#publish(mark, payload);
      return true;
    } catch (error) {
      const fields = { transaction, sequence, error: (error as Error).message };
      if (error instanceof OcmfError) log.error('a transaction waits for its signature: the key does not sign', fields);
      else if (error instanceof MeterSessionError) log.debug('a transaction waits for its meter', fields);
      // The outbox has said why.
      else if (error instanceof OutboxError) log.debug('a signed transaction waits for room', fields);
      else {
        this.#given.add(mark.link);
        log.error('a defect: a transaction is not signed before the next start', {
          ...fields,
          stack: (error as Error).stack ?? '',
        });
        return true;
      }
      return false;
    }
  }

  /**
   * What is to be signed; an error where nothing of this transaction can be.
   * @throws MeterSessionError
   */
  async #payloadOf(mark: TransactionMark): Promise<Payload | Error> {
    const lately = new EntrySource(this.#ask, this.#recent);
    const payload = payloadFrom(await this.#entries(mark, lately), mark, this.#options);
    if (!(payload instanceof Error) || !lately.usedRecent) return payload;
    // What came may have been damaged on its way: the meter's own entries count.
    return payloadFrom(await this.#entries(mark, new EntrySource(this.#ask)), mark, this.#options);
  }

  #entries({ sequence, transaction }: TransactionMark, source: EntrySource): Promise<readonly Uint8Array[]> {
    return transactionEntries(sequence, transaction, source);
  }

  readonly #ask = async (from: number, count: number): Promise<readonly Uint8Array[]> => {
    const commands = this.#options.commands();
    if (commands === undefined) throw new MeterSessionError('meter-offline', 'the meter is not connected');
    const { result, entries } = await commands.entries(Ring.Records, from, count);
    if (result === CommandResult.Done) return entries;
    throw new MeterSessionError('meter-busy', `the meter gives no records now (${CommandResult[result] ?? result})`);
  };

  #refuse(mark: TransactionMark, error: Error): void {
    this.#options.log.error('a transaction is not signed: its records do not hold', {
      code: 'ocmf-refused',
      transaction: mark.transaction,
      sequence: mark.sequence,
      reason: error.message,
    });
    this.#options.marks.remove(mark);
  }

  async #publish(mark: TransactionMark, payload: Payload): Promise<void> {
    const { marks, signer, message, log } = this.#options;
    const { transaction, first, last, link } = payload;
    // Its end came twice, once with other bytes.
    if (marks.isMade(link)) return marks.remove(mark);
    if (this.#signed?.mark !== mark.link) {
      this.#signed = { mark: mark.link, payload, text: await signer.sign(payload.text) };
    }
    await marks.replace(mark, link, message(this.#signed.text, { transaction, first, last }));
    this.#signed = undefined;
    log.info('a transaction was signed', { transaction, first, last });
  }
}

function markOf({ bytes, sequence, link }: FollowedEntry): TransactionMark[] {
  const transaction = endedTransaction(bytes);
  return transaction === undefined ? [] : [{ sequence, link, transaction }];
}

function payloadFrom(
  entries: readonly Uint8Array[],
  { transaction }: TransactionMark,
  { seals, options }: Pick<OcmfMakerOptions, 'seals' | 'options'>,
): Payload | Error {
  try {
    const transactions = new Transactions(entries, seals);
    const text = transactions.payload(transaction, options);
    const records = transactions.of(transaction);
    const [begin, end] = [records[0]!, records.at(-1)!];
    const link = Buffer.from(linkOf(entryHash(end.bytes))).toString('hex');
    return { text, link, transaction, first: begin.sequence, last: end.sequence };
  } catch (error) {
    if (error instanceof OcmfError || error instanceof MessageError) return error;
    throw error;
  }
}

/** Says once of a meter that its transactions are not signed, as its keys are not known. */
export class KeylessFollower implements TransactionFollower {
  #said = false;

  constructor(private readonly log: Logger) {}

  notesOf(): Notes {
    return {};
  }

  stored(entries: readonly FollowedEntry[]): void {
    if (this.#said || !entries.some((entry) => markOf(entry).length > 0)) return;
    this.#said = true;
    this.log.warn('a transaction has ended and is not signed: the keys of its meter are not in ocmf.meters');
  }

  begunAnew(): void {}

  wake(): void {}

  close(): void {}
}
