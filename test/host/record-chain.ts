// Makes rings of entries and signed heads as a meter does, from the layouts in as/abi/codes.ts and node's own ciphers:
// what verifies them is checked against this, not against itself.
import { createHash, type KeyObject, sign } from 'node:crypto';
import {
  ChainField,
  ClockStatus,
  ContextField,
  ContextPartField,
  Format,
  HeadField,
  HeadFormat,
  LogField,
  MeterEvent,
  RecordField,
  RecordReason,
  Ring,
} from '../../as/abi/codes.ts';
import { publicKeyOf } from '../core/ed25519-reference.ts';
import { cmac } from '../core/openssl-reference.ts';

export { signingKey } from '../core/ed25519-reference.ts';

export interface RegisterFields {
  readonly obis: readonly [number, number, number, number, number, number];
  readonly scale: number;
  readonly unit: number;
}

export interface ContextFields {
  readonly board?: string;
  readonly firmwareVersion?: string;
  readonly coreSha256?: Uint8Array;
  readonly imageSha256?: Uint8Array;
  readonly settingsHash?: Uint8Array;
  readonly programHash?: Uint8Array;
  readonly program?: string;
  readonly calibration?: { id: string; at: bigint; until: bigint; uncertaintyPpb: number };
  readonly registers?: readonly RegisterFields[];
  readonly servers?: readonly { name: string; certificateSha256?: Uint8Array }[];
}

export interface RecordFields {
  readonly reasons?: number;
  readonly marks?: number;
  readonly transaction?: number;
  readonly captureUtcNs?: bigint;
  readonly targetUnixSeconds?: bigint;
  readonly uncertaintyUs?: number;
  readonly boundUs?: number;
  readonly rootDelayNs?: number;
  readonly rootDispersionNs?: number;
  readonly sampleAgeSeconds?: number;
  readonly offsetMinutes?: number;
  readonly tariff?: number;
  readonly letter?: string;
  readonly dlmsStatus?: number;
  readonly ptbStatus?: number;
  readonly server?: number;
  readonly timeFlags?: number;
  readonly clockStatus?: number;
  readonly periodMinutes?: number;
  readonly readings?: readonly bigint[];
  /** Names another context than the last. */
  readonly context?: number;
}

export interface LogFields {
  readonly code?: number;
  readonly boot?: number;
  readonly eventSequence?: number;
  readonly utcNs?: bigint;
  readonly uptimeNs?: bigint;
  readonly a?: bigint;
  readonly b?: bigint;
  readonly text?: string;
  readonly leftOut?: number;
}

const sha512 = (bytes: Uint8Array) => createHash('sha512').update(bytes).digest();

/** The seal of an entry's first 112 bytes. */
export function sealOf(recordKey: Uint8Array, ring: Ring, entry: Uint8Array): Buffer {
  return cmac(recordKey, Buffer.concat([Buffer.of(ring), entry.subarray(0, ChainField.Seal)]));
}

/** The link to an entry. */
export function linkTo(before: Uint8Array | undefined): Buffer {
  return before === undefined ? Buffer.alloc(16) : sha512(before).subarray(0, 16);
}

/** A meter's rings from their first entries on, and the heads it signs. */
export class ChainMaker {
  readonly rings: Record<Ring, Buffer[]> = { [Ring.Records]: [], [Ring.Logbook]: [], [Ring.Network]: [] };
  readonly publicKey: Buffer;
  #context = 0;
  #heads = 0;
  #transaction = 0;

  constructor(
    readonly meter: string,
    readonly recordKey: Uint8Array,
    readonly key: KeyObject,
  ) {
    this.publicKey = publicKeyOf(key);
  }

