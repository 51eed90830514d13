// A list of meters to provision (CSV, RFC 4180), and the report on what became of them.
import { parse as parseCsv } from 'csv-parse/sync';
import { stringify as stringifyCsv } from 'csv-stringify/sync';
import { parse as parseYaml, stringify as stringifyYaml } from 'yaml';
import { readTextWithin } from '../files.ts';
import { SettingsBlockError } from './settings-block.ts';
import { type GivenSettings, meterSettingsSchema, parseSettings, readSettingsFile } from './settings-file.ts';

/** The list, or a report that is to be gone on with, is wrong; the message says where. */
export class BatchError extends Error {
  constructor(
    readonly code: 'batch-list' | 'batch-report',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'BatchError';
  }
}

export interface BatchRow {
  /** `FILE:LINE`. */
  readonly place: string;
  readonly id: string;
  /** Over this link; otherwise into a file. */
  readonly link: string | undefined;
  /** Storage file, where the row names one. */
  readonly file: string | undefined;
  readonly tariff: string | undefined;
  readonly dynamic: string | undefined;
  /** What all meters have in common, and what the row says. */
  readonly given: GivenSettings;
  /** Columns for people. */
  readonly notes: Readonly<Record<string, string>>;
}

const limitBytes = 16 << 20;
const ownColumns = ['id', 'link', 'file', 'tariff', 'dynamic', 'servers'] as const;
const notePrefix = 'x-';

/**
 * Reads a list; every row is checked.
 * @param settingsPath what all meters have in common
 * @throws {FileError} @throws {BatchError} @throws {SettingsBlockError}
 */
export function readBatch(path: string, settingsPath: string | undefined): BatchRow[] {
  const common = settingsPath === undefined ? {} : commonSettings(settingsPath);
  const rows = readCsv(path, 'batch-list');
  if (rows.length === 0)
    throw new BatchError('batch-list', `${path}: expected a row of column names and one for each meter`);
  const columns = Object.keys(rows[0]!.fields);
  checkColumns(path, columns);
  const ids = new Map<string, number>();
  return rows.map(({ line, fields }) => {
    const place = `${path}:${line}`;
    const id = fields.id ?? '';
    const same = ids.get(id);
    if (same !== undefined) throw new BatchError('batch-list', `${place}: meter ${id} stands in line ${same} already`);
    ids.set(id, line);
    const { link, file, tariff, dynamic } = fields;
    const both = [
      link !== undefined && file !== undefined && 'file',
      link !== undefined && tariff !== undefined && 'tariff',
      link !== undefined && dynamic !== undefined && 'dynamic',
    ].find((name) => name !== false);
    if (both !== undefined) throw new BatchError('batch-list', `${place}: link and ${both} exclude each other`);
    const notes = Object.fromEntries(columns.filter(isNote).map((name) => [name, fields[name] ?? '']));
    return { place, id, link, file, tariff, dynamic, given: settingsOf(place, common, fields), notes };
  });
}

const isNote = (column: string): boolean => column.startsWith(notePrefix);

/** Settings as the file has them, once it is known that they are right. */
function commonSettings(path: string): Record<string, unknown> {
  const { given } = readSettingsFile(path);
  if (given.id !== undefined) {
    throw new SettingsBlockError('settings-value', `${path}: id: expected none, as each row of the list has one`, [
      'id',
    ]);
  }
  return (parseYaml(readTextWithin(path, limitBytes)) ?? {}) as Record<string, unknown>;
}

function checkColumns(path: string, columns: readonly string[]): void {
  const known = new Set<string>([...ownColumns, ...settingNames()]);
  const unknown = columns.find((name) => !known.has(name) && !isNote(name));
  if (unknown !== undefined) {
    throw new BatchError(
      'batch-list',
      `${path}:1: unknown column "${unknown}"; there are ${[...known].join(', ')}, and those for people, whose names begin with ${notePrefix}`,
    );
  }
  if (!columns.includes('id'))
    throw new BatchError('batch-list', `${path}:1: expected a column id, came ${columns.join(', ')}`);
}

interface Shape {
  readonly shape?: Readonly<Record<string, unknown>>;
  unwrap?(): unknown;
}

