// The schemas that people get are those of the code: whatever the code makes fits them, and they refuse what it would.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import { describe, expect, test } from 'vitest';
import { asyncApi } from '../../host/mqtt/asyncapi.ts';
import { commandSchemas } from '../../host/mqtt/command-payloads.ts';
import { eventPayload, infoPayload, serverPayload, timePayload } from '../../host/mqtt/payloads.ts';
import { tariffPayload } from '../../host/mqtt/record-payloads.ts';
import { allSchemas, jsonSchema } from '../../host/mqtt/schemas.ts';
import { runMetertime } from './cli-run.ts';
import { event, info, serverReport, tariff, time } from './mqtt-samples.ts';
import { schemaProblem } from './mqtt-schemas.ts';

const docs = readFileSync(new URL('../../docs/mqtt.md', import.meta.url), 'utf8');
const examples = [...docs.matchAll(/^```json (\S+)\n(.*?)^```/gms)].map(([, name, json]) => [name!, JSON.parse(json!)]);

describe('JSON Schema', () => {
  test.each(Object.keys(allSchemas))('%s is one, and refuses what is none', (name) => {
    expect(jsonSchema(name)).toMatchObject({ $schema: 'https://json-schema.org/draft/2020-12/schema' });
    expect(schemaProblem(name, { nonsense: true })).toMatch(/must/);
    expect(schemaProblem(name, 'nonsense')).toMatch(/must/);
  });

  test.each(examples)('the example of %s in docs/mqtt.md fits', (name, json) => {
    expect(schemaProblem(name as string, json)).toBeUndefined();
  });

  test('the samples fit', () => {
    const samples = {
      info: infoPayload(info),
      time: timePayload('m1', time),
      server: serverPayload('m1', serverReport(0)),
      event: eventPayload('m1', event),
      tariff: tariffPayload('m1', tariff),
    };
    for (const [name, sample] of Object.entries(samples)) expect(schemaProblem(name, sample), name).toBeUndefined();
    expect(schemaProblem('tariff', { ...samples.tariff, tariff: 'two' })).toMatch(/tariff must be/);
    expect(schemaProblem('event', { ...samples.event, boot: '8F' })).toMatch(/boot must match pattern/);
  });
});

describe('AsyncAPI', () => {
  const document = asyncApi('1.2.3');

  test("AsyncAPI's own parser takes the document, and the examples in it", async () => {
    const parser = new Parser();
    const { document: parsed, diagnostics } = await parser.parse(JSON.stringify(document));
    // It recommends its newest version, which says the same of all that is in here.
    expect(diagnostics.filter(({ code }) => code !== 'asyncapi-latest-version')).toEqual([]);
    expect(parsed!.version()).toBe('3.0.0');
    expect(parsed!.channels().all().length).toBe(Object.keys(document.channels as object).length);
    // It would notice.
    for (const broken of [{ channels: { x: { address: 7 } } }, { asyncapi: '2.0.0' }]) {
      const { diagnostics: found } = await parser.parse(JSON.stringify({ ...document, ...broken }));
      expect(found.some(({ severity }) => severity === 0)).toBe(true);
    }
  });

  test('a data set is text, and everything else JSON', () => {
    const { messages } = document.components as { messages: Record<string, { contentType: string }> };
    for (const [name, { contentType }] of Object.entries(messages)) {
      expect(contentType, name).toBe(name === 'ocmf' ? 'text/plain; charset=utf-8' : 'application/json');
    }
    expect(schemaProblem('ocmf', 'OCMF|{"FV":"1.3"}|{"SD":"00"}')).toBeUndefined();
    for (const text of ['', 'OCMF|{}', 'OCMF|{"a":"|"}|{}', '{}'])
      expect(schemaProblem('ocmf', text)).toMatch(/pattern/);
  });

  test('everything that it refers to is in it', () => {
    const text = JSON.stringify(document);
    const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path!);
    expect(references.length).toBeGreaterThan(40);
    for (const path of references) {
      const found = path.split('/').reduce<unknown>((at, key) => (at as Record<string, unknown>)?.[key], document);
      expect(found, path).toBeDefined();
    }
  });

  test('each schema in it is one of draft 7, and takes the examples', () => {
    const ajv = new Ajv({ strict: false });
    addFormats.default(ajv, ['date-time']);
    const { schemas } = document.components as { schemas: Record<string, object> };
    expect(Object.keys(schemas)).toEqual(Object.keys(allSchemas));
    for (const [name, json] of examples) {
      const validate = ajv.compile(schemas[name as string]!);
      expect(validate(json), `${name}: ${ajv.errorsText(validate.errors)}`).toBe(true);
    }
  });

  test('it has each topic of docs/mqtt.md, and each command', () => {
    const addresses = Object.values(document.channels as Record<string, { address: string }>).map(
      ({ address }) => address,
    );
    const topics = [...docs.matchAll(/^\| `metertime\/([^`]+)`/gm)].map(([, topic]) => topic!);
    expect(topics.length).toBeGreaterThan(8);
    const plain = (address: string) =>
      address
        .replace('{prefix}/', '')
        .replace('{gateway}', 'GATEWAY')
        .replace('{meter}', 'METER')
        .replace('{number}', 'NUMBER')
        .replace('{user}/{request}', '…');
    for (const topic of topics) expect(addresses.map(plain)).toContain(topic);
    for (const name of Object.keys(commandSchemas))
      expect(addresses.map(plain)).toContain(`GATEWAY/METER/command/${name}`);
  });
});

describe('metertime schema', () => {
  test('prints names, schemas and the AsyncAPI document', async () => {
    expect((await runMetertime(['schema'])).stdout.split('\n')).toContain('record');
    expect(JSON.parse((await runMetertime(['schema', 'tariff'])).stdout)).toEqual(jsonSchema('tariff'));
    expect(JSON.parse((await runMetertime(['schema', '--asyncapi'])).stdout)).toMatchObject({ asyncapi: '3.0.0' });
    expect(await runMetertime(['schema', 'nonsense'])).toMatchObject({ exitCode: 2 });
    expect(await runMetertime(['schema', 'tariff', '--asyncapi'])).toMatchObject({ exitCode: 2 });
  });
});
