// Answers to commands over a link: each command gets one, and a new session has none of the commands before it.
import { beforeAll, expect, it } from 'vitest';
import { Block, CommandResult, Message, Ring, StorageMap } from '../../as/abi/codes.ts';
import type { Done } from '../../host/link/record-messages.ts';
import { encodeProgram } from '../../host/tariff/program-block.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { type CheckedModules, checkedModules } from '../fuzz/checked-core.ts';
import { runSeed } from '../fuzz/prng.ts';
import { World } from '../fuzz/world.ts';

let modules: CheckedModules;
let seed: number;
beforeAll(async () => {
  await buildCore();
  modules = checkedModules();
  seed = runSeed('answers');
});

const part = encodeProgram({ name: 'one', zone: 'UTC0', defaultTariff: 1 }, 0).subarray(0, 40);
const storageBytes = StorageMap.Records + 64 * StorageMap.EntryBytes;

function running(): { world: World; done: Done[] } {
  const world = new World({ seed, modules, baud: 115_200, storageBytes });
  const done: Done[] = [];
  world.onRecords = (message) => {
    if (message.type === Message.Done) done.push(message);
  };
  // Each start is an entry of the logbook.
  for (let starts = 0; starts < 12; starts++) {
    world.powerCut();
    world.boot();
    world.run(5);
  }
  world.runUntilSynchronised();
  world.run(60);
  return { world, done };
}
const write = (world: World, token: number) =>
  world.sockets.tell({ type: Message.BlockWrite, block: Block.Program, token, offset: 0, part });
const ask = (world: World, token: number, count = 1) =>
  world.sockets.tell({ type: Message.EntriesAsk, ring: Ring.Logbook, token, from: 1, count });
const isProgram = (offset: number | undefined) =>
  offset !== undefined && offset >= StorageMap.ProgramA && offset < StorageMap.Logbook;

it('a command that was under way as the session ended is not answered in the next one, and another one can begin', () => {
  const { world, done } = running();
  world.device.writeNs = 3_000_000_000n;
  write(world, 7);
  world.runUntil('it is being written', () => isProgram(world.device.writingAt), 10);
  world.line!.restart();
  // It is done meanwhile.
  world.run(20);
  expect(done).toEqual([]);
  write(world, 8);
  world.run(20);
  expect(done.map(({ token, result }) => [token, result])).toEqual([[8, CommandResult.Done]]);
});

it('an answer that found no room before the session ended is not given in the next one', () => {
  const { world, done } = running();
  // Of the meter only short frames arrive, with which it says what it has heard: entries fill its window.
  world.line!.fault = (frame, toMeter) => (toMeter || frame.length < 40 ? [frame] : []);
  for (let token = 1; token <= 3; token++) {
    ask(world, token, 50);
    world.run(0.1);
  }
  world.line!.fault = (frame) => [frame];
  world.line!.restart();
  world.run(20);
  expect(done).toEqual([]);
  ask(world, 30);
  write(world, 31);
  world.run(20);
  expect(new Map(done.map(({ token, result }) => [token, result]))).toEqual(
    new Map([
      [30, CommandResult.Done],
      [31, CommandResult.Done],
    ]),
  );
});
