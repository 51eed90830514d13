// Entries, contexts and heads are decoded as as/abi/codes.ts lays them out, and told as JSON that its schemas describe.
import { describe, expect, test } from 'vitest';
import {
  ChainField,
  ClockStatus,
  ContextPartField,
  Format,
  LogField,
  MeterEvent,
  RecordField,
  RecordMark,
  RecordReason,
  Ring,
  TimeFlag,
} from '../../as/abi/codes.ts';
import { MessageError } from '../../host/link/message-bytes.ts';
import {
  type Context,
  type ContextPart,
  decodeContext,
  decodeEntry,
  decodeHead,
  type LogEntry,
  type RecordEntry,
} from '../../host/record/entry.ts';
import {
  contextJson,
  contextSchema,
  decimalText,
  evidenceSchema,
  headJson,
  headSchema,
  logJson,
  logSchema,
  recordJson,
  recordSchema,
} from '../../host/record/json.ts';
import { legalText } from '../../host/text/utc.ts';
import { seededRandom } from '../core/random.ts';
import { ChainMaker, type ContextFields, type RecordFields, signingKey } from './record-chain.ts';

const maker = () => new ChainMaker('m1', Buffer.alloc(16, 7), signingKey(Buffer.alloc(32, 9)));
const bytes = (value: number) => Buffer.alloc(32, value);

function contextOf(chain: ChainMaker, fields: ContextFields): { parts: ContextPart[]; context: Context } {
  const parts = chain.context(fields).map((part) => decodeEntry(Ring.Records, part) as ContextPart);
  return { parts, context: decodeContext(parts) };
}

const fullContext: ContextFields = {
  board: 'mps2-an385-4',
  imageSha256: bytes(0x11),
  programHash: bytes(0x22),
  program: 'Haushalt 2026',
  calibration: { id: 'CAL-2026-7', at: 1_790_000_000n, until: 1_800_000_000n, uncertaintyPpb: 250 },
  registers: [
    { obis: [1, 0, 1, 8, 0, 255], scale: 0, unit: 30 },
    { obis: [1, 0, 0x62, 8, 1, 255], scale: -3, unit: 30 },
    { obis: [7, 0, 3, 0, 0, 1], scale: 2, unit: 77 },
  ],
  servers: [{ name: 'ptbtime1.ptb.de', certificateSha256: bytes(0x33) }, { name: 'time.example' }],
};

function recordOf(fields: RecordFields, context: ContextFields = fullContext): ReturnType<typeof recordJson> {
  const chain = maker();
  const { context: known } = contextOf(chain, context);
  const record = decodeEntry(Ring.Records, chain.record(fields)) as RecordEntry;
  return recordSchema.parse(recordJson('m1', record, known));
}

