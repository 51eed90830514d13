// From a meter's records of a transaction to an OCMF data set.
// What always holds: each record's seal was checked, and no entry between begin and end is missing, nor was one lost by the
// meter; the letter of a time is never better than the record's; all readings are of one register, with its decimals.
import { Format, RecordMark, RecordReason, Ring } from '../../as/abi/codes.ts';
import { obisBytes } from '../provision/tariff-settings.ts';
import { type Context, type RecordEntry, sequenceOf } from '../record/entry.ts';
import { decimalText, unitText } from '../record/json.ts';
import { type Finding, RingCheck } from '../record/ring-check.ts';
import { sealHolds } from '../record/seal.ts';
import { legalText } from '../text/utc.ts';
import {
  Decimal,
  type OcmfDataSet,
  type OcmfIdentification,
  type OcmfReading,
  type TimeLetter,
  type TransactionCode,
} from './payload.ts';

/** Records of which no data set can be made. */
export class OcmfError extends Error {
  constructor(
    readonly code:
      | 'file-records'
      | 'transaction'
      | 'seal'
      | 'chain'
      | 'register'
      | 'readings'
      | 'time'
      | 'meter'
      | 'file-key'
      | 'file-pin'
      | 'token',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'OcmfError';
  }
}

/** A record and the context that it names. */
export interface RecordInContext {
  readonly record: RecordEntry;
  readonly context: Context;
}

export interface OcmfOptions {
  readonly gateway: OcmfDataSet['gateway'];
  /** Maker of the meter. */
  readonly vendor?: string | undefined;
  /** Default: nobody is assigned. */
  readonly identification?: OcmfIdentification | undefined;
  readonly chargePoint?: OcmfDataSet['chargePoint'];
  readonly tariffText?: string | undefined;
  /** OBIS code of the register that is billed; default: the meter's first one of energy. */
  readonly register?: string | undefined;
  readonly currentType?: 'AC' | 'DC' | undefined;
}

const begins = RecordReason.TransactionBegin;
const ends = RecordReason.TransactionEnd;
const goodness: readonly TimeLetter[] = ['U', 'I', 'R', 'S'];
/** From this PTB status on, time is not usable for billing (critical temporary error). */
const ptbCritical = 3;

/** Numbers of the transactions that the records hold whole: from their begin to their end. */
export function wholeTransactions(records: readonly RecordEntry[]): number[] {
  const begun = new Set(records.filter(({ reasons }) => reasons & begins).map(({ transaction }) => transaction));
  const ended = records.filter(({ reasons }) => reasons & ends).map(({ transaction }) => transaction);
  return [...new Set(ended.filter((number) => begun.has(number)))];
}

/**
 * The data set of a transaction.
 * @param records of one meter, in any order, others among them
 * @param entries of its ring, records and parts of contexts, in any order: all from begin to end
 * @param recordKey of that meter, 16 bytes
 * @throws {OcmfError}
 */
export function ocmfDataSet(
  records: readonly RecordInContext[],
  entries: readonly Uint8Array[],
  transaction: number,
  recordKey: Uint8Array,
  options: OcmfOptions,
): OcmfDataSet {
  const chosen = chooseRecords(records, transaction);
  for (const { record } of chosen) {
    if (!sealHolds(Ring.Records, record.bytes, recordKey)) {
      throw new OcmfError(
        'seal',
        `record ${record.sequence}: its seal does not hold; expected one under this meter's record key. It was changed, or the key is another meter's: nothing was signed`,
      );
    }
  }
  checkRing(entries, chosen[0]!.record.sequence, chosen.at(-1)!.record.sequence, recordKey);
  const { context } = chosen[0]!;
  const letters = timeLetters(chosen.map(({ record }) => record));
  // Contexts may differ in the order of their registers.
  const register = options.register ?? context.registers.find(({ unit }) => unitText(unit) === 'Wh')?.obis;
  return {
    gateway: options.gateway,
    transaction,
    meter: {
      vendor: options.vendor,
      model: context.board || undefined,
      serial: context.meter,
      firmware: context.firmwareVersion || undefined,
    },
    identification: options.identification ?? { assigned: false, type: 'NONE' },
    tariffText: options.tariffText,
    chargePoint: options.chargePoint,
    readings: chosen.map((each, index) => reading(each, letters[index]!, { ...options, register })),
    evidence: { format: 'metertime 1', records: chosen.map(evidenceOf) },
  };
}

// Its begin, each change of the tariff, its end.
function chooseRecords(records: readonly RecordInContext[], transaction: number): RecordInContext[] {
  const reasons = begins | ends | RecordReason.Switch;
  const bySequence = new Map(
    records
      .filter(({ record }) => record.transaction === transaction && (record.reasons & reasons) !== 0)
      .map((each) => [each.record.sequence, each]),
  );
  const chosen = [...bySequence.values()].sort((a, b) => a.record.sequence - b.record.sequence);
  const of = (bit: RecordReason) => chosen.filter(({ record }) => (record.reasons & bit) !== 0);
  const wanted = [
    ['begin', begins, 0],
    ['end', ends, chosen.length - 1],
  ] as const;
  for (const [name, bit, place] of wanted) {
    const found = of(bit);
    if (found.length !== 1 || found[0] !== chosen[place]) {
      throw new OcmfError(
        'transaction',
        `transaction ${transaction}: expected one record of its ${name}, came ${found.length} among ${chosen.length} of its records; get all records from its begin to its end`,
      );
    }
  }
  const meters = new Set(chosen.map(({ context }) => context.meter));
  if (meters.size > 1) {
    throw new OcmfError('meter', `expected records of one meter, came those of ${[...meters].join(', ')}`);
  }
  return chosen;
}

