// metertime tariff FILE: checks a tariff program, and shows what it says, by the core's own engine.
import { Command } from 'commander';
import { decodeDynamic } from '../tariff/dynamic-block.ts';
import { TariffEngine, type TariffNow, type TariffOrigin, type TariffSwitch } from '../tariff/engine.ts';
import { type TariffProgram, utcSchema, utcSeconds, utcText } from '../tariff/model.ts';
import { decodeProgram } from '../tariff/program-block.ts';
import { type DynamicFile, type ProgramFile, readDynamicFile, readProgramFile } from '../tariff/program-file.ts';
import { describeZone, resolveZone } from '../tariff/zone.ts';
import { crcText } from '../text/hex.ts';
import { formatPairs, formatTable } from '../text/table.ts';
import { type Context, withHelp } from './context.ts';
import { usageError } from './errors.ts';
import { ExitCode } from './exit-codes.ts';
import { wholeNumber } from './options.ts';

interface Options {
  dynamic?: string;
  at?: string;
  switches: number;
  json?: boolean;
}

const defaultSwitches = 10;
/** Where a program switches less often than this, nobody looks for its switches. */
const horizonSeconds = 5 * 366 * 86_400;
const latestUtc = 2 ** 32 - 1;

export function tariffCommand(context: Context): Command {
  const command = new Command('tariff')
    .summary('check a tariff program and show what it says')
    .description(
      'Checks a tariff program, and shows its zone, the tariff that applies, and the next switches: with the engine that meters have. A program is shown as if it were in effect, whatever its activation time.',
    )
    .argument('<file>', 'tariff program, YAML or JSON (docs/tariff.md)')
    .option('--dynamic <file>', 'dynamic tariffs beside it, YAML or JSON')
    .option('--at <utc>', 'the instant that is looked at, such as 2026-03-29T00:00:00Z (default now)')
    .option('--switches <number>', 'how many switches are shown', wholeNumber, defaultSwitches)
    .option('--json', 'print the result as JSON')
    .action((file: string, options: Options) => show(context, file, options));
  return withHelp(command, {
    examples: [
      ['tariff household.yaml', 'what applies now, and next'],
      ['tariff household.yaml --at 2026-10-25T00:00:00Z --switches 4', 'the night on which summer time ends'],
    ],
    exitCodes: [ExitCode.Ok, ExitCode.Failed, ExitCode.Usage],
  });
}

function instantOf(text: string | undefined): number {
  if (text === undefined) return Math.floor(Date.now() / 1000);
  const at = utcSchema.safeParse(text).success ? utcSeconds(text) : -1;
  if (at >= 0 && at <= latestUtc) return at;
  throw usageError(`--at is "${text}"`, 'Expected a time in UTC from 1970 to 2106, such as 2026-03-29T00:00:00Z.');
}

function show({ terminal }: Context, path: string, options: Options): void {
  const at = instantOf(options.at);
  const file = readProgramFile(path);
  const dynamic = options.dynamic === undefined ? undefined : readDynamicFile(options.dynamic);
  const engine = new TariffEngine();
  engine.useProgram(file.block);
  if (dynamic !== undefined) engine.useDynamic(dynamic.block);
  const now = engine.at(at);
  const switches = engine.switches(at, Math.min(latestUtc, at + horizonSeconds), options.switches);
  if (options.json === true) terminal.printJson(jsonOf(file, dynamic, at, now, switches));
  else terminal.print(...linesOf(file, dynamic, at, now, switches));
}

