// Records of an emulated meter, which switches its tariff every four seconds: whatever is killed meanwhile (meter, gateway,
// broker), each record reaches the broker, none is missing, and all of them verify.
import { expect, it } from 'vitest';
import { RecordMark } from '../../as/abi/codes.ts';
import { seededRandom } from '../core/random.ts';
import { judgeRecords, recordingLab } from './recording.ts';
import { RestartLab, shuffle } from './restart-lab.ts';

it('whatever is killed, no record is missing, and all of them verify', { timeout: 400_000 }, async () => {
  const random = seededRandom('records and restarts');
  const lab = new RestartLab(recordingLab);
  try {
    await lab.start();
    const rounds = ['meter', 'gateway', 'broker'] as const;
    for (const victim of [...shuffle(rounds, random), ...shuffle(rounds, random)]) {
      console.log(`killed: ${victim}`);
      await lab.round([victim], random);
    }
    const { records, contexts, problems } = await judgeRecords(lab);
    expect(problems).toEqual([]);
    console.log(`${records.length} records, ${contexts} parts of contexts`);
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
