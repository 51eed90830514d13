// Checks what tests see on a broker with an independent validator against the schemas that `metertime schema` prints.
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { jsonSchema } from '../../host/mqtt/schemas.ts';

const ajv = new Ajv2020({ strict: true, strictTypes: false, allErrors: true });
addFormats.default(ajv, { formats: ['date-time'], keywords: false });
// A format that says how a text is to be read, as contentEncoding does; its pattern stands beside it.
for (const name of ['base64']) ajv.addFormat(name, true);
const validators = new Map<string, ValidateFunction>();

/** The name of the schema that a topic's payloads have; undefined for a topic that is none of a gateway's. */
export function schemaOfTopic(topic: string): string | undefined {
  const [, , meter, leaf, more] = topic.split('/');
  if (leaf === undefined) return meter === 'state' ? 'gateway-state' : undefined;
  if (leaf === 'state') return 'meter-state';
  if (leaf === 'command') return `command-${more}`;
  return leaf;
}

/** Why a payload does not fit a schema; undefined where it does. */
export function schemaProblem(name: string, payload: unknown): string | undefined {
  let validate = validators.get(name);
  if (validate === undefined) {
    validate = ajv.compile(jsonSchema(name)!);
    validators.set(name, validate);
  }
  return validate(payload) ? undefined : ajv.errorsText(validate.errors);
}
