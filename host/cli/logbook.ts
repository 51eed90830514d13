// metertime logbook: reads a ring out of a meter's storage, shows it, and verifies it; nothing is changed.
import { Command } from 'commander';
import { Ring } from '../../as/abi/codes.ts';
import { readFileWithin } from '../files.ts';
import { meterKeys } from '../provision/meter-keys.ts';
import { readHeadFile } from '../record/keys.ts';
import { ringOrder, storedHead, storedSlots } from '../record/rings.ts';
import { storedIdentity } from '../record/stored-identity.ts';
import { EntryTeller, type ToldEntry } from '../record/teller.ts';
import { EvidenceCheck, type Report, type Trust } from '../record/verify.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { entriesTable } from './evidence-entries.ts';
import { printEvidenceReport } from './evidence-report.ts';
import { ExitCode } from './exit-codes.ts';
import { addTrustOptions, readTrust, type TrustOptions } from './verify.ts';

/** Above the largest storage of a board. */
const storageLimitBytes = 67_108_864;

interface LogbookOptions extends TrustOptions {
  readonly storage: string;
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
export function printRing(context: Context, { ring, told, report, notes }: ReadRing, json: boolean): void {
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
      'Reads the logbook out of the storage of a meter that is off, such as the image of its EEPROM, and verifies it with the head that the storage holds; --network reads what the network provoked, --records the records. With --json each entry is a line, as metertime verify takes them, and the last line is the report.',
    )
    .requiredOption('--storage <file>', "the meter's storage")
    .option('--network', 'the ring of what the network provoked')
    .option('--records', 'the records');
  addTrustOptions(command)
    .option('--head <file>', 'a head from elsewhere: what it was signed for has to be there', collect, [])
    .option('--json', 'print entries and report as lines of JSON')
    .action((options: LogbookOptions) => {
      if (options.network === true && options.records === true)
        throw usageError('give --network or --records, not both');
      const ring = options.network === true ? Ring.Network : options.records === true ? Ring.Records : Ring.Logbook;
      printRing(context, readStoredRing(options, ring), options.json === true);
    });
  return withHelp(command, {
    examples: [
      ['logbook --storage meter.bin', 'shows and verifies the logbook'],
      ['logbook --storage meter.bin --keys meter-1.keys.json --head head.json', 'against whoever had the storage'],
      ['logbook --storage meter.bin --records --json > records.ndjson', 'the records, as they are published'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Mismatch],
  });
}

function readStoredRing(options: LogbookOptions, ring: Ring): ReadRing {
  const storage = readFileWithin(options.storage, storageLimitBytes, 'file');
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
  for (const path of options.head) for (const each of readHeadFile(path)) check.addHead(each, path);
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
