// What changes while something else is under way: a server that stops, moves or falls silent, a link that breaks, a clock
// that is put right. The other servers go on, there are few wake-ups, and the meter finds back to a time.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message, SourceState, StorageMap } from '../../as/abi/codes.ts';
import { type CoreModule, loadCoreModule } from '../../host/core/core.ts';
import type { GatewayMessage } from '../../host/link/messages.ts';
import type { MeterSettings } from '../../host/provision/settings-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { runSeed } from '../fuzz/prng.ts';
import { World } from '../fuzz/world.ts';
import { millisecond, type SimulatedMeter, second, started } from './simulated-meter.ts';

/** A core that uses one server at once. */
let one: CoreModule;
let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  one = loadCoreModule((await buildCore({ servers: 1 })).path);
  seed = runSeed('changes under way');
}, 120_000);

const hourly: Partial<MeterSettings> = { keyAgeHours: 1, poll: { minSeconds: 16, maxSeconds: 16 } };

/**
 * A server that, at the next refresh of its keys, asks not to be polled any more (RFC 5905 7.4) while its handshake is
 * under way: the answer to the poll takes `denyNs`, the handshake ends `openedNs` after the poll came.
 */
function deniesDuringHandshake(sim: SimulatedMeter, index: number, denyNs: bigint, openedNs: bigint): void {
  const { behaviour } = sim.servers[index]!;
  const open = behaviour.onTlsOpen;
  let opened: GatewayMessage | undefined;
  behaviour.onTlsOpen = (message) => {
    opened = open(message);
    return undefined;
  };
  behaviour.onRequest = (request) => {
    if (opened === undefined) return [sim.answer(request)];
    behaviour.backNs = () => denyNs;
    sim.deliver(opened, openedNs);
    return [request.server.sealedKiss(request, 'DENY')];
  };
}

describe('a server that asks not to be polled while its keys are refreshed', () => {
  it('leaves the reader of NTS-KE answers to the others, and no connection open', () => {
    const sim = started({ servers: 4, settings: hourly });
    sim.run(3000);
    expect(sim.report).toMatchObject({ agreeing: 4 });
    sim.servers[3]!.behaviour.onKe = () => [];
    deniesDuringHandshake(sim, 3, 2n * second, millisecond);
    sim.runUntil('it stops', () => sim.sources[3]!.state === SourceState.Stopped, 900);
    const before = sim.servers.map(({ opened }) => opened.length);
    sim.run(3 * 3600);
    for (const i of [0, 1, 2]) expect(sim.servers[i]!.opened.length).toBeGreaterThanOrEqual(before[i]! + 2);
    expect(sim.servers[3]!.opened.length).toBe(before[3]);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, agreeing: 3, keFailures: 0 });
    const last = sim.sentOf(Message.TlsOpen).findLast(({ host }) => host === 'd.test')!;
    expect(sim.sentOf(Message.TlsClose).filter(({ id }) => id === last.id)).not.toHaveLength(0);
  });

  it('leaves its place to a free one, which gets keys of its own', () => {
    const sim = started({ core: one, servers: 2, settings: hourly });
    sim.run(3000);
    deniesDuringHandshake(sim, 0, millisecond, 50n * millisecond);
    sim.runUntil('the other one', () => sim.servers[1]!.requests.length > 0, 900);
    const before = sim.servers[0]!.requests.length;
    sim.run(1200);
    expect(sim.servers.map(({ opened }) => opened.length)).toEqual([2, 1]);
    expect(sim.servers[0]!.requests.length).toBe(before);
    expect(sim.report).toMatchObject({ status: ClockStatus.Synchronised, keHost: 'b.test', reach: 0xff });
  });
});

