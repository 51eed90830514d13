// New keys in the place of others. Of those that lead to an answer and are of no use soon after, as a NAK from anybody on
// the path makes them (RFC 8915 5.7: no fast loop between NTS-KE and NTP), the next follow at a growing distance, until
// some last for an hour.
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, Failure, Message, MeterEvent } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { runSeed } from '../fuzz/prng.ts';
import { World } from '../fuzz/world.ts';

let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('keys replaced');
});

function started(): World {
  const world = new World({ seed, modules });
  world.boot();
  world.runUntilSynchronised();
  return world;
}

/** s until the next key establishment after the server forgot its keys. */
function replacedAfter(world: World): number {
  const before = world.sockets.establishments;
  const startNs = world.time.nowNs;
  world.sockets.restartServer();
  world.runUntil('new keys', () => world.sockets.establishments > before, 86_400);
  world.run(5);
  return Number(world.time.nowNs - startNs) / 1e9;
}

describe('keys that lead to an answer and are of no use soon after', () => {
  it('are replaced less and less often', () => {
    const world = started();
    const seconds = Array.from({ length: 8 }, () => replacedAfter(world));
    expect(seconds[0]).toBeLessThan(120);
    // Each wait is 2 to 3 times the one before; a poll comes before each.
    for (let i = 3; i < seconds.length; i++) expect(seconds[i]).toBeGreaterThan(10 * 2 ** i - 20);
    expect(world.probe()?.status).not.toBe(ClockStatus.Unsynchronised);
  });

  it('are replaced at once again when some have lasted for an hour', () => {
    const world = started();
    for (let i = 0; i < 6; i++) replacedAfter(world);
    world.run(4000);
    expect(replacedAfter(world)).toBeLessThan(120);
  });

  it('do not lead to more than some tens of key establishments in a day', () => {
    const world = started();
    for (let minutes = 0; minutes < 1440; minutes++) {
      world.sockets.restartServer();
      world.run(60);
    }
    expect(world.sockets.establishments).toBeLessThan(30);
  });
});

describe('restored keys', () => {
  it('that have led to an answer and have no cookie left are replaced, though the storage holds one', () => {
    const world = started();
    world.run(600);
    world.powerCut();
    // Without a time from the server nothing new is stored, and without cookies those in use come to an end.
    world.conditions.serverUnsynchronised = true;
    world.conditions.change = (parts) => {
      parts.cookies = [];
    };
    const before = world.sockets.establishments;
    world.boot();
    world.run(5);
    expect(world.codes()).toContain(MeterEvent.KeysRestored);
    world.run(600);
    expect(world.sockets.establishments).toBeGreaterThan(before);
  });

  it('do not make waits begin anew by an answer: no key establishment has succeeded (RFC 8915 4.2)', () => {
    const world = started();
    world.run(600);
    world.powerCut();
    let named = false;
    let attempts = 0;
    const { tell } = world.sockets;
    world.sockets.tell = (message, afterNs) => {
      if (message.type === Message.TlsClosed) attempts++;
      const failed = !named && message.type === Message.UdpOpened;
      const { socket } = message as { socket: number };
      const told = { type: Message.UdpOpenFailed, socket, reason: Failure.Dns, detail: '' } as const;
      tell.call(world.sockets, failed ? told : message, afterNs);
    };
    world.conditions.keUp = false;
    world.boot();
    world.run(4 * 3600);
    expect(attempts).toBeGreaterThan(4);
    named = true;
    world.runUntilSynchronised(200);
    named = false;
    world.conditions.lossBack = 1;
    attempts = 0;
    world.run(3 * 3600);
    expect(attempts).toBeLessThan(3);
  });
});

describe('keys that are refreshed', () => {
  it('keep apart from the cookies of an answer that comes while the new ones are read', () => {
    const settings = { keyAgeHours: 1, poll: { minSeconds: 16, maxSeconds: 16 } };
    const world = new World({ seed, modules, settings });
    const { tell } = world.sockets;
    world.sockets.tell = (message, afterNs) =>
      tell.call(world.sockets, message, message.type === Message.TlsData ? (afterNs ?? 0) + 2e9 : afterNs);
    world.conditions.backNs = () => 1e9;
    world.boot();
    world.runUntilSynchronised();
    // A cookie with other keys than its own would be a Violation.
    world.run(6 * 3600);
    expect(world.sockets.establishments).toBeGreaterThan(5);
    expect(world.codes()).not.toContain(MeterEvent.Nak);
  });
});

describe('keys that are needed no more', () => {
  it.each([15, 16, 17, 30])(
    'leave nothing of themselves in the memory, nor do those in use but where they stand: AEAD %i',
    (aead) => {
      // Without record 1024, there are keys of two contexts for AEAD 30, until one of them has led to an answer.
      const compliant = false;
      const world = new World({ seed, modules, settings: { aeads: [aead], keyAgeHours: 1 } });
      world.conditions.host = () => ({ aeads: [aead], compliant, lieNs: () => 0 });
      const keys: Uint8Array[] = [];
      let inUse: { readonly clientToServer: Uint8Array; readonly serverToClient: Uint8Array } | undefined;
      const { tell } = world.sockets;
      world.sockets.tell = (message, afterNs) => {
        if (message.type === Message.TlsExported) {
          keys.push(message.key.slice());
          inUse = world.sockets.connections.get(message.id)!.keys!;
        }
        tell.call(world.sockets, message, afterNs);
      };
      // Halves, since the ciphers of AES-SIV have one each.
      const places = (key: Uint8Array) => {
        const memory = world.device.core!.memory;
        return [0, key.length / 2].map((from) => {
          const half = key.slice(from, from + key.length / 2);
          let count = 0;
          for (let at = memory.indexOf(half); at >= 0; at = memory.indexOf(half, at + 1)) count++;
          return count;
        });
      };
      const expectForgotten = () => {
        expect(keys.length).toBeGreaterThan(0);
        for (const key of keys) {
          const one = [inUse!.clientToServer, inUse!.serverToClient].some((own) => Buffer.compare(own, key) === 0)
            ? 1
            : 0;
          expect(places(key)).toEqual([one, one]);
        }
      };
      world.boot();
      world.runUntilSynchronised();
      world.run(100);
      expectForgotten();
      world.powerCut();
      world.boot();
      world.run(100);
      expect(world.codes()).toContain(MeterEvent.KeysRestored);
      expectForgotten();
      world.run(3600);
      expect(world.sockets.establishments).toBe(2);
      expectForgotten();
    },
  );
});
