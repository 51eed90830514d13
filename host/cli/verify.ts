// metertime verify FILE…: checks records and logbook offline, to the last bit; nothing is changed.
import { createReadStream } from 'node:fs';
import { Command, Option } from 'commander';
import { Ring } from '../../as/abi/codes.ts';
import { checkFile } from '../files.ts';
import { readKeysFile } from '../provision/meter-keys.ts';
import { EvidenceFile } from '../record/evidence-file.ts';
import { readHeadFile, readPublicKeyFile, readRecordKeyFile } from '../record/keys.ts';
import { EvidenceCheck, type Trust } from '../record/verify.ts';
import { type Context, collect, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { printEvidenceReport } from './evidence-report.ts';
import { ExitCode } from './exit-codes.ts';
import { sequenceNumber } from './options.ts';

export interface TrustOptions {
  readonly keys?: string;
  readonly recordKey?: string;
  readonly publicKey?: string;
  readonly meter?: string;
}

interface VerifyOptions extends TrustOptions {
  readonly head: readonly string[];
  readonly context: readonly string[];
  readonly from?: number;
  readonly json?: boolean;
}

/** The options that say what entries and heads are checked with. */
export function addTrustOptions(command: Command): Command {
  return command
    .option('--keys <file>', "the meter's keys, as metertime provision --keys writes them")
    .option('--record-key <file>', 'its record key alone: 16 bytes or 32 hexadecimal digits')
    .option('--public-key <file>', 'its public key alone: Ed25519, in PEM or 64 hexadecimal digits')
    .option('--meter <id>', 'the meter that it has to be');
}

/** @throws {FileError} @throws {KeysFileError} @throws {RecordKeyError} @throws {CliError} where two of them contradict each other */
export function readTrust(options: TrustOptions): Trust {
  const keys = options.keys === undefined ? undefined : readKeysFile(options.keys);
  if (keys !== undefined && (options.recordKey !== undefined || options.publicKey !== undefined)) {
    throw usageError('--keys has record key and public key: give it alone, or the others without it');
  }
  if (keys !== undefined && options.meter !== undefined && options.meter !== keys.meter) {
    throw usageError(`--meter is ${options.meter}, but --keys are those of ${keys.meter}`);
  }
  return {
    meter: keys?.meter ?? options.meter,
    recordKey: options.recordKey === undefined ? keys?.recordKey : readRecordKeyFile(options.recordKey),
    publicKey: options.publicKey === undefined ? keys?.publicKey : readPublicKeyFile(options.publicKey),
  };
}

export function verifyCommand(context: Context): Command {
  const command = new Command('verify')
    .summary('verify records and logbook offline')
    .description(
      'Verifies records and logbooks of one meter: that each entry is sealed with its record key, that none was changed, removed, repeated or moved, that the decoded fields say what the bytes say, and with --head that nothing is missing at the end. Files hold lines of JSON as MQTT publishes them, or entries of 128 bytes one behind the other; several files are one sequence.',
    )
    .argument('<files...>', 'files to verify, - for standard input');
  addTrustOptions(command)
    .option(
      '--head <file>',
      'a signed head: it has to cover the newest entries, and they have to be there',
      collect,
      [],
    )
    .option('--context <file>', 'contexts of records whose context comes before the first entry', collect, [])
    .addOption(
      new Option('--from <sequence>', 'the first entry has to be this one; of several rings, of each').argParser(
        sequenceNumber,
      ),
    )
    .option('--json', 'print the result as JSON')
    .action(async (files: string[], options: VerifyOptions) => {
      await verify(context, files, options);
    });
  return withHelp(command, {
    examples: [
      ['verify records.ndjson --keys meter-1.keys.json', 'all that the meter sealed'],
      ['verify records.ndjson logbook.ndjson --keys k.json --head head.json', 'to the end'],
      ['verify ring.bin --public-key meter-1.pem --head head.bin', 'for who may not forge'],
      ['logbook --storage meter.bin --json | metertime verify -', 'what another command read'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Mismatch, ExitCode.Interrupted],
  });
}

async function verify(context: Context, files: readonly string[], options: VerifyOptions): Promise<void> {
  const given = readTrust(options);
  if (options.head.length > 0 && given.publicKey === undefined) {
    throw usageError('--head needs the key that heads are signed with: add --keys or --public-key');
  }
  if (options.context.length > 0 && given.recordKey === undefined) {
    throw usageError('--context needs the key that contexts are sealed with: add --keys or --record-key');
  }
  const heads = options.head.map((path) => ({ path, heads: readHeadFile(path) }));
  const { from } = options;
  const check = new EvidenceCheck({
    ...given,
    headCoversAll: heads.length > 0,
    from: from === undefined ? undefined : { [Ring.Records]: from, [Ring.Logbook]: from, [Ring.Network]: from },
  });
  // What is not there is told before anything is read.
  for (const path of [...options.context, ...files]) if (path !== '-') checkFile(path);
  let repeated = 0;
  const notes: string[] = [];
  const { signal } = context;
  const { recordKey } = given;
  for (const path of options.context)
    await readInto(new EvidenceFile(check, { name: path, contextsOnly: true }), path, signal);
  for (const path of files) {
    const file = new EvidenceFile(check, { name: path === '-' ? 'standard input' : path, recordKey });
    await readInto(file, path, signal);
    repeated += file.repeated;
    if (file.unfinished) {
      notes.push(
        `${path}: the slot behind the last entry does not hold: power failed while it was written, or it was changed.`,
      );
    }
  }
  for (const { path, heads: each } of heads) for (const head of each) check.addHead(head, path);
  const report = check.finish();
  if (!report.ok) context.exitCode = ExitCode.Mismatch;
  if (options.json === true) context.terminal.printJson({ ...report, repeated, notes });
  else printEvidenceReport(context.terminal, report, { repeated, notes });
}

async function readInto(file: EvidenceFile, path: string, signal: AbortSignal): Promise<void> {
  const stream =
    path === '-' ? createReadStream('', { fd: 0, autoClose: false, signal }) : createReadStream(path, { signal });
  for await (const piece of stream) file.push(piece as Buffer);
  file.end();
}
