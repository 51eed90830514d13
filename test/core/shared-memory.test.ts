// Memory that ciphers, hashes and the making of keys share (as/aead/scratch.ts): nothing of it is needed from one event to
// the next, and within an event nobody spoils what another one still needs. A life of a meter with records, signed heads,
// reserves and restarts is lived three times, event by event: with the memory as it is, with bytes drawn at random put into
// it before each event, and by a core in which each user has memory of its own. All three do the same.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { beforeAll, expect, test } from 'vitest';
import { MeterEvent, StorageMap } from '../../as/abi/codes.ts';
import { Core, type CoreAction, type CoreModule, loadCoreModule } from '../../host/core/core.ts';
import { root } from '../../scripts/lib/project.mjs';
import { replaceOnce } from '../fuzz/red-zones.ts';
import { loadCore } from './load-core.ts';
import { seededRandom } from './random.ts';
import { SimulatedMeter } from './simulated-meter.ts';

const scratchBytes = 520;
const places: readonly (readonly [string, number])[] = [
  ['CONTEXT: usize = SCRATCH', 520],
  ['HASH_STATE: usize = SCRATCH', 192],
  ['DIGEST: usize = SCRATCH + 200', 64],
  ['DERIVED_KEY: usize = SCRATCH + 456', 32],
  ['KEY_SCRATCH: usize = SCRATCH + 240', 212],
];

/** The core with memory for each of the users. */
async function compileApart(): Promise<CoreModule> {
  let wasm: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['--config', 'asconfig.json', '--noColors'], {
    readFile: (name: string) => {
      try {
        const text = readFileSync(join(root, name), 'utf8');
        if (name !== 'as/aead/scratch.ts') return text;
        return places.reduce((result, [place, bytes]) => {
          const own = place.replace(/= .*/, `= memory.data(${bytes}, 8)`);
          return replaceOnce(result, `${place};`, `${own};`);
        }, text);
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw cause;
      }
    },
    writeFile: (_name: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') wasm = contents;
    },
    listFiles: () => null,
  });
  if (error !== null || wasm === undefined) throw new Error(`the core does not compile:\n${stderr.toString()}`);
  return { module: new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>), sha256: new Uint8Array(32) };
}

let apart: CoreModule;
beforeAll(async () => {
  await loadCore();
  apart = await compileApart();
}, 120_000);

const shown = (actions: readonly CoreAction[]) =>
  actions.map(({ kind, payload }) => `${kind} ${Buffer.from(payload).toString('hex')}`);

test('nothing in it lasts beyond an event, and no two users need it at once', () => {
  const random = seededRandom('shared memory');
  const shared = loadCoreModule();
  let poisoned: Core;
  let separate: Core;
  let expected: string[][] = [];
  let compared = 0;
  const sim = new SimulatedMeter({
    servers: 4,
    storageBytes: StorageMap.Records + 256 * StorageMap.EntryBytes,
    settings: { spreadSeconds: 0 },
    trace: {
      reset: () => {
        poisoned = new Core(shared);
        separate = new Core(apart);
      },
      event: (event, tick, payload) => {
        const at = (poisoned.exports as unknown as { testAeadContext(): number }).testAeadContext();
        new Uint8Array(poisoned.exports.memory.buffer).set(random.bytes(scratchBytes), at);
        expected = [poisoned, separate].map((core) => shown(core.handle(event, tick, payload)));
      },
      actions: (actions) => {
        compared += actions.length;
        for (const one of expected) expect(one).toEqual(shown(actions));
      },
      trap: () => expect.unreachable('a trap'),
    },
  });
  for (let starts = 0; starts < 3; starts++) {
    sim.meter.start();
    sim.runUntilSynchronised();
    sim.run(3600);
    sim.meter.powerCut();
  }
  expect(compared).toBeGreaterThan(1000);
  expect(sim.records.length).toBeGreaterThan(10);
  const codes = new Set(sim.eventCodes());
  expect(codes).toContain(MeterEvent.KeysEstablished);
  expect(codes).toContain(MeterEvent.KeysRestored);
});
