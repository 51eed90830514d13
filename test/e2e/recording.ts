// A meter that records much: registration periods of a minute, tariffs that switch every four seconds, four registers, a
// calibration that holds; and whether all of its records have reached the broker.
import { Ring } from '../../as/abi/codes.ts';
import type { MeterKeys } from '../../host/provision/meter-keys.ts';
import type { MeterSettings } from '../../host/provision/settings-block.ts';
import { readStorageKeys } from '../../host/provision/storage-file.ts';
import { decodeEntry, type RecordEntry, sequenceOf } from '../../host/record/entry.ts';
import { verifyEvidence } from '../../host/record/verify.ts';
import { until } from '../../host/setup/until.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import type { BrokerView } from './broker-view.ts';
import { type LabMeter, type RestartLab, topics } from './restart-lab.ts';

export const recordingSettings = {
  tariff: {
    ...{ registrationMinutes: 1, whenTimeDoubtful: 'switch', whenLogbookFull: 'invalid' },
    ...{ uncertaintyMaxMs: 1000, boundMaxMs: 9000 },
  },
  calibration: {
    id: 'lab-1',
    atUtc: '2026-01-01T00:00:00Z',
    untilUtc: '2046-01-01T00:00:00Z',
    uncertaintyPpb: 500,
  },
  registers: ['1-0:1.8.0*255', '1-0:1.8.1*255', '1-0:1.8.2*255', '1-0:1.8.3*255'].map((obis) => ({
    ...{ obis, scale: -1, unit: 30 },
  })),
} satisfies Partial<MeterSettings>;

/** Dynamic tariffs from half a minute ago on, of four seconds each: for twelve minutes, as a busy machine needs. */
export function everyFourSeconds(): Uint8Array {
  const start = Math.floor(Date.now() / 1000) - 30;
  const utc = (seconds: number) => new Date((start + seconds) * 1000).toISOString().replace('.000Z', 'Z');
  return encodeDynamic({
    entries: Array.from({ length: 192 }, (_, index) => ({ utc: utc(4 * index), tariff: 1 + (index % 2) })),
    endUtc: utc(768),
  });
}

/** An installation whose meter records all that. */
export const recordingLab: LabMeter = {
  board: 'mps2-an385-4',
  settings: recordingSettings,
  provision: () => ({ dynamic: everyFourSeconds() }),
};

/** Entries of the record ring that have reached the broker, by their numbers; one that came again says the same. */
function arrivedAt(view: BrokerView): { entries: Map<number, Uint8Array>; changed: number[] } {
  const entries = new Map<number, Uint8Array>();
  const changed: number[] = [];
  for (const { bytes } of view.all(topics.record)) {
    const entry = new Uint8Array(Buffer.from(String(bytes), 'base64'));
    const sequence = sequenceOf(entry);
    const before = entries.get(sequence);
    if (before !== undefined && Buffer.compare(before, entry) !== 0) changed.push(sequence);
    entries.set(sequence, entry);
  }
  return { entries, changed };
}

/**
 * Checks links and seals of the record ring's entries, from the first on, and the signatures of heads.
 * @returns the records among them, how many heads hold, and what is wrong
 */
export function judgeEntries(entries: readonly Uint8Array[], keys: MeterKeys, heads: readonly Uint8Array[] = []) {
  const trust = { ...keys, from: { [Ring.Records]: 1 } };
  const report = verifyEvidence([{ ring: Ring.Records, entries }], heads, trust);
  const problems = report.findings.map(
    ({ check, sequence, expected, came }) => `${check} ${sequence}: expected ${expected}, came ${came}`,
  );
  const records = entries
    .map((bytes) => decodeEntry(Ring.Records, bytes))
    .filter((entry): entry is RecordEntry => 'reasons' in entry);
  return { records, headsHeld: report.heads.held, problems };
}

/**
 * Waits for some more records, and that none is missing; then verifies them all.
 * @returns the records, and what is wrong with them
 */
export async function judgeRecords({ view, meter, gateway }: RestartLab) {
  const keys = readStorageKeys(meter.storageFile);
  const newest = () => Math.max(0, ...arrivedAt(view).entries.keys());
  const seen = newest();
  await until('records go on', () => newest() >= seen + 4, { timeoutMs: 60_000 });
  const upTo = newest();
  const missing = () => {
    const { entries } = arrivedAt(view);
    return Array.from({ length: upTo }, (_, index) => index + 1).filter((sequence) => !entries.has(sequence));
  };
  const none = () => {
    if (missing().length === 0) return true;
    throw new Error(`missing of ${upTo}: ${missing().join(' ')}\n${gateway.log.slice(-2000)}`);
  };
  await until('all records', none, { timeoutMs: 60_000 });
  const { entries, changed } = arrivedAt(view);
  const whole = Array.from({ length: upTo }, (_, index) => entries.get(index + 1)!);
  const judged = judgeEntries(whole, keys);
  const problems = [...changed.map((sequence) => `${sequence} came again with other bytes`), ...judged.problems];
  return { records: judged.records, contexts: whole.length - judged.records.length, problems };
}
