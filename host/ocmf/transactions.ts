// The charging transactions that entries of one meter hold, as payloads to be signed: one way for the gateway and the
// command line.
// What always holds: entries are of the meter whose key checks them; nothing is made of one whose seal does not hold.
import type { RecordEntry } from '../record/entry.ts';
import { collectRecords } from './collect.ts';
import { OcmfError, type OcmfOptions, ocmfDataSet, type RecordInContext, wholeTransactions } from './from-records.ts';
import { ocmfPayload } from './payload.ts';

/** What the entries of a meter are checked with. */
export interface MeterSeals {
  /** 16 bytes. */
  readonly recordKey: Uint8Array;
  /** Its id; undefined where that is not known. */
  readonly meter?: string | undefined;
}

export class Transactions {
  readonly #records: readonly RecordInContext[];
  /** Records that were read. */
  readonly records: number;
  /** Records whose context is not among the entries, and which are left out. */
  readonly withoutContext: number;

  /**
   * @param entries of its ring, records and contexts, in any order
   * @throws {OcmfError} seal, meter
   * @throws {MessageError} for bytes that are no entry
   */
  constructor(
    private readonly entries: readonly Uint8Array[],
    private readonly seals: MeterSeals,
  ) {
    const { records, withoutContext } = collectRecords(entries, seals.recordKey);
    this.#records = records;
    this.records = records.length;
    this.withoutContext = withoutContext;
    const { meter } = seals;
    const foreign = records.find(({ context }) => meter !== undefined && context.meter !== meter);
    if (foreign !== undefined) {
      throw new OcmfError('meter', `expected records of ${meter}, came those of ${foreign.context.meter}`);
    }
  }

  /** Numbers of those that are there from begin to end. */
  get whole(): readonly number[] {
    return wholeTransactions(this.#records.map(({ record }) => record));
  }

  /** The payload section of a transaction. @throws {OcmfError} where none can be made */
  payload(transaction: number, options: OcmfOptions): string {
    return ocmfPayload(ocmfDataSet(this.#records, this.entries, transaction, this.seals.recordKey, options));
  }

  /** The records of a transaction, in the order of their sequences. */
  of(transaction: number): readonly RecordEntry[] {
    const records = this.#records.map(({ record }) => record).filter((record) => record.transaction === transaction);
    return records.sort((a, b) => a.sequence - b.sequence);
  }
}
