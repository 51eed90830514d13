// The entries of a meter's rings, contexts and signed heads: bytes to typed values; layouts in as/abi/codes.ts
// (ChainField, RecordField, ContextPartField, ContextField, LogField, HeadField).
// What always holds: an entry that is decoded carries its own bytes; nothing is checked here but that the layout holds,
// and bytes that do not fit it are a `MessageError` and nothing else. What links and seals say is verify.ts's.
import {
  ChainField,
  ContextField,
  ContextPartField,
  Format,
  HeadField,
  HeadFormat,
  LogField,
  RecordField,
  Ring,
} from '../../as/abi/codes.ts';
import { ByteReader, MessageError } from '../link/message-bytes.ts';
import { nsPerSecond } from '../text/utc.ts';

/** Bytes of an entry. */
export const entryBytes = ChainField.Bytes;
/** Bytes of a head as it is sent and published: `HeadField` from `Magic` on. */
export const headBytes = HeadField.Bytes - HeadField.Magic;
/** Those of them that are signed. */
const headSignedBytes = HeadField.Signature - HeadField.Magic;

/** In the place of an age, a server and a saturated number of microseconds. */
export const never = 0xffff_ffff;
const noServer = 0xff;
const registersMax = 4;
export const serversMax = 4;

/** What all entries have. */
export interface ChainedEntry {
  readonly ring: Ring;
  /** Counts from 1 in its ring. */
  readonly sequence: number;
  /** 16 bytes: the first of SHA-512 of the entry before. */
  readonly link: Uint8Array;
  /** 16 bytes. */
  readonly seal: Uint8Array;
  /** The whole entry, 128 bytes. */
  readonly bytes: Uint8Array;
}

/** What the meter measured, when, and how sure that is. */
export interface RecordEntry extends ChainedEntry {
  readonly format: Format.Record;
  /** `RecordReason` and `RecordMark` bits. */
  readonly reasons: number;
  readonly marks: number;
  /** Sequence of the first part of the context that holds for this record. */
  readonly context: number;
  /** 0 without. */
  readonly transaction: number;
  /** 0 while unsynchronised. */
  readonly captureUtcNs: bigint;
  /** 0 for a record that has none. */
  readonly targetUtcNs: bigint;
  /** Expanded uncertainty (k = 2) and hard bound of the capture time; undefined where they did not fit. */
  readonly uncertaintyNs: number | undefined;
  readonly boundNs: number | undefined;
  readonly rootDelayNs: number;
  readonly rootDispersionNs: number;
  /** Of the last authenticated sample; undefined for never. */
  readonly sampleAgeSeconds: number | undefined;
  /** Local time minus UTC at the capture. */
  readonly offsetMinutes: number;
  readonly tariff: number;
  /** One character: S, I, R or U. */
  readonly letter: string;
  readonly dlmsStatus: number;
  readonly ptbStatus: number;
  /** Index of the server in settings and context; undefined for none. */
  readonly server: number | undefined;
  /** `TimeFlag` bits. */
  readonly timeFlags: number;
  readonly clockStatus: number;
  readonly periodMinutes: number;
  /** Of the context's registers, in units of their scales. */
  readonly readings: readonly bigint[];
}

/** A part of a context. */
export interface ContextPart extends ChainedEntry {
  readonly format: Format.Context;
  /** From 0. */
  readonly index: number;
  readonly count: number;
  /** 88 bytes of `ContextField`. */
  readonly part: Uint8Array;
}

/** An event that the meter wrote down. */
export interface LogEntry extends ChainedEntry {
  readonly format: Format.Log;
  /** `MeterEvent`. */
  readonly code: number;
  /** Random at each start. */
  readonly boot: number;
  /** Number of the event since the start. */
  readonly eventSequence: number;
  /** 0 while unsynchronised. */
  readonly utcNs: bigint;
  readonly uptimeNs: bigint;
  readonly a: bigint;
  readonly b: bigint;
  readonly text: string;
  /** Of the logbook: events before this one that went to the network's ring; 65535 for as many or more. */
  readonly leftOut: number;
}

