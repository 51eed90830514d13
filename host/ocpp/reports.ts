// A meter's reports as MQTT publishes them (docs/mqtt.md), as far as OCPP and DLMS/COSEM need them, out of lines of text.
//
// What always holds: a line is a JSON object, alone or behind a topic, as `mosquitto_sub -v` and `metertime monitor
// --json` print them; what is no time, tariff or event is passed over; what is one and is wrong is an error with its line.
import { z } from 'zod';

const whole = z.string().regex(/^-?\d{1,19}$/, { error: 'expected a whole number of 64 bits as text' });

const timeSchema = z.looseObject({
  meter: z.string(),
  status: z.string(),
  flags: z.array(z.string()),
  utcNs: whole.nullable(),
  /** Null where none was compared with UTC. */
  realTimeClock: z.looseObject({}).nullish(),
});

const tariffSchema = z.looseObject({
  meter: z.string(),
  /** Legal time minus UTC. */
  offsetMinutes: z.int(),
  /** Of a record made now. */
  status: z.looseObject({ dlms: z.looseObject({ value: z.int().min(0).max(255) }) }),
});

const eventSchema = z.looseObject({
  meter: z.string(),
  code: z.int(),
  utcNs: whole.nullable(),
  a: whole,
});

export type TimeReport = z.infer<typeof timeSchema>;
export type TariffReport = z.infer<typeof tariffSchema>;
export type EventReport = z.infer<typeof eventSchema>;

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
const schemas = { time: timeSchema, tariff: tariffSchema, event: eventSchema } as const;
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
