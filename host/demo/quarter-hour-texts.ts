// Texts of the demo's quarter of an hour: records, local times and findings in one line each.
import type { RecordJson } from '../record/json.ts';
import type { Finding } from '../record/verify.ts';

/** `05:54:00`, of UTC ns since 1970. */
export function localClock(utcNs: bigint, offsetSeconds: number): string {
  return new Date(Number(utcNs / 1_000_000n) + offsetSeconds * 1000).toISOString().slice(11, 19);
}

/** `2026-11-24`, of the same. */
export function localDate(utcNs: bigint, offsetSeconds: number): string {
  return new Date(Number(utcNs / 1_000_000n) + offsetSeconds * 1000).toISOString().slice(0, 10);
}

/** `06:00:00.000`, of legal time in ISO 8601. */
const clockOf = (legal: string | null) => legal?.slice(11, 23) ?? 'without a time';

const reasonTexts: Readonly<Record<string, string>> = {
  period: 'period ended',
  switch: 'tariff switches',
  start: 'first after the start',
  status: 'status changed',
  'transaction-begin': 'charging begins',
  'transaction-end': 'charging ends',
};

/** A record in one line: number, legal time, tariff, what its time is worth, energy, and why it was made. */
export function recordText({ sequence, capture, tariff, status, readings, reasons, marks }: RecordJson): string {
  const energy = readings.map(({ value, unit }) => `${value} ${unit}`).join(', ') || 'no readings';
  const ptb = status.ptb.name === 'ok' ? '' : `, ${status.ptb.name.replaceAll('-', ' ')}`;
  const why = [...reasons.map((reason) => reasonTexts[reason] ?? reason), ...marks].join(', ').replaceAll('-', ' ');
  return `record ${sequence}: ${clockOf(capture.legal)}, tariff ${tariff}, ${energy}, ${status.letter}${ptb}: ${why}`;
}

/** `seal of record 8`. */
export function findingText({ check, sequence }: Finding): string {
  const name = check === 'json' ? 'decoded fields' : check;
  return sequence === null ? name : `${name} of record ${sequence}`;
}
