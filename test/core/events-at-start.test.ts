// What a meter with several servers has to tell of its first start has room, however late the gateway acknowledges.
import { beforeAll, expect, it } from 'vitest';
import { Message, MeterEvent } from '../../as/abi/codes.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { runSeed } from '../fuzz/prng.ts';
import { World } from '../fuzz/world.ts';

let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('events at the start');
});

it.each([1, 2, 3, 4])('a first start with %i servers loses no event', (count) => {
  const servers = ['a', 'b', 'c', 'd'].slice(0, count).map((name) => ({ host: `${name}.test`, port: 4460 }));
  const world = new World({ seed, modules, settings: { servers } });
  const { tell } = world.sockets;
  world.sockets.tell = (message, afterNs) => {
    if (message.type !== Message.EventAck) tell.call(world.sockets, message, afterNs);
  };
  world.boot();
  world.runUntilSynchronised();
  world.run(30);
  expect(world.report?.eventsLost).toBe(0);
  const codes = world.codes();
  expect(codes.filter((code) => code === MeterEvent.KeysEstablished)).toHaveLength(count);
  for (const code of [MeterEvent.ClockSet, MeterEvent.Synchronised]) expect(codes).toContain(code);
});
