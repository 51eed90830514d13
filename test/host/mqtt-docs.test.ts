// The examples of docs/mqtt.md are what the schemas describe.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { commandErrorCodes, commandSchemas, responseSchema } from '../../host/mqtt/command-payloads.ts';
import {
  eventSchema,
  gatewayStateSchema,
  infoSchema,
  meterStateSchema,
  serverSchema,
  timeSchema,
} from '../../host/mqtt/payloads.ts';
import { recordTopicSchema, tariffSchema } from '../../host/mqtt/record-payloads.ts';
import { headSchema } from '../../host/record/json.ts';
import {
  describeEvent,
  leapNames,
  missingNames,
  sourceFlagNames,
  sourceStateNames,
  tariffFlagNames,
} from '../../host/text/names.ts';

const text = readFileSync(new URL('../../docs/mqtt.md', import.meta.url), 'utf8');
const examples = new Map([...text.matchAll(/^```json (\S+)\n(.*?)^```/gms)].map(([, name, json]) => [name, json!]));
const schemas = {
  'gateway-state': gatewayStateSchema,
  'meter-state': meterStateSchema,
  info: infoSchema,
  time: timeSchema,
  server: serverSchema,
  event: eventSchema,
  tariff: tariffSchema,
  record: recordTopicSchema,
  head: headSchema,
  response: responseSchema,
};

test('there is one for each payload', () => {
  expect([...examples.keys()].sort()).toEqual(Object.keys(schemas).sort());
});

test.each(Object.entries(schemas))('%s', (name, schema) => {
  schema.parse(JSON.parse(examples.get(name)!));
});

test.each([
  ['state', sourceStateNames],
  ['flags', sourceFlagNames],
  ['missing', missingNames],
  ['leap', leapNames],
  ['flag of a tariff', tariffFlagNames],
])('each name of a %s is in it', (_, names) => {
  for (const { name } of Object.values(names)) expect(text).toContain(`\`${name}\``);
});

test('each command, and each code of its errors, is in it', () => {
  for (const name of [...Object.keys(commandSchemas), ...commandErrorCodes]) expect(text).toContain(`\`${name}\``);
});

test("the event's text is that of its numbers", () => {
  const { code, a, b, detail, text: sentence } = eventSchema.parse(JSON.parse(examples.get('event')!));
  expect(sentence).toBe(describeEvent({ code, a: BigInt(a), b: BigInt(b), text: detail }));
});
