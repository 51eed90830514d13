// Records, events of the logbook, contexts and heads as JSON: schemas that give the types, and how what was decoded
// becomes them. MQTT publishes them, files hold them, one a line.
// What always holds: the rules for all payloads in docs/mqtt.md; `bytes` are the meter's own, and everything else follows
// from them, from the context that they name, and from the meter's id.
import { z } from 'zod';
import { ClockStatus, MeterEvent, Ring, TimeFlag } from '../../as/abi/codes.ts';
import { hex } from '../text/hex.ts';
import {
  clockStatusNames,
  describeEvent,
  dlmsStatusNames,
  meterEventNames,
  nameOf,
  namesOfBits,
  ptbStatusNames,
  recordMarkNames,
  recordReasonNames,
  ringNames,
  timeFlagNames,
  unitNames,
} from '../text/names.ts';
import { legalText, nsPerSecond, utcText } from '../text/utc.ts';
import type { ChainedEntry, Context, ContextPart, Head, LogEntry, RecordEntry, Register } from './entry.ts';

const utc = z.string().regex(/^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
const legal = z.string().regex(/^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}[+-]\d\d:\d\d$/);
const integerText = z.string().regex(/^-?\d+$/);
const count = z.int().min(0);
const hex16 = z.string().regex(/^[0-9a-f]{32}$/);
const hex32 = z.string().regex(/^[0-9a-f]{64}$/);
const names = z.array(z.string());

const softwareSchema = z.strictObject({
  /** SHA-256 of core.wasm. */
  coreSha256: hex32,
  /** SHA-256 of the firmware image; null where the core runs without one. */
  imageSha256: hex32.nullable(),
  /** Of the settings without the root key. */
  settingsHash: hex32,
  /** Of the tariff program; null without one. */
  programHash: hex32.nullable(),
});

const calibrationSchema = z.strictObject({
  id: z.string(),
  atUtc: utc.nullable(),
  untilUtc: utc.nullable(),
  /** Expanded uncertainty of the frequency, k = 2. */
  uncertaintyPpb: count,
});

/** Where an entry stands in its ring, and what ties it to the one before. */
const chainSchema = z.strictObject({
  /** `records`, `logbook` or `network`. */
  ring: z.string(),
  /** The first 16 bytes of SHA-512 of the entry before. */
  link: hex16,
  /** AES-CMAC under the meter's record key. */
  seal: hex16,
});

const readingSchema = z.strictObject({
  /** `A-B:C.D.E*F`; null, as value and unit, where the context is not known. */
  obis: z.string().nullable(),
  /** In `unit`, decimal, with all decimals of the register's scale. */
  value: z.string().nullable(),
  unit: z.string().nullable(),
  /** As the register has it, in units of its scale. */
  raw: integerText,
});

/** What the meter measured, when, and how sure that is. */
export const recordSchema = z.strictObject({
  format: z.literal('record'),
  meter: z.string(),
  /** Counts from 1 in the ring of records, in which contexts have numbers too: tells duplicates and gaps. */
  sequence: count,
  reasons: names,
  marks: names,
  /** Null where the context is not known. */
  software: softwareSchema.nullable(),
  /** Of the meter's clock; null without one. */
  calibration: calibrationSchema.nullable(),
  /** When the registers had to be read; null for a record that has no such time. Legal time by the offset at the capture. */
  target: z.strictObject({ utc: utc.nullable(), legal: legal.nullable() }).nullable(),
  /** When they were read; null, each of them, while unsynchronised. */
  capture: z.strictObject({ utc: utc.nullable(), utcNs: integerText.nullable(), legal: legal.nullable() }),
  /** Local time minus UTC at the capture. */
  offsetMinutes: z.int(),
  /** Expanded, k = 2, of the capture; null while unsynchronised. */
  uncertaintyNs: count.nullable(),
  /** Hard bound on its error. */
  boundNs: count.nullable(),
  status: z.strictObject({
    /** As in OCMF: S, I, R or U. */
    letter: z.string(),
    /** Clock status of DLMS/COSEM. */
    dlms: z.strictObject({ value: count, names }),
    ptb: z.strictObject({ value: count, name: z.string() }),
    clock: z.string(),
  }),
  /** That applied up to the capture. */
  tariff: count,
  /** That runs, begins or ends; null without. */
  transaction: count.nullable(),
  /** Registration period. */
  periodMinutes: count,
  evidence: z.strictObject({
    /** The server that is followed; null for none, and where the context is not known. */
    server: z.string().nullable(),
    certificateSha256: hex32.nullable(),
    rootDelayNs: count,
    rootDispersionNs: count,
    /** Of the last authenticated sample; null for never. */
    sampleAgeSeconds: count.nullable(),
  }),
  timeFlags: names,
  readings: z.array(readingSchema),
  chain: chainSchema,
  /** Sequence of the first part of the context that holds. */
  context: count,
  /** The 128 bytes of the entry. */
  bytes: z.base64(),
});

