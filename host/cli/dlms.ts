// metertime dlms export|import FILE: tariff programs as objects of DLMS/COSEM, and back.
import { Argument, Command, Option } from 'commander';
import { stringify } from 'yaml';
import { type DeviationSign, deviationSigns } from '../dlms/date-time.ts';
import { DlmsError } from '../dlms/error.ts';
import { type ExportOptions, exportProgram } from '../dlms/from-program.ts';
import { type ObjectFile, parseObjectFile } from '../dlms/object-file.ts';
import { importProgram } from '../dlms/to-program.ts';
import { readTextWithin } from '../files.ts';
import { TariffError } from '../tariff/errors.ts';
import type { TariffProgram } from '../tariff/model.ts';
import { readProgramFile } from '../tariff/program-file.ts';
import { formatTableWrapped, tableColumns } from '../text/table.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { readMeterState } from './meter-state.ts';
import { writeNewFile } from './new-file.ts';
import { wholeNumber } from './options.ts';
import { printable } from './terminal.ts';

interface Options {
  passive?: string;
  deviation?: DeviationSign;
  state?: string;
  meter?: string;
  zone?: string;
  defaultTariff?: number;
  output?: string;
  json?: boolean;
}

const directions = ['export', 'import'] as const;
type Direction = (typeof directions)[number];

/** Which options go with which direction. */
const only: Readonly<Partial<Record<keyof Options, Direction>>> = {
  ...{ deviation: 'export', state: 'export', meter: 'export' },
  ...{ zone: 'import', defaultTariff: 'import' },
};

const objectFileBytes = 1 << 20;

export function dlmsCommand(context: Context): Command {
  const command = new Command('dlms')
    .summary('tariff programs as objects of DLMS/COSEM, and back')
    .description(
      'Exports a tariff program (docs/dlms.md) as the objects clock (class 8), activity calendar (class 20) and special days table (class 11) of DLMS/COSEM, each attribute in A-XDR, or imports such objects. What cannot be said on the other side is refused, or told as a warning. An existing file is never replaced.',
    )
    .addArgument(new Argument('<direction>', 'from a program to objects, or back').choices(directions))
    .argument('<file>', 'export: the program (YAML or JSON); import: the objects (JSON)')
    .option('-o, --output <file>', 'write what comes of it there')
    .option('--passive <file>', 'export: the program that takes its place later; import: where to write it')
    .addOption(
      new Option(
        '--deviation <sign>',
        'export: sign of the deviation; inverted for India, Saudi Arabia, Italy (default: dlms)',
      ).choices(deviationSigns),
    )
    .option('--state <file>', "export: a meter's published reports, from which the clock's time comes; - for stdin")
    .option('--meter <id>', 'export: whose reports, where they are of several')
    .option('--zone <zone>', 'import: where the file does not say it: IANA name or POSIX TZ string')
    .option('--default-tariff <number>', 'import: where the file does not say it', wholeNumber)
    .option('--json', 'print the result as JSON')
    .action(async (direction: Direction, file: string, options: Options) => {
      for (const [option, needed] of Object.entries(only)) {
        if (options[option as keyof Options] === undefined || direction === needed) continue;
        const name = option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
        throw usageError(`--${name} goes with ${needed}, not with ${direction}`);
      }
      if (direction === 'export') await exportFile(context, file, options);
      else importFile(context, file, options);
    });
  return withHelp(command, {
    examples: [
      ['dlms export household.yaml', 'what the objects say'],
      ['dlms export household.yaml --passive next.yaml -o meter.json', 'an active and a passive calendar'],
      ['dlms import meter.json -o household.yaml', 'back'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage],
  });
}

async function exportFile(context: Context, path: string, options: Options): Promise<void> {
  const { terminal } = context;
  const { program } = readProgramFile(path);
  const passive = options.passive === undefined ? undefined : readProgramFile(options.passive).program;
  const deviation = options.deviation ?? 'dlms';
  const reading = await readingOf(context, options);
  const { file, warnings } = placed(path, () => exportProgram(program, { deviation, passive, reading }));
  tellWarnings(context, warnings);
  if (options.output !== undefined)
    writeNewFile(options.output, `${JSON.stringify(file, null, 2)}\n`, 0o644, anotherFile);
  if (options.json) terminal.printJson(file);
  else if (options.output !== undefined) terminal.print(`${options.output} is written.`);
  else terminal.print(...objectLines(context, file));
}

const anotherFile = 'Name another file.';
const unspecifiedStatus = 0xff;

async function readingOf(context: Context, options: Options): Promise<ExportOptions['reading']> {
  if (options.state === undefined) {
    if (options.meter !== undefined) throw usageError('--meter goes with --state');
    return undefined;
  }
  const { time, tariff } = await readMeterState(context, options.state, options.meter);
  if (tariff === undefined) {
    throw usageError(`${options.state}: expected the tariff report of ${time.meter}, which says its status, came none`);
  }
  const { value } = tariff.status.dlms;
  return {
    utcNs: time.utcNs === null ? undefined : BigInt(time.utcNs),
    status: value === unspecifiedStatus ? null : value,
  };
}

function objectLines({ terminal }: Context, file: ObjectFile): string[] {
  return file.objects.flatMap(({ classId, logicalName, attributes, decoded }) => [
    terminal.paint('bold', `Class ${classId}, ${logicalName}`),
    ...formatTableWrapped(
      tableColumns(terminal),
      [{ heading: 'Attribute', align: 'right' }, { heading: 'A-XDR' }],
      Object.entries(attributes).map(([number, hex]) => [number, hex.replaceAll(/(.{8})(?=.)/g, '$1 ')]),
    ),
    ...stringify(decoded, { lineWidth: 0 })
      .trimEnd()
      .split('\n')
      .map((line) => `  ${printable(line)}`),
    '',
  ]);
}

function importFile(context: Context, path: string, options: Options): void {
  const { terminal } = context;
  const { zone, defaultTariff } = options;
  const file = parseObjectFile(readTextWithin(path, objectFileBytes), path);
  const { program, passive, warnings } = placed(path, () => importProgram(file, { zone, defaultTariff }));
  if (options.passive !== undefined && passive === undefined) {
    throw usageError(`${path}: expected a passive calendar for --passive, came none`);
  }
  tellWarnings(context, warnings);
  write(context, options.output, program);
  if (passive !== undefined && options.passive === undefined && !options.json) {
    terminal.note('The file has a passive calendar, too; --passive FILE writes it.');
  }
  if (passive !== undefined) write(context, options.passive, passive);
  if (options.json) terminal.printJson({ program, passive: passive ?? null, warnings });
  else if (options.output === undefined) terminal.print(yamlOf(program).trimEnd());
}

function write({ terminal }: Context, path: string | undefined, program: TariffProgram): void {
  if (path === undefined) return;
  writeNewFile(path, yamlOf(program), 0o644, anotherFile);
  terminal.note(`${path} is written.`);
}

function yamlOf(program: TariffProgram): string {
  return stringify(program, { lineWidth: 0 });
}

function tellWarnings({ terminal }: Context, warnings: readonly string[]): void {
  terminal.note(...warnings.map((warning) => printable(`warning: ${warning}`)));
}

/** Errors say which file they are about. */
function placed<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const message = `${path}: ${(cause as Error).message}`;
    if (cause instanceof DlmsError) throw new DlmsError(cause.code, message, { cause });
    if (cause instanceof TariffError) throw new TariffError(cause.code, message, cause.path, { cause });
    throw cause;
  }
}
