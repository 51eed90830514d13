// A meter's reports as MQTT publishes them (docs/mqtt.md), as far as OCPP and DLMS/COSEM need them, out of lines of text.
//
// What always holds: a line is a JSON object, alone or behind a topic, as `mosquitto_sub -v` and `metertime monitor
// --json` print them; what is no time, tariff or event is passed over; what is one and is wrong is an error with its line.
import type { z } from 'zod';
import { eventSchema, timeSchema } from '../mqtt/payloads.ts';
import { tariffSchema } from '../mqtt/record-payloads.ts';

// What is needed of them: other fields may be missing, or new.
const schemas = {
  time: timeSchema.pick({ meter: true, status: true, flags: true, utcNs: true, realTimeClock: true }).loose(),
  tariff: tariffSchema.pick({ meter: true, offsetMinutes: true, status: true }).loose(),
  event: eventSchema.pick({ meter: true, code: true, utcNs: true, a: true }).loose(),
} as const;

export type TimeReport = z.infer<typeof schemas.time>;
export type TariffReport = z.infer<typeof schemas.tariff>;
export type EventReport = z.infer<typeof schemas.event>;

export type MeterReport =
  | { readonly kind: 'time'; readonly report: TimeReport }
  | { readonly kind: 'tariff'; readonly report: TariffReport }
  | { readonly kind: 'event'; readonly report: EventReport };

export class ReportError extends Error {
  readonly code = 'file-report';

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ReportError';
  }
}

/** Keys that only a report of that kind has. */
const marks = { time: 'uncertaintyBudget', tariff: 'periodEndUtc', event: 'boot' } as const;
const kinds = ['time', 'tariff', 'event'] as const;

/**
 * The report of a line; undefined for an empty line and for other reports.
 * @param place of the line, for errors
 * @throws {ReportError}
 */
export function reportOfLine(line: string, place: string): MeterReport | undefined {
  // Behind a topic, which has no brace in it: names of gateways and meters cannot have one.
  const begin = line.indexOf('{');
  if (begin < 0) {
    if (line.trim() === '') return undefined;
    throw new ReportError(`${place}: expected a JSON object, came ${JSON.stringify(line.slice(0, 60))}`);
  }
  const value = parse(line.slice(begin), place);
  const kind = kindOf(value, line.slice(0, begin).trim());
  if (kind === undefined) return undefined;
  const result = schemas[kind].safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new ReportError(`${place}: a report of the kind ${kind}: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  return { kind, report: result.data } as MeterReport;
}

function parse(text: string, place: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new ReportError(`${place}: expected a JSON object (${(cause as Error).message})`, { cause });
  }
}

/** By the topic's last level, by what the line says itself, or by what it holds. */
function kindOf(value: Record<string, unknown>, topic: string): MeterReport['kind'] | undefined {
  const said = topic === '' ? value.kind : topic.split('/').at(-1);
  if (said !== undefined) return kinds.find((kind) => kind === said);
  return kinds.find((kind) => Object.hasOwn(value, marks[kind]));
}

/** The newest time and tariff of one meter, and its events in their order. */
export interface MeterState {
  readonly time: TimeReport;
  readonly tariff: TariffReport | undefined;
  readonly events: readonly EventReport[];
}

/**
 * What lines say of one meter.
 * @param file that the lines are of, for errors
 * @param meter whose; undefined where they are of one alone
 * @throws {ReportError}
 */
export function stateOfLines(text: string, file: string, meter?: string): MeterState {
  const all = text.split('\n').flatMap((line, index) => reportOfLine(line, `${file}:${index + 1}`) ?? []);
  const meters = [...new Set(all.map(({ report }) => report.meter))];
  const chosen = meter ?? meters[0];
  if (meter === undefined && meters.length > 1) {
    throw new ReportError(`${file}: expected reports of one meter, or which one is meant, came ${meters.join(', ')}`);
  }
  const reports = all.filter(({ report }) => report.meter === chosen);
  const time = reports.flatMap((each) => (each.kind === 'time' ? [each.report] : [])).at(-1);
  const tariff = reports.flatMap((each) => (each.kind === 'tariff' ? [each.report] : [])).at(-1);
  if (time === undefined) {
    const whose = meter === undefined ? 'a meter' : `the meter ${meter}`;
    const came = meters.length === 0 ? 'no reports' : `none of it, but reports of ${meters.join(', ')}`;
    throw new ReportError(`${file}: expected the time report of ${whose}, came ${came}`);
  }
  const events = reports.flatMap((each) => (each.kind === 'event' ? [each.report] : []));
  return { time, tariff, events };
}
