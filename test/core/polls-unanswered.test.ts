// Polls that nobody answers, or that fall due without a network: two are repeated soon, the rest keep the interval, so that
// a server that is away for some minutes costs a fleet no key establishment (RFC 8915 4.2).
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Message } from '../../as/abi/codes.ts';
import type { MeterMessage, Source } from '../../host/link/messages.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { World } from '../fuzz/world.ts';
import { seededRandom } from './random.ts';
import { SimulatedMeter, second } from './simulated-meter.ts';

let modules: CheckedModules;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
});

const isSource = (message: MeterMessage): message is Source => message.type === Message.Source;

/** A meter with all its cookies and polls at their longest interval. */
function settled(poll = { minSeconds: 16, maxSeconds: 64 }): SimulatedMeter {
  const sim = new SimulatedMeter({ settings: { poll } });
  sim.meter.start();
  sim.runUntilSynchronised();
  sim.runUntil('the longest interval', () => sim.sources[0]!.pollSeconds === poll.maxSeconds, 40 * poll.maxSeconds);
  sim.run(2 * poll.maxSeconds);
  return sim;
}

describe('a server that falls silent', () => {
  it.each([64, 1024])('is asked again twice soon, then every %i s, the interval', (seconds) => {
    const sim = settled({ minSeconds: 16, maxSeconds: seconds });
    const sentAt: number[] = [];
    sim.behaviour.onRequest = () => {
      sentAt.push(Number(sim.time.nowNs) / 1e9);
      return [];
    };
    sim.runUntil('six requests', () => sentAt.length >= 6, 7 * seconds);
    const gaps = sentAt.slice(1).map((at, i) => Math.round(at - sentAt[i]!));
    // 3 s for the answer, then the wait.
    expect(gaps).toEqual([5, 7, seconds + 3, seconds + 3, seconds + 3]);
  });

  it.each([64, 1024])('for four minutes costs no key establishment at %i s', (seconds) => {
    const sim = settled({ minSeconds: 16, maxSeconds: seconds });
    const answer = sim.behaviour.onRequest;
    sim.behaviour.onRequest = () => [];
    sim.run(240);
    sim.behaviour.onRequest = answer;
    sim.run(3 * seconds);
    expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
    expect(sim.report!.keAttempts).toBe(1);
  });

  it('for good costs new keys before the clock is in holdover', () => {
    const sim = settled();
    sim.behaviour.onRequest = () => [];
    sim.runUntil('new keys', () => sim.servers[0]!.opened.length > 1, 10 * 64);
    expect(sim.meter.time().status).toBe(ClockStatus.Synchronised);
  });
});

describe('a poll that falls due without a network', () => {
  it('is made up for soon after, at random, and not an interval later', () => {
    const random = seededRandom('polls made up for');
    const settings = { poll: { minSeconds: 64, maxSeconds: 4096 }, reportSeconds: 60 };
    const waits = Array.from({ length: 6 }, () => {
      const world = new World({ seed: random.below(0x1_0000_0000), modules, baud: 115_200, settings });
      world.boot();
      world.runUntilSynchronised();
      const longest = () => world.sockets.received.some((sent) => isSource(sent) && sent.pollSeconds === 4096);
      world.runUntil('the longest interval', longest, 40_000);
      world.line!.fault = () => [];
      world.run(6000);
      world.line!.fault = (frame) => [frame];
      const { requests } = world.sockets;
      const from = world.time.nowNs;
      world.runUntil('a poll', () => world.sockets.requests > requests, 120);
      return Number((world.time.nowNs - from) / second);
    });
    expect(Math.max(...waits) - Math.min(...waits)).toBeGreaterThan(5);
  });
});