describe('a record', () => {
  test('tells everything that its bytes and its context say', () => {
    const chain = maker();
    const { context, parts } = contextOf(chain, fullContext);
    const entry = chain.record({
      reasons: RecordReason.Period | RecordReason.Switch,
      marks: RecordMark.Late | RecordMark.LogbookFull,
      transaction: 12,
      targetUnixSeconds: 1_792_891_800n,
      captureUtcNs: 1_792_891_800_012_345_678n,
      uncertaintyUs: 4_000_000_001,
      boundUs: 4_294_967_294,
      offsetMinutes: 120,
      tariff: 3,
      letter: 'S',
      dlmsStatus: 0x82,
      ptbStatus: 1,
      timeFlags: TimeFlag.Slewing,
      readings: [2_935_600n, -2_935_600n, 5n],
    });
    const record = decodeEntry(Ring.Records, entry) as RecordEntry;
    expect(recordSchema.parse(recordJson('m1', record, context))).toEqual({
      format: 'record',
      meter: 'm1',
      sequence: parts.length + 1,
      reasons: ['period', 'switch'],
      marks: ['logbook-full', 'late'],
      software: {
        coreSha256: 'c0'.repeat(32),
        imageSha256: '11'.repeat(32),
        settingsHash: '5e'.repeat(32),
        programHash: '22'.repeat(32),
      },
      calibration: {
        id: 'CAL-2026-7',
        atUtc: '2026-09-21T14:13:20.000000000Z',
        untilUtc: '2027-01-15T08:00:00.000000000Z',
        uncertaintyPpb: 250,
      },
      target: { utc: '2026-10-25T01:30:00.000000000Z', legal: '2026-10-25T03:30:00.000000000+02:00' },
      capture: {
        utc: '2026-10-25T01:30:00.012345678Z',
        utcNs: '1792891800012345678',
        legal: '2026-10-25T03:30:00.012345678+02:00',
      },
      offsetMinutes: 120,
      uncertaintyNs: 4_000_000_001_000,
      boundNs: 4_294_967_294_000,
      status: {
        letter: 'S',
        dlms: { value: 130, names: ['doubtful', 'summer-time'] },
        ptb: { value: 1, name: 'warning' },
        clock: 'synchronised',
      },
      tariff: 3,
      transaction: 12,
      periodMinutes: 15,
      evidence: {
        server: 'ptbtime1.ptb.de',
        certificateSha256: '33'.repeat(32),
        rootDelayNs: 1526,
        rootDispersionNs: 30_518,
        sampleAgeSeconds: 17,
      },
      timeFlags: ['slewing'],
      readings: [
        { obis: '1-0:1.8.0*255', value: '2935600', unit: 'Wh', raw: '2935600' },
        { obis: '1-0:98.8.1*255', value: '-2935.600', unit: 'Wh', raw: '-2935600' },
        { obis: '7-0:3.0.0*1', value: '500', unit: 'unknown-77', raw: '5' },
      ],
      chain: {
        ring: 'records',
        link: entry.subarray(ChainField.Link, ChainField.Seal).toString('hex'),
        seal: entry.subarray(ChainField.Seal).toString('hex'),
      },
      context: 1,
      bytes: entry.toString('base64'),
    });
  });

  test('says null where something is not known', () => {
    const unknown = recordOf(
      {
        captureUtcNs: 0n,
        targetUnixSeconds: 0n,
        clockStatus: ClockStatus.Unsynchronised,
        letter: 'U',
        dlmsStatus: 0xff,
        server: 255,
        sampleAgeSeconds: 0xffff_ffff,
        readings: [],
      },
      {},
    );
    expect(unknown.capture).toEqual({ utc: null, utcNs: null, legal: null });
    expect(unknown).toMatchObject({ target: null, uncertaintyNs: null, boundNs: null, calibration: null });
    expect(unknown).toMatchObject({ transaction: null, readings: [] });
    expect(unknown.software).toMatchObject({ imageSha256: null, programHash: null });
    expect(unknown.status.dlms).toEqual({ value: 255, names: ['unspecified'] });
    expect(unknown.evidence).toMatchObject({ server: null, certificateSha256: null, sampleAgeSeconds: null });
    const saturated = recordOf({ uncertaintyUs: 0xffff_ffff, boundUs: 0xffff_ffff, server: 1 });
    expect(saturated).toMatchObject({ uncertaintyNs: null, boundNs: null });
    expect(saturated.evidence).toMatchObject({ server: 'time.example', certificateSha256: null });
  });

  test('without its context has readings as the registers have them', () => {
    const record = decodeEntry(Ring.Records, maker().record({ readings: [42n] })) as RecordEntry;
    const json = recordSchema.parse(recordJson('m1', record, undefined));
    expect(json.readings).toEqual([{ obis: null, value: null, unit: null, raw: '42' }]);
    expect(json).toMatchObject({ software: null, calibration: null, evidence: { server: null } });
  });

  test('captured within a leap second says so in both times', () => {
    const end = 1_798_761_600n * 1_000_000_000n;
    const { capture } = recordOf({
      captureUtcNs: end - 500_000_000n,
      offsetMinutes: 345,
      timeFlags: TimeFlag.LeapSecond,
    });
    expect(capture.utc).toBe('2026-12-31T23:59:60.500000000Z');
    expect(capture.legal).toBe('2027-01-01T05:44:60.500000000+05:45');
  });

  test.each([
    ['format', ChainField.Format, 9, 'format 1 or 2 in this ring'],
    ['number of readings', RecordField.Readings, 5, 'at most 4 readings'],
    ['letter', RecordField.Letter, 0x0a, 'a letter from A to Z'],
    ['offset', RecordField.OffsetMinutes + 1, 0x7f, 'an offset of less than a day'],
  ])('with a %s that cannot be is refused', (_, at, value, expected) => {
    const entry = maker().record();
    entry[at] = value;
    expect(() => decodeEntry(Ring.Records, entry)).toThrow(expected);
  });
});

