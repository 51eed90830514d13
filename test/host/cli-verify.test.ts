// metertime verify: files as published or as dumped, keys, heads, exit codes; and what each kind of change leads to.
import { spawnSync } from 'node:child_process';
import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ChainField, Ring } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import { decodeEntry, type RecordEntry } from '../../host/record/entry.ts';
import { contextJson, type RecordJson, recordJson } from '../../host/record/json.ts';
import type { Report } from '../../host/record/verify.ts';
import { buildCore } from '../../scripts/build-core.mjs';
import { buildDist } from '../../scripts/build-dist.mjs';
import { runMetertime } from './cli-run.ts';
import { ChainMaker, signingKey } from './record-chain.ts';
import { publishedEntries, publishedHead, toLines } from './record-lines.ts';

const recordKey = Buffer.alloc(16, 7);
const key = signingKey(Buffer.alloc(32, 9));
let folder = '';
let made: ChainMaker;

beforeAll(async () => {
  await buildCore();
  folder = mkdtempSync(join(tmpdir(), 'metertime-verify-'));
  const keys = {
    meter: 'm1',
    recordKey: recordKey.toString('hex'),
    publicKey: new ChainMaker('m1', recordKey, key).publicKey.toString('hex'),
  };
  file('keys.json', JSON.stringify(keys));
  file('record.key', recordKey);
  file('record.hex', `${recordKey.toString('hex')}\n`);
  file('public.pem', createPublicKey(key).export({ format: 'pem', type: 'spki' }));
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  made = new ChainMaker('m1', recordKey, key);
  made.context();
  for (let count = 0; count < 6; count++) made.record({ readings: [2_935_600n + BigInt(count)] });
  for (let count = 0; count < 4; count++) made.log(Ring.Logbook);
});

function file(name: string, contents: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, contents);
  return path;
}

const at = (name: string) => join(folder, name);
const keys = () => ['--keys', at('keys.json')];
const records = () => publishedEntries(made, Ring.Records);
const lines = (values: readonly unknown[] = records()) => file('lines.ndjson', toLines(values));
const dump = (ring: Ring = Ring.Records) => file('dump.bin', Buffer.concat(made.rings[ring]));

async function verify(...args: string[]): Promise<{ exitCode: number; report: Report & { repeated: number } }> {
  const { exitCode, stdout, stderr } = await runMetertime(['verify', '--json', ...args]);
  expect(stderr).toBe('');
  return { exitCode, report: JSON.parse(stdout) };
}

/** The findings as `check ring sequence`; the exit code has to be that of findings. */
async function found(...args: string[]): Promise<string[]> {
  const { exitCode, report } = await verify(...args);
  expect(exitCode).toBe(report.findings.length === 0 ? ExitCode.Ok : ExitCode.Mismatch);
  return report.findings.map(({ check, ring, sequence }) => `${check} ${ring} ${sequence}`);
}

