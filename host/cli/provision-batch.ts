// metertime provision-batch CSV: many meters from a list, each into a storage file or over its link, with a report.
//
// What always holds: a meter's keys are in their file before the meter at a link has its settings; the report says what
// became of a row as soon as that is known, and a row that is done is not done again; no key is in the list or the report.
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { BatchError, type BatchRow, doneBefore, readBatch, reportHead, reportLine } from '../provision/batch.ts';
import { checkKeysFiles, writeKeysFiles } from '../provision/keys-files.ts';
import { checkSettings, type MeterSettings, SettingsBlockError } from '../provision/settings-block.ts';
import { ProvisionError, provisionStorage, readStorageKeys, storageFileBytes } from '../provision/storage-file.ts';
import { readDynamicFile, readProgramFile } from '../tariff/program-file.ts';
import { boardStorage, checkAgreement, checkTariffs } from './boards.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { wholeNumber } from './options.ts';
import { keysBefore, mergeSettings, storageHasTariffs } from './provision.ts';
import { openMeterLink, provisionAtLink } from './provision-link.ts';
import { printable } from './terminal.ts';

interface Options {
  readonly settings?: string;
  readonly board?: string;
  readonly out: string;
  readonly keys: string;
  readonly report?: string;
  readonly jobs: number;
  readonly force?: boolean;
  readonly json?: boolean;
}

interface Job {
  readonly row: BatchRow;
  readonly settings: MeterSettings;
  /** Link or storage file. */
  readonly target: string;
  readonly keys: string;
}

interface Outcome extends Job {
  readonly result: 'done' | 'done-before' | 'failed';
  readonly error?: string;
}

export function provisionBatchCommand(context: Context): Command {
  const command = new Command('provision-batch')
    .summary('provision many meters from a list')
    .description(
      'Provisions each meter of a CSV file, as metertime provision does one: into a storage file, or over the link that its row names. The first row names the columns: id, and what differs between meters: link or file; servers (separated by spaces); tariff and dynamic (files; not over a link); any other setting of docs/meter-settings.md by its name, such as poll.maxSeconds or calibration.id; and columns for people, whose names begin with x-. What all have in common stands in --settings. All rows are checked before the first meter is provisioned. The report is a CSV file too, one row for each meter as soon as it is done; meters that it has as done are left out when the same list is given again.',
    )
    .argument('<csv>', 'list of meters')
    .option('-s, --settings <file>', 'settings of all meters, YAML or JSON (docs/meter-settings.md)')
    .option('-b, --board <board>', 'the board of the meters: size of new files; over a link, what has to answer')
    .option('-o, --out <folder>', 'where storage files go that no row names: ID.bin', '.')
    .requiredOption('-k, --keys <folder>', 'where the keys of each meter go, ID.json: they are secret')
    .option('-r, --report <file>', 'the report (default: the name of the list with .report.csv)')
    .option('-j, --jobs <n>', 'meters at links at once', wholeNumber, 4)
    .option('-f, --force', 'provision again what is done, and replace what files hold, also other meters')
    .option('--json', 'print what became of each meter as one JSON object')
    .action((csv: string, options: Options) => provisionBatch(context, csv, options));
  return withHelp(command, {
    examples: [
      ['provision-batch meters.csv -s common.yaml -b lm3s6965evb --out images --keys keys', 'images to flash'],
      ['provision-batch bench.csv -s common.yaml --keys keys --jobs 8', 'eight meters on a bench, by their links'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage, ExitCode.Interrupted],
  });
}

async function provisionBatch(context: Context, csv: string, options: Options): Promise<void> {
  const { terminal, signal } = context;
  if (options.jobs < 1) throw usageError('--jobs: expected 1 or more, came 0', 'Leave it out for 4.');
  const rows = readBatch(csv, options.settings);
  const report = options.report ?? `${csv.replace(/\.csv$/i, '')}.report.csv`;
  const jobs: Job[] = [];
  for (const row of rows) jobs.push(await jobOf(row, options));
  const before = options.force === true || !existsSync(report) ? new Set<string>() : doneBefore(report);
  for (const folder of [options.out, options.keys]) makeFolder(folder);
  if (!existsSync(report)) append(report, reportHead(rows));

  const outcomes: Outcome[] = jobs
    .filter(({ row }) => before.has(row.id))
    .map((job) => ({ ...job, result: 'done-before' }));
  const waiting = jobs.filter(({ row }) => !before.has(row.id));
  const steps = new Map<string, string>();
  const work = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined && !signal.aborted; job = waiting.shift()) {
      const { row } = job;
      const outcome: Outcome = await provisionJob(job, options, signal, (step) => steps.set(row.id, step)).then(
        () => ({ ...job, result: 'done' }),
        (error: Error) => ({ ...job, result: 'failed', error: error.message }),
      );
      steps.delete(row.id);
      outcomes.push(outcome);
      const { result, target, keys, error } = outcome;
      append(report, reportLine(row, { result: result as 'done' | 'failed', target, keys, at: new Date(), error }));
      if (options.json !== true) terminal.print(outcomeLine(terminal, outcome));
    }
  };
  const doing = () => [...steps].map(([id, step]) => `${id}: ${step}`).join('; ');
  await terminal.during(
    () => `${outcomes.length} of ${rows.length} meters; ${doing()}`,
    async () => void (await Promise.all(Array.from({ length: Math.min(options.jobs, waiting.length) }, work))),
  );

  const count = (result: Outcome['result']) => outcomes.filter((outcome) => outcome.result === result).length;
  if (options.json === true) {
    const meters = outcomes.map(({ row: { id }, target, result, error }) => ({ id, target, result, error }));
    terminal.printJson({ report, meters });
  } else {
    const [done, skipped, failed] = [count('done'), count('done-before'), count('failed')];
    const others = `${skipped === 0 ? '' : `, ${skipped} before`}${failed === 0 ? '' : `, ${failed} failed`}`;
    terminal.print(`${done} of ${rows.length} meters provisioned${others}; report: ${report}`);
  }
  if (signal.aborted) context.exitCode = ExitCode.Interrupted;
  else if (count('failed') > 0) context.exitCode = ExitCode.Failed;
}