const contextContentsSchema = z.strictObject({
  version: count,
  meter: z.string(),
  board: z.string(),
  firmwareVersion: z.string(),
  software: softwareSchema,
  calibration: calibrationSchema.nullable(),
  /** Ed25519: what heads are signed with. */
  publicKey: hex32,
  /** Name of the tariff program; null without one. */
  program: z.string().nullable(),
  registers: z.array(z.strictObject({ obis: z.string(), scale: z.int(), unit: z.string() })),
  servers: z.array(z.strictObject({ name: z.string(), certificateSha256: hex32.nullable() })),
});

/** A part of what holds for all records that name it; the last part carries the contents. */
export const contextSchema = z.strictObject({
  format: z.literal('context'),
  meter: z.string(),
  sequence: count,
  /** Which part, from 1, and how many there are. */
  part: count,
  parts: count,
  /** Null but with the last part, and there where parts before it are not known. */
  contents: contextContentsSchema.nullable(),
  chain: chainSchema,
  bytes: z.base64(),
});

/** An entry of the logbook, or of what the network provoked. */
export const logSchema = z.strictObject({
  format: z.literal('log'),
  meter: z.string(),
  sequence: count,
  /** Random at each start of the meter, 8 hexadecimal digits. */
  boot: z.string().regex(/^[0-9a-f]{8}$/),
  /** Counts from 1 at each start; with `boot` the event's name in `event` too. */
  eventSequence: count,
  event: z.string(),
  code: count,
  /** For people. */
  text: z.string(),
  /** By the meter's clock; null when unsynchronised. */
  utc: utc.nullable(),
  utcNs: integerText.nullable(),
  /** Since the start of the meter, ns, as text. */
  uptimeNs: integerText,
  /** The event's numbers as the meter gave them (as/abi/codes.ts, MeterEvent), as text, and its text. */
  a: integerText,
  b: integerText,
  detail: z.string(),
  /** Of the logbook: events before this one that went to the network's ring, as there were too many, or no room. */
  leftOut: count,
  chain: chainSchema,
  bytes: z.base64(),
});

const headOfRingSchema = z.strictObject({ sequence: count, hash: hex32 });

/** The newest entries of records and logbook, as the meter signed them. */
export const headSchema = z.strictObject({
  format: z.literal('head'),
  meter: z.string(),
  utc: utc.nullable(),
  utcNs: integerText.nullable(),
  /** Newest entry, and the first 32 bytes of SHA-512 of it; null where there is none. */
  records: headOfRingSchema.nullable(),
  logbook: headOfRingSchema.nullable(),
  /** Ed25519 (RFC 8032). */
  signature: z.string().regex(/^[0-9a-f]{128}$/),
  /** What is signed (120 bytes), and the signature. */
  bytes: z.base64(),
});

/** Any of them; `format` says which. */
export const evidenceSchema = z.discriminatedUnion('format', [recordSchema, contextSchema, logSchema, headSchema]);

