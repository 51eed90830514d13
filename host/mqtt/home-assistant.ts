// What Home Assistant is told of a meter, so that it shows it by itself: one retained message a meter, of MQTT discovery by
// device. https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
// What always holds: the message names topics of docs/mqtt.md and fields of their payloads, and nothing else; the same meter has
// the same ids for good.
import { createHash } from 'node:crypto';
import type { Info } from '../link/messages.ts';
import type { Context, Register } from '../record/entry.ts';
import { unitText } from '../record/json.ts';
import { clockStatusNames } from '../text/names.ts';

export interface DiscoveredMeter {
  readonly gateway: string;
  readonly meter: string;
  /** `PREFIX/GATEWAY`. */
  readonly base: string;
  /** metertime's version. */
  readonly version: string;
  /** After which a time or tariff is no longer shown. */
  readonly expirySeconds: number;
  readonly info: Pick<Info, 'board' | 'firmwareVersion'> | undefined;
  /** Where its registers are not to be shown, as records are not JSON, or not known, none. */
  readonly context: Pick<Context, 'registers'> | undefined;
}

/** Home Assistant's own default. */
export const defaultDiscoveryPrefix = 'homeassistant';

/** Where a meter's discovery message is kept. Its last level but one takes letters, digits, dashes and underscores only. */
export function discoveryTopic(prefix: string, { gateway, meter }: Pick<DiscoveredMeter, 'gateway' | 'meter'>): string {
  return `${prefix}/device/${objectId(gateway, meter)}/config`;
}

function objectId(gateway: string, meter: string): string {
  const plain = `metertime-${gateway}-${meter}`.replaceAll('.', '_');
  // Names with dots, or dashes in other places, must not become one.
  const digest = createHash('sha256').update(`${gateway}/${meter}`).digest('hex').slice(0, 8);
  return `${plain}-${digest}`;
}

/** The discovery message, as JSON. */
export function discoveryPayload(known: DiscoveredMeter): Record<string, unknown> {
  const { gateway, meter, base, version, info } = known;
  const id = objectId(gateway, meter);
  const sensors = { ...ownSensors(known), ...registerSensors(known) };
  return {
    device: {
      identifiers: [id],
      name: meter,
      manufacturer: 'metertime',
      ...(info === undefined ? {} : { model: info.board, sw_version: info.firmwareVersion }),
    },
    origin: { name: 'metertime', sw_version: version },
    availability: [`${base}/state`, `${base}/${meter}/state`].map((topic) => ({
      topic,
      value_template: '{{ value_json.state }}',
    })),
    availability_mode: 'all',
    components: Object.fromEntries(
      Object.entries(sensors).map(([key, sensor]) => [
        key,
        { platform: 'sensor', unique_id: `${id}-${key}`, ...sensor },
      ]),
    ),
    qos: 1,
  };
}

function ownSensors({ base, meter, expirySeconds }: DiscoveredMeter): Record<string, object> {
  const of = (topic: string) => ({ state_topic: `${base}/${meter}/${topic}`, expire_after: expirySeconds });
  return {
    tariff: { name: 'Tariff', ...of('tariff'), value_template: '{{ value_json.tariff }}' },
    next_switch: {
      name: 'Next tariff switch',
      ...of('tariff'),
      device_class: 'timestamp',
      value_template: '{{ value_json.next.utc if value_json.next else None }}',
    },
    status: {
      name: 'Time',
      ...of('time'),
      device_class: 'enum',
      options: Object.values(clockStatusNames).map(({ name }) => name),
      entity_category: 'diagnostic',
      value_template: '{{ value_json.status }}',
    },
    uncertainty: {
      name: 'Uncertainty of the time',
      ...of('time'),
      device_class: 'duration',
      state_class: 'measurement',
      unit_of_measurement: 'ms',
      entity_category: 'diagnostic',
      value_template: '{{ value_json.uncertaintyNs / 1000000 if value_json.uncertaintyNs is not none else None }}',
    },
  };
}

/** By DLMS unit: what Home Assistant calls it, and whether it counts up. */
const classes: Readonly<Record<number, readonly [deviceClass: string | undefined, stateClass: string]>> = {
  27: ['power', 'measurement'],
  28: ['apparent_power', 'measurement'],
  29: ['reactive_power', 'measurement'],
  30: ['energy', 'total_increasing'],
  31: [undefined, 'total_increasing'],
  32: [undefined, 'total_increasing'],
  33: ['current', 'measurement'],
  35: ['voltage', 'measurement'],
  44: ['frequency', 'measurement'],
};

function registerSensors({ base, meter, context }: DiscoveredMeter): Record<string, object> {
  const sensors = (context?.registers ?? []).map((register, index): [string, object] => [
    `register_${register.obis.replace(/[^0-9]+/g, '_')}`,
    { state_topic: `${base}/${meter}/record`, ...registerSensor(register, index) },
  ]);
  return Object.fromEntries(sensors);
}

function registerSensor({ obis, scale, unit }: Register, index: number): object {
  const [deviceClass, stateClass] = classes[unit] ?? [];
  const has = `value_json.format == 'record' and value_json.readings | count > ${index}`;
  return {
    name: obis,
    // Nothing is what Home Assistant passes over: parts of contexts have no readings.
    value_template: `{% if ${has} %}{{ value_json.readings[${index}].value }}{% endif %}`,
    unit_of_measurement: unitText(unit),
    ...(deviceClass === undefined ? {} : { device_class: deviceClass }),
    ...(stateClass === undefined ? {} : { state_class: stateClass }),
    ...(scale < 0 ? { suggested_display_precision: -scale } : {}),
  };
}
