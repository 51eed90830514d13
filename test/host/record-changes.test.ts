// Random changes of records and logbooks, each of which is found. `npm run check:records` makes a million of them.
import { expect, test } from 'vitest';
import { randomFrom, seededRandom } from '../core/random.ts';
import { changeWorld, emptyTally } from './record-campaign.ts';
import { changeKinds, drawChange, type World } from './record-changes.ts';
import { drawMeter } from './record-world.ts';

test('20,000 random changes are found', { timeout: 180_000 }, () => {
  const random = seededRandom('20,000 random changes of records');
  const all = emptyTally();
  for (let world = 0; world < 80; world++) {
    const { found, wrong } = changeWorld(random, 250);
    if (wrong !== undefined) expect.fail(`world ${world + 1}: ${wrong}`);
    for (const kind of changeKinds) all[kind] += found[kind];
  }
  expect(Object.values(all).reduce((sum, each) => sum + each, 0)).toBe(20_000);
  // So much of everything was changed.
  for (const kind of changeKinds) expect(all[kind], kind).toBeGreaterThan(300);
});

test('each kind of change is found for what it is', () => {
  const random = randomFrom(20_261_122);
  const world: World = { meter: drawMeter(random), other: drawMeter(random) };
  const checks = new Map<string, Set<string>>();
  for (let number = 0; number < 1500; number++) {
    const { kind, after } = drawChange(world, random);
    const seen = checks.get(kind) ?? new Set();
    for (const { check } of after().findings) seen.add(check);
    checks.set(kind, seen);
  }
  const of = (kind: string) => [...checks.get(kind)!];
  expect(of('bit')).toEqual(expect.arrayContaining(['seal', 'link', 'head', 'sequence']));
  expect(of('removed')).toEqual(expect.arrayContaining(['sequence', 'tail']));
  expect(of('swapped')).toContain('sequence');
  expect(of('cut')).toEqual(['tail']);
  // With the record key at hand nothing but what was signed tells.
  expect(of('resealed')).toEqual(expect.arrayContaining(['head', 'tail', 'signature']));
  expect(of('resealed')).not.toContain('seal');
  expect(of('resealed')).not.toContain('link');
  expect(of('foreign')).toEqual(expect.arrayContaining(['seal', 'link']));
  expect(of('head')).toEqual(expect.arrayContaining(['signature', 'tail', 'layout']));
  expect(of('decoded')).toEqual(expect.arrayContaining(['json', 'file', 'meter']));
});
