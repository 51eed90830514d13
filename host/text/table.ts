// Tables of text: aligned columns, numbers on the right, headings and a rule above, as chronyc and ntpq print them.

/** Columns that every table has, however narrow the terminal is. */
export const leastColumns = 80;

/** Columns that a table may take on a terminal. */
export function tableColumns({ columns }: { readonly columns?: number | undefined }): number {
  return Math.max(leastColumns, columns ?? 0);
}

/** A last column of sentences needs no rule over all of its width. */
const longestRule = 110;

export interface Column {
  readonly heading: string;
  readonly align?: 'left' | 'right';
}

/** Columns that a text takes on a terminal: marks of colour take none. */
function width(text: string): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: marks of colour begin with ESC
  return [...text.replace(/\x1b\[[0-9;]*m/g, '')].length;
}

function pad(text: string, to: number, align: 'left' | 'right'): string {
  const space = ' '.repeat(Math.max(0, to - width(text)));
  return align === 'right' ? space + text : text + space;
}

/** A text in lines of at most `most` columns: broken between words, and within one only where it is longer than that. */
export function wrapText(text: string, most: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap((each) => pieces(each, most))) {
    if (line !== '' && width(line) + 1 + width(word) > most) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

function pieces(word: string, most: number): string[] {
  if (width(word) <= most) return [word];
  const letters = [...word];
  const count = Math.ceil(letters.length / Math.max(1, most));
  const size = Math.ceil(letters.length / count);
  return Array.from({ length: count }, (_, at) => letters.slice(at * size, (at + 1) * size).join(''));
}

/** The columns that a table takes. */
export function tableWidth(columns: readonly Column[], rows: readonly (readonly string[])[]): number {
  return widthsOf(columns, rows).reduce((sum, each) => sum + each + 2, -2);
}

function widthsOf(columns: readonly Column[], rows: readonly (readonly string[])[]): number[] {
  return columns.map(({ heading }, index) => Math.max(width(heading), ...rows.map((row) => width(row[index] ?? ''))));
}

/** Lines of a table: headings, a rule, the rows. A row may have fewer cells than there are columns. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const widths = widthsOf(columns, rows);
  const line = (cells: readonly string[]): string =>
    columns
      .map(({ align }, index) => pad(cells[index] ?? '', widths[index]!, align ?? 'left'))
      .join('  ')
      .trimEnd();
  const headings = line(columns.map(({ heading }) => heading));
  return [headings, '='.repeat(Math.min(tableWidth(columns, rows), longestRule)), ...rows.map(line)];
}

/** The same, no wider than `most` for its last column: what does not fit there goes on in the lines below. */
export function formatTableWrapped(
  most: number,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string[] {
  const last = columns.length - 1;
  const begins = rows.map((row) => row.slice(0, last));
  const room = Math.max(columns[last]!.heading.length, most - 2 - tableWidth(columns.slice(0, last), begins));
  const wrapped = rows.flatMap((row, index) =>
    wrapText(row[last] ?? '', room).map((line, at) =>
      at === 0 ? [...begins[index]!, line] : [...Array.from({ length: last }, () => ''), line],
    ),
  );
  return formatTable(columns, wrapped);
}

/** The same, no wider than `most` for its first column: what does not fit there has a line above its row, as df does. */
export function formatTableWithin(
  most: number,
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): string[] {
  const room =
    most -
    2 -
    tableWidth(
      columns.slice(1),
      rows.map((row) => row.slice(1)),
    );
  const fits = (row: readonly string[]): boolean => width(row[0] ?? '') <= room;
  const [headings = '', rule = '', ...lines] = formatTable(
    columns,
    rows.map((row) => (fits(row) ? row : ['', ...row.slice(1)])),
  );
  return [headings, rule, ...lines.flatMap((line, index) => (fits(rows[index]!) ? [line] : [rows[index]![0]!, line]))];
}

/**
 * `Name        : value` lines, as chronyc tracking prints them. Entries without a value are left out; a value that is
 * wider than `most` allows goes on in the lines below.
 */
export function formatPairs(
  pairs: readonly (readonly [name: string, value: string | undefined])[],
  most = Number.POSITIVE_INFINITY,
): string[] {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const widest = Math.max(0, ...shown.map(([name]) => width(name)));
  return shown.flatMap(([name, value]) =>
    wrapText(value, most - widest - 3).map(
      (line, at) => `${pad(at === 0 ? name : '', widest, 'left')} ${at === 0 ? ':' : ' '} ${line}`,
    ),
  );
}
