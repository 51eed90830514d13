// The AsyncAPI 3 document of what a gateway publishes and takes: from the same schemas as jsonSchema().
// What always holds: operations are the gateway's: it sends reports and answers, and receives commands.
import { z } from 'zod';
import { commandSchemas } from './command-payloads.ts';
import { ocmfContentType } from './ocmf-payload.ts';
import { schemaName } from './record-payloads.ts';
import { allSchemas, type JsonSchema, type publishedSchemas, withoutSettingMeta } from './schemas.ts';

interface Channel {
  /** Behind the prefix. */
  readonly address: string;
  readonly summary: string;
  readonly retain: boolean;
}

const meter = '{gateway}/{meter}';
const channels: Readonly<Record<keyof typeof publishedSchemas, Channel>> = {
  'gateway-state': {
    address: '{gateway}/state',
    retain: true,
    summary: 'Whether the gateway is online; also by last will.',
  },
  'meter-state': { address: `${meter}/state`, retain: true, summary: "Whether the meter's link stands." },
  info: { address: `${meter}/info`, retain: true, summary: 'What the meter is.' },
  time: { address: `${meter}/time`, retain: true, summary: "The meter's time, and how sure it is." },
  server: { address: `${meter}/server/{number}`, retain: true, summary: "One of the meter's time servers." },
  tariff: { address: `${meter}/tariff`, retain: true, summary: 'The tariff that applies, and what is next.' },
  record: {
    address: `${meter}/record`,
    retain: false,
    summary: 'An entry of the records, at least once each, in order. CBOR where mqtt.recordFormat says so.',
  },
  head: { address: `${meter}/head`, retain: true, summary: 'The newest entries of records and logbook, signed.' },
  ocmf: {
    address: `${meter}/ocmf`,
    retain: false,
    summary: 'A charging transaction as a signed OCMF data set, at its end, at least once. Text, no JSON.',
  },
  event: { address: `${meter}/event`, retain: true, summary: 'What happened in the meter, at least once each.' },
  response: {
    address: `${meter}/response/{user}/{request}`,
    retain: false,
    summary: "The answer to a command, on the command's Response Topic, with its Correlation Data.",
  },
};

const commandSummaries: Readonly<Record<keyof typeof commandSchemas, string>> = {
  'tariff-program': 'Stores a tariff program.',
  'dynamic-tariffs': 'Replaces the dynamic tariffs.',
  records: 'Asks for entries of the records.',
  logbook: 'Asks for entries of the logbook, or of what the network provoked.',
  'logbook-release': 'Lets the meter overwrite what was read of the logbook.',
  update:
    'Replaces the software of the meter by that of a file in the folder of updates of the gateway; answered when the meter has it and is about to try it.',
};

const parameters: Readonly<Record<string, object>> = {
  prefix: { default: 'metertime', description: 'mqtt.topicPrefix of the settings.' },
  gateway: { description: "The gateway's name." },
  meter: { description: "The meter's id." },
  number: { description: "The server's number, from 1." },
  user: { description: 'Who sent the command, as the access list of the broker knows it.' },
  request: { description: 'Whatever the sender of the command chose.' },
};

/** The whole document, as JSON. @param version of metertime */
export function asyncApi(version: string): JsonSchema {
  const names = Object.keys(channels) as (keyof typeof channels)[];
  const commands = Object.keys(commandSchemas) as (keyof typeof commandSchemas)[];
  return {
    asyncapi: '3.0.0',
    id: 'urn:metertime:gateway',
    info: {
      title: 'metertime gateway',
      version,
      description:
        'Authenticated time, tariffs, records and events of electricity meters and chargers over MQTT 5. docs/mqtt.md says what each field means.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    servers: { broker: { host: 'localhost:1883', protocol: 'mqtt', protocolVersion: '5.0' } },
    channels: {
      ...Object.fromEntries(names.map((name) => [name, channel(channels[name].address, name)])),
      ...Object.fromEntries(
        commands.map((name) => [`command-${name}`, channel(`${meter}/command/${name}`, `command-${name}`)]),
      ),
    },
    operations: {
      ...Object.fromEntries(
        names.filter((name) => name !== 'response').map((name) => [`publish-${name}`, publish(name)]),
      ),
      ...Object.fromEntries(commands.map((name) => [`take-${name}`, take(name)])),
    },
    components: {
      messages: Object.fromEntries(Object.keys(allSchemas).map((name) => [name, message(name)])),
      schemas: Object.fromEntries(Object.keys(allSchemas).map((name) => [name, draft7(name)])),
    },
  };
}

const ref = (path: string) => ({ $ref: `#/${path}` });

function channel(address: string, name: string): object {
  const whole = `{prefix}/${address}`;
  const used = [...whole.matchAll(/\{(\w+)\}/g)].map(([, parameter]) => parameter!);
  return {
    address: whole,
    parameters: Object.fromEntries(used.map((parameter) => [parameter, parameters[parameter]])),
    messages: { [name]: ref(`components/messages/${name}`) },
  };
}

function publish(name: keyof typeof channels): object {
  const { summary, retain } = channels[name];
  return {
    action: 'send',
    summary,
    channel: ref(`channels/${name}`),
    messages: [ref(`channels/${name}/messages/${name}`)],
    bindings: { mqtt: { qos: 1, retain, bindingVersion: '0.2.0' } },
  };
}

function take(command: keyof typeof commandSchemas): object {
  const name = `command-${command}`;
  return {
    action: 'receive',
    summary: commandSummaries[command],
    channel: ref(`channels/${name}`),
    messages: [ref(`channels/${name}/messages/${name}`)],
    reply: { channel: ref('channels/response'), messages: [ref('channels/response/messages/response')] },
    bindings: { mqtt: { qos: 1, retain: false, bindingVersion: '0.2.0' } },
  };
}

function message(name: string): object {
  return {
    name: schemaName(name),
    contentType: name === 'ocmf' ? ocmfContentType : 'application/json',
    payload: ref(`components/schemas/${name}`),
    bindings: { mqtt: { payloadFormatIndicator: 1, bindingVersion: '0.2.0' } },
  };
}

/** Schemas in AsyncAPI are those of draft 7. */
function draft7(name: string): object {
  const { $schema: _, ...schema } = z.toJSONSchema(allSchemas[name]!, {
    target: 'draft-7',
    override: ({ jsonSchema }) => withoutSettingMeta(jsonSchema),
  });
  return schema;
}
