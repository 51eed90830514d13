// OCMF data sets from a meter's records: verified by @road-labs/ocmf, OpenSSL and node; signed by a file and by a token.
import { execFileSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseDate } from '@road-labs/ocmf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ChainField, RecordMark, RecordReason, Ring } from '../../as/abi/codes.ts';
import { ExitCode } from '../../host/cli/exit-codes.ts';
import {
  type OcmfError,
  type OcmfOptions,
  ocmfDataSet,
  type RecordInContext,
  wholeTransactions,
} from '../../host/ocmf/from-records.ts';
import { Decimal, ocmfPayload } from '../../host/ocmf/payload.ts';
import { fileSigner, type OcmfSigner, signOcmf } from '../../host/ocmf/signer.ts';
import { type ContextPart, decodeContext, decodeEntry, type RecordEntry } from '../../host/record/entry.ts';
import { bundleChild } from './bundle-child.ts';
import { runMetertime } from './cli-run.ts';
import { opensslAccepts, roadLabs } from './ocmf-verify.ts';
import { ChainMaker, type ContextFields, type RecordFields, signingKey } from './record-chain.ts';
import { needPkcs11, softHsm } from './soft-hsm.ts';

const folder = mkdtempSync(join(tmpdir(), 'metertime-ocmf-'));
const recordKey = Buffer.alloc(16, 0x4b);
const keyFile = join(folder, 'key.pem');

