// The entries of a ring as a table for people.
import { Ring } from '../../as/abi/codes.ts';
import type { LogJson, RecordJson } from '../record/json.ts';
import type { ToldEntry } from '../record/teller.ts';
import { formatTableWrapped, tableColumns } from '../text/table.ts';
import { printable, type Terminal } from './terminal.ts';

const logColumns = [{ heading: '#', align: 'right' }, { heading: 'Time' }, { heading: 'What happened' }] as const;
const recordColumns = [
  { heading: '#', align: 'right' },
  { heading: 'Legal time' },
  { heading: 'St' },
  { heading: 'Tariff', align: 'right' },
  { heading: 'Readings, reasons, marks' },
] as const;

/** Lines of a table. */
export function entriesTable(terminal: Terminal, ring: Ring, told: readonly ToldEntry[]): string[] {
  const columns = tableColumns(terminal);
  if (ring !== Ring.Records) return formatTableWrapped(columns, logColumns, told.map(logRow));
  return formatTableWrapped(columns, recordColumns, told.map(recordRow));
}

function logRow(entry: ToldEntry): string[] {
  if (entry.format !== 'log') return [String(entry.sequence), '', 'does not fit its layout'];
  const left = entry.leftOut === 0 ? '' : ` (${entry.leftOut} before it are in the network's ring)`;
  return [String(entry.sequence), eventTime(entry), printable(entry.text) + left];
}

function eventTime({ utc, uptimeNs }: LogJson): string {
  return utc === null ? `start + ${(Number(uptimeNs) / 1e9).toFixed(3)} s` : toMilliseconds(utc);
}

function toMilliseconds(iso: string): string {
  return iso.replace(/(?<=\.\d{3})\d{6}/, '');
}

function recordRow(entry: ToldEntry): string[] {
  const sequence = String(entry.sequence);
  if (entry.format === 'context') return [sequence, '', '', '', `context, part ${entry.part} of ${entry.parts}`];
  if (entry.format !== 'record') return [sequence, '', '', '', 'does not fit its layout'];
  return [sequence, recordTime(entry), entry.status.letter, String(entry.tariff), recordText(entry)];
}

/** When the registers had to be read, else when they were. */
export function recordTime({ target, capture }: RecordJson): string {
  const legal = target?.legal ?? capture.legal;
  return legal === null ? '-' : toMilliseconds(legal).replace('.000', '');
}

/** Readings, reasons and marks. */
export function recordText({ readings, reasons, marks }: RecordJson): string {
  const values = readings.map(({ obis, value, unit, raw }) => (value === null ? raw : `${obis} ${value} ${unit}`));
  const why = [...reasons, ...marks.map((mark) => `!${mark}`)].join(' ');
  return printable([...values, why].filter((part) => part !== '').join('  '));
}