  #append(ring: Ring, entry: Buffer): Buffer {
    const entries = this.rings[ring];
    entry.writeUInt32LE(entries.length + 1, ChainField.Sequence);
    entry.set(linkTo(entries.at(-1)), ChainField.Link);
    entry.set(sealOf(this.recordKey, ring, entry), ChainField.Seal);
    entries.push(entry);
    return entry;
  }

  /** Appends all parts of a context, which holds for the records that follow. */
  context(fields: ContextFields = {}): Buffer[] {
    const servers = fields.servers ?? [{ name: 'time.example', certificateSha256: Buffer.alloc(32, 0xc5) }];
    const registers = fields.registers ?? [{ obis: [1, 0, 1, 8, 0, 255], scale: -3, unit: 30 }];
    const { id = '', at = 0n, until = 0n, uncertaintyPpb = 0 } = fields.calibration ?? {};
    const names = [
      this.meter,
      fields.board ?? 'software',
      fields.firmwareVersion ?? '0.1.0',
      id,
      fields.program ?? '',
      ...servers.map(({ name }) => name),
    ];
    const texts = names.flatMap((name) => [Buffer.of(Buffer.byteLength(name)), Buffer.from(name)]);
    const context = Buffer.concat([Buffer.alloc(ContextField.Texts), ...texts]);
    context.writeUInt16LE(context.length, ContextField.Length);
    context[ContextField.Version] = 1;
    context[ContextField.Registers] = registers.length;
    context[ContextField.Servers] = servers.length;
    context.writeUInt32LE(uncertaintyPpb, ContextField.CalibrationUncertaintyPpb);
    context.writeBigInt64LE(at, ContextField.CalibratedAt);
    context.writeBigInt64LE(until, ContextField.CalibratedUntil);
    context.set(fields.coreSha256 ?? Buffer.alloc(32, 0xc0), ContextField.CoreSha256);
    context.set(fields.imageSha256 ?? Buffer.alloc(32), ContextField.ImageSha256);
    context.set(fields.settingsHash ?? Buffer.alloc(32, 0x5e), ContextField.SettingsHash);
    context.set(fields.programHash ?? Buffer.alloc(32), ContextField.ProgramHash);
    context.set(this.publicKey, ContextField.PublicKey);
    for (const [index, { obis, scale, unit }] of registers.entries()) {
      const register = ContextField.RegisterList + 8 * index;
      context.set(obis, register);
      context.writeInt8(scale, register + 6);
      context[register + 7] = unit;
    }
    for (const [index, { certificateSha256 }] of servers.entries()) {
      if (certificateSha256 !== undefined) context.set(certificateSha256, ContextField.Fingerprints + 32 * index);
    }
    this.#context = this.rings[Ring.Records].length + 1;
    const count = Math.ceil(context.length / ContextPartField.PartBytes);
    return Array.from({ length: count }, (_, index) => {
      const entry = Buffer.alloc(ChainField.Bytes);
      entry[ChainField.Format] = Format.Context;
      entry[ContextPartField.Index] = index;
      entry[ContextPartField.Count] = count;
      const begin = index * ContextPartField.PartBytes;
      entry.set(context.subarray(begin, begin + ContextPartField.PartBytes), ContextPartField.Part);
      return this.#append(Ring.Records, entry);
    });
  }

  record(fields: RecordFields = {}): Buffer {
    const { readings = [BigInt(this.rings[Ring.Records].length) * 1000n] } = fields;
    const entry = Buffer.alloc(ChainField.Bytes);
    entry[ChainField.Format] = Format.Record;
    entry[RecordField.Reasons] = fields.reasons ?? RecordReason.Period;
    entry.writeUInt16LE(fields.marks ?? 0, RecordField.Marks);
    entry.writeUInt32LE(fields.context ?? this.#context, RecordField.Context);
    entry.writeUInt32LE(fields.transaction ?? this.#transaction, RecordField.Transaction);
    const target = fields.targetUnixSeconds ?? 1_795_305_600n + 900n * BigInt(this.rings[Ring.Records].length);
    entry.writeBigInt64LE(fields.captureUtcNs ?? target * 1_000_000_000n + 2_500_000n, RecordField.CaptureUtcNs);
    entry.writeBigInt64LE(target, RecordField.TargetUnixSeconds);
    entry.writeUInt32LE(fields.uncertaintyUs ?? 300, RecordField.UncertaintyUs);
    entry.writeUInt32LE(fields.boundUs ?? 1200, RecordField.BoundUs);
    entry.writeUInt32LE(fields.rootDelayNs ?? 1526, RecordField.RootDelayNs);
    entry.writeUInt32LE(fields.rootDispersionNs ?? 30_518, RecordField.RootDispersionNs);
    entry.writeUInt32LE(fields.sampleAgeSeconds ?? 17, RecordField.SampleAgeSeconds);
    entry.writeInt16LE(fields.offsetMinutes ?? 60, RecordField.OffsetMinutes);
    entry.writeUInt16LE(fields.tariff ?? 1, RecordField.Tariff);
    entry.write(fields.letter ?? 'I', RecordField.Letter, 1, 'latin1');
    entry[RecordField.DlmsStatus] = fields.dlmsStatus ?? 0;
    entry[RecordField.PtbStatus] = fields.ptbStatus ?? 0;
    entry[RecordField.Server] = fields.server ?? 0;
    entry[RecordField.TimeFlags] = fields.timeFlags ?? 0;
    entry[RecordField.ClockStatus] = fields.clockStatus ?? ClockStatus.Synchronised;
    entry[RecordField.Readings] = readings.length;
    entry[RecordField.PeriodMinutes] = fields.periodMinutes ?? 15;
    for (const [index, value] of readings.entries()) entry.writeBigInt64LE(value, RecordField.Values + 8 * index);
    return this.#append(Ring.Records, entry);
  }

  log(ring: Ring.Logbook | Ring.Network, fields: LogFields = {}): Buffer {
    const { text = '' } = fields;
    const sequence = this.rings[ring].length + 1;
    const entry = Buffer.alloc(ChainField.Bytes);
    entry[ChainField.Format] = Format.Log;
    entry[LogField.Ring] = ring;
    entry.writeUInt16LE(fields.code ?? MeterEvent.Synchronised, LogField.Code);
    entry.writeUInt32LE(fields.boot ?? 0x8f3a_11c2, LogField.Boot);
    entry.writeUInt32LE(fields.eventSequence ?? sequence, LogField.EventSequence);
    entry.writeBigInt64LE(
      fields.utcNs ?? 1_795_305_600_000_000_000n + BigInt(sequence) * 7_000_000_000n,
      LogField.UtcNs,
    );
    entry.writeBigInt64LE(fields.uptimeNs ?? BigInt(sequence) * 7_000_000_000n, LogField.UptimeNs);
    entry.writeBigInt64LE(fields.a ?? 0n, LogField.A);
    entry.writeBigInt64LE(fields.b ?? 0n, LogField.B);
    entry[LogField.Texts] = Buffer.byteLength(text);
    entry.write(text, LogField.Texts + 1);
    entry.writeUInt16LE(fields.leftOut ?? 0, LogField.LeftOut);
    return this.#append(ring, entry);
  }

  /** Signs the newest entries: 184 bytes, from `HeadField.Magic` on. */
  head(utcNs = 1_795_309_200_000_000_000n, key: KeyObject = this.key): Buffer {
    const records = this.rings[Ring.Records];
    const logbook = this.rings[Ring.Logbook];
    const head = Buffer.alloc(HeadField.Bytes);
    head.writeUInt32LE(++this.#heads, HeadField.Count);
    head.writeUInt32LE(HeadFormat.Magic, HeadField.Magic);
    head.writeUInt32LE(records.length, HeadField.RecordSequence);
    head.writeUInt32LE(logbook.length, HeadField.LogSequence);
    head.writeBigInt64LE(utcNs, HeadField.UtcNs);
    if (records.length > 0) head.set(sha512(records.at(-1)!).subarray(0, 32), HeadField.RecordHash);
    if (logbook.length > 0) head.set(sha512(logbook.at(-1)!).subarray(0, 32), HeadField.LogHash);
    head[HeadField.MeterId] = Buffer.byteLength(this.meter);
    head.write(this.meter, HeadField.MeterId + 1);
    head.set(sign(null, head.subarray(HeadField.Magic, HeadField.Signature), key), HeadField.Signature);
    return head.subarray(HeadField.Magic);
  }
}
