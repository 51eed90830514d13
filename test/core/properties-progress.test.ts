// A meter never gets stuck and never spins: whatever fails for however long, it says what it knows, leaves what does not
// work, and comes back when it works again, with few wake-ups in between.
import { beforeAll, describe, expect, it } from 'vitest';
import { Channel, ClockStatus, Event, Failure, Message, MeterEvent } from '../../as/abi/codes.ts';
import { loadCoreModule } from '../../host/core/core.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { Prng, runSeed } from '../fuzz/prng.ts';
import { second } from '../fuzz/sockets.ts';
import { World, type WorldOptions } from '../fuzz/world.ts';

let modules: CheckedModules;
/** A core that uses one server at once. */
let single: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  single = { plain: loadCoreModule((await buildCore({ servers: 1 })).path).module };
  seed = runSeed('progress');
}, 120_000);

function started(options: Partial<WorldOptions> = {}): World {
  const world = new World({ seed, modules, ...options });
  world.boot();
  return world;
}

const status = (world: World) => world.probe()?.status;
const servers = [
  { host: 'a.test', port: 4460 },
  { host: 'b.test', port: 4460 },
];

describe('holdover', () => {
  const lasting = 8 * (64 + 3);
  const becomesHoldover = (world: World) => {
    world.runUntil('holdover', () => status(world) === ClockStatus.Holdover, lasting + 70);
    expect(world.device.core).toBeDefined();
  };

  it('comes when the cookies ran out and the server is gone', () => {
    const world = started();
    world.conditions.cookies = 1;
    world.conditions.change = (parts) => parts.cookies.splice(1);
    world.runUntilSynchronised();
    world.run(300);
    Object.assign(world.conditions, { serverUp: false, keUp: false });
    becomesHoldover(world);
    expect(world.codes()).toContain(MeterEvent.Holdover);
  });

  it('comes when the server forgot its keys and gives no new ones', () => {
    const world = started();
    world.runUntilSynchronised();
    world.run(300);
    world.sockets.restartServer();
    world.conditions.keUp = false;
    becomesHoldover(world);
  });

  it('comes when the server is no longer synchronised itself', () => {
    const world = started();
    world.runUntilSynchronised();
    world.run(300);
    world.conditions.serverUnsynchronised = true;
    becomesHoldover(world);
    world.conditions.serverUnsynchronised = false;
    world.runUntilSynchronised(200);
  });

  it.each([0, 1, 2, 3, 20])('comes when the line breaks %d s after new keys were needed, and wakes nobody', (after) => {
    const world = started({ baud: 115_200 });
    world.runUntilSynchronised();
    world.run(300);
    world.sockets.restartServer();
    world.conditions.keUp = after % 2 === 0;
    world.runUntil('a NAK', () => world.codes().includes(MeterEvent.Nak), 100);
    world.run(after);
    world.line!.fault = () => [];
    world.run(30);
    const before = world.device.handled;
    becomesHoldover(world);
    expect(world.device.handled - before).toBeLessThan(3 * lasting);
    world.line!.fault = (frame) => [frame];
    world.conditions.keUp = true;
    world.runUntilSynchronised(3 * lasting);
  });
});

describe('sockets', () => {
  it('are closed, each, when datagrams cannot be sent', () => {
    for (const baud of [undefined, 115_200]) {
      const world = started(baud === undefined ? {} : { baud });
      world.runUntilSynchronised();
      const random = new Prng(seed);
      world.conditions.udpFailure = () => (random.chance(0.7) ? Failure.Connect : undefined);
      for (let i = 0; i < 3600; i++) {
        world.run(1);
        expect(world.sockets.sockets.size).toBeLessThanOrEqual(1);
      }
      world.conditions.udpFailure = () => undefined;
      // Keys were replaced again and again; the last wait for new ones is at most three times the one before, which was over.
      world.runUntilSynchronised(3 * 3600);
    }
  });

  it('are closed when the server is silent and its addresses change', () => {
    const world = started();
    world.runUntilSynchronised();
    for (let i = 0; i < 20; i++) {
      world.conditions.lossBack = i % 2 === 0 ? 1 : 0.5;
      world.run(200);
    }
    expect(world.sockets.mostSockets).toBe(1);
  });

  it('that open too late are closed', () => {
    const world = started();
    world.runUntilSynchronised();
    // The gateway takes 15 s to resolve the name.
    const { tell } = world.sockets;
    world.sockets.tell = (message, afterNs) =>
      tell.call(world.sockets, message, message.type === Message.UdpOpened ? 15e9 : afterNs);
    world.conditions.lossBack = 1;
    world.run(1200);
    expect(world.sockets.mostSockets).toBeLessThanOrEqual(2);
    expect(world.sockets.sockets.size).toBeLessThanOrEqual(1);
  });
});

