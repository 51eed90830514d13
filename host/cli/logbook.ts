// metertime logbook: reads a ring of a meter, out of its storage or through the broker, shows it, and verifies it.
// What always holds: nothing is changed; what is shown was made here from the meter's bytes.
import { Command } from 'commander';
import { Ring } from '../../as/abi/codes.ts';
import { meterKeys } from '../provision/meter-keys.ts';
import { readStorage } from '../provision/storage-file.ts';
import { readHeadFile } from '../record/keys.ts';
import { ringOrder, storedHead, storedSlots } from '../record/rings.ts';
import { signatureHolds } from '../record/seal.ts';
import { storedIdentity } from '../record/stored-identity.ts';
import { EntryTeller, type ToldEntry } from '../record/teller.ts';
import { EvidenceCheck, type Report, type Trust } from '../record/verify.ts';
import { utcText } from '../text/utc.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { entriesTable } from './evidence-entries.ts';
import { printEvidenceReport } from './evidence-report.ts';
import { ExitCode } from './exit-codes.ts';
import { readLiveRing } from './logbook-live.ts';
import { type RequestOptions, withRequestOptions } from './meter-requests.ts';
import { printable } from './terminal.ts';
import { addTrustOptions, readTrust, type TrustOptions } from './verify.ts';

interface LogbookOptions extends TrustOptions, Omit<RequestOptions, 'mqtt'> {
  readonly storage?: string;
  readonly mqtt?: string;
  readonly network?: boolean;
  readonly records?: boolean;
  readonly head: readonly string[];
  readonly json?: boolean;
}

/** What was read of a meter, and what is to be said of it. */
export interface ReadRing {
  readonly ring: Ring;
  readonly told: readonly ToldEntry[];
  readonly report: Report;
  /** For people. */
  readonly notes: readonly string[];
}

/** Shows a ring, or with `json` its entries as lines that `metertime verify` takes, and the report behind them. */
function printRing(context: Context, { ring, told, report, notes }: ReadRing, json: boolean): void {
  const { terminal } = context;
  if (!report.ok) context.exitCode = ExitCode.Mismatch;
  if (json) {
    for (const entry of told) terminal.printJson(entry, 0);
    terminal.printJson({ format: 'report', ...report, notes }, 0);
    return;
  }
  terminal.print(...entriesTable(terminal, ring, told), '');
  printEvidenceReport(terminal, report, { notes });
}

