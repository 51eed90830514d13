// Zones by name: the rule or the list that they become says what this node's time zone data say.
import { describe, expect, it } from 'vitest';
import { utcSeconds, type ZoneList } from '../../host/tariff/model.ts';
import { type PosixTz, summerTimeOf } from '../../host/tariff/posix-tz.ts';
import { describeZone, type ResolvedZone, resolveZone } from '../../host/tariff/zone.ts';
import { seededRandom } from '../core/random.ts';

/** Of each kind: none, north and south, half an hour, a day's end, lists. */
const zones = [
  ...[
    'UTC',
    'Europe/Berlin',
    'Europe/London',
    'Europe/Dublin',
    'Europe/Lisbon',
    'America/New_York',
    'Australia/Sydney',
  ],
  ...[
    'America/Santiago',
    'Australia/Lord_Howe',
    'Asia/Kolkata',
    'Asia/Kathmandu',
    'America/Sao_Paulo',
    'Asia/Jerusalem',
  ],
  ...['America/Nuuk', 'Africa/Cairo', 'Africa/Casablanca', 'Asia/Gaza'],
];

/** Local time minus UTC as the zone says it, in seconds. */
function offsetAt(zone: ResolvedZone, utc: number): number {
  return zone.kind === 'rule' ? offsetByRule(zone.rule, utc) : offsetByList(zone.list, utc);
}

function offsetByRule(rule: PosixTz, utc: number): number {
  const year = new Date(utc * 1000).getUTCFullYear();
  const changes = [year - 1, year, year + 1].flatMap((each) => {
    const span = summerTimeOf(rule, each);
    if (span === undefined) return [];
    return [
      { at: span.begin, offset: rule.summer!.offsetSeconds },
      { at: span.end, offset: rule.standard.offsetSeconds },
    ];
  });
  const last = changes.filter(({ at }) => at <= utc).sort((a, b) => a.at - b.at);
  return last.at(-1)?.offset ?? rule.standard.offsetSeconds;
}

function offsetByList({ initial, transitions }: ZoneList, utc: number): number {
  const last = transitions.filter((transition) => utcSeconds(transition.utc) <= utc).at(-1) ?? initial;
  return last.offsetMinutes * 60;
}

/** The same from node, by the offset's own text. */
function nodeOffset(format: Intl.DateTimeFormat, utc: number): number {
  const name = format.formatToParts(utc * 1000).find(({ type }) => type === 'timeZoneName')!.value;
  const [, sign, hours = '0', minutes = '0'] = /^GMT(?:([+-])(\d+):(\d+))?$/.exec(name)!;
  return (sign === '-' ? -1 : 1) * (Number(hours) * 3600 + Number(minutes) * 60);
}

const from = Date.UTC(2026, 0, 1) / 1000;
const until = Date.UTC(2047, 0, 1) / 1000;

describe('an IANA name', () => {
  it.each(zones)('%s becomes what node says', (name) => {
    const random = seededRandom(`zone ${name}`);
    const zone = resolveZone(name);
    const format = new Intl.DateTimeFormat('en', { timeZone: name, timeZoneName: 'longOffset' });
    const times = Array.from({ length: 1000 }, () => from + random.below(until - from));
    if (zone.kind === 'list')
      times.push(...zone.list.transitions.flatMap(({ utc }) => [utcSeconds(utc) - 1, utcSeconds(utc)]));
    for (const utc of times)
      expect(offsetAt(zone, utc), new Date(utc * 1000).toISOString()).toBe(nodeOffset(format, utc) + 0);
  });

  it.each([
    ['Europe/Berlin', '<+01>-1<+02>,M3.5.0,M10.5.0/3'],
    ['europe/dublin', '<+00>0<+01>,M3.5.0/1,M10.5.0'],
    ['America/Santiago', '<-04>4<-03>,M9.1.6/24,M4.1.6/24'],
    ['Asia/Jerusalem', '<+02>-2<+03>,M3.4.4/26,M10.5.0'],
    ['Asia/Kathmandu', '<+0545>-5:45'],
  ])('%s becomes the rule %s', (name, text) => {
    expect(resolveZone(name)).toMatchObject({ kind: 'rule', text });
    expect(describeZone(resolveZone(name))).toBe(`${text}, a rule for all years`);
  });

  it('Africa/Casablanca becomes a list, summer time around each Ramadan', () => {
    const zone = resolveZone('Africa/Casablanca');
    if (zone.kind !== 'list') throw new Error('expected a list');
    const { initial, transitions } = zone.list;
    expect(initial).toEqual({ offsetMinutes: 60, summer: true });
    for (const { offsetMinutes, summer } of transitions) expect(summer).toBe(offsetMinutes === 60);
    expect(zone.untilUtc).toBe('2047-01-01T00:00:00Z');
    expect(describeZone(zone)).toMatch(/^\d+ transitions up to 2046-/);
    expect(resolveZone('Africa/Casablanca')).toBe(zone);
  });
});

describe('what is no IANA name', () => {
  it('may be a TZ string', () => {
    expect(resolveZone('IST-1GMT0,M10.5.0,M3.5.0/1')).toMatchObject({
      kind: 'rule',
      text: 'IST-1GMT0,M10.5.0,M3.5.0/1',
    });
  });

  it.each([
    ['Europe/Berln', /expected an IANA name .* came "Europe\/Berln"; did you mean Europe\/Berlin\?/],
    ['MESZ', /expected an IANA name .* came "MESZ"/],
    ['CET-1CEST', /zone: "CET-1CEST", character 10: expected a comma and when summer time begins/],
    ['+01:00', /zone: "\+01:00", character 1: expected the name of standard time/],
  ])('%s is refused', (zone, message) => {
    expect(() => resolveZone(zone)).toThrow(message);
  });
});
