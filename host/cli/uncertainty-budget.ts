// What a meter's uncertainty is made of, as a table after GUM 8: standard uncertainties with type and distribution, their
// shares of the variance, combined, expanded, and what is added.
import type { TimePayload } from '../mqtt/payloads.ts';
import { formatTable } from '../text/table.ts';
import { plainNs } from './units.ts';

/** What stands for as much or more. */
const saturatedNs = 0xffff_ffff;

/** The table; nothing while the meter has no time. */
export function budgetLines(time: TimePayload): string[] {
  const { uncertaintyBudget: budget, uncertaintyNs, boundNs } = time;
  if (budget === null || uncertaintyNs === null) return [];
  const fromRtc = time.flags.includes('from-rtc');
  const contributions = [
    fromRtc
      ? (['real-time clock', 'A, B', '', budget.noiseStandardNs] as const)
      : (['estimate: samples and oscillator', 'A', 'normal', budget.noiseStandardNs] as const),
    ['asymmetry of the path', 'B', 'rectangular', budget.asymmetryStandardNs],
    ['server: root distance', 'B', 'rectangular', budget.serverStandardNs],
    ['stamps: ticks, interrupts, gateway', 'B', 'normal', budget.stampsStandardNs],
  ] as const;
  const variance = contributions.reduce((sum, [, , , ns]) => sum + ns * ns, 0);
  const atLeast = contributions.some(([, , , ns]) => ns === saturatedNs) ? '≥ ' : '';
  const combined = Math.sqrt(variance);
  const share = (ns: number): string =>
    variance === 0 || atLeast !== '' ? '-' : `${((100 * ns * ns) / variance).toFixed(0)} %`;
  // The clock never claims to be worse than it certainly is.
  const cut = uncertaintyNs === boundNs ? ', no more than the bound' : '';
  return formatTable(
    [
      { heading: 'Uncertainty budget' },
      { heading: 'Type' },
      { heading: 'Distribution' },
      { heading: 'Standard', align: 'right' },
      { heading: 'Share', align: 'right' },
    ],
    [
      ...contributions.map(([name, type, distribution, ns]) => [name, type, distribution, standardText(ns), share(ns)]),
      ['combined', '', '', `${atLeast}${plainNs(combined)}`],
      ['expanded, k = 2', '', '', `${atLeast}${plainNs(2 * combined)}`],
      ['not slewed yet, added to it', '', '', standardText(budget.notSlewedNs)],
      [`uncertainty U${cut}`, '', '', plainNs(uncertaintyNs)],
    ],
  );
}

function standardText(ns: number): string {
  return `${ns === saturatedNs ? '≥ ' : ''}${plainNs(ns)}`;
}
