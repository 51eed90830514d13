// The storage is asked for one thing at a time, also where the real-time clock is set while reserves are due: a part of a
// reserve that took the place of another would be lost, and its cookies with it.
import { beforeAll, expect, it } from 'vitest';
import { StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { runSeed } from '../fuzz/prng.ts';
import { World } from '../fuzz/world.ts';
import { partOffset } from './reserve-life.ts';

let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('storage one at a time');
});

const servers = ['a', 'b', 'c', 'd'].map((name) => ({ host: `${name}.test`, port: 4460 }));
const parts = [0, 1, 2];

it('storage operations follow each other, and the parts of a reserve come in their order, each at its own place', () => {
  const settings = { servers, keyAgeHours: 20, poll: { minSeconds: 64, maxSeconds: 1024 }, reportSeconds: 3600 };
  const world = new World({ seed, modules, rtc: { frequencyPpb: 20_000 }, settings });
  const { device } = world;
  device.writeNs = 30_000_000n;
  // Of a slow bus.
  device.rtcDoneNs = 300_000_000n;
  const stored: number[] = [];
  const overlaps: string[] = [];
  device.tear = (_, offset, bytes) => {
    if (device.writingAt !== undefined) overlaps.push(`${offset} while ${device.writingAt}`);
    if (offset >= StorageMap.Reserves && bytes.length === StorageMap.ReservePartBytes) stored.push(offset);
    return undefined;
  };
  device.read = (offset, bytes) => {
    if (device.writingAt !== undefined) overlaps.push(`${offset} read while ${device.writingAt}`);
    return bytes;
  };
  for (let start = 0; start < 20; start++) {
    world.boot();
    world.runUntilSynchronised(1200);
    world.run(start === 0 ? 4 * 86_400 : 600);
    world.powerCut();
    world.run(60);
  }
  expect(overlaps).toEqual([]);
  expect(stored.length).toBeGreaterThan(60);
  const expected = servers.flatMap((_, source) => parts.map((part) => partOffset(source, part)));
  for (const [i, offset] of stored.entries()) {
    const place = expected.indexOf(offset);
    expect(place).toBeGreaterThanOrEqual(0);
    if (place % 3 === 2) expect(stored[i - 1]).toBe(expected[place - 1]);
  }
});
