// The component ClockCtrlr of OCPP 2.0.1 and 2.1 from a meter's published reports, and the security event
// SettingSystemTime from its published events (OCPP 2.0.1 part 2, appendices 1 and 3.1.5; 2.1 has the same names).
//
// What always holds: names, data types and mutability are those of OCPP; what the meter does not know has no value; all
// times are UTC to the millisecond, rounded down.
import { MeterEvent } from '../../as/abi/codes.ts';
import { legalOffsetAt, nextChange } from '../tariff/legal-time.ts';
import { resolveZone } from '../tariff/zone.ts';
import { nsPerSecond, offsetText } from '../text/utc.ts';
import type { EventReport, TariffReport, TimeReport } from './reports.ts';

export interface ClockState {
  readonly time: TimeReport;
  /** Says the offset in force; needed where no zone is given. */
  readonly tariff?: TariffReport | undefined;
  /** As in a tariff program: IANA name, POSIX TZ string. Says time zone and next change of the offset. */
  readonly zone?: string | undefined;
  /** Seconds; `undefined` where the station has no such variable, and so no security event. */
  readonly thresholdSeconds?: number | undefined;
}

export interface Variable {
  readonly name: string;
  readonly instance?: string;
  readonly dataType: 'dateTime' | 'string' | 'integer' | 'SequenceList';
  readonly mutability: 'ReadOnly' | 'ReadWrite';
  readonly unit?: string;
  readonly valuesList?: string;
  /** Undefined where it is not known now. */
  readonly value: string | undefined;
}

const componentName = 'ClockCtrlr';

/** All that a clock source may be called. NTS has no name of its own: it is authenticated NTP. */
const timeSources = ['Heartbeat', 'NTP', 'GPS', 'RealTimeClock', 'MobileNetwork', 'RadioTimeTransmitter'];

/** The variables that this state has something to say about. @throws {TariffError} tariff-zone */
export function clockVariables({ time, tariff, zone, thresholdSeconds }: ClockState): Variable[] {
  const variables: Variable[] = [
    {
      ...{ name: 'DateTime', dataType: 'dateTime', mutability: 'ReadOnly' },
      value: time.utcNs === null ? undefined : instantText(BigInt(time.utcNs)),
    },
    {
      ...{ name: 'TimeSource', dataType: 'SequenceList', mutability: 'ReadWrite' },
      valuesList: timeSources.join(','),
      value: timeSourceList(time).join(','),
    },
    ...zoneVariables(time, tariff, zone),
  ];
  if (thresholdSeconds === undefined) return variables;
  return [
    ...variables,
    {
      ...{ name: 'TimeAdjustmentReportingThreshold', dataType: 'integer', mutability: 'ReadWrite', unit: 's' },
      value: String(thresholdSeconds),
    },
  ];
}

/** In the order in which they count: what the time comes from now is the first. */
function timeSourceList({ flags, realTimeClock }: TimeReport): string[] {
  if (flags.includes('from-rtc')) return ['RealTimeClock', 'NTP'];
  return realTimeClock === null ? ['NTP'] : ['NTP', 'RealTimeClock'];
}

const readWriteText = { dataType: 'string', mutability: 'ReadWrite' } as const;

function zoneVariables(time: TimeReport, tariff: TariffReport | undefined, zone: string | undefined): Variable[] {
  const named = zone !== undefined && isIanaName(zone) ? [{ name: 'TimeZone', ...readWriteText, value: zone }] : [];
  const offset = (seconds: number | undefined): Variable => ({
    ...{ name: 'TimeOffset', ...readWriteText },
    // RFC 3339 has no seconds.
    value: seconds === undefined ? undefined : offsetText(Math.trunc(seconds / 60)),
  });
  if (zone === undefined) return tariff === undefined ? [] : [offset(tariff.offsetMinutes * 60)];
  if (time.utcNs === null) return [offset(undefined), ...named];
  const resolved = resolveZone(zone);
  const utc = Number(BigInt(time.utcNs) / nsPerSecond);
  const current = offset(legalOffsetAt(resolved, utc).offsetSeconds);
  const next = nextChange(resolved, utc);
  if (next === undefined) return [current, ...named];
  return [
    current,
    {
      ...{ name: 'NextTimeOffsetTransitionDateTime', dataType: 'dateTime', mutability: 'ReadWrite' },
      value: instantText(BigInt(next.utc) * nsPerSecond),
    },
    { ...offset(next.offsetSeconds), instance: 'NextTransition' },
    ...named,
  ];
}