export type RecordJson = z.infer<typeof recordSchema>;
export type ContextJson = z.infer<typeof contextSchema>;
export type LogJson = z.infer<typeof logSchema>;
export type HeadJson = z.infer<typeof headSchema>;
export type EvidenceJson = z.infer<typeof evidenceSchema>;

const hexOrNull = (bytes: Uint8Array | undefined) => (bytes === undefined ? null : hex(bytes));
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');

/**
 * A reading with all decimals of its scale: 2935600 by 10^-3 is 2935.600.
 * @param scale power of ten
 */
export function decimalText(raw: bigint, scale: number): string {
  if (scale >= 0) return (raw * 10n ** BigInt(scale)).toString();
  const digits = (raw < 0n ? -raw : raw).toString().padStart(1 - scale, '0');
  return `${raw < 0n ? '-' : ''}${digits.slice(0, scale)}.${digits.slice(scale)}`;
}

/** Symbol of a unit of DLMS/COSEM; `unknown-NUMBER` for one that is not known here. */
export function unitText(unit: number): string {
  return unitNames[unit] ?? `unknown-${unit}`;
}

/** @param context that the record names; undefined where it is not known */
export function recordJson(meter: string, record: RecordEntry, context: Context | undefined): RecordJson {
  const { captureUtcNs, targetUtcNs, offsetMinutes } = record;
  const known = captureUtcNs !== 0n && record.clockStatus !== ClockStatus.Unsynchronised;
  const leap = (record.timeFlags & TimeFlag.LeapSecond) !== 0;
  return {
    format: 'record',
    meter,
    sequence: record.sequence,
    reasons: namesOfBits(recordReasonNames, record.reasons),
    marks: namesOfBits(recordMarkNames, record.marks),
    software: context === undefined ? null : software(context),
    calibration: context === undefined ? null : calibration(context),
    target: targetUtcNs === 0n ? null : { utc: utcText(targetUtcNs), legal: legalText(targetUtcNs, offsetMinutes) },
    capture: {
      utc: known ? utcText(captureUtcNs, leap) : null,
      utcNs: known ? captureUtcNs.toString() : null,
      legal: known ? legalText(captureUtcNs, offsetMinutes, leap) : null,
    },
    offsetMinutes,
    uncertaintyNs: known ? (record.uncertaintyNs ?? null) : null,
    boundNs: known ? (record.boundNs ?? null) : null,
    status: status(record),
    tariff: record.tariff,
    transaction: record.transaction === 0 ? null : record.transaction,
    periodMinutes: record.periodMinutes,
    evidence: evidence(record, context),
    timeFlags: namesOfBits(timeFlagNames, record.timeFlags),
    readings: record.readings.map((raw, index) => reading(raw, context?.registers[index])),
    chain: chain(record),
    context: record.context,
    bytes: base64(record.bytes),
  };
}

function status({ letter, dlmsStatus, ptbStatus, clockStatus }: RecordEntry): RecordJson['status'] {
  return {
    letter,
    // All bits set do not stand for themselves: the status is not specified.
    dlms: {
      value: dlmsStatus,
      names: dlmsStatus === 0xff ? ['unspecified'] : namesOfBits(dlmsStatusNames, dlmsStatus),
    },
    ptb: { value: ptbStatus, name: nameOf(ptbStatusNames, ptbStatus).name },
    clock: nameOf(clockStatusNames, clockStatus).name,
  };
}

function evidence(record: RecordEntry, context: Context | undefined): RecordJson['evidence'] {
  const server = record.server === undefined ? undefined : context?.servers[record.server];
  return {
    server: server?.name ?? null,
    certificateSha256: hexOrNull(server?.certificateSha256),
    rootDelayNs: record.rootDelayNs,
    rootDispersionNs: record.rootDispersionNs,
    sampleAgeSeconds: record.sampleAgeSeconds ?? null,
  };
}

