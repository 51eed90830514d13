// A short run of every fuzz target (`npm run fuzz` runs them for as long as asked), and every input that once was found.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { targets } from '../fuzz/all-targets.ts';
import { type Found, recordedEvents, runRound, runTarget } from '../fuzz/campaign.ts';
import { type Change, CheckedCore, compileTwins, replayEvents, twinModules } from '../fuzz/checked-core.ts';
import { ntsTargets } from '../fuzz/nts-targets.ts';
import { runSeed } from '../fuzz/prng.ts';
import { replaceOnce } from '../fuzz/red-zones.ts';
import type { Target } from '../fuzz/targets.ts';

const cases = join(import.meta.dirname, 'fuzz-cases');

beforeAll(async () => {
  await buildCore();
  await twinModules();
});

describe('whatever the core is given', () => {
  it.each(targets)(
    '$name',
    async (target) => {
      const { inputs, found, seconds } = await runTarget(target, { seed: runSeed(`fuzz ${target.name}`), seconds: 2 });
      console.log(`${target.name}: ${inputs} inputs, ${Math.round(inputs / seconds)}/s`);
      expect(
        found && `${found.message} (npm run fuzz -- --target ${target.name} --round ${found.roundSeed})`,
      ).toBeUndefined();
      expect(inputs).toBeGreaterThan(0);
    },
    60_000,
  );
});

describe('what was found once', () => {
  it('does no harm any more', async () => {
    for (const name of readdirSync(cases).filter((file) => file.endsWith('.json'))) {
      const found = JSON.parse(readFileSync(join(cases, name), 'utf8')) as Found;
      const core = new CheckedCore(await twinModules(), { large: found.large, twin: true });
      expect(() => replayEvents(core, recordedEvents(found)), name).not.toThrow();
    }
  });
});

/** A round of one event, as often as told. */
const repeated = (event: number, times: number): Target => ({
  name: 'repeated',
  about: 'one event again and again',
  round: (_random, modules) => {
    const core = new CheckedCore(modules, { large: true, twin: true, record: true });
    for (let i = 0; i < times; i++) core.handle(event, 0n);
    return times;
  },
});

describe('in a copy of the core with mistakes', () => {
  const mistakes = [
    { mistake: 'a memory that grows', target: repeated(101, 1), finding: /event 101: the memory grew/, events: 1 },
    {
      mistake: 'memory that is allocated',
      target: repeated(102, 200),
      finding: /event 102: (the memory grew|a byte behind)/,
    },
    { mistake: 'an event that never ends', target: repeated(103, 1), finding: /does not end within/, events: 1 },
    {
      mistake: "a byte from one server's keys into the next one's",
      target: ntsTargets.find(({ name }) => name === 'ke')!,
      finding: /the red zone at \d+ was written/,
    },
  ];
  const changes = [
    {
      path: 'as/index.ts',
      what: '  actionsClear();',
      by: `  actionsClear();
        if (event == 101) memory.grow(1);
        if (event == 102) heap.alloc(64);
        while (event == 103) store<u8>(eventAt(), load<u8>(eventAt()) + 1);`,
    },
    {
      path: 'as/nts/exchange.ts',
      what: 'copy(exchangeKeys(source), keys, KEYS_BYTES)',
      by: 'copy(exchangeKeys(source), keys, KEYS_BYTES + 1)',
    },
  ];
  const change: Change = (path, text) =>
    changes.filter((one) => one.path === path).reduce((changed, { what, by }) => replaceOnce(changed, what, by), text);

  it('finds each', async () => {
    const modules = await compileTwins(change);
    const seed = runSeed('fuzz mistakes');
    for (const { mistake, target, finding, events } of mistakes) {
      const found = runRound(target, seed, modules, 3000);
      expect(found, mistake).toMatchObject({ message: expect.stringMatching(finding) });
      if (events !== undefined) expect((found as Found).events.length, mistake).toBe(events);
    }
  }, 60_000);
});
