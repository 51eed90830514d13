// A storage that cannot be read or written for a while: the meter tries again until it can, and what it does meanwhile
// never makes a proof for the real-time clock count that does not hold.
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { Prng, runSeed } from '../fuzz/prng.ts';
import { World, type WorldOptions } from '../fuzz/world.ts';

let modules: CheckedModules;
let seed: number;
let random: Prng;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('storage');
});
beforeEach(() => {
  random = new Prng(seed);
});

const newWorld = (options: Partial<WorldOptions> = {}) =>
  new World({ seed: random.u32(), modules, rtc: { frequencyPpb: 0 }, ...options });

const none = new Uint8Array(0);
const isState = (offset: number) => offset >= StorageMap.StateA && offset < StorageMap.Reserves;

/** Counts how often the real-time clock is set; `then` is told after each time. */
function countSets(world: World, then: () => void = () => {}): { sets: number } {
  const counted = { sets: 0 };
  const { rtc } = world;
  const set = rtc!.set.bind(rtc);
  rtc!.set = (payload) => {
    set(payload);
    counted.sets++;
    then();
  };
  return counted;
}

/** Starts without a server, again and again, at other parts of a second: the real-time clock's bound holds each time. */
function checkHoldover(world: World): void {
  Object.assign(world.conditions, { keUp: false, serverUp: false });
  for (let start = 0; start < 10; start++) {
    world.boot();
    world.run(0.25);
    expect(world.probe()!.status).toBe(ClockStatus.Holdover);
    world.powerCut();
    world.run(0.85);
  }
}

/** A meter with a proof in both slots, switched off; its next start finds a path that makes its time 1.4 s wrong. */
function provenWorld(): World {
  const world = newWorld();
  world.boot();
  world.run(90_000);
  world.powerCut();
  // What the real-time clock says counts for nothing in the next start.
  world.rtc!.stopped = true;
  Object.assign(world.conditions, { outNs: () => 2.8e9, backNs: () => 1e6 });
  return world;
}

describe('a storage that cannot be read', () => {
  const objects = [
    ['settings', StorageMap.Settings],
    ['seeds', StorageMap.SeedA],
    ['state', StorageMap.StateA],
  ] as const;

  for (const baud of [undefined, 115_200]) {
    const way = baud === undefined ? 'own network' : 'link';
    it.each(objects)(`(%s, ${way}) is read again until it can be, and said once`, (_, object) => {
      for (const failures of [1, 3, 8, 12]) {
        const world = newWorld(baud === undefined ? {} : { baud });
        let left = failures;
        world.device.read = (offset, bytes) => {
          if (offset !== object || left === 0) return bytes;
          left--;
          return left % 2 === 0 ? none : bytes.subarray(0, random.below(bytes.length));
        };
        world.boot();
        world.runUntilSynchronised(300);
        world.run(5);
        expect(left).toBe(0);
        expect(world.info).toMatchObject({ meterId: 'sim-1' });
        expect(world.codes().filter((code) => code === MeterEvent.StorageFailed)).toHaveLength(1);
        expect(world.codes()).not.toContain(MeterEvent.SettingsInvalid);
        expect(world.codes()).not.toContain(MeterEvent.SeedInvalid);
        world.finish();
      }
    });

    it.each(objects)(
      `(%s, ${way}) for a day: the link says so, there is no time, and it is asked once a minute`,
      (_, object) => {
        const world = newWorld(baud === undefined ? {} : { baud });
        let reads = 0;
        world.device.read = (offset, bytes) => {
          if (offset !== object) return bytes;
          reads++;
          return none;
        };
        const counted = countSets(world);
        const writes: number[] = [];
        world.device.tear = (__, offset) => void writes.push(offset);
        world.boot();
        world.run(10);
        expect(world.codes()).toContain(MeterEvent.StorageFailed);
        world.run(86_400);
        expect(reads).toBeGreaterThan(1430);
        expect(reads).toBeLessThan(1460);
        expect(world.probe()!.status).toBe(ClockStatus.Unsynchronised);
        expect(world.codes()).not.toContain(MeterEvent.SettingsInvalid);
        expect(counted.sets).toBe(0);
        expect(writes.every((offset) => offset < StorageMap.StateA)).toBe(true);
        world.device.read = (__, bytes) => bytes;
        world.runUntilSynchronised(120);
      },
    );
  }

  it('gives the time of the real-time clock as soon as it can be read', () => {
    const world = newWorld();
    world.boot();
    world.run(100);
    world.powerCut();
    let left = 10;
    world.device.read = (offset, bytes) => (offset === StorageMap.StateA && left-- > 0 ? none : bytes);
    Object.assign(world.conditions, { keUp: false, serverUp: false });
    world.boot();
    world.runUntil('holdover', () => world.probe()!.status === ClockStatus.Holdover, 120);
    expect(world.codes()).toContain(MeterEvent.RtcAccepted);
  });

  it.each([1, 3, 9])('(the state, %d times) makes no older proof count', (failures) => {
    for (const afterSetNs of [0n, 2_000_000n, 10_000_000_000n]) {
      const world = provenWorld();
      let left = failures;
      world.device.read = (offset, bytes) => (offset === StorageMap.StateA && left-- > 0 ? none : bytes);
      const counted = countSets(world, () =>
        world.time.schedule(world.time.nowNs + afterSetNs, () => world.powerCut()),
      );
      world.boot();
      world.runUntil('the clock is set and power fails', () => counted.sets > 0 && !world.device.running, 300);
      checkHoldover(world);
    }
  });

  it.each([
    ['slot A', [0]],
    ['slot B', [1]],
    ['both slots', [0, 1]],
  ] as const)('whose state is misread at times (%s) makes no older proof count', (_, slots) => {
    for (const afterSetNs of [0n, 2_000_000n, 10_000_000_000n]) {
      const world = provenWorld();
      let misread = true;
      world.device.read = (offset, bytes) => {
        if (offset !== StorageMap.StateA || !misread) return bytes;
        const garbage = Uint8Array.from(bytes);
        for (const slot of slots) garbage.fill(0xff, slot * StorageMap.StateBytes, (slot + 1) * StorageMap.StateBytes);
        return garbage;
      };
      const counted = countSets(world, () =>
        world.time.schedule(world.time.nowNs + afterSetNs, () => world.powerCut()),
      );
      world.boot();
      world.runUntil('the clock is set and power fails', () => counted.sets > 0 && !world.device.running, 300);
      Object.assign(world.conditions, { keUp: false, serverUp: false });
      for (let start = 0; start < 20; start++) {
        misread = random.chance(0.5);
        world.boot();
        world.run(0.25);
        // Without any proof there is no time, which is right too.
        world.probe();
        world.powerCut();
        world.run(0.85);
      }
    }
  });
});

