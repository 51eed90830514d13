// The result of the simulations for people: a table, and which targets were kept.
import type { Case, FigureName } from './cases.ts';
import type { Figures } from './tally.ts';

export interface Target {
  readonly figure: FigureName;
  readonly came: number;
  readonly atMost?: number | undefined;
  readonly atLeast?: number | undefined;
  readonly kept: boolean;
}

/** How the targets of a case fared; a figure that is not known keeps none. */
export function targetsOf({ targets }: Case, figures: Figures): Target[] {
  return Object.entries(targets).map(([name, { atMost, atLeast }]) => {
    const figure = name as FigureName;
    const came = figures[figure];
    const kept = came <= (atMost ?? Number.POSITIVE_INFINITY) && came >= (atLeast ?? Number.NEGATIVE_INFINITY);
    return { figure, came, atMost, atLeast, kept };
  });
}

type Cell = number | undefined;

/** Three digits that count, at least. */
function digits(value: Cell): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  if (value === 0) return '0';
  const size = Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.min(Math.max(2 - size, 0), 6));
}

/** Shares lose nothing that says whether they are whole. */
function percent(value: Cell): string {
  if (value === undefined || Number.isNaN(value)) return '–';
  if (value === 100 || value === 0) return String(value);
  const text = value.toFixed(value > 99.9 ? 3 : 1);
  return Number(text) === 100 ? '<100' : text;
}

const columns: readonly [title: string, width: number, text: (value: Cell) => string, figure: keyof Figures][] = [
  ['RMS', 9, digits, 'rmsMs'],
  ['95 %', 8, digits, 'p95Ms'],
  ['max ms', 8, digits, 'maxMs'],
  ['freq ppb', 9, digits, 'frequencyRmsPpb'],
  ['poll s', 7, digits, 'pollSeconds'],
  ['in U %', 8, percent, 'insideUPercent'],
  ['bound %', 8, percent, 'insideBoundPercent'],
  ['U/RMS', 7, digits, 'uOverRms'],
  ['/oracle', 8, digits, 'overOracle'],
];
const nameWidth = 20;

export const tableHead = `${' '.repeat(nameWidth)}${columns.map(([title, width]) => title.padStart(width)).join('')}`;

function row(name: string, figures: Partial<Figures>): string {
  return `  ${name.padEnd(nameWidth - 2)}${columns
    .map(([, width, text, figure]) => text(figures[figure]).padStart(width))
    .join('')}`;
}

/** A case's part of the table. */
export function caseText(of: Case, figures: Figures): string {
  const lines = [`${of.name}: ${of.title}`, row('metertime', figures)];
  const { oracleRmsMs: rmsMs, oracleFrequencyRmsPpb: frequencyRmsPpb } = figures;
  if (!Number.isNaN(rmsMs)) lines.push(row('oracle, same samples', { rmsMs, frequencyRmsPpb }));
  if (of.limitRmsMs !== undefined) lines.push(row('best possible', { rmsMs: of.limitRmsMs }));
  for (const [peer, known] of Object.entries(of.peers)) lines.push(row(peer, known));
  for (const { kept, ...target } of targetsOf(of, figures))
    lines.push(`    ${kept ? 'kept  ' : 'MISSED'} ${said(target)}`);
  return lines.join('\n');
}

const words: Record<FigureName, string> = {
  rmsMs: 'RMS error, ms',
  p95Ms: '95 % of the errors, ms',
  maxMs: 'largest error, ms',
  frequencyRmsPpb: 'RMS error of the frequency, ppb',
  pollSeconds: 'mean poll interval, s',
  pollsMost: 'polls of a run, most',
  insideUPercent: 'inside U (k = 2), % of the time',
  insideBoundPercent: 'inside the bound, % of the time',
  uOverRms: 'mean U beside the RMS error',
  oracleRmsMs: "the oracle's RMS error, ms",
  overOracle: "RMS error beside the oracle's",
  timelessPercent: 'without a time, % of the time',
  synchronisedPercent: 'synchronised, % of the time',
};

/** A target as a sentence. */
export function said({ figure, came, atMost, atLeast }: Omit<Target, 'kept'>): string {
  const limit = atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
  const text = figure.endsWith('Percent') ? percent(came) : digits(came);
  return `${words[figure]}: ${text}, ${limit}`;
}
