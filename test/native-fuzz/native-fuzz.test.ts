// A short run of every native fuzz target (`npm run fuzz` gives each a million inputs and more), every input that once
// was found, and proof that mistakes of the kinds looked for are found: each is planted in a copy of the core's sources.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { debianTool } from '../../scripts/debian.mjs';
import { runSeed } from '../fuzz/prng.ts';
import { buildFuzzer, type Fuzzer } from './build.ts';
import { type NativeOutcome, type NativeTarget, nativeTargets, replayNative, runNative } from './campaign.ts';

const cases = join(import.meta.dirname, 'cases');
const left = process.env.METERTIME_NATIVE_FUZZ === 'skip';
const clang = debianTool('clang-14');
if (!clang.ok && !left) {
  throw new Error(`nothing can be fuzzed natively: ${clang.reason}; to leave that out: METERTIME_NATIVE_FUZZ=skip`);
}

const folder = mkdtempSync(join(tmpdir(), 'metertime-native-fuzz-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const runTarget = (fuzzer: Fuzzer, target: NativeTarget, seconds: number): Promise<NativeOutcome> =>
  runNative(fuzzer, target, {
    seed: runSeed(`native ${target.name}`),
    seconds,
    corpus: mkdtempSync(join(folder, 'corpus-')),
    foundFolder: join(folder, 'found'),
  });

describe.skipIf(left)('whatever the compiled core is given', () => {
  let fuzzer: Fuzzer;
  beforeAll(async () => {
    fuzzer = await buildFuzzer();
  }, 300_000);

  it.each(nativeTargets)('$name', async (target) => {
    const { inputs, edges, found } = await runTarget(fuzzer, target, 2);
    // The folder goes with the test; in a message the input stays.
    const input = found?.path === undefined ? 'none' : readFileSync(found.path).toString('hex');
    expect(found && `${found.message}\n  input ${input}`).toBeUndefined();
    expect(inputs).toBeGreaterThan(100);
    expect(edges).toBeGreaterThan(40);
  });

  it('does no harm any more that it once did', async () => {
    for (const name of readdirSync(cases).filter((file) => file !== 'README.md')) {
      expect(await replayNative(fuzzer, join(cases, name)), name).toBeUndefined();
    }
  });
});

/** A mistake in the core: where, what is replaced by what, which target finds it, and as what. */
interface Mistake {
  readonly mistake: string;
  readonly path: string;
  readonly what: RegExp;
  readonly by: string;
  readonly target: NativeTarget['name'];
  readonly finding: RegExp;
}

/** One for each target. */
const planted: readonly Mistake[] = [
  {
    mistake: 'a read one byte behind a message',
    path: 'as/nts/key-establishment.ts',
    what: /(keRead\([^{]*\{[^{]*for \(let i: u32 = 0; i )<( length;)/,
    by: '$1<=$2',
    target: 'ke',
    finding: /access out of bounds[\s\S]*keRead/,
  },
  {
    mistake: 'a write beyond a region',
    path: 'as/meter/settings.ts',
    what: /size > METER_ID_MAX\)/,
    by: 'size > METER_ID_MAX + 8)',
    target: 'settings',
    finding: /AddressSanitizer: use-after-poison, WRITE/,
  },
  {
    mistake: 'a length that is not checked',
    path: 'as/nts/exchange.ts',
    what: / \|\|\s+nonceRoom \+ [^>]* > room/,
    by: '',
    target: 'answer',
    finding: /access out of bounds|use-after-poison/,
  },
  {
    mistake: 'a state that is not authenticated',
    path: 'as/meter/state.ts',
    what: /return sivOpen\([^)]*\) && /,
    by: 'return ',
    target: 'start',
    finding: /believed without a proof/,
  },
  {
    mistake: 'a cookie that counts though its erasure failed',
    path: 'as/meter/reserve.ts',
    what: /if \(failed\) cookiesClear\(source\.index\);/,
    by: '',
    target: 'reserve',
    finding: /cookie \d+ is sent/,
  },
];

/** Those that only first inputs of the right shape reach within a short run. */
const plantedAtEdges: readonly Mistake[] = [
  {
    mistake: "a byte from one server's jar into the next one",
    path: 'as/nts/cookies.ts',
    what: /(load<u16>\(jar, 4\) - used)\);/,
    by: '$1 + 1);',
    target: 'ke',
    finding: /use-after-poison, WRITE[\s\S]*cookiesKeepOld/,
  },
  {
    mistake: 'settings that leave no room for all of the CRC-32',
    path: 'as/meter/settings.ts',
    what: /(<u32>SettingsField\.Items) - CRC_BYTES\)/,
    by: '$1)',
    target: 'settings',
    finding: /access out of bounds[\s\S]*readBlock/,
  },
  {
    mistake: 'a host in the storage that is too long',
    path: 'as/meter/reserve.ts',
    what: /host > SERVER_NAME_BYTES \+ 1\)/,
    by: 'host > SERVER_NAME_BYTES + 2)',
    target: 'part',
    finding: /AEAD \d+ instead of 0/,
  },
  {
    mistake: 'a message shorter than what is read of it',
    path: 'as/meter/establish.ts',
    what: /length > 2 \? load<u8>\(message, 2\) : Failure\.Request/,
    by: 'load<u8>(message, 2)',
    target: 'messages',
    finding: /access out of bounds/,
  },
  {
    mistake: 'pieces that are more than a message',
    path: 'as/link/datagram.ts',
    what: /(filled \+ length > datagramMost\(\))\)/,
    by: '$1 + 8)',
    target: 'frames',
    finding: /use-after-poison, WRITE[\s\S]*datagramReceived/,
  },
];

describe.skipIf(left).each([
  { name: 'planted', mistakes: planted },
  { name: 'edges', mistakes: plantedAtEdges },
])('in a copy of the core with mistakes ($name)', ({ name: copy, mistakes }) => {
  let fuzzer: Fuzzer;
  beforeAll(async () => {
    const change = (path: string, text: string) =>
      mistakes
        .filter((mistake) => mistake.path === path)
        .reduce((changed: string, { what, by }) => {
          if (!what.test(changed)) throw new Error(`${path}: nothing there looks like ${what}`);
          return changed.replace(what, by);
        }, text);
    fuzzer = await buildFuzzer({ name: copy, change });
  }, 300_000);

  it.each(mistakes)(
    'finds $mistake',
    async ({ target: name, finding }) => {
      const target = nativeTargets.find((one) => one.name === name)!;
      const { found } = await runTarget(fuzzer, target, 60);
      expect(found?.message).toMatch(finding);
      expect(await replayNative(fuzzer, found?.path ?? '')).toMatchObject({ message: expect.stringMatching(finding) });
    },
    100_000,
  );
});
