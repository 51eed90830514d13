// After a power return a fleet's key establishments are spread (RFC 8915 4.2), whatever each meter needs them for and
// however long the way to the network takes to come back; only meters that are new ask at once.
import { beforeAll, describe, expect, it } from 'vitest';
import { MeterEvent, StorageMap } from '../../as/abi/codes.ts';
import { type CoreModule, loadCoreModule } from '../../host/core/core.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { World } from '../fuzz/world.ts';
import { seededRandom } from './random.ts';
import { Life } from './reserve-life.ts';
import { second } from './simulated-meter.ts';

/** A core that uses one server at once. */
let one: CoreModule;
let modules: CheckedModules;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  one = loadCoreModule((await buildCore({ servers: 1 })).path);
}, 120_000);

const spreadSeconds = 300;
const meters = 24;

// One of them in its first tenth is common; as many as half, one in ten million.
function expectSpread(waits: readonly number[]): void {
  expect(waits.filter((wait) => wait < spreadSeconds / 10).length).toBeLessThan(meters / 2);
  expect(Math.max(...waits)).toBeGreaterThan(spreadSeconds / 2);
}

/** s from a start to the first key establishment with any server, for each meter of a fleet. */
function fleet(name: string, options: ConstructorParameters<typeof Life>[0], change: (life: Life) => void): number[] {
  const random = seededRandom(name);
  return Array.from({ length: meters }, () => {
    const life = new Life({ seed: random.bytes(32), ...options, settings: { spreadSeconds, ...options?.settings } });
    life.start();
    life.settle();
    life.cut(0);
    change(life);
    const from = life.sim.utcNs;
    life.start();
    life.sim.runUntil('a key establishment', () => life.establishments > 0, 2 * spreadSeconds + 200);
    expect(life.sim.eventCodes()).toContain(MeterEvent.KeysRestored);
    const opened = life.sim.servers.flatMap((server) => server.opened).filter((at) => at >= from);
    return Number(opened[0]! - from) / 1e9;
  });
}

describe('NTS-KE after a power return is spread', () => {
  it('where the stored keys are older than keys may be', () => {
    const waits = fleet('old keys', { settings: { keyAgeHours: 24 } }, ({ sim }) => sim.run(90_000));
    expectSpread(waits);
  });

  it('where the server of the stored keys is silent and another one is free', () => {
    const waits = fleet('silent server', { core: one, servers: 2 }, ({ sim }) => {
      sim.servers[0]!.behaviour.onRequest = () => [];
    });
    expectSpread(waits);
  });

  it('where the certificate behind the stored keys has expired and another server is free', () => {
    const waits = fleet('expired', { core: one, servers: 2 }, ({ sim }) => {
      sim.run(366 * 86_400);
      sim.servers[1]!.behaviour.notAfter = sim.utcNs / second + 86_400n;
    });
    expectSpread(waits);
  });

  it('from the moment on at which the gateways are back, without a reserve', () => {
    const random = seededRandom('gateways');
    const waits = Array.from({ length: meters }, () => {
      const world = new World({ seed: random.below(2 ** 31), modules, baud: 115_200 });
      world.boot();
      world.runUntilSynchronised();
      world.run(5);
      world.powerCut();
      world.device.storage.set(new Uint8Array(StorageMap.ReserveBytes), StorageMap.Reserves);
      world.line!.fault = () => [];
      const before = world.sockets.establishments;
      world.boot();
      world.run(spreadSeconds);
      world.line!.fault = (frame) => [frame];
      const from = world.time.nowNs;
      world.runUntil('a key establishment', () => world.sockets.establishments > before, spreadSeconds + 60);
      return Number(world.time.nowNs - from) / 1e9;
    });
    expectSpread(waits);
  });
});