describe('a context', () => {
  test('is told with its last part', () => {
    const { parts, context } = contextOf(maker(), fullContext);
    expect(parts.length).toBeGreaterThan(1);
    const told = parts.map((part) => contextSchema.parse(contextJson('m1', part, context)));
    expect(told.map(({ part, parts: of }) => [part, of])).toEqual(parts.map((_, index) => [index + 1, parts.length]));
    expect(told.slice(0, -1).every(({ contents }) => contents === null)).toBe(true);
    expect(told.at(-1)!.contents).toMatchObject({
      version: 1,
      meter: 'm1',
      board: 'mps2-an385-4',
      firmwareVersion: '0.1.0',
      program: 'Haushalt 2026',
      calibration: { id: 'CAL-2026-7' },
      registers: [
        { obis: '1-0:1.8.0*255', scale: 0, unit: 'Wh' },
        { obis: '1-0:98.8.1*255', scale: -3, unit: 'Wh' },
        { obis: '7-0:3.0.0*1', scale: 2, unit: 'unknown-77' },
      ],
      servers: [
        { name: 'ptbtime1.ptb.de', certificateSha256: '33'.repeat(32) },
        { name: 'time.example', certificateSha256: null },
      ],
    });
  });

  test('needs all of its parts, in order, and no more', () => {
    const { parts } = contextOf(maker(), fullContext);
    expect(() => decodeContext(parts.slice(1))).toThrow(MessageError);
    expect(() => decodeContext(parts.slice(0, -1))).toThrow(`${parts.length} parts`);
    expect(() => decodeContext([...parts].reverse())).toThrow('part 0 of');
    expect(() => decodeContext([])).toThrow(MessageError);
    const long = { ...parts[0]!, part: Uint8Array.from(parts[0]!.part) };
    long.part[1] = 0x20;
    expect(() => decodeContext([long, ...parts.slice(1)])).toThrow('a length that takes');
  });
});

describe('an event of the logbook', () => {
  test('is told as an event is', () => {
    const entry = maker().log(Ring.Logbook, {
      code: MeterEvent.ClockSet,
      a: -3_600_000_000_000n,
      b: 2_500_000n,
      utcNs: 1_792_891_800_012_345_678n,
      uptimeNs: 93_000_000_000n,
      text: 'ntp1.time.example',
      eventSequence: 17,
      leftOut: 3,
    });
    const log = decodeEntry(Ring.Logbook, entry) as LogEntry;
    expect(logSchema.parse(logJson('m1', log))).toEqual({
      format: 'log',
      meter: 'm1',
      sequence: 1,
      boot: '8f3a11c2',
      eventSequence: 17,
      event: 'clock-set',
      code: 7,
      text: 'The clock was set by -3600 s, to within 2.50 ms (ntp1.time.example).',
      utc: '2026-10-25T01:30:00.012345678Z',
      utcNs: '1792891800012345678',
      uptimeNs: '93000000000',
      a: '-3600000000000',
      b: '2500000',
      detail: 'ntp1.time.example',
      leftOut: 3,
      chain: { ring: 'logbook', link: '00'.repeat(16), seal: entry.subarray(ChainField.Seal).toString('hex') },
      bytes: entry.toString('base64'),
    });
  });

  test('belongs to its ring, and its text ends before the link', () => {
    const entry = maker().log(Ring.Network, { text: 'x'.repeat(45) });
    expect((decodeEntry(Ring.Network, entry) as LogEntry).text).toHaveLength(45);
    expect(() => decodeEntry(Ring.Logbook, entry)).toThrow('expected ring 1, came 2');
    expect(() => decodeEntry(Ring.Records, entry)).toThrow('format 1 or 2');
    entry[LogField.Texts] = 46;
    expect(() => decodeEntry(Ring.Network, entry)).toThrow('expected at least 95 bytes');
  });
});