/** Names of settings that are one value, such as `poll.maxSeconds`. */
function settingNames(schema: unknown = meterSettingsSchema, before = ''): string[] {
  let inner = schema as Shape;
  while (inner.shape === undefined && inner.unwrap !== undefined) inner = inner.unwrap() as Shape;
  if (inner.shape === undefined) return before === '' ? [] : [before];
  return Object.entries(inner.shape).flatMap(([name, each]) =>
    settingNames(each, before === '' ? name : `${before}.${name}`),
  );
}

/** @throws {SettingsBlockError} settings-value */
function settingsOf(place: string, common: Record<string, unknown>, fields: Fields): GivenSettings {
  const settings = structuredClone(common);
  for (const [name, text] of Object.entries(fields)) {
    if (text === undefined || isNote(name) || ['link', 'file', 'tariff', 'dynamic'].includes(name)) continue;
    // Ids that look like numbers are texts.
    const value = name === 'servers' ? text.split(/\s+/) : /(^|\.)id$/.test(name) ? text : parseYaml(text);
    set(settings, name.split('.'), value);
  }
  try {
    return parseSettings(stringifyYaml(settings), place).given;
  } catch (error) {
    if (!(error instanceof SettingsBlockError)) throw error;
    // Line and column are those of a text that nobody wrote.
    const message = error.message.startsWith(place)
      ? error.message.slice(place.length).replace(/^:\d+:\d+/, '')
      : error.message;
    throw new SettingsBlockError(error.code, `${place}${message}`, error.setting, { cause: error });
  }
}

function set(into: Record<string, unknown>, [name = '', ...rest]: readonly string[], value: unknown): void {
  if (rest.length === 0) {
    into[name] = value;
    return;
  }
  if (typeof into[name] !== 'object' || into[name] === null) into[name] = {};
  set(into[name] as Record<string, unknown>, rest, value);
}

// ---------------------------------------------------------------- CSV

type Fields = Readonly<Record<string, string | undefined>>;

/** Rows by their columns; an empty field is none. */
function readCsv(path: string, code: BatchError['code']): { readonly line: number; readonly fields: Fields }[] {
  const text = readTextWithin(path, limitBytes);
  try {
    const rows = parseCsv(text, { bom: true, columns: true, trim: true, skip_empty_lines: true, info: true });
    return (rows as unknown as { record: Record<string, string>; info: { lines: number } }[]).map(
      ({ record, info }) => ({
        line: info.lines,
        fields: Object.fromEntries(
          Object.entries(record).map(([name, field]) => [name, field === '' ? undefined : field]),
        ),
      }),
    );
  } catch (cause) {
    throw new BatchError(code, `${path}: expected CSV with a row of column names: ${(cause as Error).message}`, {
      cause,
    });
  }
}

// ---------------------------------------------------------------- report

const reportColumns = ['id', 'result', 'target', 'keys', 'at', 'error'] as const;

/** What became of a meter. */
export interface Reported {
  readonly result: 'done' | 'failed';
  /** Link or storage file. */
  readonly target: string;
  /** File of its keys. */
  readonly keys: string;
  readonly at: Date;
  readonly error?: string | undefined;
}

/** The first row of a report. */
export function reportHead(rows: readonly BatchRow[]): string {
  return stringifyCsv([[...reportColumns, ...Object.keys(rows[0]?.notes ?? {})]]);
}

/** A row of it. */
export function reportLine({ id, notes }: BatchRow, { result, target, keys, at, error }: Reported): string {
  const row = [id, result, target, result === 'done' ? keys : '', at.toISOString(), error ?? ''];
  return stringifyCsv([[...row, ...Object.values(notes)]]);
}

/** Meters that a report has as done. @throws {FileError} @throws {BatchError} */
export function doneBefore(path: string): Set<string> {
  const rows = readCsv(path, 'batch-report');
  const [first] = rows;
  const missing = first === undefined ? undefined : reportColumns.find((name) => !(name in first.fields));
  if (missing !== undefined) {
    throw new BatchError(
      'batch-report',
      `${path}: expected a report of metertime provision-batch, came a file without the column ${missing}`,
    );
  }
  return new Set(rows.filter(({ fields }) => fields.result === 'done').map(({ fields }) => fields.id ?? ''));
}
