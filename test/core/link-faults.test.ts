// The link on lines that spoil what they carry, and with ends that start anew at any moment. Two compiled cores, in
// virtual time. What must hold, whatever happens: stream and report messages arrive in order, once, undamaged, within
// their session; datagrams undamaged and at most once; and when the harm ends, everything given arrives.
import { beforeAll, describe, expect, test } from 'vitest';
import { Channel } from '../../as/abi/codes.ts';
import { newLink } from './link-core.ts';
import { bringUp, faultsEvery, joinEnds, type LinkEnd, noFaults, type Timeline, Traffic } from './link-line.ts';
import { seededRandom } from './random.ts';

const SECOND = 1_000_000_000;

beforeAll(async () => {
  await newLink();
});

interface Scene {
  readonly timeline: Timeline;
  readonly meter: LinkEnd;
  readonly gateway: LinkEnd;
}

function trafficOn({ meter, gateway }: Scene, random: ReturnType<typeof seededRandom>): [Traffic, Traffic] {
  return [new Traffic(meter, random), new Traffic(gateway, random)];
}

/** With the harm ended: everything given in the session that then stands arrives. */
function settle(scene: Scene, ends: readonly [Traffic, Traffic]): void {
  const { timeline, meter, gateway } = scene;
  meter.faults = noFaults;
  gateway.faults = noFaults;
  for (const traffic of ends) traffic.active = false;
  const quiet = () =>
    meter.core.linkUp() !== 0 &&
    meter.core.linkSession() === gateway.core.linkSession() &&
    [Channel.Stream, Channel.Report].every(
      (channel) =>
        (ends[0].given[channel] ?? 0) === (ends[1].taken[channel] ?? 0) &&
        (ends[1].given[channel] ?? 0) === (ends[0].taken[channel] ?? 0),
    );
  timeline.run(timeline.nowNs + 40 * SECOND, quiet);
  expect(quiet(), 'everything given arrived once the harm had ended').toBe(true);
}

function check(scene: Scene, ends: readonly [Traffic, Traffic], startNs: number): void {
  for (const traffic of ends) {
    expect(traffic.faultsFound).toEqual([]);
    const { end } = traffic;
    expect(end.core.memory.buffer.byteLength, 'memory does not grow').toBe(65_536);
    const seconds = (scene.timeline.nowNs - startNs) / SECOND;
    // Each frame sent or received and each deadline is one call; 115,200 baud carry 640 of the shortest frames a second.
    expect(end.polls / Math.max(seconds, 1), 'calls of linkPoll a second').toBeLessThan(4 * 640 + 100);
  }
}