describe('holds', () => {
  test('as lines and as entries, with a head as published and as bytes', async () => {
    const head = made.head();
    const published = file('head.json', JSON.stringify(publishedHead(head), null, 2));
    const raw = file('head.bin', head);
    expect(await found(lines(), ...keys(), '--head', published, '--from', '1')).toEqual([]);
    const { report } = await verify(dump(), ...keys(), '--head', raw);
    expect(report).toMatchObject({
      ok: true,
      meter: 'm1',
      repeated: 0,
      rings: [{ ring: 'records', entries: 11, from: 1, to: 11, gaps: 0, tail: 'signed' }],
      heads: { held: 1, failed: 0, unchecked: 0 },
    });
  });

  test('over several files and rings, and with heads among the lines', async () => {
    const [first, second] = [records().slice(0, 7), records().slice(7)];
    const a = file('a.ndjson', toLines(first));
    const b = file('b.ndjson', toLines([...second, publishedHead(made.head())]));
    const { report } = await verify(a, b, dump(Ring.Logbook), ...keys());
    expect(report.rings).toMatchObject([
      { ring: 'records', entries: 11, tail: 'signed' },
      { ring: 'logbook', entries: 4, tail: 'signed' },
    ]);
    expect(await found(b, a, ...keys())).toContain('sequence records 1');
  });

  test('with either key alone, and told in words', async () => {
    const head = file('head.bin', made.head());
    const args = ['verify', lines(), '--record-key', at('record.hex')];
    const sealed = await runMetertime(args);
    expect(sealed).toMatchObject({ exitCode: ExitCode.Ok, stderr: '' });
    expect(sealed.stdout).toMatch(/records +11 +1 +11 +0 +11 hold +11 hold +not proven\n/);
    expect(sealed.stdout).toContain('missing at the end of records is not proven: --head says it');
    expect(sealed.stdout).toMatch(/holds {2}nothing was found\n$/);
    const signed = await runMetertime(['verify', dump(), '--public-key', at('public.pem'), '--head', head]);
    expect(signed.exitCode).toBe(ExitCode.Ok);
    expect(signed.stdout).toMatch(/11 hold +not checked +signed\n/);
    expect(signed.stdout).toContain('Seals were not checked');
    expect((await verify(dump(), '--record-key', at('record.key'), '--meter', 'm1')).report.ok).toBe(true);
  });

  test('where MQTT delivered some lines twice', async () => {
    const all = records();
    const { report } = await verify(lines([...all.slice(0, 8), ...all.slice(5)]), ...keys());
    expect(report).toMatchObject({ ok: true, repeated: 3 });
    const bytes = Buffer.concat([...made.rings[Ring.Records].slice(0, 8), ...made.rings[Ring.Records].slice(5)]);
    expect(await found(file('twice.bin', bytes), ...keys())).toContain('sequence records 6');
  });

  test('as the dump of a ring that went round, with slots that were never written', async () => {
    const entries = made.rings[Ring.Records].slice(2);
    const ring: Uint8Array[] = Array.from({ length: 10 }, () => Buffer.alloc(128, 0xff));
    for (const entry of entries) ring[entry.readUInt32LE(ChainField.Sequence) % 10] = entry;
    const { report } = await verify(file('ring.bin', Buffer.concat(ring)), ...keys());
    expect(report).toMatchObject({ ok: true, rings: [{ entries: 9, from: 3, to: 11 }] });
  });

  test('where the gateway knew no context, or could not read an entry', async () => {
    const all = made.rings[Ring.Records].map((bytes) => decodeEntry(Ring.Records, bytes));
    const told = all.map((entry) =>
      'part' in entry ? contextJson('m1', entry, undefined) : recordJson('m1', entry as RecordEntry, undefined),
    );
    expect(await found(lines(told), ...keys())).toEqual([]);
    const unreadable = { format: 'unreadable', meter: 'm1', sequence: 8, bytes: told[7]!.bytes };
    expect(await found(lines(told.with(7, unreadable as never)), ...keys())).toEqual([]);
    expect(await found(lines(told.with(7, { ...unreadable, sequence: 9 } as never)), ...keys())).toEqual([
      'json records 8',
    ]);
    // To leave the software out alone says too much.
    expect(await found(lines(records().with(7, { ...(records()[7] as RecordJson), software: null })))).toEqual([
      'json records 8',
    ]);
  });

  test('from standard input', { timeout: 120_000 }, async () => {
    const { outDir } = await buildDist({ outDir: join(folder, 'dist') });
    const args = [join(outDir, 'metertime.mjs'), 'verify', '-', ...keys(), '--json'];
    for (const input of [toLines(records()), Buffer.concat(made.rings[Ring.Records])]) {
      const { status, stdout } = spawnSync(process.execPath, args, { input });
      expect(JSON.parse(stdout.toString())).toMatchObject({ ok: true, rings: [{ entries: 11 }] });
      expect(status).toBe(ExitCode.Ok);
    }
  });

  test('for records whose context came before, once it is given', async () => {
    const [contexts, later] = [records().slice(0, 5), records().slice(5)];
    expect(await found(lines(later), ...keys())).toEqual(['json records 6']);
    const context = file('context.ndjson', toLines(contexts));
    expect(await found(lines(later), ...keys(), '--context', context)).toEqual([]);
    const bytes = file('context.bin', Buffer.concat(made.rings[Ring.Records].slice(0, 5)));
    expect(await found(lines(later), ...keys(), '--context', bytes)).toEqual([]);
    // Bytes alone have nothing decoded beside them that a context would have to prove.
    expect(await found(file('later.bin', Buffer.concat(made.rings[Ring.Records].slice(5))), ...keys())).toEqual([]);
    made.rings[Ring.Records][2]![20] = 0xee;
    const forged = file('context.bin', Buffer.concat(made.rings[Ring.Records].slice(0, 5)));
    expect(await found(lines(later), ...keys(), '--context', forged)).toContain('seal records 3');
  });
});