describe('one server at once, of two', () => {
  const serves = (sim: SimulatedMeter, host: string) =>
    sim.meter.time().status === ClockStatus.Synchronised && sim.report!.keHost === host && sim.report!.reach === 0xff;

  it('leaves one that falls silent after a few answers, each time it has given keys', () => {
    const sim = started({ core: one, servers: 2 }, ({ servers }) => {
      const { behaviour } = servers[0]!;
      let answers = 0;
      behaviour.onKe = (request) => {
        answers = 0;
        return [servers[0]!.keAnswer(request)];
      };
      behaviour.onRequest = (request) => (answers++ < 3 ? [request.server.answer(request)] : []);
    });
    sim.runUntil('the other one serves', () => serves(sim, 'b.test'), 3600);
  });

  it('leaves one whose answers are now right and now wrong', () => {
    const sim = started({ core: one, servers: 2 });
    sim.run(600);
    const { behaviour } = sim.servers[0]!;
    behaviour.onRequest = (request) => {
      behaviour.serverErrorNs = behaviour.serverErrorNs === 0n ? 3600n * second : 0n;
      return [sim.answer(request)];
    };
    sim.runUntil('the other one serves', () => serves(sim, 'b.test'), 86_400);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(1e9);
  });
});

describe('servers that accept a connection and never answer', () => {
  it('keep the reader of NTS-KE answers from no other for long', () => {
    const sim = started({ servers: 4, settings: { agreement: 1 } }, ({ servers }) => {
      for (const { behaviour } of servers.slice(0, 3)) behaviour.onKe = () => [];
    });
    sim.runUntil('synchronised', () => sim.meter.time().status === ClockStatus.Synchronised, 60);
    sim.run(60);
    expect(sim.sources[3]).toMatchObject({ keHost: 'd.test', state: SourceState.Serving });
    expect(sim.counts[3]!.keFailures).toBe(0);
  });
});

describe('a link that is back after more polls than a server may be silent for', () => {
  it('leaves a meter that finds its NTP server gone with new keys soon, not when the old ones are four weeks old', () => {
    const world = new World({ seed, modules, baud: 115_200 });
    world.boot();
    world.runUntilSynchronised();
    world.run(1200);
    world.line!.fault = () => [];
    world.run(900);
    world.line!.fault = (frame) => [frame];
    // The name that the NTS-KE server gave for NTP is not resolved any more: no cookie is used up.
    const tell = world.sockets.tell.bind(world.sockets);
    world.sockets.tell = (message, afterNs) => {
      if (message.type !== Message.UdpOpened) return tell(message, afterNs);
      tell({ type: Message.UdpOpenFailed, socket: message.socket, reason: Failure.Dns, detail: '' }, afterNs);
    };
    const before = world.sockets.establishments;
    world.runUntil('new keys', () => world.sockets.establishments > before, 8 * 64 + 60);
  });
});

describe('a link that breaks while the last cookie is on its way', () => {
  function world(): World {
    const made = new World({ seed, modules, baud: 115_200 });
    made.conditions.outNs = () => 300e6;
    made.boot();
    made.runUntilSynchronised();
    return made;
  }

  /** The gateway restarts while the nth request from now on is under way. */
  function restartAt(world: World, nth: number): void {
    const last = world.sockets.requests + nth;
    for (let i = 0; i < 6000 && world.sockets.requests < last; i++) world.run(0.1);
    expect(world.sockets.requests).toBe(last);
    world.line!.restart();
  }

  function recovers(world: World): void {
    const { establishments, served } = world.sockets;
    world.runUntil('new keys', () => world.sockets.establishments > establishments, 600);
    world.runUntil('answers', () => world.sockets.served > served, 60);
    world.runUntilSynchronised();
    const before = world.device.handled;
    world.run(600);
    expect(world.device.handled - before).toBeLessThan(600 * 10);
  }

  it('gets new keys where the server gives one cookie at a time', () => {
    const made = world();
    made.conditions.cookies = 1;
    made.conditions.change = (parts) => parts.cookies.splice(1);
    made.sockets.restartServer();
    const before = made.sockets.establishments;
    made.runUntil('keys with one cookie', () => made.sockets.establishments > before, 600);
    made.run(200);
    restartAt(made, 1);
    recovers(made);
  });

  it('gets new keys where eight requests were lost', () => {
    const made = world();
    made.run(300);
    made.conditions.lossBack = 1;
    restartAt(made, 8);
    made.conditions.lossBack = 0;
    recovers(made);
  });

  it('gets new keys where both cookies of the storage were lost', () => {
    const made = world();
    made.run(600);
    made.powerCut();
    // A request that was on the line is none of the next start.
    made.run(1);
    made.boot();
    restartAt(made, 1);
    restartAt(made, 1);
    recovers(made);
  });
});

