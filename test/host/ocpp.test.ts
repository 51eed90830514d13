// A meter's clock in messages of OCPP: checked against the schemas of OCPP 2.0.1 and 2.1, which typed-ocpp carries.
import { readFileSync } from 'node:fs';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { OCPP20, OCPP21 } from 'typed-ocpp';
import { beforeAll, describe, expect, it } from 'vitest';
import { ClockStatus, MeterEvent, TimeFlag } from '../../as/abi/codes.ts';
import { eventPayload, timePayload } from '../../host/mqtt/payloads.ts';
import { tariffPayload } from '../../host/mqtt/record-payloads.ts';
import {
  type ClockState,
  clockVariables,
  notifyReport,
  settingSystemTime,
  variablesResponse,
} from '../../host/ocpp/clock-controller.ts';
import { type EventReport, reportOfLine, stateOfLines, type TariffReport } from '../../host/ocpp/reports.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { event, tariff, time } from './mqtt-samples.ts';

beforeAll(async () => {
  await buildCore();
});

const utcNs = BigInt(Date.UTC(2026, 6, 1, 10, 34, 56)) * 1_000_000n + 123_999_999n;
const json = (value: unknown) => JSON.parse(JSON.stringify(value));
const timeReport = (change: Partial<typeof time> = {}) =>
  json(timePayload('m1', { ...time, flags: 0, utcNs, ...change }));
const tariffReport = (change: Partial<typeof tariff> = {}): TariffReport =>
  json(tariffPayload('m1', { ...tariff, offsetMinutes: 120, ...change }));
const eventReport = (change: Partial<typeof event> = {}): EventReport =>
  json(eventPayload('m1', { ...event, utcNs, a: -3_600_000_000_000n, ...change }));
const values = (state: ClockState) =>
  Object.fromEntries(
    clockVariables(state).map(({ name, instance, value }) => [
      instance === undefined ? name : `${name}/${instance}`,
      value,
    ]),
  );

const states: [string, ClockState][] = [
  ['all that there is', { time: timeReport(), tariff: tariffReport(), zone: 'Europe/Berlin', thresholdSeconds: 9 }],
  ['a time alone', { time: timeReport() }],
  ['a time and an offset', { time: timeReport(), tariff: tariffReport() }],
  ['no time', { time: timeReport({ status: ClockStatus.Unsynchronised }), zone: 'CET-1CEST,M3.5.0,M10.5.0/3' }],
];

describe.each([
  ['2.0.1', OCPP20.schemas],
  ['2.1', OCPP21.schemas],
])('the schemas of OCPP %s', (_, schemas) => {
  const ajv = addFormats.default(new Ajv({ strict: false, allErrors: true }));
  const valid = (schema: object, value: unknown) => {
    ajv.validate(schema, json(value));
    return ajv.errors ?? [];
  };

  it.each(states)('take the report and the variables of %s', (_state, state) => {
    const report = notifyReport(state, { requestId: 7, generatedAt: new Date(0) });
    expect(valid(schemas.NotifyReportRequest, report)).toEqual([]);
    expect(valid(schemas.GetVariablesResponse, variablesResponse(state))).toEqual([]);
  });

  it('take the security event', () => {
    expect(valid(schemas.SecurityEventNotificationRequest, settingSystemTime(eventReport(), 9))).toEqual([]);
  });

  it('refuse what is none', () => {
    const report = json(notifyReport({ time: timeReport() }, { requestId: 7, generatedAt: new Date(0) }));
    report.reportData[0].variableCharacteristics.dataType = 'datetime';
    report.reportData[1].variableAttribute[0].mutability = 'readonly';
    expect(valid(schemas.NotifyReportRequest, report)).toHaveLength(2);
    expect(valid(schemas.NotifyReportRequest, { ...report, more: 1 })).toHaveLength(3);
  });
});

