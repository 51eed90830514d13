// What goes over MQTT, as JSON Schema (2020-12) and as an AsyncAPI 3 document: made from the schemas that the code checks with.
// What always holds: names and topics are those of docs/mqtt.md; nothing here says what a payload holds a second time.
import { z } from 'zod';
import { headSchema } from '../record/json.ts';
import { commandSchemas, responseSchema } from './command-payloads.ts';
import { ocmfTopicSchema } from './ocmf-payload.ts';
import { eventSchema, gatewayStateSchema, infoSchema, meterStateSchema, serverSchema, timeSchema } from './payloads.ts';
import { recordTopicSchema, schemaVersion, tariffSchema } from './record-payloads.ts';

/** What a gateway publishes of itself and its meters, by name. */
export const publishedSchemas = {
  'gateway-state': gatewayStateSchema,
  'meter-state': meterStateSchema,
  info: infoSchema,
  time: timeSchema,
  server: serverSchema,
  tariff: tariffSchema,
  record: recordTopicSchema,
  head: headSchema,
  ocmf: ocmfTopicSchema,
  event: eventSchema,
  response: responseSchema,
} as const;

/** All of them, what commands take among them. */
export const allSchemas: Readonly<Record<string, z.ZodType>> = {
  ...publishedSchemas,
  ...Object.fromEntries(Object.entries(commandSchemas).map(([name, schema]) => [`command-${name}`, schema])),
};

export type JsonSchema = Readonly<Record<string, unknown>>;

/** The JSON Schema of a payload; undefined for a name that is none. */
export function jsonSchema(name: string): JsonSchema | undefined {
  const schema = Object.hasOwn(allSchemas, name) ? allSchemas[name] : undefined;
  if (schema === undefined) return undefined;
  return {
    ...z.toJSONSchema(schema, {
      target: 'draft-2020-12',
      override: ({ jsonSchema }) => withoutSettingMeta(jsonSchema),
    }),
    $id: `urn:metertime:${name}:${schemaVersion}`,
    title: `metertime ${name}`,
  };
}

/** Takes away what the settings' documentation alone needs. */
export function withoutSettingMeta(schema: Record<string, unknown>): void {
  for (const key of ['example', 'secret', 'file', 'defaultText']) delete schema[key];
}