describe('finds', () => {
  const head = () => file('head.bin', made.head());

  test('what is missing at the end, with a head', async () => {
    const signed = head();
    made.rings[Ring.Records].pop();
    expect(await found(dump(), ...keys(), '--head', signed)).toEqual(['tail records 11']);
    expect(await found(dump(), ...keys())).toEqual([]);
  });

  test('entries behind the head', async () => {
    const signed = head();
    made.record();
    expect(await found(dump(), ...keys(), '--head', signed)).toEqual(['tail records 12']);
  });

  test('what is missing at the begin, with its number', async () => {
    made.rings[Ring.Records].shift();
    expect(await found(dump(), ...keys(), '--from', '1')).toEqual(['sequence records 2']);
  });

  test('another meter', async () => {
    const other = new ChainMaker('m2', recordKey, key);
    other.context();
    other.record();
    expect(await found(file('m2.bin', Buffer.concat(other.rings[Ring.Records])), ...keys())).toEqual([
      'meter records 1',
    ]);
    const claimed = records().map((line) => ({ ...line, meter: 'm7' }));
    expect(await found(lines(claimed))).toEqual(['meter null null']);
    expect(await found(lines(records()), '--meter', 'm7')).toEqual(expect.arrayContaining(['meter records 1']));
  });

  const changes: [string, (record: RecordJson) => unknown][] = [
    ['a value', (record) => ({ ...record, readings: [{ ...record.readings[0], value: '2935.601' }] })],
    ['a unit', (record) => ({ ...record, readings: [{ ...record.readings[0], unit: 'kWh' }] })],
    ['a reading more', (record) => ({ ...record, readings: [...record.readings, record.readings[0]] })],
    ['a letter', (record) => ({ ...record, status: { ...record.status, letter: 'S' } })],
    ['a mark left out', (record) => ({ ...record, marks: ['late'] })],
    ['a field left out', ({ tariff, ...record }) => record],
    ['a field of nobody', (record) => ({ ...record, price: 5 })],
    ['a field of the prototype', (record) => JSON.parse(JSON.stringify(record).replace('{', '{"__proto__":{"a":1},'))],
    ['another sequence', (record) => ({ ...record, sequence: 4 })],
    ['another format', (record) => ({ ...record, format: 'log' })],
    ['null for an object', (record) => ({ ...record, evidence: null })],
    [
      'another calibration',
      (record) => ({ ...record, calibration: { id: 'x', atUtc: null, untilUtc: null, uncertaintyPpb: 1 } }),
    ],
  ];
  test.each(changes)('%s in what was decoded', async (_, change) => {
    const all: unknown[] = records();
    all[7] = JSON.parse(JSON.stringify(change(all[7] as RecordJson)));
    expect(await found(lines(all), ...keys())).toEqual(['json records 8']);
  });

  test('nothing in a sentence for people that was worded otherwise', async () => {
    const log = publishedEntries(made, Ring.Logbook).map((line) => ({ ...line, text: 'Other words.' }));
    expect(await found(lines(log), ...keys())).toEqual([]);
  });

  test('what is no line, no entry, or nothing', async () => {
    const all = toLines(records());
    expect(await found(file('cut.ndjson', all.slice(0, -20)), ...keys())).toEqual(['file null null']);
    expect(
      await found(file('noise.ndjson', `${all}{"format":"price"}\n[]\n{}\n{${' '.repeat(70_000)}}\n`)),
    ).toHaveLength(4);
    const twice = all.replace('"tariff":1', '"tariff":9,"t\\u0061riff":1');
    expect(await found(file('twice.ndjson', twice))).toContain('file null null');
    const ring = JSON.stringify({ ...records()[7], chain: { ring: 'other' } });
    expect(await found(file('ring.ndjson', `${ring}\n`))).toContain('file null null');
    expect(await found(file('cut.bin', Buffer.concat(made.rings[Ring.Records]).subarray(0, -1)), ...keys())).toEqual([
      'file null null',
    ]);
    for (const nothing of ['', '\n\n', '{"format":"report"}\n']) {
      expect(await found(file('none', nothing))).toContain('file null null');
    }
    expect(await found(file('garbage', Buffer.alloc(700, 0x99)))).toContain('file null null');
  });

  test('and says where, what was expected, and what came, but no more than a page', async () => {
    made.rings[Ring.Records][7]![40]! += 1;
    const one = await runMetertime(['verify', dump(), ...keys()]);
    expect(one.exitCode).toBe(ExitCode.Mismatch);
    expect(one.stdout).toContain('fails  2 findings\n');
    expect(one.stdout).toContain(
      `  seal records 8 (${at('dump.bin')}:8): expected the seal of this meter's record key; came a seal`,
    );
    expect(one.stdout).toMatch(/ {2}link records 9 \(.*\): expected [0-9a-f]{32}, of entry 8; came [0-9a-f]{32}\n/);
    const many = await runMetertime(['verify', file('many', '{}\n'.repeat(50))]);
    expect(many.stdout).toContain('  … and 31 more; --json has all of them\n');
  });
});

