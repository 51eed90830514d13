// Power may fail at any instant, also in the middle of a write: the meter then starts again, shows no time that its
// bound does not cover, keeps its proof for the real-time clock, and never repeats a random byte.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Message, MeterEvent, StorageMap } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules, Violation } from '../fuzz/checked-core.ts';
import { Prng, runSeed } from '../fuzz/prng.ts';
import { World } from '../fuzz/world.ts';

let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('power cuts');
});

/** Bytes of a state slot that are not zero: count, tag, record. */
const recordEnd = 244;

/** Start of each object that is written, and its name. */
const objects: readonly [number, string][] = [
  [StorageMap.SeedA, 'seed A'],
  [StorageMap.SeedB, 'seed B'],
  [StorageMap.StateA, 'state A'],
  [StorageMap.StateB, 'state B'],
  [StorageMap.Reserves, 'keys'],
  [StorageMap.Reserves + StorageMap.ReservePartStride, 'first cookie'],
  [StorageMap.Reserves + 2 * StorageMap.ReservePartStride, 'second cookie'],
];
const isState = (offset: number) => offset >= StorageMap.StateA && offset < StorageMap.Reserves;

function newWorld(worldSeed: number, entropy = false, rtcPpb = 90_000): World {
  const world = new World({
    seed: worldSeed,
    modules,
    entropy,
    rtc: { frequencyPpb: rtcPpb },
    settings: { poll: { minSeconds: 16, maxSeconds: 36_000 }, reportSeconds: 36_000, spreadSeconds: 0 },
  });
  world.device.setFrequency(-40_000);
  return world;
}

/** Runs through a day, and another start, in which power fails once in a write; returns that write. */
function life(world: World, write: number, bytes: number): string | undefined {
  const { device } = world;
  let torn: string | undefined;
  // States written since the real-time clock was set prove that.
  let proofs = 0;
  let set = false;
  const { rtc } = world;
  const setRtc = rtc!.set.bind(rtc);
  rtc!.set = (payload) => {
    set = true;
    setRtc(payload);
  };
  // A slot of which only zeros were not written is whole.
  let perhaps = 0;
  device.tear = (index, offset, data) => {
    const proof = isState(offset) && (set || proofs > 0) ? 1 : 0;
    proofs += proof;
    if (index !== write || bytes > data.length) return undefined;
    torn = objects.find(([start]) => start === offset)![1];
    proofs -= proof;
    if (bytes >= recordEnd - 1) perhaps = proof;
    return bytes;
  };
  for (let start = 0; start < 2; start++) {
    const before = proofs;
    set = false;
    world.events.length = 0;
    world.boot();
    const seconds = start === 0 ? 90_000 : 15_000;
    for (let passed = 0; passed < seconds && device.running; passed += passed < 30 ? 1 : 5000) {
      world.run(passed < 30 ? 1 : 5000);
      world.probe();
    }
    const accepted = world.codes().includes(MeterEvent.RtcAccepted);
    if (!device.running) {
      // What was told before power failed is not complete.
      start--;
      continue;
    }
    if (accepted ? before + perhaps === 0 : before > 0) {
      throw new Violation(
        `start ${device.boots}: real-time clock ${accepted ? '' : 'not '}accepted after ${before} proofs`,
      );
    }
    if (world.probe()!.status !== ClockStatus.Synchronised) throw new Violation(`start ${device.boots}: no time`);
    if (world.codes().some((code) => code === MeterEvent.SeedInvalid || code === MeterEvent.StorageFailed)) {
      throw new Violation(`start ${device.boots}: seed or storage failed`);
    }
    world.powerCut();
    world.run(1000);
  }
  world.finish();
  return torn;
}

describe('power that fails in a write', () => {
  // Every byte of a seed; of a state slot and a reserve, some; other ones in each run. The real-time clock is set some times.
  it('at every byte of every write', () => {
    const random = new Prng(seed);
    // The same life each time, so that its writes are the same.
    const worldSeed = random.u32();
    const entropy = random.chance(0.2);
    const torn = new Map<string, number>();
    let runs = 0;
    for (let write = 0; ; write++) {
      let happened = false;
      for (let bytes = 0; ; bytes++) {
        const slot = life(newWorld(worldSeed, entropy, 20_000), write, bytes);
        if (slot === undefined) break;
        happened = true;
        runs++;
        if (slot.startsWith('state')) bytes += random.between(20, 60);
        else if (!slot.startsWith('seed')) bytes += random.between(40, 120);
        torn.set(slot, (torn.get(slot) ?? 0) + 1);
      }
      if (!happened) break;
    }
    console.log(`${runs} lives, torn: ${[...torn].map(([slot, times]) => `${slot} ${times}`).join(', ')}`);
    expect(torn.get('seed A')).toBeGreaterThanOrEqual(2 * 65);
    expect(torn.get('seed B')).toBeGreaterThanOrEqual(2 * 65);
    expect(torn.get('state A')).toBeGreaterThanOrEqual(2 * 16);
    expect(torn.get('state B')).toBeGreaterThanOrEqual(2 * 16);
    for (const [, name] of objects.slice(4)) expect(torn.get(name)).toBeGreaterThanOrEqual(3);
  }, 240_000);

  it('again and again at random writes and bytes', () => {
    const random = new Prng(seed ^ 1);
    for (let round = 0; round < 30; round++) {
      const world = newWorld(random.u32());
      world.device.tear = (_, __, data) => (random.chance(0.3) ? random.between(0, data.length) : undefined);
      for (let start = 0; start < 40; start++) {
        world.boot();
        for (let i = 0; i < 30 && world.device.running; i++) {
          world.run(random.exponential(2));
          world.probe();
        }
        if (world.device.running) world.powerCut();
      }
      // Left alone, the meter finds its time.
      world.device.tear = () => undefined;
      world.boot();
      world.runUntilSynchronised(60);
      expect(world.sockets.requests).toBeGreaterThan(5);
    }
  }, 60_000);

  it('at any instant, the last write half done', () => {
    const random = new Prng(seed ^ 2);
    const world = newWorld(random.u32());
    for (let start = 0; start < 400; start++) {
      world.boot();
      world.run(random.chance(0.5) ? random.fraction() * 0.03 : random.exponential(3));
      world.probe();
      world.powerCut();
    }
    world.boot();
    world.runUntilSynchronised(60);
    expect(world.sockets.requests).toBeGreaterThan(100);
  }, 60_000);
});

