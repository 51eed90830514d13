// Records, heads and tariffs as they are published: payloads as JSON or CBOR, and the properties that say what they are.
// What always holds: the meter's bytes are in it, exactly, as base64 in JSON and as a byte string in CBOR; everything else
// is the same in both.
import { encode as encodeCbor } from 'cborg';
import { z } from 'zod';
import { ChainField, ClockStatus, Format, RecordField, Ring, TariffFlag } from '../../as/abi/codes.ts';
import { MessageError, type Tariff } from '../link/messages.ts';
import type { MessageProperties } from '../outbox/outbox.ts';
import { type Context, decodeHead, sequenceOf, tryDecodeEntry } from '../record/entry.ts';
import {
  contextJson,
  contextSchema,
  type HeadJson,
  headJson,
  logJson,
  logSchema,
  recordJson,
  recordSchema,
} from '../record/json.ts';
import { unreadableJson, unreadableSchema } from '../record/unreadable.ts';
import { crcText } from '../text/hex.ts';
import { dlmsStatusNames, nameOf, namesOfBits, ptbStatusNames, tariffFlagNames } from '../text/names.ts';
import { nsPerSecond, utcText } from '../text/utc.ts';

export type RecordFormat = 'json' | 'cbor';

/** Version of the payloads of `record` and `head`, and of `tariff`: in their user property `schema`. */
export const schemaVersion = 1;

/** Content type of CBOR (RFC 8949 9.1). */
export const cborType = 'application/cbor';

export interface Published {
  readonly payload: Uint8Array;
  readonly properties: MessageProperties;
}

const utc = z.string().regex(/^-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
const count = z.int().min(0);
const crc32 = z.string().regex(/^[0-9a-f]{8}$/);

/** `PREFIX/GATEWAY/METER/record`, at least once each: `sequence` tells duplicates. */
export const recordTopicSchema = z.discriminatedUnion('format', [recordSchema, contextSchema, unreadableSchema]);

/** An entry of any ring, in answers to commands. */
export const entrySchema = z.discriminatedUnion('format', [...recordTopicSchema.options, logSchema]);

/** `PREFIX/GATEWAY/METER/tariff`, retained with message expiry: the tariff that applies, and what is next. */
export const tariffSchema = z.strictObject({
  meter: z.string(),
  /** That applies now; null where none is known. */
  tariff: count.nullable(),
  /** Since when it applies; null where that is not known. */
  sinceUtc: utc.nullable(),
  /** The next switch; null where none is foreseen. */
  next: z.strictObject({ tariff: count, utc: utc.nullable() }).nullable(),
  /** End of the registration period. */
  periodEndUtc: utc.nullable(),
  /** Legal time minus UTC, and whether it is summer time. */
  offsetMinutes: z.int(),
  summerTime: z.boolean(),
  /** The time is not good enough to bill by. */
  doubtful: z.boolean(),
  flags: z.array(z.string()),
  /** Of a record made now: letter of OCMF, clock status of DLMS/COSEM, PTB status. */
  status: z.strictObject({
    letter: z.string(),
    dlms: z.strictObject({ value: z.int().min(0).max(255), names: z.array(z.string()) }),
    ptb: z.strictObject({ value: count, name: z.string() }),
  }),
  /** Tariff programs: the active one and its CRC-32, the passive one and when it takes effect; null where there is none. */
  program: z.strictObject({ name: z.string(), crc32 }).nullable(),
  passiveProgram: z.strictObject({ name: z.string(), activationUtc: utc.nullable() }).nullable(),
  /** Dynamic tariffs: CRC-32 and end; null without. */
  dynamic: z.strictObject({ crc32, endUtc: utc.nullable() }).nullable(),
  /** Newest entry of each ring, 0 without; oldest record that the broker has not acknowledged. */
  newest: z.strictObject({ records: count, logbook: count, network: count }),
  oldestNotDelivered: count,
  /** The newest record that came to the gateway since it started: letter of OCMF, capture (null while unsynchronised); null for none. */
  newestRecord: z.strictObject({ sequence: count, letter: z.string(), utc: utc.nullable() }).nullable(),
});

export type TariffPayload = z.infer<typeof tariffSchema>;
export type NewestRecord = TariffPayload['newestRecord'];
export type EntryPayload = z.infer<typeof entrySchema>;

/**
 * An entry of the record ring, 128 bytes, as it is published.
 * @param context that it names, or that it is the last part of; undefined where it is not known
 */
export function recordPublication(
  meter: string,
  entry: Uint8Array,
  context: Context | undefined,
  format: RecordFormat,
): Published {
  return published(meter, entryPayload(meter, Ring.Records, entry, context), sequenceOf(entry), format);
}

/** An entry of any ring; `context` as for `recordPublication`. */
export function entryPayload(meter: string, ring: Ring, bytes: Uint8Array, context: Context | undefined): EntryPayload {
  const entry = tryDecodeEntry(ring, bytes);
  if (entry instanceof MessageError) return unreadableJson(meter, ring, bytes);
  if ('part' in entry) return contextJson(meter, entry, context);
  return 'context' in entry ? recordJson(meter, entry, context) : logJson(meter, entry);
}

/**
 * A signed head, 184 bytes, as it is published.
 * @throws MessageError
 */
export function headPublication(meter: string, head: Uint8Array, format: RecordFormat): Published {
  const decoded = decodeHead(head);
  return published(meter, headJson(decoded), decoded.recordSequence, format);
}

function published(meter: string, payload: EntryPayload | HeadJson, sequence: number, format: RecordFormat): Published {
  const userProperties = { schema: schemaName(payload.format), sequence: `${sequence}`, meter };
  if (format === 'cbor') {
    const bytes = Buffer.from(payload.bytes, 'base64');
    return {
      payload: encodeCbor({ ...payload, bytes: new Uint8Array(bytes) }),
      properties: { contentType: cborType, payloadFormatIndicator: false, userProperties },
    };
  }
  return {
    payload: Buffer.from(JSON.stringify(payload), 'utf8'),
    properties: { contentType: 'application/json', payloadFormatIndicator: true, userProperties },
  };
}

/** Name and version of a payload: `metertime-record/1`. */
export function schemaName(payload: string): string {
  return `metertime-${payload}/${schemaVersion}`;
}

/** 0 is none. */
function when(seconds: bigint): string | null {
  return seconds === 0n ? null : utcText(seconds * nsPerSecond);
}

/** What is told of the newest record; undefined for an entry that is none. */
export function newestRecordOf(bytes: Uint8Array): NonNullable<NewestRecord> | undefined {
  if (bytes[ChainField.Format] !== Format.Record) return undefined;
  const captureUtcNs = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).readBigInt64LE(
    RecordField.CaptureUtcNs,
  );
  const known = captureUtcNs !== 0n && bytes[RecordField.ClockStatus] !== ClockStatus.Unsynchronised;
  return {
    sequence: sequenceOf(bytes),
    letter: String.fromCharCode(bytes[RecordField.Letter]!),
    utc: known ? utcText(captureUtcNs) : null,
  };
}

