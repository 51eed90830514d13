// A build's result as text for people.
import { formatTable } from '../text/table.ts';
import type { BuildError } from './errors.ts';
import type { BuildReport } from './firmware.ts';
import type { MemoryUse } from './sizes.ts';

/** The table of flash and RAM against the board's budgets, and what identifies the software. */
export function formatBuildReport(report: BuildReport): string {
  const stack = report.stack.totalBytes;
  const depth = isProcess(report)
    ? "the system's"
    : stack === undefined
      ? `no bound known (${report.stack.unboundedBy}); checked at run time`
      : `at most ${number(stack)} of ${number(report.stackBytes)} bytes (call graph)`;
  const date =
    report.buildUnixSeconds === 0 ? 'unknown (0)' : new Date(report.buildUnixSeconds * 1000).toISOString().slice(0, 19);
  return [
    `${report.board}, firmware ${report.version}${report.rebuilt ? '' : ' (unchanged)'}`,
    ...serversLine(report),
    '',
    ...memoryTable('Flash', report.flash),
    '',
    ...memoryTable('RAM', report.ram),
    '',
    `Stack       ${depth}`,
    `Date        ${date}${report.buildUnixSeconds === 0 ? '' : 'Z'} (commit)`,
    `core.wasm   sha256 ${report.coreSha256}`,
    `Image       sha256 ${report.imageSha256}`,
    `Files       ${report.elfPath}`,
    ...[report.hexPath, report.binPath].flatMap((path) => (path === undefined ? [] : [`            ${path}`])),
  ].join('\n');
}

/** What came of one board's build: its report, or the error that ended it. */
export type BuildOutcome = { readonly board: string } & (
  | { readonly report: BuildReport }
  | { readonly error: BuildError }
);

/** All boards in one table, flash and RAM against their budgets. */
export function formatBuildTable(outcomes: readonly BuildOutcome[]): string[] {
  const columns = ['Flash', 'of budget', 'RAM', 'of budget', 'Stack', 'Core', 'Image'];
  const rows = outcomes.map((outcome) => {
    if ('error' in outcome) return [outcome.board, `failed: ${outcome.error.code}`];
    const { board, flash, ram, stack, coreSha256, imageSha256, servers } = outcome.report;
    return [
      board,
      ...[flash, ram].flatMap((use) => [number(use.usedBytes), share(use.usedBytes, use)]),
      isProcess(outcome.report) ? "system's" : stack.totalBytes === undefined ? 'checked' : number(stack.totalBytes),
      `${servers} ${coreSha256.slice(0, 8)}`,
      imageSha256.slice(0, 8),
    ];
  });
  return formatTable([{ heading: 'Board' }, ...columns.map((heading) => ({ heading, align: 'right' }) as const)], rows);
}

const isProcess = ({ binPath }: BuildReport): boolean => binPath === undefined;

function serversLine({ servers, budgetsHold, sanitize }: BuildReport): string[] {
  if (sanitize.length > 0) return [`with sanitizers (${sanitize.join(', ')}): its budgets are shown, not demanded`];
  if (servers === undefined) return [];
  const line = `for ${servers === 1 ? 'one time server' : `up to ${servers} time servers at once`}`;
  return [budgetsHold ? line : `${line}, which is not the board's number: its budgets are shown, not demanded`];
}

function memoryTable(name: string, use: MemoryUse): string[] {
  const line = (label: string, bytes: number, share: string) =>
    `  ${label.padEnd(24)}${number(bytes).padStart(9)}  ${share.padStart(7)}`;
  const percent = (bytes: number) => share(bytes, use);
  return [
    `${name.padEnd(26)}${'bytes'.padStart(9)}  ${'budget'.padStart(7)}`,
    ...use.parts.map(({ part, bytes }) => line(part, bytes, percent(bytes))),
    line('total', use.usedBytes, percent(use.usedBytes)),
    line('budget', use.budgetBytes, ''),
    line('left', use.budgetBytes - use.usedBytes, percent(use.budgetBytes - use.usedBytes)),
  ];
}

function share(bytes: number, { budgetBytes }: MemoryUse): string {
  return `${((100 * bytes) / budgetBytes).toFixed(1)} %`;
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
