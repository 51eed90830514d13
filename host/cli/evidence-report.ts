// What a verification found, for people: a table of the rings, what it proves, and the findings.
import type { Finding, Report, RingReport, Tail } from '../record/verify.ts';
import { formatTable } from '../text/table.ts';
import { printable, type Terminal } from './terminal.ts';

/** More findings than anybody reads are told by their number. */
const mostFindings = 20;

const tailTexts: Readonly<Record<Tail, string>> = {
  signed: 'signed',
  'behind-head': 'behind the head',
  cut: 'CUT',
  changed: 'CHANGED',
  'not-proven': 'not proven',
};

export interface ReportExtras {
  /** Lines that came more than once. */
  readonly repeated?: number;
  /** What else there is to say. */
  readonly notes?: readonly string[];
}

export function printEvidenceReport(terminal: Terminal, report: Report, extras: ReportExtras = {}): void {
  const notes = [...openQuestions(report), ...(extras.notes ?? [])];
  terminal.print(...ringTable(report.rings), '', ...summary(report, extras.repeated ?? 0));
  if (notes.length > 0) terminal.print('', ...notes);
  const { findings } = report;
  if (findings.length === 0) {
    terminal.print('', `${terminal.paint('green', 'holds')}  nothing was found`);
    return;
  }
  terminal.print('', `${terminal.paint('red', 'fails')}  ${count(findings.length, 'finding')}`);
  for (const finding of findings.slice(0, mostFindings)) terminal.print(findingText(finding));
  if (findings.length > mostFindings)
    terminal.print(`  … and ${findings.length - mostFindings} more; --json has all of them`);
}

function ringTable(rings: readonly RingReport[]): string[] {
  const columns = [
    { heading: 'Ring' },
    { heading: 'Entries', align: 'right' },
    { heading: 'From', align: 'right' },
    { heading: 'To', align: 'right' },
    { heading: 'Gaps', align: 'right' },
    { heading: 'Links' },
    { heading: 'Seals' },
    { heading: 'End' },
  ] as const;
  const rows = rings.map((ring) => [
    ring.ring,
    String(ring.entries),
    String(ring.from),
    String(ring.to),
    String(ring.gaps),
    held(ring.links),
    ring.seals.unchecked > 0 ? 'not checked' : held(ring.seals),
    tailTexts[ring.tail],
  ]);
  return formatTable(columns, rows);
}

function held({ held: good, failed }: { readonly held: number; readonly failed: number }): string {
  return failed === 0 ? `${good} hold` : `${failed} FAIL, ${good} hold`;
}

function summary({ meter, heads }: Report, repeated: number): string[] {
  const parts = [
    heads.held > 0 ? `${heads.held} hold` : '',
    heads.failed > 0 ? `${heads.failed} FAIL` : '',
    heads.unchecked > 0 ? `${heads.unchecked} not checked` : '',
  ].filter((part) => part !== '');
  const lines = [`Meter : ${meter === null ? 'not said' : printable(meter)}`, `Heads : ${parts.join(', ') || 'none'}`];
  if (repeated > 0) lines.push(`Again : ${count(repeated, 'line')} came more than once, with the same bytes`);
  return lines;
}

// What the result does not say, and what would.
function openQuestions({ rings, heads }: Report): string[] {
  const lines: string[] = [];
  if (rings.some(({ seals }) => seals.unchecked > 0)) {
    lines.push('Seals were not checked: --keys or --record-key says whether the meter made these entries.');
  }
  if (heads.unchecked > 0) {
    lines.push('Heads were not checked: --keys or --public-key says whether the meter signed them.');
  }
  const open = rings.filter(({ ring, tail }) => tail === 'not-proven' && ring !== 'network');
  if (open.length > 0) {
    lines.push(
      `Whether entries are missing at the end of ${open.map(({ ring }) => ring).join(' and ')} is not proven: --head says it.`,
    );
  }
  return lines;
}

function findingText({ check, ring, sequence, at, expected, came }: Finding): string {
  const what = [check, ring, sequence].filter((part) => part !== null).join(' ');
  const where = at === null ? '' : ` (${at})`;
  return printable(`  ${what}${where}: expected ${expected}; came ${came}`);
}

function count(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? '' : 's'}`;
}