// OCPP has names such as Europe/Oslo, and none for POSIX rules.
function isIanaName(zone: string): boolean {
  return /^[A-Za-z_]+(\/[A-Za-z0-9_+-]+)*$/.test(zone);
}

const nsPerMs = 1_000_000n;

/** `2026-07-01T10:34:56.123Z` */
function instantText(ns: bigint): string {
  const ms = ns / nsPerMs - (ns % nsPerMs < 0n ? 1n : 0n);
  return new Date(Number(ms)).toISOString();
}

// ---------------------------------------------------------------- messages

export interface ReportOptions {
  /** Of the GetBaseReport or GetReport that is answered. */
  readonly requestId: number;
  readonly generatedAt: Date;
}

/** NotifyReportRequest with the component's variables. */
export function notifyReport(state: ClockState, { requestId, generatedAt }: ReportOptions): object {
  return {
    requestId,
    generatedAt: generatedAt.toISOString(),
    seqNo: 0,
    tbc: false,
    reportData: clockVariables(state).map(({ value, mutability, dataType, valuesList, unit, ...variable }) => ({
      component: { name: componentName },
      variable: { name: variable.name, ...(variable.instance === undefined ? {} : { instance: variable.instance }) },
      variableAttribute: [
        { type: 'Actual', ...(value === undefined ? {} : { value }), mutability, persistent: false, constant: false },
      ],
      variableCharacteristics: {
        ...(unit === undefined ? {} : { unit }),
        dataType,
        ...(valuesList === undefined ? {} : { valuesList }),
        supportsMonitoring: false,
      },
    })),
  };
}

/** GetVariablesResponse with all of the component's variables; one without a value is rejected. */
export function variablesResponse(state: ClockState): object {
  return {
    getVariableResult: clockVariables(state).map(({ name, instance, value }) => ({
      attributeStatus: value === undefined ? 'Rejected' : 'Accepted',
      attributeType: 'Actual',
      ...(value === undefined ? {} : { attributeValue: value }),
      component: { name: componentName },
      variable: { name, ...(instance === undefined ? {} : { instance }) },
    })),
  };
}

/**
 * SecurityEventNotificationRequest of an event: that the clock was set, or began to be slewed, by more than the
 * threshold. Critical: to be queued and sent to the CSMS.
 * @returns undefined where the event is none, or there was no time before that the clock could be set by
 */
export function settingSystemTime(event: EventReport, thresholdSeconds: number): object | undefined {
  if (event.code !== MeterEvent.ClockSet && event.code !== MeterEvent.ClockSlewed) return undefined;
  if (event.utcNs === null) return undefined;
  const stepNs = BigInt(event.a);
  const size = stepNs < 0n ? -stepNs : stepNs;
  if (size <= BigInt(thresholdSeconds) * nsPerSecond) return undefined;
  // Set: the event is told by the new time. Slewed: by the old one, which the new one is reached from.
  const at = BigInt(event.utcNs);
  const [before, after] = event.code === MeterEvent.ClockSet ? [at - stepNs, at] : [at, at + stepNs];
  return {
    type: 'SettingSystemTime',
    timestamp: instantText(at),
    techInfo: JSON.stringify({ oldTime: instantText(before), newTime: instantText(after) }),
  };
}