// Without it, a change of the tariff could be left out.
function checkRing(entries: readonly Uint8Array[], from: number, to: number, recordKey: Uint8Array): void {
  const between = entries
    .filter((bytes) => sequenceOf(bytes) >= from && sequenceOf(bytes) <= to)
    .sort((a, b) => sequenceOf(a) - sequenceOf(b));
  const findings: Omit<Finding, 'ring' | 'at'>[] = [];
  const check = new RingCheck(Ring.Records, { recordKey, from: { [Ring.Records]: from } }, (each) =>
    findings.push(each),
  );
  for (const [index, bytes] of between.entries()) {
    const before = between[index - 1];
    if (before !== undefined && Buffer.compare(before, bytes) === 0) continue;
    const entry = check.add(bytes, null);
    if (entry?.format === Format.Record && entry.sequence > from && (entry.marks & RecordMark.RecordsLost) !== 0) {
      throw new OcmfError(
        'chain',
        `record ${entry.sequence} says that the meter lost records before it, as it had no room: a change of the tariff may be among them, and nothing was signed`,
      );
    }
  }
  const [finding] = findings;
  if (finding === undefined) return;
  const { check: what, sequence, expected, came } = finding;
  throw new OcmfError(
    'chain',
    `entries ${from} to ${to} of the records: expected ${expected}, came ${came}${what === 'sequence' ? '' : ` in entry ${sequence}`} (${what}); give all entries from begin to end as the meter made them: nothing was signed`,
  );
}

// Verifiers take S with S or R, R with R, U with U. What the begin cannot prove, the end does not, and the other way
// round where the end has not even a duration.
function timeLetters(records: readonly RecordEntry[]): TimeLetter[] {
  const rank = ({ letter }: RecordEntry) => Math.max(0, goodness.indexOf(letter as TimeLetter));
  let least = goodness.length - 1;
  const falling = records.map((record) => {
    least = Math.min(least, rank(record));
    return least;
  });
  const relative = goodness.indexOf('R');
  return falling.map((own) => goodness[least < relative ? least : own]!);
}

function reading({ record, context }: RecordInContext, letter: TimeLetter, options: OcmfOptions): OcmfReading {
  const name = `record ${record.sequence}`;
  const obisWanted = options.register === undefined ? undefined : (obisBytes(options.register)?.join() ?? '');
  const index = context.registers.findIndex(({ obis, unit }) =>
    obisWanted === undefined ? unitText(unit) === 'Wh' : obisBytes(obis)?.join() === obisWanted,
  );
  const register = context.registers[index];
  if (register === undefined) {
    const there = context.registers.map(({ obis, unit }) => `${obis} (${unitText(unit)})`).join(', ') || 'none';
    const wanted = options.register ?? 'a register in Wh';
    throw new OcmfError('register', `${name}: expected ${wanted}, came registers: ${there}`);
  }
  if (unitText(register.unit) !== 'Wh') {
    throw new OcmfError('register', `${name}: ${register.obis} counts ${unitText(register.unit)}; OCMF bills Wh`);
  }
  const raw = record.readings[index];
  if (raw === undefined || (record.marks & RecordMark.NoReadings) !== 0) {
    throw new OcmfError('readings', `${name} has no reading of ${register.obis}: nothing can be billed by it`);
  }
  return {
    time: `${ocmfTime(record)} ${letter}`,
    code: codeOf(record),
    value: new Decimal(decimalText(raw, register.scale)),
    identification: register.obis.replace(/\*255$/, ''),
    unit: 'Wh',
    currentType: options.currentType,
    errors: record.ptbStatus >= ptbCritical ? 't' : '',
  };
}

function codeOf({ reasons }: RecordEntry): TransactionCode {
  if (reasons & begins) return 'B';
  if ((reasons & ends) === 0) return 'T';
  // Ended by the next start of a meter that lost its power.
  return reasons & RecordReason.Start ? 'P' : 'E';
}

// Comma, milliseconds, offset without a colon; without a time, the epoch in UTC, which its letter disclaims.
function ocmfTime({ sequence, captureUtcNs, offsetMinutes }: RecordEntry): string {
  const text = legalText(captureUtcNs, offsetMinutes);
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3})\d{6}([+-]\d\d):(\d\d)$/.exec(text ?? '');
  if (parts === null) throw new OcmfError('time', `record ${sequence}: its time is no date of four digits: ${text}`);
  return `${parts[1]},${parts[2]}${parts[3]}${parts[4]}`;
}

function evidenceOf({ record, context }: RecordInContext) {
  const server = record.server === undefined ? undefined : context.servers[record.server];
  const { certificateSha256 } = server ?? {};
  return {
    sequence: record.sequence,
    tariff: record.tariff,
    uncertaintyNs: record.uncertaintyNs ?? null,
    boundNs: record.boundNs ?? null,
    sampleAgeSeconds: record.sampleAgeSeconds ?? null,
    server: server?.name ?? null,
    certificateSha256: certificateSha256 === undefined ? null : Buffer.from(certificateSha256).toString('hex'),
    rootDelayNs: record.rootDelayNs,
    rootDispersionNs: record.rootDispersionNs,
    calibration: context.calibration?.id ?? null,
    coreSha256: Buffer.from(context.coreSha256).toString('hex'),
    bytes: Buffer.from(record.bytes).toString('base64'),
  };
}
