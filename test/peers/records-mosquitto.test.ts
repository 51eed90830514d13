// Records from meters with the real core, through a gateway in a process of its own, to mosquitto: all of them are killed,
// cut off and cut apart under load. `npm run soak` does the same for longer.
import { expect, test } from 'vitest';
import { seededRandom } from '../core/random.ts';
import { killWhileRecording } from './record-kills.ts';

test('broker and gateway killed, meters cut off, five times each: every record arrives, none is freed before', {
  timeout: 280_000,
}, async () => {
  const random = seededRandom('records and kills');
  const kills = { broker: 5, gateway: 5, meter: 5, line: 3, wire: 3, disk: 1 };
  const { failures, ...figures } = await killWhileRecording({ random, kills });
  console.log(JSON.stringify(figures));
  expect(failures).toEqual([]);
  expect(figures.gaps).toBe(0);
  // More than fit into the storages: the meters have freed some.
  expect(figures.records + figures.contexts).toBeGreaterThan(figures.meters * 128);
  expect(figures.arrived - figures.duplicates).toBe(figures.records + figures.contexts);
  expect(figures.cuts).toBeGreaterThanOrEqual(5);
});