function jsonOf(
  { program, block }: ProgramFile,
  dynamic: DynamicFile | undefined,
  at: number,
  now: TariffNow,
  switches: readonly TariffSwitch[],
): object {
  const zone = resolveZone(program.zone);
  const moment = ({ tariff, origin, offsetSeconds, summer }: TariffNow, utc: number) => ({
    utc: utcText(utc),
    local: localText(utc, offsetSeconds),
    ...{ summer, tariff },
    name: program.tariffs?.[tariff] ?? null,
    origin,
  });
  return {
    name: program.name,
    activationUtc: program.activationUtc ?? null,
    bytes: block.length,
    crc32: crcText(decodeProgram(block).crc32),
    zone:
      zone.kind === 'rule'
        ? { rule: zone.text }
        : { transitions: zone.list.transitions.length, untilUtc: zone.untilUtc ?? null },
    dynamic:
      dynamic === undefined
        ? null
        : { entries: dynamic.dynamic.entries.length, endUtc: dynamic.dynamic.endUtc ?? null },
    at: moment(now, at),
    switches: switches.map((each) => moment(each, each.utc)),
  };
}

function linesOf(
  { program, block }: ProgramFile,
  dynamic: DynamicFile | undefined,
  at: number,
  now: TariffNow,
  switches: readonly TariffSwitch[],
): string[] {
  const { seasons = [], weeks = [], days = [], specialDays = [] } = program;
  const pairs = formatPairs([
    ['Program', `${program.name}, ${block.length} bytes, CRC-32 ${crcText(decodeProgram(block).crc32)}`],
    ['Takes effect', program.activationUtc ?? 'at once'],
    ['Zone', zoneText(program)],
    [
      'Calendar',
      [
        counted(seasons.length, 'season'),
        counted(weeks.length, 'week'),
        counted(days.length, 'day'),
        counted(specialDays.length, 'special day'),
      ].join(', '),
    ],
    ['Dynamic tariffs', dynamic && dynamicText(dynamic)],
    ['At', `${utcText(at)}, ${localText(at, now.offsetSeconds)}${now.summer ? ', summer time' : ''}`],
    ['Tariff', `${tariffText(program, now.tariff)}, ${originTexts[now.origin]}`],
  ]);
  if (switches.length === 0) return [...pairs, '', 'It does not switch within five years.'];
  const rows = switches.map(({ utc, tariff, origin, offsetSeconds }) => [
    localText(utc, offsetSeconds),
    utcText(utc),
    tariffText(program, tariff),
    originTexts[origin],
  ]);
  const headings = ['Local time', 'UTC', 'Tariff', 'From'].map((heading) => ({ heading }));
  return [...pairs, '', ...formatTable(headings, rows)];
}

const originTexts: Readonly<Record<TariffOrigin, string>> = {
  calendar: 'the calendar',
  dynamic: 'the dynamic tariffs',
  'dynamic-ended': 'what follows the dynamic tariffs',
};

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function zoneText({ zone }: TariffProgram): string {
  const text = describeZone(resolveZone(zone));
  return typeof zone === 'string' && !text.startsWith(`${zone},`) ? `${zone}: ${text}` : text;
}

function dynamicText({ dynamic, block }: DynamicFile): string {
  const { entries, endUtc } = dynamic;
  const span = entries[0] === undefined ? '' : `, ${entries[0].utc} to ${endUtc}`;
  return `${entries.length}${span}, CRC-32 ${crcText(decodeDynamic(block).crc32)}`;
}

function tariffText({ tariffs }: TariffProgram, tariff: number): string {
  const name = tariffs?.[tariff];
  return name === undefined ? `${tariff}` : `${tariff} (${name})`;
}

/** `2026-03-29T03:00:00+02:00`. */
function localText(utc: number, offsetSeconds: number): string {
  const size = Math.abs(offsetSeconds);
  const parts = [Math.floor(size / 3600), Math.floor(size / 60) % 60, size % 60];
  const digits = parts.slice(0, size % 60 === 0 ? 2 : 3).map((part) => `${part}`.padStart(2, '0'));
  return `${new Date((utc + offsetSeconds) * 1000).toISOString().slice(0, 19)}${offsetSeconds < 0 ? '-' : '+'}${digits.join(':')}`;
}