describe('a storage that cannot be written', () => {
  it.each([
    ['leaves what was there', () => {}],
    ['leaves the new bytes', (storage: Uint8Array, offset: number, bytes: Uint8Array) => storage.set(bytes, offset)],
    [
      'leaves garbage',
      (storage: Uint8Array, offset: number, bytes: Uint8Array) => storage.fill(0xee, offset, offset + bytes.length),
    ],
  ] as const)('(%s) keeps the real-time clock from being set beyond its proof', (_, leave) => {
    const world = provenWorld();
    const counted = countSets(world);
    let failures = 0;
    world.device.fail = (offset, bytes) => {
      if (!isState(offset)) return false;
      failures++;
      leave(world.device.storage, offset, bytes);
      return true;
    };
    world.boot();
    world.run(600);
    expect(world.probe()!.status).toBe(ClockStatus.Synchronised);
    expect(failures).toBeGreaterThan(2);
    expect(failures).toBeLessThan(8);
    expect(counted.sets).toBe(0);
    // It is set as soon as the storage works.
    world.device.fail = () => false;
    world.run(900);
    expect(counted.sets).toBe(1);
    world.powerCut();
    checkHoldover(world);
  });

  it('after the real-time clock was set: the proof is written soon, not the next day', () => {
    const world = newWorld();
    let left = 0;
    const counted = countSets(world, () => {
      if (counted.sets === 1) left = 3;
    });
    world.device.fail = (offset) => isState(offset) && left-- > 0;
    world.boot();
    world.run(400);
    expect(counted.sets).toBe(1);
    world.run(600);
    expect(left).toBeLessThanOrEqual(0);
    world.powerCut();
    checkHoldover(world);
  });

  it('is written less and less often, and the clock, which the proof does not let be set, stays within that', () => {
    const world = newWorld({
      rtc: { frequencyPpb: 20_000 },
      settings: { poll: { minSeconds: 64, maxSeconds: 1024 }, reportSeconds: 600 },
    });
    world.boot();
    world.run(90_000);
    let failures = 0;
    world.device.fail = (offset) => isState(offset) && failures++ >= 0;
    const counted = countSets(world);
    world.run(10 * 86_400);
    expect(counted.sets).toBe(0);
    expect(failures).toBeGreaterThan(10);
    expect(failures).toBeLessThan(25);
    world.powerCut();
    checkHoldover(world);
  });

  it.each([1, 2, 7])('(a seed, %d times) is written again: the meter has its random bytes then', (failures) => {
    for (const slot of [StorageMap.SeedA, StorageMap.SeedB]) {
      const world = newWorld();
      let left = failures;
      world.device.fail = (offset) => offset === slot && left-- > 0;
      world.boot();
      world.runUntilSynchronised(120);
      expect(world.codes().filter((code) => code === MeterEvent.StorageFailed)).toHaveLength(1);
    }
  });
});

describe('the proof for the real-time clock', () => {
  it.each([-100_000, 100_000])('holds for years at the limit of its oscillator (%d ppb)', (frequencyPpb) => {
    for (const years of [1, 4, 15]) {
      const world = newWorld({ rtc: { frequencyPpb } });
      world.boot();
      world.run(10);
      world.powerCut();
      world.run(years * 365.25 * 86_400);
      checkHoldover(world);
    }
  });

  it.each([
    [2.8e9, 1e6],
    [1e6, 2.8e9],
  ])(
    'counts the error at the moment it was set, though the clock is better when that is told (%d, %d)',
    (out, back) => {
      const world = newWorld();
      Object.assign(world.conditions, { outNs: () => out, backNs: () => back });
      const counted = countSets(world, () => Object.assign(world.conditions, { outNs: () => 1e6, backNs: () => 1e6 }));
      world.device.rtcDoneNs = 50_000_000_000n;
      world.boot();
      world.runUntil('the clock is set', () => counted.sets > 0, 60);
      world.run(55);
      expect(world.probe()!.boundNs).toBeLessThan(100_000_000n);
      world.powerCut();
      checkHoldover(world);
    },
  );
});
