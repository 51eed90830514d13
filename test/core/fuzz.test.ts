// A short run of every fuzz target (`npm run fuzz` runs them for as long as asked), and every input that once was found.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildCore } from '../../scripts/build-core.mjs';
import { targets } from '../fuzz/all-targets.ts';
import { type Found, recordedEvents, runTarget } from '../fuzz/campaign.ts';
import { CheckedCore, replayEvents, twinModules } from '../fuzz/checked-core.ts';
import { runSeed } from '../fuzz/prng.ts';

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