export type Entry = RecordEntry | ContextPart | LogEntry;

export interface Calibration {
  readonly id: string;
  readonly atUtcNs: bigint;
  readonly untilUtcNs: bigint;
  /** Expanded uncertainty of the frequency (k = 2). */
  readonly uncertaintyPpb: number;
}

/** A register of the application. */
export interface Register {
  /** `A-B:C.D.E*F`. */
  readonly obis: string;
  /** Power of ten of a reading's unit. */
  readonly scale: number;
  /** DLMS unit. */
  readonly unit: number;
}

export interface ContextServer {
  readonly name: string;
  /** SHA-256 of its certificate; undefined where none was seen. */
  readonly certificateSha256: Uint8Array | undefined;
}

/** What holds for the records that name it. */
export interface Context {
  /** Of its first part. */
  readonly sequence: number;
  readonly version: number;
  readonly meter: string;
  readonly board: string;
  readonly firmwareVersion: string;
  readonly coreSha256: Uint8Array;
  /** Undefined where the core runs without an image. */
  readonly imageSha256: Uint8Array | undefined;
  /** 32 bytes each. */
  readonly settingsHash: Uint8Array;
  /** Undefined without a program. */
  readonly programHash: Uint8Array | undefined;
  readonly program: string;
  readonly calibration: Calibration | undefined;
  /** Ed25519, 32 bytes: what heads are signed with. */
  readonly publicKey: Uint8Array;
  readonly registers: readonly Register[];
  readonly servers: readonly ContextServer[];
}

/** The newest entries of records and logbook, as the meter signed them. */
export interface Head {
  readonly meter: string;
  readonly utcNs: bigint;
  /** 0 where there is none. */
  readonly recordSequence: number;
  readonly logSequence: number;
  /** The first 32 bytes of SHA-512 of these entries. */
  readonly recordHash: Uint8Array;
  readonly logHash: Uint8Array;
  /** What is signed, and the signature (64 bytes). */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** Both, 184 bytes. */
  readonly bytes: Uint8Array;
}

function refuse(name: string, expected: string, came: string): never {
  throw new MessageError('value', `${name}: expected ${expected}, came ${came}`);
}

/** An entry's sequence, of whatever bytes. */
export function sequenceOf(bytes: Uint8Array): number {
  return new ByteReader('Entry', bytes).u32(ChainField.Sequence);
}

/**
 * Decodes the 128 bytes of an entry.
 * @param ring that it comes from: it is not among the bytes, but the seal says it
 * @throws {MessageError}
 */
export function decodeEntry(ring: Ring, bytes: Uint8Array): Entry {
  const whole = new ByteReader('Entry', bytes);
  whole.exactly(entryBytes);
  const chained: ChainedEntry = {
    ring,
    sequence: whole.u32(ChainField.Sequence),
    link: whole.bytes(ChainField.Link, ChainField.Seal - ChainField.Link),
    seal: whole.bytes(ChainField.Seal, ChainField.Bytes - ChainField.Seal),
    bytes: whole.bytes(0, entryBytes),
  };
  // Nothing of a body reaches into the chain's fields.
  const body = bytes.subarray(0, ChainField.BodyBytes);
  const format = whole.u8(ChainField.Format);
  if (ring === Ring.Records && format === Format.Record) return record(chained, new ByteReader('Record', body));
  if (ring === Ring.Records && format === Format.Context) return part(chained, new ByteReader('Context part', body));
  if (ring !== Ring.Records && format === Format.Log) return log(chained, new ByteReader('Log entry', body));
  const expected = ring === Ring.Records ? `${Format.Record} or ${Format.Context}` : `${Format.Log}`;
  return refuse('Entry', `format ${expected} in this ring`, String(format));
}

/** As `decodeEntry`; what does not fit is told as the error. */
export function tryDecodeEntry(ring: Ring, bytes: Uint8Array): Entry | MessageError {
  try {
    return decodeEntry(ring, bytes);
  } catch (error) {
    if (error instanceof MessageError) return error;
    throw error;
  }
}