test('a head is told with what it was signed for', () => {
  const chain = maker();
  chain.record();
  const head = decodeHead(chain.head(1_792_891_800_000_000_000n));
  const json = headSchema.parse(headJson(head));
  expect(json).toMatchObject({ meter: 'm1', utc: '2026-10-25T01:30:00.000000000Z', logbook: null });
  expect(json.records?.sequence).toBe(1);
  expect(Buffer.from(json.bytes, 'base64')).toHaveLength(184);
  expect(evidenceSchema.parse(json)).toEqual(json);
  expect(() => decodeHead(chain.head().subarray(1))).toThrow('expected 184 bytes, came 183');
  expect(() => decodeHead(new Uint8Array(184))).toThrow('"MTH1"');
});

test.each([
  [2_935_600n, -3, '2935.600'],
  [-5n, -3, '-0.005'],
  [0n, -2, '0.00'],
  [7n, 0, '7'],
  [7n, 3, '7000'],
  [-(1n << 63n), -18, '-9.223372036854775808'],
])('%d by 10^%d is %s', (raw, scale, text) => {
  expect(decimalText(raw, scale)).toBe(text);
});

test('legal time names the offset of any zone', () => {
  expect(legalText(0n, -210)).toBe('1969-12-31T20:30:00.000000000-03:30');
  expect(legalText(1n << 100n, 0)).toBeNull();
});

test('bytes that make no sense are refused with the one error that is meant for it', () => {
  const random = seededRandom('entries of random bytes');
  const chain = maker();
  contextOf(chain, fullContext);
  chain.record();
  chain.log(Ring.Logbook, { text: 'ü' });
  const starts = [...chain.rings[Ring.Records], ...chain.rings[Ring.Logbook]];
  const outcome = (work: () => unknown): unknown => {
    try {
      return work();
    } catch (error) {
      expect(error).toBeInstanceOf(MessageError);
      return error;
    }
  };
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const entry = Buffer.from(starts[random.below(starts.length)]!);
    const times = random.below(4) === 0 ? 40 : 1;
    for (let change = 0; change < times; change++) entry[random.below(128)] = random.below(256);
    const ring = random.below(3) as Ring;
    const came = outcome(() => {
      const decoded = decodeEntry(ring, entry.subarray(0, random.below(50) === 0 ? random.below(140) : 128));
      if (decoded.format === Format.Record) return recordSchema.parse(recordJson('m1', decoded, undefined));
      if (decoded.format === Format.Log) return logSchema.parse(logJson('m1', decoded));
      return contextSchema.parse(contextJson('m1', decoded, undefined));
    });
    if (came instanceof MessageError) refused++;
  }
  const parts = chain.rings[Ring.Records].slice(0, -1).map((part) => decodeEntry(Ring.Records, part) as ContextPart);
  for (let round = 0; round < 2000; round++) {
    const changed = parts.map((each) => ({ ...each, part: Uint8Array.from(each.part) }));
    changed[random.below(changed.length)]!.part[random.below(ContextPartField.PartBytes)] = random.below(256);
    outcome(() => contextSchema.parse(contextJson('m1', changed.at(-1)!, decodeContext(changed))));
    const head = Buffer.from(chain.head());
    head[random.below(head.length)] = random.below(256);
    outcome(() => headSchema.parse(headJson(decodeHead(head))));
  }
  expect(refused).toBeGreaterThan(500);
});
