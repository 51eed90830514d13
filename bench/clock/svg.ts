// Line charts as SVG: panels below each other, with linear or logarithmic axes.
// What always holds: what lies outside a panel's axes is not drawn outside it; texts are escaped.

export interface Axis {
  readonly label: string;
  readonly from: number;
  readonly to: number;
  readonly logarithmic?: boolean;
}

export interface Line {
  readonly name: string;
  readonly colour: string;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** What lies between two lines. */
export interface Band {
  readonly name: string;
  readonly colour: string;
  readonly x: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
}

export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  /** Below the lines, the first one lowest. */
  readonly bands?: readonly Band[];
  readonly lines: readonly Line[];
}

const width = 960;
const panelHeight = 300;
const left = 84;
const right = 20;
const top = 34;
const bottom = 46;
const ink = '#333';
const faint = '#ddd';

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
const round = (value: number) => Math.round(value * 10) / 10;

/** Places of an axis that are worth a number. */
export function ticks({ from, to, logarithmic = false }: Axis): number[] {
  if (logarithmic) {
    const [first, last] = [Math.ceil(Math.log10(from) - 1e-9), Math.floor(Math.log10(to) + 1e-9)];
    const every = Math.ceil((last - first + 1) / 8);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, n) => 10 ** (first + n)).filter(
      (_, n) => n % every === 0,
    );
  }
  const rough = (to - from) / 6;
  const ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * ten).find((each) => each >= rough)!;
  const first = Math.ceil(from / step - 1e-9);
  return Array.from({ length: Math.floor(to / step + 1e-9) - first + 1 }, (_, n) => (first + n) * step);
}

function numberText(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(0).replace('e+', 'e') : String(Number(value.toPrecision(6)));
}

/** A place between an axis' ends, from 0 to 1; beyond them somewhat more. */
function place({ from, to, logarithmic = false }: Axis, value: number): number {
  const share = logarithmic
    ? Math.log(Math.max(value, from / 1e3) / from) / Math.log(to / from)
    : (value - from) / (to - from);
  return Math.min(Math.max(share, -3), 4);
}

function panelText(panel: Panel, index: number): string {
  const [w, h] = [width - left - right, panelHeight - top - bottom];
  const x = (value: number) => round(left + place(panel.x, value) * w);
  const y = (value: number) => round(top + (1 - place(panel.y, value)) * h);
  const clip = `clip-path="url(#area)"`;
  const parts = [`<g transform="translate(0 ${index * panelHeight})">`];
  parts.push(`<text x="${left}" y="${top - 14}" font-weight="bold">${escaped(panel.title)}</text>`);
  for (const tick of ticks(panel.x)) {
    parts.push(`<path d="M${x(tick)} ${top}v${h}" stroke="${faint}"/>`);
    parts.push(`<text x="${x(tick)}" y="${top + h + 16}" text-anchor="middle">${numberText(tick)}</text>`);
  }
  for (const tick of ticks(panel.y)) {
    parts.push(`<path d="M${left} ${y(tick)}h${w}" stroke="${faint}"/>`);
    parts.push(`<text x="${left - 8}" y="${y(tick) + 4}" text-anchor="end">${numberText(tick)}</text>`);
  }
  for (const { colour, x: at, low, high } of panel.bands ?? []) {
    const upper = at.map((each, n) => `${x(each)} ${y(high[n]!)}`);
    const lower = at.map((each, n) => `${x(each)} ${y(low[n]!)}`).reverse();
    parts.push(`<path ${clip} d="M${[...upper, ...lower].join('L')}Z" fill="${colour}"/>`);
  }
  for (const { colour, x: at, y: values } of panel.lines) {
    const points = at.map((each, n) => `${x(each)} ${y(values[n]!)}`);
    parts.push(`<path ${clip} d="M${points.join('L')}" fill="none" stroke="${colour}"/>`);
  }
  parts.push(`<path d="M${left} ${top}v${h}h${w}" fill="none" stroke="${ink}"/>`);
  parts.push(`<text x="${left + w / 2}" y="${top + h + 34}" text-anchor="middle">${escaped(panel.x.label)}</text>`);
  const middle = top + h / 2;
  parts.push(
    `<text transform="rotate(-90 16 ${middle})" x="16" y="${middle}" text-anchor="middle">${escaped(panel.y.label)}</text>`,
  );
  parts.push(legend([...panel.lines, ...(panel.bands ?? [])]), '</g>');
  return parts.join('\n');
}

function legend(entries: readonly { readonly name: string; readonly colour: string }[]): string {
  let at = width - right;
  return [...entries]
    .reverse()
    .map(({ name, colour }) => {
      at -= 7 * name.length + 30;
      return `<rect x="${at}" y="${top - 23}" width="14" height="9" fill="${colour}"/><text x="${at + 19}" y="${top - 14}">${escaped(name)}</text>`;
    })
    .join('');
}

/** The panels as one picture. */
export function svgOf(title: string, panels: readonly Panel[]): string {
  const height = panels.length * panelHeight + 40;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" fill="${ink}">`,
    `<defs><clipPath id="area"><rect x="${left}" y="${top}" width="${width - left - right}" height="${panelHeight - top - bottom}"/></clipPath></defs>`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    `<text x="${left}" y="26" font-size="16">${escaped(title)}</text>`,
    '<g transform="translate(0 40)">',
    ...panels.map(panelText),
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}
