// Tables of text: aligned columns, numbers on the right, headings and a rule above, as chronyc and ntpq print them.

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

/** `Name        : value` lines, as chronyc tracking prints them. Entries without a value are left out. */
export function formatPairs(pairs: readonly (readonly [name: string, value: string | undefined])[]): string[] {
  const shown = pairs.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  const widest = Math.max(0, ...shown.map(([name]) => width(name)));
  return shown.map(([name, value]) => `${pad(name, widest, 'left')} : ${value}`);
}