describe('a server that gives no time', () => {
  const hosts = (world: World) =>
    world.sockets.received.flatMap((message) => (message.type === Message.TlsOpen ? [message.host] : []));

  it('is left for the next one when it never answers NTP', () => {
    const world = started({ modules: single, settings: { servers } });
    world.conditions.serverUp = false;
    world.runUntil('the second server', () => hosts(world).includes('b.test'), 300);
    world.conditions.serverUp = true;
    world.runUntilSynchronised(120);
  });

  it('is left when all that it says is that it is not synchronised', () => {
    const world = started({ modules: single, settings: { servers } });
    world.conditions.serverUnsynchronised = true;
    world.runUntil('the second server', () => hosts(world).includes('b.test'), 300);
    // Where that is no better, it is kept until the first may be asked again, and serves as soon as it can.
    world.run(3600);
    expect(world.report).toMatchObject({ keAttempts: 2, keHost: 'b.test' });
    world.conditions.serverUnsynchronised = false;
    world.runUntilSynchronised(120);
  });

  it('is left when its certificate does not hold at the time that it gives', () => {
    const world = started({ modules: single, settings: { servers } });
    world.conditions.notAfter = world.startUtcNs / second - 3600n;
    world.runUntil('the first again', () => /^a.test,(b.test,)+a.test/.test(hosts(world).join()), 600);
    expect(status(world)).toBe(ClockStatus.Unsynchronised);
  });

  it('is asked less often when it asks for that', () => {
    const world = started({ settings: { poll: { minSeconds: 16, maxSeconds: 1024 } } });
    world.conditions.change = (parts) => {
      parts.stratum = 0;
      parts.referenceId = Buffer.from('RATE');
    };
    world.run(3600);
    expect(world.sockets.requests).toBeLessThan(15);
  });
});

describe('a certificate', () => {
  it('that is checked at the time floor is checked again at the time obtained', () => {
    const world = started({ settings: { firstDatesUnchecked: false } });
    // Valid when the software was built, no more today.
    world.conditions.notBefore = world.startUtcNs / second - 2_000_000n;
    world.conditions.notAfter = world.startUtcNs / second - 500_000n;
    world.run(120);
    expect(world.codes()).toContain(MeterEvent.CertificateRefused);
    expect(status(world)).toBe(ClockStatus.Unsynchronised);
    world.conditions.notAfter += 1_000_000n;
    world.runUntilSynchronised(600);
  });
});

describe('wake-ups', () => {
  it('are few when the gateway says nothing at all', () => {
    for (const options of [{}, { baud: 115_200 }]) {
      const world = started(options);
      world.runUntilSynchronised();
      world.run(100);
      world.conditions.gatewayUp = false;
      const before = world.device.handled;
      world.run(7200);
      // On a link each report takes a frame, its end and its acknowledgement.
      expect(world.device.handled - before).toBeLessThan(1.5 * 7200);
      world.conditions.gatewayUp = true;
      world.runUntilSynchronised(3600);
    }
  });

  it('are few when a gateway acknowledges nothing', () => {
    const world = started({ baud: 115_200 });
    world.runUntilSynchronised();
    // Frames of the gateway that carry an acknowledgement are lost for 8 s of every minute.
    let quiet = false;
    world.line!.fault = (frame, toMeter) => (toMeter && quiet ? [] : [frame]);
    for (let i = 0; i < 60; i++) {
      quiet = true;
      world.run(8);
      quiet = false;
      world.run(52);
    }
    expect(world.busiest).toBeLessThanOrEqual(400);
    world.runUntilSynchronised(600);
  });

  it('that come early, late or too often change nothing', () => {
    const world = started();
    const random = new Prng(seed);
    for (let i = 0; i < 20_000; i++) {
      world.run(random.exponential(0.05));
      world.device.feed(Event.Wake);
    }
    expect(status(world)).toBe(ClockStatus.Synchronised);
    expect(world.sockets.requests).toBeLessThan(100);
  });
});