describe('ClockCtrlr', () => {
  it('says all variables of a meter in Berlin', () => {
    expect(values(states[0]![1])).toEqual({
      DateTime: '2026-07-01T10:34:56.123Z',
      TimeSource: 'NTP,RealTimeClock',
      TimeOffset: '+02:00',
      NextTimeOffsetTransitionDateTime: '2026-10-25T01:00:00.000Z',
      'TimeOffset/NextTransition': '+01:00',
      TimeZone: 'Europe/Berlin',
      TimeAdjustmentReportingThreshold: '9',
    });
  });

  it('has the types and the mutability of the standard', () => {
    const of = clockVariables(states[0]![1]).map(({ name, dataType, mutability }) => [name, dataType, mutability]);
    expect(of).toEqual([
      ['DateTime', 'dateTime', 'ReadOnly'],
      ['TimeSource', 'SequenceList', 'ReadWrite'],
      ['TimeOffset', 'string', 'ReadWrite'],
      ['NextTimeOffsetTransitionDateTime', 'dateTime', 'ReadWrite'],
      ['TimeOffset', 'string', 'ReadWrite'],
      ['TimeZone', 'string', 'ReadWrite'],
      ['TimeAdjustmentReportingThreshold', 'integer', 'ReadWrite'],
    ]);
  });

  it('is in docs/ocpp.md as it is', () => {
    const docs = readFileSync(new URL('../../docs/ocpp.md', import.meta.url), 'utf8');
    for (const { name, instance, dataType, mutability, unit } of clockVariables(states[0]![1])) {
      const named = `\`${name}\`${instance === undefined ? '' : `, instance \`${instance}\``}`;
      expect(docs).toContain(`| ${named} | ${dataType}${unit === undefined ? '' : `, ${unit}`} | ${mutability} |`);
    }
    const [, example] = /```json\n([^`]*)```/.exec(docs)!;
    expect(JSON.parse(example!)).toEqual(settingSystemTime(eventReport(), 1));
  });

  it.each<[string, Partial<typeof time>, string]>([
    ['synchronised by NTS', { rtcOffsetUs: undefined }, 'NTP'],
    ['in holdover', { status: ClockStatus.Holdover }, 'NTP,RealTimeClock'],
    [
      'in holdover from the real-time clock',
      { status: ClockStatus.Holdover, flags: TimeFlag.FromRtc },
      'RealTimeClock,NTP',
    ],
    ['without a time', { status: ClockStatus.Unsynchronised, rtcOffsetUs: undefined }, 'NTP'],
  ])('names the sources of a meter %s', (_, change, expected) => {
    expect(values({ time: timeReport(change) }).TimeSource).toBe(expected);
  });

  it('has no value for what the meter does not know', () => {
    const state = { time: timeReport({ status: ClockStatus.Unsynchronised }), zone: 'Europe/Berlin' };
    expect(values(state)).toMatchObject({ DateTime: undefined, TimeOffset: undefined, TimeZone: 'Europe/Berlin' });
    expect(json(variablesResponse(state)).getVariableResult[0]).toEqual({
      ...{ attributeStatus: 'Rejected', attributeType: 'Actual' },
      ...{ component: { name: 'ClockCtrlr' }, variable: { name: 'DateTime' } },
    });
  });

  it.each([
    ['America/New_York', '-04:00', '2026-11-01T06:00:00.000Z', '-05:00'],
    ['<+1030>-10:30<+11>-11,M10.1.0,M4.1.0', '+10:30', '2026-10-03T15:30:00.000Z', '+11:00'],
  ])('knows the next change of %s', (zone, offset, when, next) => {
    const all = values({ time: timeReport(), zone });
    expect(all).toMatchObject({ TimeOffset: offset, NextTimeOffsetTransitionDateTime: when });
    expect(all['TimeOffset/NextTransition']).toBe(next);
    // There is no name in a POSIX rule.
    expect(Object.hasOwn(all, 'TimeZone')).toBe(zone.startsWith('America'));
  });

  it('knows the next change once it came, and none where none comes', () => {
    const after = timeReport({ utcNs: BigInt(Date.UTC(2026, 9, 25, 1)) * 1_000_000n });
    expect(values({ time: after, zone: 'Europe/Berlin' })).toMatchObject({
      ...{ TimeOffset: '+01:00', NextTimeOffsetTransitionDateTime: '2027-03-28T01:00:00.000Z' },
    });
    expect(values({ time: timeReport(), zone: 'Asia/Kolkata' })).toEqual({
      ...{ DateTime: '2026-07-01T10:34:56.123Z', TimeSource: 'NTP,RealTimeClock' },
      ...{ TimeOffset: '+05:30', TimeZone: 'Asia/Kolkata' },
    });
  });

  it('takes the offset of the tariff report without a zone', () => {
    const offset = (offsetMinutes: number) =>
      values({ time: timeReport(), tariff: tariffReport({ offsetMinutes }) }).TimeOffset;
    expect([120, -210, 0].map(offset)).toEqual(['+02:00', '-03:30', '+00:00']);
  });
});

describe('SettingSystemTime', () => {
  it('is told when the clock was set by more than the threshold', () => {
    expect(settingSystemTime(eventReport(), 3599)).toEqual({
      type: 'SettingSystemTime',
      timestamp: '2026-07-01T10:34:56.123Z',
      techInfo: '{"oldTime":"2026-07-01T11:34:56.123Z","newTime":"2026-07-01T10:34:56.123Z"}',
    });
    expect(settingSystemTime(eventReport(), 3600)).toBeUndefined();
    expect(settingSystemTime(eventReport({ a: 3_600_000_000_001n }), 3600)).toBeDefined();
  });

  it('is told when the clock began to slew by more', () => {
    const slewed = eventReport({ code: MeterEvent.ClockSlewed, a: 9_500_000_000n, b: 0n });
    expect(settingSystemTime(slewed, 9)).toMatchObject({
      techInfo: '{"oldTime":"2026-07-01T10:34:56.123Z","newTime":"2026-07-01T10:35:05.623Z"}',
    });
  });

  it('is not told of other events, nor of the first time', () => {
    expect(settingSystemTime(eventReport({ code: MeterEvent.PeriodsInvalid }), 9)).toBeUndefined();
    expect(settingSystemTime(eventReport({ a: 0n }), 0)).toBeUndefined();
    expect(settingSystemTime(eventReport({ utcNs: 0n }), 9)).toBeUndefined();
  });
});

describe('reports', () => {
  const lines = [
    JSON.stringify(timeReport()),
    `metertime/gw/m1/tariff ${JSON.stringify(tariffReport())}`,
    `{"at":"2026-07-01T10:34:57.000Z","kind":"event","gateway":"gw",${JSON.stringify(eventReport()).slice(1)}`,
  ];

  it('are read as they are printed by mosquitto_sub and by monitor', () => {
    expect(lines.map((line) => reportOfLine(line, 'x')?.kind)).toEqual(['time', 'tariff', 'event']);
    const state = stateOfLines(`${lines.join('\n')}\n`, 'x');
    expect(state).toEqual({
      time: timeReport(),
      tariff: tariffReport(),
      events: [expect.objectContaining({ a: '-3600000000000' })],
    });
  });

  it('of other kinds are passed over', () => {
    expect(reportOfLine('', 'x')).toBeUndefined();
    expect(reportOfLine('metertime/gw/m1/state {"state":"online"}', 'x')).toBeUndefined();
    expect(reportOfLine(`metertime/gw/m1/info ${lines[0]}`, 'x')).toBeUndefined();
    expect(reportOfLine('{"kind":"info"}', 'x')).toBeUndefined();
    expect(reportOfLine('{"state":"online","sequence":3}', 'x')).toBeUndefined();
  });

  it('are the newest of one meter', () => {
    const later = JSON.stringify(timeReport({ utcNs: utcNs + 1_000_000_000n }));
    const other = JSON.stringify({ ...timeReport(), meter: 'm2' });
    expect(stateOfLines([lines[0], later].join('\n'), 'x').time.utcNs).toBe(`${utcNs + 1_000_000_000n}`);
    expect(() => stateOfLines([lines[0], other].join('\n'), 'x')).toThrow(
      'x: expected reports of one meter, or which one is meant, came m1, m2',
    );
    expect(stateOfLines([lines[0], other].join('\n'), 'x', 'm2').time.meter).toBe('m2');
  });

  it.each([
    ['hello', 'x:1: expected a JSON object, came "hello"'],
    ['{', 'x:1: expected a JSON object ('],
    ['a/b/time {"meter":"m1"}', 'x:1: a report of the kind time: status: '],
    [
      'a/b/event {"meter":"m1","code":7,"utcNs":"1e3","a":"0"}',
      'x:1: a report of the kind event: utcNs: expected a whole number',
    ],
    ['', 'x: expected the time report of a meter, came no reports'],
    [lines[1]!, 'x: expected the time report of a meter, came none of it, but reports of m1'],
  ])('%.30s are refused', (text, message) => {
    expect(() => stateOfLines(text, 'x')).toThrow(message);
  });
});