describe('faults', () => {
  for (const bytes of [1000, 300, 100]) {
    for (const latencyNs of [0, 20_000_000]) {
      test(`one byte in ${bytes} spoiled, ${latencyNs / 1e6} ms of latency`, () => {
        const random = seededRandom(`link faults ${bytes} ${latencyNs}`);
        const scene = joinEnds(random, { latencyNs });
        const ends = trafficOn(scene, random);
        scene.meter.faults = faultsEvery(bytes);
        scene.gateway.faults = faultsEvery(bytes);
        scene.timeline.run(60 * SECOND);
        expect(Math.min(ends[0].delivered, ends[1].delivered), 'messages through the harm').toBeGreaterThan(
          bytes >= 300 ? 300 : 0,
        );
        if (bytes >= 300) expect(ends.map((traffic) => traffic.sessions)).toEqual([1, 1]);
        settle(scene, ends);
        check(scene, ends, 0);
        expect(ends[0].datagrams + ends[1].datagrams).toBeGreaterThan(0);
      });
    }
  }

  test('nothing but noise for a minute, then a session', () => {
    const random = seededRandom('link noise');
    const scene = joinEnds(random);
    const ends = trafficOn(scene, random);
    scene.meter.faults = { ...noFaults, flip: 0.2, lose: 0.1, noise: 0.2 };
    scene.gateway.faults = scene.meter.faults;
    scene.timeline.run(60 * SECOND);
    // Hellos and calls at 0.1, 0.2, ... 5 s.
    expect(scene.meter.framesOnLine).toBeLessThan(30);
    expect(scene.gateway.framesOnLine).toBeLessThan(30);
    settle(scene, ends);
    check(scene, ends, 0);
  });

  test('a session that stands and then hears only noise stays quiet and ends', () => {
    const random = seededRandom('link noise later');
    const scene = joinEnds(random);
    const { timeline, meter, gateway } = scene;
    bringUp(scene);
    const startNs = timeline.nowNs;
    const framesBefore = meter.framesOnLine;
    // Of the shortest frame's 25 bytes none is hit once in 0.8^-25 = 265 times: such a frame is heard as any other.
    meter.faults = { ...noFaults, flip: 0.2 };
    gateway.faults = meter.faults;
    let whole = 0;
    let heardNs = startNs;
    const receivedBefore = meter.core.linkFramesReceived();
    timeline.run(startNs + 600 * SECOND, () => {
      const received = meter.core.linkFramesReceived() - receivedBefore;
      if (received > whole) heardNs = timeline.nowNs;
      whole = received;
      return meter.core.linkUp() === 0;
    });
    expect(meter.core.linkUp()).toBe(0);
    // To the meter's tick.
    expect(timeline.nowNs - heardNs).toBeLessThan(15 * SECOND + 1000);
    // Its first status, one in 5 s, and one that rejects between two good frames.
    const most = 2 + whole + Math.ceil((timeline.nowNs - startNs) / (5 * SECOND));
    expect(meter.framesOnLine - framesBefore).toBeLessThanOrEqual(most);
  });
});

describe('restarts', () => {
  for (const bytes of [0, 1000]) {
    test(`both ends start anew at any moment${bytes > 0 ? `, one byte in ${bytes} spoiled` : ''}`, () => {
      const random = seededRandom(`link restarts ${bytes}`);
      const scene = joinEnds(random);
      const ends = trafficOn(scene, random);
      if (bytes > 0) {
        scene.meter.faults = faultsEvery(bytes);
        scene.gateway.faults = faultsEvery(bytes);
      }
      for (let round = 0; round < 60; round++) {
        scene.timeline.run(scene.timeline.nowNs + random.below(2 * SECOND));
        const end = random.below(2) === 0 ? scene.meter : scene.gateway;
        end.restart();
        // Its application starts anew too.
        end.onSession();
      }
      settle(scene, ends);
      check(scene, ends, 0);
    });
  }

  test('an end that is dead for a while comes back', () => {
    const random = seededRandom('link dead');
    const scene = joinEnds(random);
    const ends = trafficOn(scene, random);
    for (const end of [scene.meter, scene.gateway]) {
      scene.timeline.run(scene.timeline.nowNs + 3 * SECOND);
      expect(end.peer.core.linkUp()).toBe(1);
      end.faults = { ...noFaults, drop: 1 };
      end.peer.faults = { ...noFaults, drop: 1 };
      scene.timeline.run(scene.timeline.nowNs + 16 * SECOND);
      expect(end.core.linkUp()).toBe(0);
      expect(end.peer.core.linkUp()).toBe(0);
      end.faults = noFaults;
      end.peer.faults = noFaults;
      scene.timeline.run(scene.timeline.nowNs + 6 * SECOND, () => end.core.linkUp() + end.peer.core.linkUp() === 2);
      expect(end.core.linkUp() + end.peer.core.linkUp()).toBe(2);
    }
    settle(scene, ends);
    check(scene, ends, 0);
  });

  test('one direction dead: both ends notice, and it heals', () => {
    const random = seededRandom('link half dead');
    for (const silent of ['meter', 'gateway'] as const) {
      const scene = joinEnds(random);
      const ends = trafficOn(scene, random);
      bringUp(scene);
      scene[silent].faults = { ...noFaults, drop: 1 };
      scene.timeline.run(scene.timeline.nowNs + 20 * SECOND, () => scene[silent].peer.core.linkUp() === 0);
      expect(scene[silent].peer.core.linkUp()).toBe(0);
      settle(scene, ends);
      check(scene, ends, 0);
    }
  });
});