describe('wrong uses', () => {
  test.each([
    [['missing.bin'], /missing\.bin cannot be read: it does not exist/],
    [['dump.bin', '--head', 'public.pem', '--keys', 'keys.json'], /expected a head as published/],
    [['dump.bin', '--head', 'head.bin'], /--head needs the key/],
    [['dump.bin', '--context', 'head.bin'], /--context needs the key/],
    [['dump.bin', '--keys', 'public.pem'], /expected JSON with meter.*as metertime provision --keys writes it/],
    [['dump.bin', '--keys', 'head.json'], /expected JSON with meter, recordKey/],
    [['dump.bin', '--keys', 'keys.json', '--public-key', 'public.pem'], /give it alone/],
    [['dump.bin', '--keys', 'keys.json', '--meter', 'm2'], /--keys are those of m1/],
    [['dump.bin', '--record-key', 'public.pem'], /expected a record key of 16 bytes/],
    [['dump.bin', '--public-key', 'record.key'], /expected a public key of Ed25519/],
    [['dump.bin', '--from', '0'], /Expected a whole number from 1 to 4294967295/],
  ] as [string[], RegExp][])('%j', async (args, message) => {
    dump();
    file('head.bin', made.head());
    file('head.json', JSON.stringify(publishedHead(made.head())));
    const paths = args.map((each) => (/\.(bin|json|pem|key)$/.test(each) ? at(each) : each));
    const { exitCode, stdout, stderr } = await runMetertime(['verify', ...paths]);
    expect(exitCode).toBe(ExitCode.Usage);
    expect(stdout).toBe('');
    expect(stderr).toMatch(message);
    expect(stderr).not.toContain(recordKey.toString('hex'));
  });
});