describe('a name that is not resolved while an answer to NTS-KE does not come', () => {
  it('wakes the meter a few times a second at most', () => {
    const settings = { keyAgeHours: 1, poll: { minSeconds: 4, maxSeconds: 4 } };
    const world = new World({ seed, modules, settings, eventsPerSecond: 50 });
    world.boot();
    world.runUntilSynchronised();
    const { tell } = world.sockets;
    let unanswered = 0;
    world.sockets.tell = (message, afterNs) => {
      if (message.type === Message.TlsData) unanswered++;
      else if (message.type !== Message.UdpOpened) tell.call(world.sockets, message, afterNs);
    };
    world.conditions.lossBack = 1;
    world.run(3600);
    expect(unanswered).toBeGreaterThan(3);
    expect(world.busiest).toBeLessThanOrEqual(50);
  });
});

describe('a real-time clock two years ahead', () => {
  const years = 365n * 86_400n;

  /** Cut off and started again with the clock wrong and no keys stored. */
  function misled(settings: Partial<MeterSettings>, change: (sim: SimulatedMeter) => void = () => {}): SimulatedMeter {
    const sim = started({ servers: 3, rtc: true, settings }, change);
    sim.runUntilSynchronised();
    sim.run(60);
    sim.meter.powerCut();
    sim.storage.write(StorageMap.Reserves, new Uint8Array(4 * StorageMap.ReserveBytes).fill(0xff));
    sim.rtc!.set({ year: 2028, month: 11, day: 22, hour: 0, minute: 0, second: 0 });
    sim.meter.start();
    sim.run(2);
    expect(Number(sim.errorNs)).toBeGreaterThan(1e9 * 86_400 * 700);
    return sim;
  }

  const isRight = (sim: SimulatedMeter) =>
    sim.meter.time().status === ClockStatus.Synchronised && Math.abs(Number(sim.errorNs)) < 1e9;

  it('is put right by the majority, though it makes their certificates seem to have expired', () => {
    const sim = misled({});
    sim.runUntil('right', () => isRight(sim), 2 * 86_400);
  });

  it('keeps no keys from being refreshed by their age, over however many starts', () => {
    const sim = misled({ keyAgeHours: 24 }, ({ servers }) => {
      for (const { behaviour } of servers) behaviour.notAfter += 2n * years;
    });
    sim.runUntil('right', () => isRight(sim), 2 * 86_400);
    sim.run(600);
    const before = sim.servers.map(({ opened }) => opened.length);
    for (let i = 0; i < 8; i++) {
      sim.run(8 * 3600);
      // The first start finds in the storage the keys that were made before the clock was right.
      if (i === 1) expect(sim.servers.map(({ opened }) => opened.length)).toEqual(before);
      sim.meter.powerCut();
      sim.meter.start();
    }
    for (const [i, { opened }] of sim.servers.entries()) expect(opened.length).toBeGreaterThanOrEqual(before[i]! + 2);
  });
});

describe('a real-time clock that is right', () => {
  it('is not doubted for a certificate that ran out, where one server alone would have to be believed', () => {
    const sim = started({ rtc: true });
    sim.runUntilSynchronised();
    sim.run(3600);
    sim.meter.powerCut();
    sim.storage.write(StorageMap.Reserves, new Uint8Array(4 * StorageMap.ReserveBytes).fill(0xff));
    // Whoever has the key of an old certificate gives the time at which it held.
    sim.behaviour.notAfter = sim.utcNs / second - 30n * 86_400n;
    sim.behaviour.notBefore = sim.behaviour.notAfter - 60n * 86_400n;
    sim.behaviour.serverErrorNs = -60n * 86_400n * second;
    sim.meter.start();
    sim.run(7 * 86_400);
    expect(sim.servers[0]!.opened.length).toBeGreaterThan(5);
    expect(sim.meter.time().status).toBe(ClockStatus.Holdover);
    expect(Math.abs(Number(sim.errorNs))).toBeLessThan(2e9);
  });
});