function outcomeLine(terminal: Context['terminal'], { row, target, result, error }: Outcome): string {
  const colour = result === 'done' ? 'green' : 'red';
  const what = terminal.paint(colour, error === undefined ? 'done' : `failed: ${printable(error)}`);
  return `${row.id}, ${printable(target)}: ${what}`;
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new BatchError('batch-report', `${folder} cannot be made: ${(cause as Error).message}`, { cause });
  }
}

function append(path: string, text: string): void {
  try {
    appendFileSync(path, text, { mode: 0o600 });
  } catch (cause) {
    throw new BatchError('batch-report', `${path} cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/** @throws {SettingsBlockError} settings-value, with the row's place */
async function jobOf(row: BatchRow, options: Options): Promise<Job> {
  const target = row.link ?? row.file ?? join(options.out, `${row.id}.bin`);
  const board = options.board === undefined ? {} : await boardStorage(options.board);
  try {
    const force = options.force === true;
    const bytes = row.link === undefined ? (storageFileBytes(target, { ...board, force }) ?? board.bytes) : undefined;
    const settings = mergeSettings(row.given, {}, storageHasTariffs(row.given, row, bytes));
    checkSettings(settings);
    if (options.board !== undefined) {
      await checkAgreement(options.board, settings);
      await checkTariffs(options.board, settings);
    }
    return { row, settings, target, keys: join(options.keys, `${row.id}.json`) };
  } catch (error) {
    if (!(error instanceof SettingsBlockError)) throw error;
    throw new SettingsBlockError(error.code, `${row.place}: ${error.message}`, error.setting, { cause: error });
  }
}

async function provisionJob(
  { row, settings, target, keys }: Job,
  options: Options,
  signal: AbortSignal,
  onStep: (step: string) => void,
): Promise<void> {
  const force = options.force === true;
  const files = { keys };
  if (row.link !== undefined) {
    const job = { files, force, board: options.board, signal, onStep };
    const { before } = await provisionAtLink(openMeterLink(row.link), settings, job);
    // One that was interrupted may have settings and no row in the report.
    if (!before || existsSync(keys)) return;
    throw new ProvisionError(
      'provision-refused',
      `meter ${row.id} is provisioned already, and ${keys} with its keys is not there; write its storage anew`,
    );
  }
  onStep('writing its storage');
  const board = options.board === undefined ? {} : await boardStorage(options.board);
  checkKeysFiles(files, keysBefore(target, settings.id, undefined, { ...board, force }), force);
  const program = row.tariff === undefined ? undefined : readProgramFile(row.tariff).block;
  const dynamic = row.dynamic === undefined ? undefined : readDynamicFile(row.dynamic).block;
  provisionStorage(target, settings, {
    ...board,
    ...(program === undefined ? {} : { program }),
    ...(dynamic === undefined ? {} : { dynamic }),
    force,
  });
  writeKeysFiles(files, readStorageKeys(target), force);
}
