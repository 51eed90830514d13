// Tariffs and records of meters for `status`: a table of all, and what there is to say of one.
// What always holds: times are legal time with the offset that is in force now; what was not reported is a dash; what the
// broker kept of a meter that is offline is never shown as what applies now.
import type { TariffPayload } from '../mqtt/record-payloads.ts';
import type { HeadJson } from '../record/json.ts';
import { letterNames, tariffFlagNames } from '../text/names.ts';
import { formatTableWithin, tableColumns } from '../text/table.ts';
import { legalTime, offsetText } from '../text/utc.ts';
import { printable, type Terminal } from './terminal.ts';
import { ageText } from './units.ts';

export interface MeterTariff {
  readonly meter: string;
  readonly online: boolean;
  readonly tariff: TariffPayload | null;
}

const columns = [
  { heading: 'Meter' },
  { heading: 'Tariff', align: 'right' },
  { heading: 'Until' },
  { heading: 'Next', align: 'right' },
  { heading: 'Record', align: 'right' },
  { heading: 'St' },
  { heading: 'Age', align: 'right' },
] as const;

export const tariffLegend = `
  Tariff   that applies now                     Record   sequence of the newest record
  Until    the next switch, legal time          St       its letter, as in OCMF: S, I, R or U
  Next     tariff from then on                  Age      since it was captured
`.split('\n');

/** A table of those online that have tariffs, and what is not as it should be; nothing where none has any. */
export function tariffLines(terminal: Terminal, meters: readonly MeterTariff[]): string[] {
  const known = meters.flatMap(({ meter, online, tariff }) => (online && tariff !== null ? [{ meter, tariff }] : []));
  if (known.length === 0) return [];
  const rows = known.map(({ meter, tariff }) => [printable(meter), ...tariffCells(tariff)]);
  const troubles = known.flatMap(({ meter, tariff }) =>
    troublesOf(tariff).map((text) => `${printable(meter)}: ${text}`),
  );
  const table = formatTableWithin(tableColumns(terminal), columns, rows);
  return ['', ...table, ...(troubles.length === 0 ? [] : ['', ...troubles])];
}

function tariffCells(tariff: TariffPayload): string[] {
  const { next, newest, newestRecord } = tariff;
  const until = next?.utc;
  return [
    String(tariff.tariff ?? '-'),
    until === undefined || until === null ? '-' : legalTime(until, tariff.offsetMinutes),
    String(next?.tariff ?? '-'),
    recordNumber(newestRecord?.sequence ?? newest.records),
    newestRecord === null ? '-' : printable(newestRecord.letter),
    recordAge(tariff),
  ];
}

const recordNumber = (sequence: number) => (sequence === 0 ? '-' : String(sequence));

function recordAge({ newestRecord }: TariffPayload): string {
  const { utc = null } = newestRecord ?? {};
  return ageText(utc === null ? null : secondsSinceUtc(utc));
}

const secondsSinceUtc = (utc: string) => (Date.now() - Date.parse(utc)) / 1000;

/** Flags that somebody has to know of. */
const troubles = ['doubtful', 'dynamic-ended', 'suspended', 'logbook-full', 'records-full'];

function troublesOf({ flags }: TariffPayload): string[] {
  return Object.values(tariffFlagNames)
    .filter(({ name }) => troubles.includes(name) && flags.includes(name))
    .map(({ text }) => text.replace(/\.$/, '').replace(/^[A-Z]/, (letter) => letter.toLowerCase()));
}

/** Name and value of all that is reported, or was when the meter was last online. */
export function tariffPairs(
  report: TariffPayload,
  head: HeadJson | null,
  online: boolean,
): [string, string | undefined][] {
  const { next, periodEndUtc, offsetMinutes, program, passiveProgram, dynamic, newest } = report;
  const troubled = troublesOf(report);
  const at = (utc: string | null) => (utc === null ? 'a time that is not known' : legalTime(utc, offsetMinutes));
  return [
    ['Last told', online ? undefined : 'the meter is offline, what follows may have changed'],
    ['Tariff', tariffText(report)],
    ['Next tariff', next === null ? 'none foreseen' : `${next.tariff} from ${at(next.utc)}`],
    ['Attention', troubled.length === 0 ? undefined : troubled.join('; ')],
    ['Period', periodEndUtc === null ? undefined : `ends ${at(periodEndUtc)}`],
    ['Legal time', `UTC${offsetText(offsetMinutes)}${report.summerTime ? ', summer time' : ''}`],
    ['Program', program === null ? 'none' : `${printable(program.name)} (CRC-32 ${program.crc32})`],
    [
      'Next program',
      passiveProgram === null
        ? undefined
        : `${printable(passiveProgram.name)} from ${at(passiveProgram.activationUtc)}`,
    ],
    ['Dynamic tariffs', dynamic === null ? undefined : dynamicText(report)],
    ['A record now', statusText(report)],
    ['Newest record', recordText(report)],
    ['Not delivered', undeliveredText(report)],
    ['Logbook', `${newest.logbook} entries so far; network ${newest.network}`],
    ['Signed head', head === null ? undefined : headText(head)],
  ];
}

function tariffText({ tariff, sinceUtc, offsetMinutes }: TariffPayload): string {
  if (tariff === null) return 'none known';
  return `${tariff}${sinceUtc === null ? '' : ` since ${legalTime(sinceUtc, offsetMinutes)}`}`;
}

function dynamicText({ dynamic, flags, offsetMinutes }: TariffPayload): string {
  const until = dynamic?.endUtc ?? null;
  const applies = flags.includes('dynamic') ? 'apply now' : 'do not apply now';
  return `${applies}${until === null ? '' : `, end ${legalTime(until, offsetMinutes)}`}`;
}

function statusText({ status: { letter, dlms, ptb } }: TariffPayload): string {
  const meaning = letterNames[letter]?.name ?? 'unknown';
  const bits = dlms.names.length === 0 ? '' : ` (${dlms.names.map(printable).join(', ')})`;
  const value = dlms.value.toString(16).padStart(2, '0');
  return `${printable(letter)} (${meaning}), DLMS ${value}${bits}, PTB ${printable(ptb.name)}`;
}

function recordText(report: TariffPayload): string {
  const { newestRecord, newest } = report;
  if (newestRecord === null) return newest.records === 0 ? 'none' : `entry ${newest.records}`;
  const { sequence, letter, utc } = newestRecord;
  const age = utc === null ? 'at a time that is not known' : `${ageText(secondsSinceUtc(utc))} ago`;
  return `${sequence}, ${printable(letter)}, ${age}`;
}

function undeliveredText({ newest, oldestNotDelivered }: TariffPayload): string {
  const count = Math.max(0, newest.records - oldestNotDelivered + 1);
  if (count === 0) return 'none';
  return `${count} entr${count === 1 ? 'y' : 'ies'} from ${oldestNotDelivered} on`;
}

function headText({ records, logbook, utc }: HeadJson): string {
  const parts = [
    records === null ? [] : [`record ${records.sequence}`],
    logbook === null ? [] : [`logbook ${logbook.sequence}`],
  ].flat();
  return `${parts.join(' and ') || 'nothing'}, at ${utc ?? 'a time that is not known'}`;
}
