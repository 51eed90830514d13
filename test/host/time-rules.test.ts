// The rules for a meter's clock: what a file says of them, what the core is told, and what docs/time-rules.md says.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { timeProfilesTable } from '../../host/config/reference.ts';
import { parseSettings } from '../../host/provision/settings-file.ts';
import {
  decodeTimeRules,
  encodeTimeRules,
  type TimeProfile,
  type TimeRules,
  timeProfileNames,
  timeProfiles,
  timeProfilesOf,
  timeRulesProblem,
  timeRulesText,
} from '../../host/provision/time-rules.ts';

const own = timeProfiles.default.rules;
const read = (text: string) => parseSettings(text, 'meter.yaml').given.timeRules;

describe('a file', () => {
  it('names a profile', () => {
    expect(read('timeRules:\n  profile: uk\n')).toEqual(timeProfiles.uk.rules);
    expect(read('id: a\n')).toBeUndefined();
    expect(read('timeRules: {}\n')).toEqual(own);
  });

  it('says single numbers otherwise', () => {
    const rules = read('timeRules:\n  profile: gas\n  dayLimitMs: 0\n  duringTransaction: slew\n');
    expect(rules).toEqual({ ...timeProfiles.gas.rules, dayLimitMs: 0, duringTransaction: 'slew' });
  });

  // NZR EcoCount SL manual: a period in which the clock was set carries a status.
  it.each<[string, Partial<TimeRules>]>([
    ['slewMaxMs: 20, invalidMs: 20', { slewMaxMs: 20, invalidMs: 20 }],
    ['slewMaxMs: 20, invalidMs: 1', { slewMaxMs: 20, invalidMs: 1 }],
    ['slewMaxMs: 100', { slewMaxMs: 100 }],
  ])('of load-profile-90d may say %s', (said, expected) => {
    const rules = read(`timeRules: { profile: load-profile-90d, ${said} }\n`);
    expect(rules).toEqual({ ...timeProfiles['load-profile-90d'].rules, ...expected });
  });

  it.each([
    ['slewMaxMs: 49', /meter.yaml:1:23: .*timeRules.invalidMs: expected from 1 to slewMaxMs \(49\), .*came 50/],
    ['invalidMs: 51', /meter.yaml:1:52: .*timeRules.invalidMs: expected from 1 to slewMaxMs \(50\), .*came 51/],
    ['invalidMs: 0', /timeRules.invalidMs: expected from 1 to slewMaxMs \(50\), .*came 0/],
    ['slewMaxMs: 0', /meter.yaml:1:52: .*timeRules.slewMaxMs: expected at least 1, .*came 0/],
  ])('of load-profile-90d with %s is refused: the clock could be set and periods stay valid', (said, message) => {
    const silent = 'silentMaxMs: 0';
    expect(() => read(`timeRules: { profile: load-profile-90d, ${said}, ${silent} }\n`)).toThrow(message);
    expect(read(`timeRules: { ${said}, ${silent} }\n`)).toMatchObject({ silentMaxMs: 0 });
  });

  it.each([
    ['profile: mid', /meter.yaml:2:12.*expected one of default, ptb-50.7/],
    ['slewMaxMs: 20001', /meter.yaml:2:14.*from 0 to 20000/],
    ['duringTransaction: set', /expected wait or slew/],
    ['slewMax: 5', /slewMax/],
  ])('with %s is refused', (line, message) => {
    expect(() => read(`timeRules:\n  ${line}\n`)).toThrow(message);
  });
});

describe('rules', () => {
  it.each(timeProfileNames)('of the profile %s are what the core takes, and have its name', (name) => {
    const { rules } = timeProfiles[name];
    expect(timeRulesProblem(rules)).toBeUndefined();
    expect(decodeTimeRules(encodeTimeRules(rules))).toEqual(rules);
    // Those of two profiles may be the same.
    expect(timeProfilesOf(rules)).toContain(name);
  });

  it('have the layout that the core reads', () => {
    const rules: TimeRules = {
      ...{ slewMaxMs: 0x0102, silentMaxMs: 0x34, invalidMs: 0x0567, refuseMs: 0x089a, dayLimitMs: 0x0bcd },
      ...{ dayLimitCount: 7, holdoverHours: 0x0102, duringTransaction: 'slew' },
    };
    const expected = ['02010000', '34000000', '67050000', '9a080000', 'cd0b0000', '0201', '07', '01'];
    expect(Buffer.from(encodeTimeRules(rules)).toString('hex')).toBe(expected.join(''));
    expect(timeProfilesOf(rules)).toEqual([]);
  });

  it.each<[string, Partial<TimeRules>, keyof TimeRules]>([
    ['silence above what is slewed', { silentMaxMs: 51 }, 'silentMaxMs'],
    ['a refusal of what is slewed', { refuseMs: 49 }, 'refuseMs'],
    ['a slew of more than 20 s', { slewMaxMs: 20_001 }, 'slewMaxMs'],
    ['a day of more than 1000 s', { dayLimitMs: 1_000_001 }, 'dayLimitMs'],
    ['half an hour', { holdoverHours: 0.5 }, 'holdoverHours'],
    ['256 times', { dayLimitCount: 256 }, 'dayLimitCount'],
    ['less than nothing', { invalidMs: -1 }, 'invalidMs'],
  ])('are none: %s', (_, change, setting) => {
    expect(timeRulesProblem({ ...own, ...change })?.setting).toBe(setting);
    expect(timeRulesProblem(own)).toBeUndefined();
  });

  it('are none when a bit of the bytes makes them so', () => {
    const bytes = encodeTimeRules(own);
    expect(decodeTimeRules(bytes.subarray(1))).toBeUndefined();
    bytes[23] = 2;
    expect(decodeTimeRules(bytes)).toBeUndefined();
  });

  it('read as a sentence', () => {
    expect(timeRulesText(timeProfiles.uk.rules)).toBe(
      'slewed up to 10000 ms, without an event up to 10000 ms, refused above 10000 ms, 10000 ms a day, never in a transaction',
    );
  });
});

/** How a source may say a number of the rules: 9000 ms are 9 s, 2160 h are 90 days. */
const wordings = (setting: string, value: number) =>
  setting.endsWith('Hours') ? [`${value} h`, `${value / 24} days`] : [`${value / 1000} s`];

describe.each(timeProfileNames)('the profile %s', (name) => {
  const { rules, sources }: TimeProfile = timeProfiles[name];

  it('says of no number that it has a source that does not name it', () => {
    for (const [setting, source] of Object.entries(sources)) {
      const value = rules[setting as keyof TimeRules];
      if (typeof value !== 'number') continue;
      const named = wordings(setting, value).some((words) => new RegExp(`\\b${words}\\b`).test(source));
      expect(named, `${setting}: ${value}, ${source}`).toBe(true);
    }
  });
});

it('docs/time-rules.md has the profiles as they are', () => {
  const docs = readFileSync(new URL('../../docs/time-rules.md', import.meta.url), 'utf8');
  expect(docs).toContain(timeProfilesTable());
});