describe('a storage that takes its time', () => {
  it('has erased a cookie before it is sent', () => {
    const world = newWorld(seed);
    world.boot();
    world.run(60);
    world.powerCut();
    const requestsDuring: number[] = [];
    const erased: number[] = [];
    const send = world.device.onMessage;
    world.device.onMessage = (channel, message) => {
      if (message[0] === Message.UdpSend) requestsDuring.push(world.device.writingAt ?? 0);
      send(channel, message);
    };
    world.device.tear = (_, offset) => void erased.push(offset);
    world.device.writeNs = 3_500_000_000n;
    // Without an answer the second cookie is loaded as well; meanwhile the next poll is due.
    world.conditions.lossBack = 1;
    world.boot();
    world.run(60);
    const cookies = [1, 2].map((part) => StorageMap.Reserves + part * StorageMap.ReservePartStride);
    expect(erased.filter((offset) => offset >= StorageMap.Reserves).slice(0, 2)).toEqual(cookies);
    expect(requestsDuring.length).toBeGreaterThanOrEqual(2);
    expect(requestsDuring.filter((offset) => cookies.includes(offset))).toEqual([]);
  });
});

describe('a storage that fails to write', () => {
  it('loses no proof: the slot in force is never overwritten', () => {
    const world = newWorld(seed);
    world.boot();
    world.run(90_000);
    const { storage } = world.device;
    const before = Buffer.from(storage.slice(StorageMap.StateA, StorageMap.StateA + 2 * StorageMap.StateBytes));
    // Two daily writes report a failure and leave garbage.
    let failures = 0;
    const written = new Set<number>();
    world.device.fail = (offset, bytes) => {
      if (!isState(offset)) return false;
      failures++;
      written.add(offset);
      storage.fill(0xee, offset, offset + bytes.length);
      return true;
    };
    world.run(3 * 86_400);
    expect(failures).toBeGreaterThanOrEqual(2);
    expect([...written]).toHaveLength(1);
    const after = Buffer.from(storage.slice(StorageMap.StateA, StorageMap.StateA + 2 * StorageMap.StateBytes));
    const kept = [0, StorageMap.StateBytes].filter((at) =>
      before.subarray(at, at + StorageMap.StateBytes).equals(after.subarray(at, at + StorageMap.StateBytes)),
    );
    expect(kept).toHaveLength(1);
    world.device.fail = () => false;
    world.powerCut();
    world.events.length = 0;
    world.boot();
    world.run(5);
    expect(world.codes()).toContain(MeterEvent.RtcAccepted);
    world.probe();
  });

  it('leaves a board with an entropy source its random bytes', () => {
    const world = newWorld(seed, true);
    world.device.fail = () => true;
    for (let start = 0; start < 5; start++) {
      world.boot();
      world.runUntilSynchronised(60);
      world.powerCut();
    }
  });
});

describe('the proof for the real-time clock', () => {
  it.each([
    [2.8e9, 1e6],
    [1e6, 2.8e9],
  ])('covers a clock set again with a larger error, when power fails before that is written (%d, %d)', (out, back) => {
    const world = newWorld(seed);
    world.boot();
    world.runUntilSynchronised();
    world.run(10);
    world.powerCut();
    // The next start finds a network that makes the bound a second larger, all of it error.
    Object.assign(world.conditions, { outNs: () => out, backNs: () => back });
    let sets = 0;
    const set = world.rtc!.set.bind(world.rtc!);
    world.rtc!.set = (payload) => {
      set(payload);
      sets++;
      world.time.schedule(world.time.nowNs, () => world.powerCut());
    };
    // Nor does the real-time clock help: it lost its time meanwhile.
    world.rtc!.stopped = true;
    world.boot();
    world.runUntil('the clock is set', () => sets > 0, 60);
    Object.assign(world.conditions, { keUp: false, serverUp: false });
    // Read at every part of its second.
    for (let start = 0; start < 20; start++) {
      world.boot();
      world.run(0.25);
      expect(world.probe()!.status).toBe(ClockStatus.Holdover);
      world.powerCut();
      world.run(0.8);
    }
  });

  it('does not count for years that no meter lives to see', () => {
    for (const year of [2200, 2262, 2263, 2612, 9999, 65_535]) {
      const world = newWorld(seed);
      world.boot();
      world.runUntilSynchronised();
      world.run(10);
      world.powerCut();
      world.rtc!.read = () => Uint8Array.of(0, 0, 0, 0, 1, 1, year & 0xff, year >> 8);
      world.events.length = 0;
      Object.assign(world.conditions, { keUp: false, serverUp: false });
      world.boot();
      world.run(2);
      expect([year, world.codes().includes(MeterEvent.RtcRefused)]).toEqual([year, true]);
    }
  });
});
