// Records of an emulated meter, which switches its tariff every four seconds: whatever is killed meanwhile (meter, gateway,
// broker), each record reaches the broker, none is missing, and all of them, with the logbook of the storage, verify.
import { expect, it } from 'vitest';
import { RecordMark, Ring } from '../../as/abi/codes.ts';
import { readStorageKeys } from '../../host/provision/storage-file.ts';
import { decodeEntry, type RecordEntry, sequenceOf } from '../../host/record/entry.ts';
import { verifyEvidence } from '../../host/record/verify.ts';
import { until } from '../../host/setup/until.ts';
import { encodeDynamic } from '../../host/tariff/dynamic-block.ts';
import { seededRandom } from '../core/random.ts';
import { RestartLab, shuffle, topics } from './restart-lab.ts';

/** Dynamic tariffs from half a minute ago on, of four seconds each: for twelve minutes, as a busy machine needs. */
function everyFourSeconds(): Uint8Array {
  const start = Math.floor(Date.now() / 1000) - 30;
  const utc = (seconds: number) => new Date((start + seconds) * 1000).toISOString().replace('.000Z', 'Z');
  return encodeDynamic({
    entries: Array.from({ length: 192 }, (_, index) => ({ utc: utc(4 * index), tariff: 1 + (index % 2) })),
    endUtc: utc(768),
  });
}

it('whatever is killed, no record is missing, and all of them verify', { timeout: 400_000 }, async () => {
  const random = seededRandom('records and restarts');
  const lab = new RestartLab({
    board: 'mps2-an385-4',
    settings: {
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
    },
    provision: () => ({ dynamic: everyFourSeconds() }),
  });
  try {
    await lab.start();
    const keys = readStorageKeys(lab.meter.storageFile);
    const rounds = ['meter', 'gateway', 'broker'] as const;
    for (const victim of [...shuffle(rounds, random), ...shuffle(rounds, random)]) {
      console.log(`killed: ${victim}`);
      await lab.round([victim], random);
    }
    const { view } = lab;
    const entries = () => {
      const found = new Map<number, Uint8Array>();
      for (const { bytes } of view.all(topics.record)) {
        const entry = new Uint8Array(Buffer.from(String(bytes), 'base64'));
        const before = found.get(sequenceOf(entry));
        // A number that comes again says the same.
        if (before !== undefined) expect(Buffer.compare(before, entry)).toBe(0);
        found.set(sequenceOf(entry), entry);
      }
      return found;
    };
    const newest = () => Math.max(...entries().keys());
    // Some more after the last kill.
    const seen = newest();
    await until('records go on', () => newest() >= seen + 4, { timeoutMs: 60_000 });
    const upTo = newest();
    const whole = () => Array.from({ length: upTo }, (_, index) => entries().get(index + 1));
    await until(
      'all records',
      () => {
        const missing = whole().flatMap((entry, index) => (entry === undefined ? [index + 1] : []));
        if (missing.length > 0)
          throw new Error(`missing of ${upTo}: ${missing.join(' ')}\n${lab.gateway.log.slice(-2000)}`);
        return true;
      },
      { timeoutMs: 60_000 },
    );
    const all = whole() as Uint8Array[];
    const report = verifyEvidence([{ ring: Ring.Records, entries: all }], [], { ...keys, from: { [Ring.Records]: 1 } });
    expect(report.findings).toEqual([]);
    expect(report).toMatchObject({ ok: true, meter: 'meter-1', rings: [{ from: 1, to: upTo, gaps: 0 }] });

    const records = all
      .map((bytes) => decodeEntry(Ring.Records, bytes))
      .filter((entry): entry is RecordEntry => 'reasons' in entry);
    console.log(`${records.length} records, ${all.length - records.length} parts of contexts`);
    expect(records.length).toBeGreaterThan(6);
    // Before the meter knows the time for the first time it knows no tariff.
    const timed = records.filter(({ captureUtcNs }) => captureUtcNs !== 0n);
    expect(new Set(timed.slice(1).map(({ tariff }) => tariff))).toEqual(new Set([1, 2]));
    expect(records.some(({ letter }) => letter === 'S')).toBe(true);
    const read = records.filter(({ marks }) => (marks & RecordMark.NoReadings) === 0);
    expect(read.length).toBeGreaterThan(records.length / 2);
    expect(read.every(({ readings }) => readings.length === 4)).toBe(true);
  } finally {
    await lab.stop();
  }
});