export function tariffPayload(
  meter: string,
  message: Omit<Tariff, 'type'>,
  newestRecord: NewestRecord = null,
): TariffPayload {
  const has = (flag: TariffFlag) => (message.flags & flag) !== 0;
  const { programCrc, dynamicCrc, dlmsStatus, ptbStatus } = message;
  return {
    meter,
    tariff: has(TariffFlag.Known) ? message.tariff : null,
    sinceUtc: has(TariffFlag.Known) ? when(message.since) : null,
    next: message.next === 0n ? null : { tariff: message.nextTariff, utc: when(message.next) },
    periodEndUtc: when(message.periodEnd),
    offsetMinutes: message.offsetMinutes,
    summerTime: has(TariffFlag.Summer),
    doubtful: has(TariffFlag.Doubtful),
    flags: namesOfBits(tariffFlagNames, message.flags),
    status: {
      letter: message.letter,
      // All bits set do not stand for themselves: the status is not specified.
      dlms: {
        value: dlmsStatus,
        names: dlmsStatus === 0xff ? ['unspecified'] : namesOfBits(dlmsStatusNames, dlmsStatus),
      },
      ptb: { value: ptbStatus, name: nameOf(ptbStatusNames, ptbStatus).name },
    },
    program: programCrc === 0 ? null : { name: message.activeName, crc32: crcText(programCrc) },
    passiveProgram:
      message.passiveActivation === 0n
        ? null
        : { name: message.passiveName, activationUtc: when(message.passiveActivation) },
    dynamic: dynamicCrc === 0 ? null : { crc32: crcText(dynamicCrc), endUtc: when(message.dynamicEnd) },
    newest: { records: message.recordNewest, logbook: message.logNewest, network: message.networkNewest },
    oldestNotDelivered: message.recordOldest,
    // One that is newer than the newest is of a chain that the meter does not have any more.
    newestRecord: newestRecord !== null && newestRecord.sequence > message.recordNewest ? null : newestRecord,
  };
}