export function logbookCommand(context: Context): Command {
  const command = new Command('logbook')
    .summary("read and verify a meter's logbook")
    .description(
      'Reads the logbook of a meter, and verifies it: with --mqtt of one that runs, through the broker and its gateway, with the head that the broker keeps; with --storage of one that is off, out of its storage, such as the image of its EEPROM, with the head that this holds. --network reads what the network provoked, --records the records. With --json each entry is a line, as metertime verify takes them, and the last line is the report.',
    )
    .argument('[meter]', "the meter's id (with --mqtt)")
    .option('-m, --mqtt <url>', 'the broker, such as mqtt://localhost or mqtts://broker.example')
    .option('--storage <file>', "the meter's storage")
    .option('--network', 'the ring of what the network provoked')
    .option('--records', 'the records');
  addTrustOptions(command)
    .option('--head <file>', 'a head from elsewhere: what it was signed for has to be there', collect, [])
    .option('--json', 'print entries and report as lines of JSON')
    .action(async (meter: string | undefined, options: LogbookOptions) => {
      if (options.network === true && options.records === true)
        throw usageError('give --network or --records, not both');
      const ring = options.network === true ? Ring.Network : options.records === true ? Ring.Records : Ring.Logbook;
      printRing(context, await readRing(context, meter, ring, options), options.json === true);
    });
  return withHelp(withRequestOptions(command), {
    examples: [
      ['logbook meter-1 --mqtt mqtt://localhost --keys meter-1.keys.json', 'of a meter that runs'],
      [
        'logbook meter-1 --mqtt mqtt://localhost --records --json > records.ndjson',
        'its records, as they are published',
      ],
      ['logbook --storage meter.bin', 'of a meter that is off'],
      ['logbook --storage meter.bin --keys meter-1.keys.json --head head.json', 'against whoever had the storage'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Mismatch, ExitCode.Interrupted],
  });
}

function readRing(
  context: Context,
  meter: string | undefined,
  ring: Ring,
  options: LogbookOptions,
): ReadRing | Promise<ReadRing> {
  const { mqtt, storage } = options;
  if (mqtt !== undefined && storage === undefined) {
    if (meter === undefined) throw usageError('expected the id of a meter, as --mqtt is given: logbook METER --mqtt …');
    return readRunningRing(context, meter, ring, { ...options, mqtt });
  }
  if (storage === undefined || mqtt !== undefined) {
    throw usageError('expected either --mqtt and the id of a meter that runs, or --storage of one that is off');
  }
  if (meter !== undefined) throw usageError('expected no id beside --storage: --meter says which one it has to be');
  return readStoredRing({ ...options, storage }, ring);
}

async function readRunningRing(
  context: Context,
  meter: string,
  ring: Ring,
  options: LogbookOptions & RequestOptions,
): Promise<ReadRing> {
  const given = readTrust(options);
  if (given.meter !== undefined && given.meter !== meter) {
    throw usageError(`expected keys or --meter of ${printable(meter)}, came those of ${printable(given.meter)}`);
  }
  const heads = readHeads(options);
  const { entries, head } = await readLiveRing(context, meter, ring, options);
  const check = new EvidenceCheck({ ...given, meter, mayBeEmpty: true });
  check.expectRing(ring);
  for (const entry of entries) check.addEntry(ring, entry);
  const signed = head && check.addHead(head, 'the broker');
  for (const { path, bytes } of heads) check.addHead(bytes, path);
  const report = check.finish();
  const teller = new EntryTeller(meter);
  const notes: string[] = [];
  const [{ from } = { from: 0 }] = report.rings;
  if (from > 1) notes.push(`Whether the meter has overwritten all that came before entry ${from} is not proven.`);
  if (signed !== undefined && given.publicKey !== undefined && signatureHolds(signed, given.publicKey)) {
    const at = signed.utcNs === 0n ? 'an unknown time' : (utcText(signed.utcNs) ?? 'an unknown time');
    notes.push(`The head that the broker keeps is of ${at}: that nothing was written since is not proven.`);
  }
  return { ring, told: entries.map((entry) => teller.tell(ring, entry)), report, notes };
}

function readHeads({ head }: Pick<LogbookOptions, 'head'>): { path: string; bytes: Uint8Array }[] {
  return head.flatMap((path) => readHeadFile(path).map((bytes) => ({ path, bytes })));
}

/** Reads and verifies a ring of a storage; nothing is printed. @throws {FileError} @throws {CliError} */
export function readStoredRing(
  options: Pick<LogbookOptions, 'head' | keyof TrustOptions> & { readonly storage: string },
  ring: Ring,
): ReadRing {
  const storage = readStorage(options.storage);
  const slots = storedSlots(storage, ring);
  if (slots === undefined) {
    const why = `it has ${storage.length} bytes, and one with records and logbook has 65536 at least`;
    throw usageError(`${options.storage} holds no logbook: ${why}`);
  }
  const given = readTrust(options);
  const identity = storedIdentity(storage);
  const own = identity === undefined ? undefined : meterKeys(identity.rootKey, identity.meter);
  const trust: Trust = {
    meter: given.meter ?? own?.meter,
    recordKey: given.recordKey ?? own?.recordKey,
    publicKey: given.publicKey ?? own?.publicKey,
  };
  const { entries, unfinished } = ringOrder(ring, slots, trust.recordKey);
  const check = new EvidenceCheck({ ...trust, mayBeEmpty: true });
  check.expectRing(ring);
  for (const entry of entries) check.addEntry(ring, entry, options.storage);
  const head = storedHead(storage);
  const claimed = head === undefined ? undefined : check.addHead(head, options.storage)?.meter;
  for (const { path, bytes } of readHeads(options)) check.addHead(bytes, path);
  const report = check.finish();
  const teller = new EntryTeller(trust.meter ?? report.meter ?? claimed ?? 'unknown');
  const notes: string[] = [];
  if (unfinished) {
    notes.push('The slot behind the last entry does not hold: power failed while it was written, or it was changed.');
  }
  if (own !== undefined && (given.recordKey === undefined || given.publicKey === undefined)) {
    notes.push('Verified with keys that the storage itself holds; against whoever had it, give --keys and --head.');
  }
  return { ring, told: entries.map((entry) => teller.tell(ring, entry)), report, notes };
}