function record(chained: ChainedEntry, r: ByteReader): RecordEntry {
  const count = r.u8(RecordField.Readings);
  if (count > registersMax) refuse('Record', `at most ${registersMax} readings`, String(count));
  const letter = r.u8(RecordField.Letter);
  if (letter < 0x41 || letter > 0x5a) refuse('Record', 'a letter from A to Z as status', `byte ${letter}`);
  const server = r.u8(RecordField.Server);
  const age = r.u32(RecordField.SampleAgeSeconds);
  return {
    ...chained,
    format: Format.Record,
    reasons: r.u8(RecordField.Reasons),
    marks: r.u16(RecordField.Marks),
    context: r.u32(RecordField.Context),
    transaction: r.u32(RecordField.Transaction),
    captureUtcNs: r.i64(RecordField.CaptureUtcNs),
    targetUtcNs: r.i64(RecordField.TargetUnixSeconds) * nsPerSecond,
    uncertaintyNs: fromMicroseconds(r.u32(RecordField.UncertaintyUs)),
    boundNs: fromMicroseconds(r.u32(RecordField.BoundUs)),
    rootDelayNs: r.u32(RecordField.RootDelayNs),
    rootDispersionNs: r.u32(RecordField.RootDispersionNs),
    sampleAgeSeconds: age === never ? undefined : age,
    offsetMinutes: offsetMinutes(r),
    tariff: r.u16(RecordField.Tariff),
    letter: String.fromCharCode(letter),
    dlmsStatus: r.u8(RecordField.DlmsStatus),
    ptbStatus: r.u8(RecordField.PtbStatus),
    server: server === noServer ? undefined : server,
    timeFlags: r.u8(RecordField.TimeFlags),
    clockStatus: r.u8(RecordField.ClockStatus),
    periodMinutes: r.u8(RecordField.PeriodMinutes),
    readings: Array.from({ length: count }, (_, index) => r.i64(RecordField.Values + 8 * index)),
  };
}

function fromMicroseconds(us: number): number | undefined {
  return us === never ? undefined : us * 1000;
}

function offsetMinutes(r: ByteReader): number {
  const minutes = r.i16(RecordField.OffsetMinutes);
  if (Math.abs(minutes) >= 1440) refuse('Record', 'an offset of less than a day', `${minutes} minutes`);
  return minutes;
}

function part(chained: ChainedEntry, r: ByteReader): ContextPart {
  const index = r.u8(ContextPartField.Index);
  const count = r.u8(ContextPartField.Count);
  if (index >= count) refuse('Context part', 'a number below that of all parts', `${index} of ${count}`);
  return {
    ...chained,
    format: Format.Context,
    index,
    count,
    part: r.bytes(ContextPartField.Part, ContextPartField.PartBytes),
  };
}

function log(chained: ChainedEntry, r: ByteReader): LogEntry {
  const ring = r.u8(LogField.Ring);
  if (ring !== chained.ring) refuse('Log entry', `ring ${chained.ring}`, String(ring));
  return {
    ...chained,
    format: Format.Log,
    code: r.u16(LogField.Code),
    boot: r.u32(LogField.Boot),
    eventSequence: r.u32(LogField.EventSequence),
    utcNs: r.i64(LogField.UtcNs),
    uptimeNs: r.i64(LogField.UptimeNs),
    a: r.i64(LogField.A),
    b: r.i64(LogField.B),
    text: new ByteReader('Log entry', r.bytes(0, LogField.LeftOut)).texts(LogField.Texts, 1)[0]!,
    leftOut: r.u16(LogField.LeftOut),
  };
}

/**
 * A context from all of its parts, in order.
 * @throws {MessageError} also where parts are missing
 */
export function decodeContext(parts: readonly ContextPart[]): Context {
  const first = parts[0];
  if (first === undefined || parts.length !== first.count) {
    refuse('Context', `${first?.count ?? 1} parts`, String(parts.length));
  }
  parts.forEach((each, at) => {
    if (each.index === at && each.count === first.count && each.sequence === first.sequence + at) return;
    refuse('Context', `part ${at} of ${first.count}`, `part ${each.index} of ${each.count}`);
  });
  const all = Buffer.concat(parts.map((each) => each.part));
  const length = all.readUInt16LE(ContextField.Length);
  const needed = Math.ceil(length / ContextPartField.PartBytes);
  if (length < ContextField.Texts || needed !== parts.length) {
    refuse('Context', `a length that takes ${parts.length} parts`, `${length} bytes`);
  }
  return readContext(first.sequence, new ByteReader('Context', all.subarray(0, length)));
}

