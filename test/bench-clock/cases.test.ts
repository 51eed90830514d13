// The case files of bench:clock: those that are there hold what the table asks for, and what does not fit is told
// with its place.
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CaseError, figureNames, loadCases, parseCase } from '../../bench/clock/cases.ts';
import { root } from '../../scripts/lib/project.mjs';

const folder = join(root, 'bench', 'clock', 'cases');

function problems(text: string): string[] {
  try {
    parseCase(text, 'x.yaml');
  } catch (error) {
    if (error instanceof CaseError) return error.message.split('\n');
    throw error;
  }
  throw new Error('the case was taken');
}

describe('the cases that are there', () => {
  const cases = loadCases(folder);

  it('all have targets, and the bound is one of them', () => {
    expect(cases.length).toBeGreaterThan(20);
    for (const { name, targets } of cases) expect(targets.insideBoundPercent, name).toEqual({ atLeast: 100 });
  });

  it.each(['walk-9-j1', 'walk-9-j10', 'walk-8-j1', 'walk-8-j10', 'sine-j1', 'sine-j10'])(
    '%s stands beside chrony, with polls as few',
    (name) => {
      const { peers, targets, settings, seconds, leaveOutSeconds } = cases.find((each) => each.name === name)!;
      expect(targets.rmsMs!.atMost).toBeLessThan(peers['chrony 4.3']!.rmsMs!);
      expect(targets.pollSeconds).toEqual({ atLeast: 900 });
      expect(settings).toMatchObject({ pollMinSeconds: 64, pollMaxSeconds: 1024 });
      expect([seconds, leaveOutSeconds]).toEqual([200_000, 20_000]);
    },
  );
});

describe('a case', () => {
  it('has a default for everything but its title', () => {
    const { name, network, servers, oscillator } = parseCase('title: a', 'folder/some-name.yaml');
    expect(name).toBe('some-name');
    expect(network).toMatchObject({ baseMs: 20, jitter: { exponential: { meanMs: 1 } } });
    expect(servers).toHaveLength(1);
    expect(oscillator).toMatchObject({ offsetPpb: 10_000, walkPpb: 1 });
  });

  it.each([
    ['seconds: 100000', 'x.yaml:1:1: title is missing; expected text (in quotes if it looks like a number)'],
    ['title: a\nsecond: 5', 'x.yaml:2:1: unknown setting "second"; did you mean "seconds"?'],
    [
      'title: a\nnetwork:\n  jitter: { exponentail: { meanMs: 1 } }',
      'x.yaml:3:13: unknown setting "network.jitter.exponentail"; did you mean "exponential"?',
    ],
    [
      'title: a\nnetwork:\n  lossPercent: 120',
      'x.yaml:3:16: network.lossPercent is 120; expected a number from 0 to 100',
    ],
    [
      'title: a\nnetwork:\n  jitter: { exponential: { meanMs: 1 }, uniform: { fromMs: 1, toMs: 2 } }',
      'x.yaml:3:11: network.jitter; expected one of: exponential, gamma, lognormal, uniform, table',
    ],
    ['title: a\nseconds: 1000.5', 'x.yaml:2:10: seconds is 1000.5; expected a whole number from 60 to 10000000'],
    ['title: a\nseconds: 1000', 'leaveOutSeconds'],
    ['title: a\ntemperature: { dailyK: 3 }', 'x.yaml:2:14: temperature; expected oscillator.crystal beside it'],
    ['title: a\ntargets: { rmsMS: { atMost: 1 } }', 'rmsMS'],
    ['title: a\nservers: [{}, {}, {}, {}, {}]', 'x.yaml:2:10: servers is a list; expected 1 to 4 servers'],
  ])('%j is refused', (text, expected) => {
    expect(problems(text).join('\n')).toContain(expected);
  });

  it('knows each figure as a target', () => {
    for (const name of figureNames) {
      expect(parseCase(`title: a\ntargets: { ${name}: { atLeast: 1 } }`, 'x.yaml').targets).toEqual({
        [name]: { atLeast: 1 },
      });
    }
  });

  it('is missed where it is not', () => {
    expect(() => loadCases(join(folder, 'none.yaml'))).toThrow(/none\.yaml: expected a file or folder with cases/);
  });
});
