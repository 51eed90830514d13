// A meter behind a serial line keeps the time of one with a network of its own: what the line, an adapter and the gateway keep
// back is taken out of its samples. The same seeds draw the same oscillator and, poll by poll, the same network.
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Case, loadCases } from '../../bench/clock/cases.ts';
import { runCase } from '../../bench/clock/run.ts';
import { type Figures, figuresOf, sumTallies } from '../../bench/clock/tally.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { root } from '../../scripts/lib/project.mjs';
import { seededRandom } from '../core/random.ts';

const cases = loadCases(join(root, 'bench', 'clock', 'cases')).filter(({ link }) => link !== undefined);
const named = (name: string) => cases.find((each) => each.name === name)!;
const random = seededRandom('link of bench:clock');
const seeds = Array.from({ length: 3 }, () => random.below(2 ** 31));

beforeAll(async () => {
  await buildCore();
});

function run(of: Case): Figures {
  const short = { ...of, seconds: 80_000, readEverySeconds: 10 };
  return figuresOf(sumTallies(seeds.map((seed) => runCase(short, seed))), short);
}

const direct = new Map<string, Figures>();

/** The same without a link, once for each set of servers. */
function withoutLink({ link: _, ...of }: Case): Figures {
  const key = JSON.stringify([of.servers, of.network, of.settings]);
  const figures = direct.get(key) ?? run({ ...of, link: undefined });
  direct.set(key, figures);
  return figures;
}

describe('error beside that of the same meter without a link', () => {
  // Limits: 3 to 19 % are lost to what is drawn of the line and to other instants of the polls; without its correction an adapter costs 20 times as much, and
  // the last bytes in a UART's buffer ten times at 9,600 baud.
  it.each(['link-9600', 'link-115200', 'link-921600', 'link-usb', 'link-usb-pieces', 'link-busy'])(
    '%s: no more than 1.4 times',
    { timeout: 120_000 },
    (name) => {
      const of = named(name);
      const figures = run(of);
      const ratio = figures.rmsMs / withoutLink(of).rmsMs;
      expect(ratio).toBeLessThan(1.4);
      expect(figures.insideBoundPercent).toBe(100);
    },
  );
});

it('the same seed gives the same life over a link, bit for bit', () => {
  const of = { ...named('link-usb'), seconds: 20_000, leaveOutSeconds: 1000 };
  expect(runCase(of, seeds[0]!)).toEqual(runCase(of, seeds[0]!));
});
