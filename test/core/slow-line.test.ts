// Slow serial lines: a request may take seconds to leave and its answer as long to come back, and the meter waits for that.
import { beforeAll, describe, expect, it } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { World } from '../fuzz/world.ts';
import { seededRandom } from './random.ts';

let modules: CheckedModules;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
});

describe('a line that loses all long frames of the meter', () => {
  it('does not keep it awake while its reports wait for room', () => {
    const seed = seededRandom('reports that wait').below(0x1_0000_0000);
    const world = new World({ seed, modules, baud: 9_600 });
    world.boot();
    world.runUntilSynchronised(300);
    world.line!.fault = (frame) => (frame.length > 60 ? [] : [frame]);
    world.run(60);
    const before = world.device.handled;
    world.run(3600);
    expect(world.device.handled - before).toBeLessThan(20 * 3600);
  });
});

describe('a slow line', () => {
  it.each([
    [1_200, 1, 100],
    [2_400, 1, 256],
    [2_400, 4, 100],
    [4_800, 4, 256],
  ])(
    'of %i baud: %i servers with cookies of %i bytes give time, each after one key establishment',
    (baud, count, cookieBytes) => {
      const servers = Array.from({ length: count }, (_, i) => ({ host: `${'abcd'[i]}.test`, port: 4460 }));
      const seed = seededRandom('slow line').below(0x1_0000_0000);
      const world = new World({ seed, modules, baud, settings: { servers } });
      world.conditions.cookieBytes = cookieBytes;
      world.boot();
      world.runUntilSynchronised(300);
      world.run(3600);
      expect(world.sockets.establishments).toBe(count);
      expect(world.sockets.requests).toBeGreaterThan(count * 50);
    },
    60_000,
  );
});
