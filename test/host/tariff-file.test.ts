// Tariff programs in files: errors name line and column, the place in the program, what was expected and what came.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeProgram } from '../../host/tariff/program-block.ts';
import { parseDynamic, parseProgram, readDynamicFile, readProgramFile } from '../../host/tariff/program-file.ts';

const text = `name: household
zone: Europe/Berlin
defaultTariff: 1
seasons:
  - { name: all, start: { month: 1, day: 1 }, week: all }
weeks:
  - { name: all, days: [1, 1, 1, 1, 1, 2, 2] }
days:
  - id: 1
    actions:
      - { time: "06:00", tariff: 1 }
      - { time: "22:00", tariff: 2 }
  - id: 2
    actions: [{ time: "00:00", tariff: 2 }]
specialDays:
  - { date: --12-25, day: 2 }
  - { date: 2026-04-03, day: 2 }
`;

const changed = (from: string, to: string) => () => parseProgram(text.replace(from, to), 'p.yaml');

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'metertime-tariff-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('a program in a file', () => {
  it('is read, as YAML and as JSON', () => {
    const path = join(folder, 'p.yaml');
    writeFileSync(path, text);
    const { program, block } = readProgramFile(path);
    expect(program).toMatchObject({ name: 'household', specialDays: [{ date: '--12-25' }, { date: '2026-04-03' }] });
    expect(decodeProgram(block).program.zone).toBe('<+01>-1<+02>,M3.5.0,M10.5.0/3');
    expect(parseProgram(JSON.stringify(program), 'p.json').block).toEqual(block);
  });

  it.each<[string, string, string, RegExp]>([
    ['an unknown setting', 'name:', 'title:', /^p.yaml:1:1: .*(title|name)/],
    ['a wrong week', 'week: all', 'week: al', /^p.yaml:5:53: season 1 \(all\): expected one of all, came "al"$/],
    [
      'a time without quotes',
      '"22:00"',
      '2200',
      /^p.yaml:12:17: days\[1\].actions\[2\].time is 2200; expected a time of day/,
    ],
    [
      'actions out of order',
      '"22:00"',
      '"05:00"',
      /^p.yaml:12:17: day 1, action 2 \(05:00\): expected a time after 06:00/,
    ],
    ['a wrong zone', 'Europe/Berlin', 'Europe/Berln', /^p.yaml:2:7: zone: .*did you mean Europe\/Berlin\?$/],
    [
      'a wrong TZ string',
      'Europe/Berlin',
      'CET-1CEST,M3.9.0,M10.5.0',
      /^p.yaml:2:7: zone: .*character 11: expected a week/,
    ],
    ['a zone that is neither', 'Europe/Berlin', '5', /^p.yaml:2:7: zone is 5; /],
    [
      'a list of transitions with an unknown setting',
      'Europe/Berlin',
      '{ initial: { offsetMinutes: 0, summer: false }, transitions: [], end: 1 }',
      /^p.yaml:2:72: unknown setting "zone.end"; expected one of: initial, transitions$/,
    ],
    [
      'a wrong offset in a list',
      'Europe/Berlin',
      '{ initial: { offsetMinutes: 1441, summer: false }, transitions: [] }',
      /^p.yaml:2:35: zone.initial.offsetMinutes is 1441; expected a whole number from -1440 to 1440$/,
    ],
    [
      'a wrong date',
      '--12-25',
      '12-25',
      /^p.yaml:16:13: specialDays\[1\].date is "12-25"; expected a date such as 2026-12-24, or --12-25/,
    ],
    [
      'a date that is none',
      '2026-04-03',
      '2026-02-30',
      /^p.yaml:17:.*special day 2: expected a day from 1 to 28 in month 2 of 2026, came 30$/,
    ],
    ['a day said twice', 'id: 2', 'id: 1', /^p.yaml:13:9: days: expected each id once/],
    [
      'a month by name',
      'month: 1',
      'month: May',
      /^p.yaml:5:34: .*expected a month from 1 to 12, summer-begin or summer-end/,
    ],
  ])('with %s is refused', (_, from, to, message) => {
    expect(changed(from, to)).toThrow(message);
  });

  it('that is not there is an error of the file', () => {
    expect(() => readProgramFile(join(folder, 'none.yaml'))).toThrow(/none.yaml cannot be read: it does not exist/);
  });
});

describe('dynamic tariffs in a file', () => {
  const dynamic = 'entries:\n  - { utc: 2026-11-22T23:00:00Z, tariff: 3 }\nendUtc: 2026-11-23T23:00:00Z\n';

  it('are read', () => {
    const path = join(folder, 'd.yaml');
    writeFileSync(path, dynamic);
    expect(readDynamicFile(path)).toEqual(parseDynamic(dynamic, 'd.yaml'));
    expect(parseDynamic('{ "entries": [] }', 'd.json').dynamic).toEqual({ entries: [] });
  });

  it.each<[string, string, RegExp]>([
    ['23:00:00Z', '23:00:00+01:00', /^d.yaml:2:12: entries\[1\].utc is .*; expected a time in UTC/],
    ['11-23', '11-22', /^d.yaml:3:9: endUtc: expected a time after/],
    ['tariff: 3', 'tariff: 65536', /^d.yaml:2:42: .*from 0 to 65535/],
  ])('with %s as %s are refused', (from, to, message) => {
    expect(() => parseDynamic(dynamic.replace(from, to), 'd.yaml')).toThrow(message);
  });
});