beforeAll(() => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  writeFileSync(keyFile, privateKey.export({ format: 'pem', type: 'pkcs8' }), { mode: 0o600 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const options: OcmfOptions = { gateway: { identification: 'metertime', serial: 'gw-1', version: '0.1.0' } };
const second = 1_000_000_000n;
const start = 1_795_305_600n * second;

/** A meter's records, each in its context. */
function records(fields: readonly RecordFields[], context: ContextFields = {}): RecordInContext[] {
  const maker = new ChainMaker('m|1', recordKey, signingKey(Buffer.alloc(32, 7)));
  const parts = maker.context(context).map((bytes) => decodeEntry(Ring.Records, bytes) as ContextPart);
  const decoded = decodeContext(parts);
  return fields.map((each, index) => ({
    record: decodeEntry(
      Ring.Records,
      maker.record({ captureUtcNs: start + BigInt(index) * 1800n * second + 123_456_789n, ...each }),
    ) as RecordEntry,
    context: decoded,
  }));
}

const { TransactionBegin, TransactionEnd, Switch, Period, Start } = RecordReason;
const charge = (letters = 'SSS', more: RecordFields = {}) =>
  records([
    { reasons: TransactionBegin, transaction: 7, letter: letters[0]!, readings: [2_935_600n], tariff: 1, ...more },
    { reasons: Period, transaction: 7, letter: letters[0]!, readings: [2_936_000n], ...more },
    { reasons: Switch | Period, transaction: 7, letter: letters[1]!, readings: [2_936_100n], tariff: 1, ...more },
    { reasons: TransactionEnd, transaction: 7, letter: letters[2]!, readings: [2_940_000n], tariff: 2, ...more },
  ]);

const bytesOf = (from: readonly RecordInContext[]) => from.map(({ record }) => record.bytes);
const payloadOf = (from: readonly RecordInContext[], with_: Partial<OcmfOptions> = {}, entries = bytesOf(from)) =>
  ocmfPayload(ocmfDataSet(from, entries, 7, recordKey, { ...options, ...with_ }));

describe('a data set', () => {
  it('is what an independent verifier accepts, reading by reading', async () => {
    const signer = fileSigner(keyFile);
    const text = signOcmf(payloadOf(charge()), signer);
    const found = await roadLabs(text, signer.publicKeyPem);
    expect(found?.payloadData).toMatchObject({
      ...{ FV: '1.3', GI: 'metertime', GS: 'gw-1', GV: '0.1.0', PG: 'T7', MM: 'software', MS: 'm|1', MF: '0.1.0' },
      ...{ IS: false, IF: [], IT: 'NONE' },
    });
    const { RD } = found!.payloadData;
    expect(RD.map(({ TX, RI, RU, EF, ST }) => [TX, RI, RU, EF, ST])).toEqual(
      ['B', 'T', 'E'].map((code) => [code, '1-0:1.8.0', 'Wh', '', 'G']),
    );
    expect(RD.map(({ TM }) => TM)).toEqual([
      '2026-11-22T01:00:00,123+0100 S',
      '2026-11-22T02:00:00,123+0100 S',
      '2026-11-22T02:30:00,123+0100 S',
    ]);
    const [date, letter] = parseDate(RD[0]!.TM);
    expect([date.getTime(), letter]).toEqual([Number(start / 1_000_000n) + 123, 'S']);
  });

  it('keeps the decimals of the register', () => {
    expect([...payloadOf(charge()).matchAll(/"RV":([^,]*),/g)].map(([, value]) => value)).toEqual([
      '2935.600',
      '2936.100',
      '2940.000',
    ]);
  });

  it('has readings of one register, also where another context has them in another order', () => {
    const [in_, out] = [
      { obis: [1, 0, 1, 8, 0, 255], scale: -3, unit: 30 },
      { obis: [1, 0, 2, 8, 0, 255], scale: 0, unit: 30 },
    ] as const;
    const maker = new ChainMaker('m1', recordKey, signingKey(Buffer.alloc(32, 7)));
    const under = (registers: ContextFields['registers'], reasons: number, readings: bigint[]): RecordInContext => {
      const parts = maker.context({ registers: registers! }).map((bytes) => decodeEntry(Ring.Records, bytes));
      const bytes = maker.record({ reasons, transaction: 7, readings });
      return {
        record: decodeEntry(Ring.Records, bytes) as RecordEntry,
        context: decodeContext(parts as ContextPart[]),
      };
    };
    const from = [under([in_, out], TransactionBegin, [1_000n, 77n]), under([out, in_], TransactionEnd, [88n, 4_500n])];
    const payload = payloadOf(from, {}, maker.rings[Ring.Records]);
    const { RD } = JSON.parse(payload) as { RD: { RI: string }[] };
    expect(RD.map(({ RI }) => RI)).toEqual(['1-0:1.8.0', '1-0:1.8.0']);
    expect([...payload.matchAll(/"RV":([^,]*),/g)].map(([, value]) => value)).toEqual(['1.000', '4.500']);
  });

  it('has no bar within a section, and is JSON', () => {
    const payload = payloadOf(charge(), { vendor: 'a|b', tariffText: 'day | night' });
    expect(payload).not.toContain('|');
    expect(JSON.parse(payload)).toMatchObject({ MV: 'a|b', MS: 'm|1', TT: 'day | night' });
  });

  it('carries the evidence of each time, and the meter’s own bytes, under U', () => {
    const from = charge();
    const { U } = JSON.parse(payloadOf(from)) as { U: { records: { bytes: string; sequence: number }[] } };
    expect(U.records.map(({ bytes }) => bytes)).toEqual(
      [from[0]!, from[2]!, from[3]!].map(({ record }) => Buffer.from(record.bytes).toString('base64')),
    );
    expect(U.records[0]).toMatchObject({
      ...{ uncertaintyNs: 300_000, boundNs: 1_200_000, sampleAgeSeconds: 17, server: 'time.example', tariff: 1 },
      ...{ certificateSha256: 'c5'.repeat(32), rootDelayNs: 1526, rootDispersionNs: 30_518, calibration: null },
    });
  });

  it('says who was charged where, and with what', () => {
    const payload = payloadOf(charge(), {
      identification: { assigned: true, level: 'VERIFIED', flags: ['RFID_PLAIN'], type: 'ISO14443', data: '1F2D3A4F' },
      chargePoint: { type: 'EVSEID', id: 'DE*ABC*E1' },
      currentType: 'DC',
    });
    expect(JSON.parse(payload)).toMatchObject({
      ...{
        IS: true,
        IL: 'VERIFIED',
        IF: ['RFID_PLAIN'],
        IT: 'ISO14443',
        ID: '1F2D3A4F',
        CT: 'EVSEID',
        CI: 'DE*ABC*E1',
      },
      RD: [{ RT: 'DC' }, { RT: 'DC' }, { RT: 'DC' }],
    });
  });

  it('ends with P where the meter ended the transaction at its next start', () => {
    const from = records([
      { reasons: TransactionBegin, transaction: 7, letter: 'R' },
      { reasons: TransactionEnd | Start, transaction: 7, letter: 'U' },
    ]);
    expect(payloadOf(from)).toMatch(/"TX":"B".*"TX":"P"/);
  });
});

describe('the letter of a time', () => {
  const letters = (text: string) => [...payloadOf(charge(text)).matchAll(/"TM":"[^"]* (.)"/g)].map(([, at]) => at);

  it.each([
    ['SSS', 'SSS'],
    ['SSR', 'SSR'],
    ['SRS', 'SRR'],
    ['RSS', 'RRR'],
    ['RRR', 'RRR'],
    ['ISS', 'III'],
    ['SSI', 'III'],
    ['SUS', 'UUU'],
    ['USR', 'UUU'],
    ['RSU', 'UUU'],
  ])('of records %s is %s', (came, expected) => {
    expect(letters(came).join('')).toBe(expected);
  });

  it('is never better than the record’s, whatever the records say', () => {
    const rank = 'UIRS';
    for (const a of rank) {
      for (const b of rank) {
        for (const c of rank) {
          const given = letters(`${a}${b}${c}`);
          expect(given.every((letter, at) => rank.indexOf(letter!) <= rank.indexOf([a, b, c][at]!))).toBe(true);
          // What a verifier takes: S with S or R, R with R, U with U; I is not for billing.
          expect(['SS', 'SR', 'RR', 'II', 'UU']).toContain(`${given[0]}${given.at(-1)}`);
        }
      }
    }
  });

  it('comes with the error flag t where the record’s time is not usable', () => {
    expect(payloadOf(charge('UUU', { ptbStatus: 3 }))).toContain('"EF":"t"');
    expect(payloadOf(charge('SSS', { ptbStatus: 1 }))).not.toContain('"EF":"t"');
  });
});

describe('nothing is signed', () => {
  const refuses = (from: readonly RecordInContext[], code: OcmfError['code'], with_: Partial<OcmfOptions> = {}) => {
    expect(() => payloadOf(from, with_)).toThrow(expect.objectContaining({ code }));
  };

  it('where a seal does not hold, whichever bit was changed', () => {
    const from = charge();
    for (let bit = 0; bit < 8 * 128; bit += 37) {
      const bytes = Uint8Array.from(from[0]!.record.bytes);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      const changed = { ...from[0]!, record: { ...from[0]!.record, bytes } };
      refuses([changed, ...from.slice(1)], 'seal');
    }
  });

  it('where the key is another meter’s', () => {
    const from = charge();
    expect(() => ocmfDataSet(from, bytesOf(from), 7, Buffer.alloc(16, 1), options)).toThrow(/seal does not hold/);
  });

  it('without a begin, without an end, or with two of them', () => {
    const from = charge();
    refuses(from.slice(1), 'transaction');
    refuses(from.slice(0, -1), 'transaction');
    refuses(
      [...from, ...records([{ reasons: TransactionEnd, transaction: 7 }, { transaction: 7 }]).slice(0, 1)],
      'transaction',
    );
    expect(wholeTransactions(from.map(({ record }) => record))).toEqual([7]);
    expect(wholeTransactions(from.slice(1).map(({ record }) => record))).toEqual([]);
  });

  it('where an entry between begin and end is missing, changed, or another one', () => {
    const from = charge();
    const entries = bytesOf(from);
    const [, period, change] = from.map(({ record }) => record.sequence);
    expect(() => payloadOf(from.toSpliced(2, 1))).toThrow(
      expect.objectContaining({
        code: 'chain',
        message: expect.stringContaining(`expected entry ${change}, came ${change! + 1}`),
      }),
    );
    expect(() => payloadOf(from, {}, entries.toSpliced(1, 1))).toThrow(`expected entry ${period}, came ${change}`);
    const changed = Uint8Array.from(entries[1]!);
    changed[90]! ^= 1;
    expect(() => payloadOf(from, {}, entries.with(1, changed))).toThrow(/does not hold/);
    const other = records([{}, { reasons: Period, transaction: 7, letter: 'U' }])[1]!.record;
    expect(other.sequence).toBe(period);
    expect(() => payloadOf(from, {}, entries.with(1, other.bytes))).toThrow(/\(link\)/);
    expect(() => payloadOf(from, {}, [...entries, other.bytes])).toThrow(expect.objectContaining({ code: 'chain' }));
    // In any order, and what came twice, is no harm.
    expect(payloadOf(from, {}, [...entries, ...entries].reverse())).toBe(payloadOf(from));
  });

  it('where the meter lost records in between; what it lost before the begin does not matter', () => {
    const marked = (at: number) => {
      const reasons = [TransactionBegin, Period, TransactionEnd];
      const marks = (index: number) => (index === at ? RecordMark.RecordsLost : 0);
      return records(reasons.map((each, index) => ({ reasons: each, transaction: 7, marks: marks(index) })));
    };
    for (const at of [1, 2]) {
      refuses(marked(at), 'chain');
      expect(() => payloadOf(marked(at))).toThrow(/lost records before it/);
    }
    expect(payloadOf(marked(0))).toMatch(/"TX":"B".*"TX":"E"/);
  });

  it('without readings, or of a register that is not there or counts no energy', () => {
    refuses(charge('SSS', { marks: RecordMark.NoReadings }), 'readings');
    refuses(charge('SSS', { readings: [] }), 'readings');
    refuses(charge(), 'register', { register: '1-0:2.8.0' });
    const power = records(
      [
        { reasons: TransactionBegin, transaction: 7 },
        { reasons: TransactionEnd, transaction: 7 },
      ],
      {
        registers: [{ obis: [1, 0, 1, 7, 0, 255], scale: 0, unit: 27 }],
      },
    );
    refuses(power, 'register');
    refuses(power, 'register', { register: '1.0.1.7.0.255' });
    expect(payloadOf(charge(), { register: '1.0.1.8.0.255' })).toContain('"RI":"1-0:1.8.0"');
    for (const register of ['', '1/0/1/8/0', '1-0:1.8.0*254']) refuses(charge(), 'register', { register });
  });

  it('with a number that is none, or a tariff text that is too long', () => {
    for (const text of ['', '1e3', '.5', '01', '1.', 'NaN', '1|2']) expect(() => new Decimal(text)).toThrow(RangeError);
    expect(() => payloadOf(charge(), { tariffText: 'x'.repeat(251) })).toThrow(/250 characters/);
  });
});

describe('a signature', () => {
  async function holds(signer: OcmfSigner) {
    const text = signOcmf(payloadOf(charge()), signer);
    expect(opensslAccepts(text, signer.publicKeyPem)).toBe(true);
    expect(await roadLabs(text, signer.publicKeyPem)).toBeDefined();
    expect(await roadLabs(text.replace('2935.600', '2935.601'), signer.publicKeyPem)).toBeUndefined();
    const [, payload, section] = text.split('|') as [string, string, string];
    const { SA, SD } = JSON.parse(section) as { SA: string; SD: string };
    expect(SA).toBe('ECDSA-secp256r1-SHA256');
    expect(verify('sha256', Buffer.from(payload), signer.publicKeyPem, Buffer.from(SD, 'hex'))).toBe(true);
  }

  it('of a key in a file holds for OpenSSL and the independent verifier, and for nothing that was changed', async () => {
    await holds(fileSigner(keyFile));
  });

  it('is refused with a key of another kind, with what to do', () => {
    const other = join(folder, 'other.pem');
    for (const [key, message] of [
      [generateKeyPairSync('ec', { namedCurve: 'secp384r1' }).privateKey, /came one on secp384r1; make one with/],
      [generateKeyPairSync('ed25519').privateKey, /came ed25519/],
    ] as const) {
      writeFileSync(other, key.export({ format: 'pem', type: 'pkcs8' }));
      expect(() => fileSigner(other)).toThrow(message);
    }
    writeFileSync(other, 'no key');
    expect(() => fileSigner(other)).toThrow(/expected a private key in PEM/);
    expect(() => fileSigner(join(folder, 'nowhere.pem'))).toThrow(/ENOENT/);
  });

  it('whose key does not belong to the public key is not handed out', () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    const publicKeyPem = publicKey.export({ format: 'pem', type: 'spki' }).toString();
    expect(() => signOcmf('{}', { ...fileSigner(keyFile), publicKeyPem })).toThrow(/do not belong together/);
  });

  it('of a key in a token holds as well, and what is missing there is said', async (context) => {
    needPkcs11(context);
    const { module, env } = softHsm(folder, keyFile);
    const child = await bundleChild('ocmf-token-child.ts');
    const sign = (...args: string[]) =>
      JSON.parse(execFileSync(process.execPath, [child, ...args], { env, encoding: 'utf8' })) as {
        texts: string[];
        publicKeyPem: string;
        message: string;
      };
    const payload = payloadOf(charge());
    const { texts, publicKeyPem } = sign(module, 'charger', 'ocmf', '1234', payload);
    expect(publicKeyPem).toBe(fileSigner(keyFile).publicKeyPem);
    for (const text of texts) {
      expect(opensslAccepts(text, publicKeyPem)).toBe(true);
      expect(await roadLabs(text, publicKeyPem)).toBeDefined();
    }
    const said = (...args: string[]) => sign(...args, payload).message;
    expect(said(module, 'charger', 'ocmf', '9999')).toMatch(/the PIN was not accepted/);
    expect(said(module, 'charger', 'ocmf', '9999')).not.toContain('9999');
    expect(said(module, 'charger', 'other', '1234')).toMatch(/expected one private EC key labelled "other", came none/);
    expect(said(module, 'other', 'ocmf', '1234')).toMatch(/expected a token "other", came "charger"/);
    expect(said(join(folder, 'no.so'), '', 'ocmf', '1234')).toMatch(/no\.so: the module cannot be loaded/);
  });
});

describe('metertime ocmf', () => {
  const keys = join(folder, 'record.key');
  const lines = (entries: readonly Uint8Array[]) =>
    entries
      .map((bytes) => `${JSON.stringify({ format: 'record', bytes: Buffer.from(bytes).toString('base64') })}\n`)
      .join('');
  /** Two transactions, the second of which has not ended, and a ring's entries. */
  function entries(): Uint8Array[] {
    const maker = new ChainMaker('m1', recordKey, signingKey(Buffer.alloc(32, 7)));
    maker.context();
    maker.record({ reasons: TransactionBegin, transaction: 7, letter: 'S', readings: [2_935_600n] });
    maker.record({ reasons: TransactionEnd, transaction: 7, letter: 'S', readings: [2_940_000n] });
    maker.record({ reasons: TransactionBegin, transaction: 8, letter: 'S', readings: [2_940_000n] });
    return maker.rings[Ring.Records];
  }
  const run = (file: string, ...more: string[]) =>
    runMetertime(['ocmf', file, '--record-key', keys, '--sign-key', keyFile, '--gateway-serial', 'gw-1', ...more]);

  it('signs what is whole, from lines and from entries, and says what is not', async () => {
    writeFileSync(keys, recordKey);
    const json = join(folder, 'records.ndjson');
    const dump = join(folder, 'records.bin');
    writeFileSync(json, `${lines(entries())}{"format":"head","bytes":""}\n\n`);
    writeFileSync(dump, Buffer.concat(entries()));
    for (const file of [json, dump]) {
      const { exitCode, stdout } = await run(
        file,
        '--user',
        'ISO14443:1F2D3A4F',
        '--evse',
        'DE*ABC*E1',
        '--current',
        'DC',
      );
      expect(exitCode).toBe(ExitCode.Ok);
      const found = await roadLabs(stdout.trim(), fileSigner(keyFile).publicKeyPem);
      expect(found?.payloadData).toMatchObject({ PG: 'T7', IS: true, IT: 'ISO14443', ID: '1F2D3A4F', CI: 'DE*ABC*E1' });
    }
    const { publicKeyHex, sets } = JSON.parse((await run(json, '--json')).stdout) as {
      publicKeyHex: string;
      sets: { transaction: number; ocmf: string }[];
    };
    expect(sets.map(({ transaction }) => transaction)).toEqual([7]);
    const key = createPublicKey({ key: Buffer.from(publicKeyHex, 'hex'), format: 'der', type: 'spki' });
    const [, payload, section] = sets[0]!.ocmf.split('|') as [string, string, string];
    const { SD } = JSON.parse(section) as { SD: string };
    expect(verify('sha256', Buffer.from(payload), key, Buffer.from(SD, 'hex'))).toBe(true);
    const open = await run(json, '--transaction', '8');
    expect(open.exitCode).toBe(ExitCode.Failed);
    expect(open.stderr).toMatch(/transaction 8: expected one record of its end, came 0 among 1/);
  });

  it('signs nothing where a change of the tariff was left out', async () => {
    const maker = new ChainMaker('m1', recordKey, signingKey(Buffer.alloc(32, 7)));
    maker.context();
    maker.record({ reasons: TransactionBegin, transaction: 7, letter: 'S' });
    maker.record({ reasons: Switch, transaction: 7, letter: 'S' });
    maker.record({ reasons: TransactionEnd, transaction: 7, letter: 'S' });
    const own = maker.rings[Ring.Records];
    const file = join(folder, 'left-out.ndjson');
    writeFileSync(keys, recordKey);
    writeFileSync(file, lines(own.toSpliced(-2, 1)));
    const { exitCode, stdout, stderr } = await run(file);
    expect([exitCode, stdout]).toEqual([ExitCode.Failed, '']);
    expect(stderr).toContain(`expected entry ${own.length - 1}, came ${own.length}`);
  });

  it('takes a ring as it is in the storage, with slots that were never written, and one that was not finished', async () => {
    const own = entries();
    const file = join(folder, 'ring.bin');
    writeFileSync(keys, recordKey);
    const blank = Buffer.alloc(128, 0xff);
    const unfinished = Buffer.from(own.at(-1)!).fill(0x55, 100);
    unfinished.writeUInt32LE(own.length + 1, ChainField.Sequence);
    for (const rest of [[], [unfinished]]) {
      writeFileSync(file, Buffer.concat([blank, ...own, ...rest, blank, blank]));
      const { exitCode, stdout, stderr } = await run(file);
      expect([exitCode, stderr]).toEqual([ExitCode.Ok, '']);
      expect((await roadLabs(stdout.trim(), fileSigner(keyFile).publicKeyPem))?.payloadData.PG).toBe('T7');
    }
  });

  it('signs nothing of what was changed, also in a context', async () => {
    const file = join(folder, 'changed.ndjson');
    const own = entries();
    for (const [index, what] of [
      [0, /entry 1, a part of a context: its seal does not hold/],
      [own.length - 3, /record \d+: its seal does not hold/],
    ] as const) {
      const changed = own.map((bytes, at) => (at === index ? Buffer.from(bytes).fill(0x55, 90, 91) : bytes));
      writeFileSync(file, lines(changed));
      const { exitCode, stdout, stderr } = await run(file);
      expect([exitCode, stdout]).toEqual([ExitCode.Failed, '']);
      expect(stderr).toMatch(what);
    }
    writeFileSync(file, lines(own.slice(1)));
    expect((await run(file)).stderr).toMatch(/came 0 records without, and 3 more whose context is not there/);
  });

  it('says what is wrong with the command or a file', async () => {
    const file = join(folder, 'bad.ndjson');
    for (const [contents, message] of [
      ['{"format":"record","bytes":"AAAA"}', /line 1: expected `bytes` of 128 bytes in base64, came 3/],
      ['{"format":"rec', /line 1: expected a line of JSON/],
      ['{}\n17\n', /line 2: expected an object, came 17/],
      ['some text', /expected lines of JSON, or entries of 128 bytes; came neither/],
    ] as const) {
      writeFileSync(file, contents);
      const { exitCode, stderr } = await run(file);
      expect(exitCode).toBe(ExitCode.Usage);
      expect(stderr).toMatch(message);
    }
    expect((await run(file, '--pkcs11-module', 'x.so')).stderr).toMatch(
      /signed with --sign-key FILE, or with --pkcs11/,
    );
    expect((await run(file, '--user', '1F2D')).stderr).toMatch(/Expected TYPE:DATA/);
    const withoutKey = ['ocmf', file, '--sign-key', keyFile, '--gateway-serial', 'gw-1'];
    expect((await runMetertime(withoutKey)).stderr).toMatch(/add the meter's --keys/);
  });
});