function readContext(sequence: number, r: ByteReader): Context {
  const version = r.u8(ContextField.Version);
  if (version !== 1) refuse('Context', 'version 1', String(version));
  const registers = r.u8(ContextField.Registers);
  const servers = r.u8(ContextField.Servers);
  if (registers > registersMax) refuse('Context', `at most ${registersMax} registers`, String(registers));
  if (servers > serversMax) refuse('Context', `at most ${serversMax} servers`, String(servers));
  const [meter, board, firmwareVersion, calibrationId, program, ...names] = r.texts(ContextField.Texts, 5 + servers);
  r.end();
  return {
    sequence,
    version,
    meter: meter!,
    board: board!,
    firmwareVersion: firmwareVersion!,
    coreSha256: r.bytes(ContextField.CoreSha256, 32),
    imageSha256: unlessZero(r.bytes(ContextField.ImageSha256, 32)),
    settingsHash: r.bytes(ContextField.SettingsHash, 32),
    programHash: unlessZero(r.bytes(ContextField.ProgramHash, 32)),
    program: program!,
    calibration: calibration(r, calibrationId!),
    publicKey: r.bytes(ContextField.PublicKey, 32),
    registers: Array.from({ length: registers }, (_, index) => register(r, ContextField.RegisterList + 8 * index)),
    servers: names.map((name, index) => ({
      name,
      certificateSha256: unlessZero(r.bytes(ContextField.Fingerprints + 32 * index, 32)),
    })),
  };
}

function calibration(r: ByteReader, id: string): Calibration | undefined {
  const at = r.i64(ContextField.CalibratedAt);
  const until = r.i64(ContextField.CalibratedUntil);
  if (at === 0n && until === 0n && id === '') return undefined;
  const uncertaintyPpb = r.u32(ContextField.CalibrationUncertaintyPpb);
  return { id, atUtcNs: at * nsPerSecond, untilUtcNs: until * nsPerSecond, uncertaintyPpb };
}

function register(r: ByteReader, at: number): Register {
  const [a, b, c, d, e, f] = r.bytes(at, 6);
  return { obis: `${a}-${b}:${c}.${d}.${e}*${f}`, scale: r.i8(at + 6), unit: r.u8(at + 7) };
}

function unlessZero(bytes: Uint8Array): Uint8Array | undefined {
  return bytes.every((byte) => byte === 0) ? undefined : bytes;
}

/**
 * Decodes a head: 184 bytes, `HeadField` from `Magic` on. Its signature is not checked.
 * @throws {MessageError}
 */
export function decodeHead(bytes: Uint8Array): Head {
  const r = new ByteReader('Head', bytes);
  r.exactly(headBytes);
  const magic = r.u32(0);
  if (magic !== HeadFormat.Magic) refuse('Head', '"MTH1" at its begin', `0x${magic.toString(16).padStart(8, '0')}`);
  const at = (field: HeadField) => field - HeadField.Magic;
  const name = new ByteReader('Head', bytes.subarray(at(HeadField.MeterId), at(HeadField.Signature)));
  return {
    meter: name.texts(0, 1)[0]!,
    utcNs: r.i64(at(HeadField.UtcNs)),
    recordSequence: r.u32(at(HeadField.RecordSequence)),
    logSequence: r.u32(at(HeadField.LogSequence)),
    recordHash: r.bytes(at(HeadField.RecordHash), 32),
    logHash: r.bytes(at(HeadField.LogHash), 32),
    signed: r.bytes(0, headSignedBytes),
    signature: r.bytes(at(HeadField.Signature), headBytes - headSignedBytes),
    bytes: r.bytes(0, headBytes),
  };
}