function reading(raw: bigint, register: Register | undefined): RecordJson['readings'][number] {
  if (register === undefined) return { obis: null, value: null, unit: null, raw: raw.toString() };
  const { obis, scale, unit } = register;
  return { obis, value: decimalText(raw, scale), unit: unitText(unit), raw: raw.toString() };
}

function software(context: Context): NonNullable<RecordJson['software']> {
  return {
    coreSha256: hex(context.coreSha256),
    imageSha256: hexOrNull(context.imageSha256),
    settingsHash: hex(context.settingsHash),
    programHash: hexOrNull(context.programHash),
  };
}

function calibration({ calibration: it }: Context): RecordJson['calibration'] {
  if (it === undefined) return null;
  const { id, atUtcNs, untilUtcNs, uncertaintyPpb } = it;
  return { id, atUtc: utcText(atUtcNs), untilUtc: utcText(untilUtcNs), uncertaintyPpb };
}

function chain({ ring, link, seal }: ChainedEntry): RecordJson['chain'] {
  return { ring: nameOf(ringNames, ring).name, link: hex(link), seal: hex(seal) };
}

/** @param context to be told with the last part: that of all parts; undefined where they are not known */
export function contextJson(meter: string, part: ContextPart, context: Context | undefined): ContextJson {
  const last = part.index === part.count - 1;
  return {
    format: 'context',
    meter,
    sequence: part.sequence,
    part: part.index + 1,
    parts: part.count,
    contents: last && context !== undefined ? contents(context) : null,
    chain: chain(part),
    bytes: base64(part.bytes),
  };
}

function contents(context: Context): NonNullable<ContextJson['contents']> {
  return {
    version: context.version,
    meter: context.meter,
    board: context.board,
    firmwareVersion: context.firmwareVersion,
    software: software(context),
    calibration: calibration(context),
    publicKey: hex(context.publicKey),
    program: context.program === '' ? null : context.program,
    registers: context.registers.map(({ obis, scale, unit }) => ({ obis, scale, unit: unitText(unit) })),
    servers: context.servers.map(({ name, certificateSha256 }) => ({
      name,
      certificateSha256: hexOrNull(certificateSha256),
    })),
  };
}

export function logJson(meter: string, entry: LogEntry): LogJson {
  const { code, a, b, text, utcNs } = entry;
  const leap = code === MeterEvent.LeapSecond && a < 0n && utcNs < b * nsPerSecond;
  return {
    format: 'log',
    meter,
    sequence: entry.sequence,
    boot: entry.boot.toString(16).padStart(8, '0'),
    eventSequence: entry.eventSequence,
    event: nameOf(meterEventNames, code).name,
    code,
    text: describeEvent({ code, a, b, text }),
    utc: utcNs === 0n ? null : utcText(utcNs, leap),
    utcNs: utcNs === 0n ? null : utcNs.toString(),
    uptimeNs: entry.uptimeNs.toString(),
    a: a.toString(),
    b: b.toString(),
    detail: text,
    leftOut: entry.leftOut,
    chain: chain(entry),
    bytes: base64(entry.bytes),
  };
}

export function headJson(head: Head): HeadJson {
  const { utcNs } = head;
  const newest = (sequence: number, hash: Uint8Array) => (sequence === 0 ? null : { sequence, hash: hex(hash) });
  return {
    format: 'head',
    meter: head.meter,
    utc: utcNs === 0n ? null : utcText(utcNs),
    utcNs: utcNs === 0n ? null : utcNs.toString(),
    records: newest(head.recordSequence, head.recordHash),
    logbook: newest(head.logSequence, head.logHash),
    signature: hex(head.signature),
    bytes: base64(head.bytes),
  };
}

/** The ring of a name in `chain.ring`; undefined for another one. */
export function ringOfName(name: string): Ring | undefined {
  return [Ring.Records, Ring.Logbook, Ring.Network].find((ring) => ringNames[ring].name === name);
}