describe('reports', () => {
  it('fit and come with the longest names that there may be', () => {
    for (const baud of [undefined, 115_200]) {
      const host = `${'k'.repeat(60)}.kt`;
      expect(host.length).toBe(63);
      const world = started({ ...(baud === undefined ? {} : { baud }), settings: { servers: [{ host, port: 4460 }] } });
      world.runUntilSynchronised();
      world.run(30);
      expect(world.report).toMatchObject({ keHost: host });
      const source = world.sockets.received.findLast(({ type }) => type === Message.Source);
      expect(source).toMatchObject({ keHost: host, ntpHost: host });
    }
  });

  it('are not kept back by a gateway that never acknowledges an event', () => {
    const world = started();
    const { tell } = world.sockets;
    world.sockets.tell = (message, afterNs) => {
      if (message.type !== Message.EventAck) tell.call(world.sockets, message, afterNs);
    };
    world.runUntilSynchronised();
    for (let i = 0; i < 40; i++) {
      world.sockets.restartServer();
      world.run(150);
    }
    expect(world.report!.eventsLost).toBeGreaterThan(0);
    expect(world.report!.utcNs).toBeGreaterThan(world.utcNs - 20n * second);
  });
});

describe('a link that breaks', () => {
  it('again and again during NTS-KE leads to no flood of key establishments (RFC 8915 4.2)', () => {
    const world = started({ baud: 115_200, settings: { servers } });
    const random = new Prng(seed);
    // The handshake takes longer than the link lasts.
    const { tell } = world.sockets;
    world.sockets.tell = (message, afterNs) =>
      tell.call(world.sockets, message, message.type === Message.TlsOpened ? 6e9 : afterNs);
    let opens = 0;
    const take = world.sockets.message;
    world.sockets.message = (channel, bytes) => {
      if (channel === Channel.Stream && bytes[0] === Message.TlsOpen) opens++;
      take.call(world.sockets, channel, bytes);
    };
    for (let i = 0; i < 1200; i++) {
      world.run(2 + 2 * random.fraction());
      world.line!.restart();
    }
    // An hour of waits that grow from 10 s by half at least, for each of two servers.
    expect(opens).toBeGreaterThan(8);
    expect(opens).toBeLessThanOrEqual(2 * 14);
    expect(status(world)).toBe(ClockStatus.Unsynchronised);
    world.runUntilSynchronised(86_400);
  }, 60_000);
});

describe('messages', () => {
  it('cut to every length, or of every first byte, do no harm in any state', () => {
    const random = new Prng(seed);
    const world = started({ eventsPerSecond: Number.POSITIVE_INFINITY });
    for (let state = 0; state < 40; state++) {
      world.run(random.exponential(state < 20 ? 0.01 : 5));
      for (let type = 0; type < 256; type++) {
        for (const length of [1, 2, 3, 4, 5, 12, 18, 50, 51, 52]) {
          const message = random.bytes(length);
          message[0] = type;
          // An id or socket that is in use.
          if (length > 1 && random.chance(0.5)) message[1] = random.below(3);
          world.deliver(type < 0x10 ? Channel.Time : type < 0x30 ? Channel.Stream : Channel.Report, message);
        }
      }
      world.probe();
    }
    world.runUntilSynchronised(5 * 86_400);
  }, 60_000);
});
